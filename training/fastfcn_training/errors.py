"""The error that only training raises; all others are in `fastfcn_infer.errors`."""

from fastfcn_infer.errors import FastFCNError


class TrainingError(FastFCNError, RuntimeError):
    """The training cannot continue: it diverged, cannot be saved, or does not match its checkpoint."""
