"""From pixels to labels: the path of a picture."""
