"""Parts of the ONNX graph, and how it is written."""
