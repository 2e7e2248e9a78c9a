"""All that decides what a training computes."""
