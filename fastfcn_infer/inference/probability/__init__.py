"""Probabilities of classes, from the scores that a result keeps."""
