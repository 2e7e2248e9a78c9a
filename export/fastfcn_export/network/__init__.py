"""The network, written once over the primitives of `primitives.Ops`."""
