"""One runtime a file; the name of the file is its name in params.yaml."""
