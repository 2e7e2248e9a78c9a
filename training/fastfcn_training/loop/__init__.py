"""The training loop: steps, validation, log and interrupts."""
