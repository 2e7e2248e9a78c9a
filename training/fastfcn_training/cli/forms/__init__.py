"""Ways to say what to train, one file each; see `fastfcn_training.cli.form`."""
