"""Quantise an artifact's graph to int8, with proof on pictures that it still labels as float32 does."""
