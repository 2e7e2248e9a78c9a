"""What a training writes: checkpoints, final weights, exports; and how it is resumed."""
