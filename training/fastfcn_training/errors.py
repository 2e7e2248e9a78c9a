"""The error that only a training raises; all others are in `fastfcn_infer.errors`."""

from fastfcn_infer.errors import FastFCNError


class TrainingError(FastFCNError, RuntimeError):
    """The training cannot go on: it diverged, cannot be saved, or is resumed as another one."""
