"""Checkpoint files: named tensors out of any container, running none of their code."""
