"""Data sets: pictures with label maps."""
