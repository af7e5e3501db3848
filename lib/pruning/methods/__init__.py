"""One pruning method a file; the folder is the registry (`lib.plugins.find`)."""
