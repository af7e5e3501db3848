"""One short script a stage; each runs by hand as `python -m stages.<name> --help`."""
