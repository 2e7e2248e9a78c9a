"""Ways to describe a training, one file each; see `fastfcn_training.cli.recipe_source`."""
