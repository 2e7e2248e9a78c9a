"""Targets: implementations of the network's primitives that compute, emit a graph or count the cost."""
