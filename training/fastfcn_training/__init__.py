"""Training: pictures with labels in, a checkpoint that `fastfcn-export` reads out."""
