"""From a data set, wherever it comes from, to mini-batches."""
