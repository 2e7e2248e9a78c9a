"""Where models come from: the catalogue, downloads, conversion of checkpoints."""
