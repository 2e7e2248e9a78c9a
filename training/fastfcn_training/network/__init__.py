"""The network while it learns: layers, losses and the weights it starts from."""
