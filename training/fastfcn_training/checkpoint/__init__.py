"""What a training writes, and how it is resumed."""
