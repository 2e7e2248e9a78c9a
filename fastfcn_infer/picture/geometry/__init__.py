"""The geometry of a label map: connected regions, their outlines, and simpler ones."""
