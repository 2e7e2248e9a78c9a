"""The comparisons of the alignment, one file each; see `fastfcn_training.alignment.check`."""
