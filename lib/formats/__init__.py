"""A network as a file: checkpoint, packed file, ONNX, files from elsewhere."""
