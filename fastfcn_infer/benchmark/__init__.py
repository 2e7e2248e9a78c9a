"""How fast a model is, and on which machine."""
