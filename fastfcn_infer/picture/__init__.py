"""Read any picture or label file, draw on pictures."""
