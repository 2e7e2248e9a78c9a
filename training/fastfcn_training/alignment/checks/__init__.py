"""The comparisons, one file each; see `fastfcn_training.alignment.check`."""
