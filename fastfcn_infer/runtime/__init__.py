"""Running the graph: the contract of a backend, and everything about runtimes and GPUs."""
