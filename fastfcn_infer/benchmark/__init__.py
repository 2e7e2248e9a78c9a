"""Measure how fast a model is, and describe the machine."""
