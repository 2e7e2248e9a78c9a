"""Rasters of any size: read, labelled and written in bands of rows."""
