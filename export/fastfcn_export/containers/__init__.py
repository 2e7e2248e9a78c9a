"""Kinds of checkpoint files, one per module; the contract is `fastfcn_export.container`."""
