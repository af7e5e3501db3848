"""The pictures of a suite, one a file, each as PNG bytes."""
