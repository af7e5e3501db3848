"""Commands that are no stage; each runs by hand as `python -m tools.<name> --help`."""
