"""From pictures with labels to batches."""
