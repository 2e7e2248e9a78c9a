"""Parts of the target that writes an ONNX graph."""
