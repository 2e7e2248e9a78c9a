"""Kinds of checkpoint files, one per module; the contract is `fastfcn_export.checkpoint.container`."""
