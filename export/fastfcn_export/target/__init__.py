"""What the primitives of the network do: compute, emit a graph, count the cost."""
