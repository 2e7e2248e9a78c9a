"""Training: labelled pictures in, a checkpoint for `fastfcn-export` out."""
