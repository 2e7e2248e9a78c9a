"""The errors that only training raises; all others are in `fastfcn_infer.errors`."""

from fastfcn_infer.errors import FastFCNError


class TrainingError(FastFCNError, RuntimeError):
    """The training cannot continue: it diverged, cannot be saved, or does not match its checkpoint."""


class NotSaved(TrainingError):  # noqa: N818 - as in `fastfcn_infer.errors`
    """What was learned so far cannot be written: the disk is full, or the folder read-only."""
