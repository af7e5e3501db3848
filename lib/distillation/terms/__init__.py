"""One distillation term a file; the folder is the registry (`lib.plugins.find`)."""
