"""The network in training: layers, losses and initial weights."""
