"""The network, written once over the primitives of `fastfcn_export.target`."""
