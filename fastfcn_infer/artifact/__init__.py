"""A model on disk: its manifest, hashes, golden picture and classes."""
