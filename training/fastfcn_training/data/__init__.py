"""Training data: sampling, reading, augmentation and batches."""
