"""Checkpoint files: named tensors from any container, read without running code."""
