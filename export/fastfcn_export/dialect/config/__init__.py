"""The configuration beside a checkpoint, read as text: what its author changed in the published recipe."""
