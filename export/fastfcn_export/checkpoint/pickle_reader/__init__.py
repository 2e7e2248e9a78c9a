"""An interpreter for the few opcodes of a pickle that checkpoints need; it runs no code."""
