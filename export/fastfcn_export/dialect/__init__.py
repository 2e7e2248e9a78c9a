"""The dialects of checkpoints: who wrote one, what its tensors are called, what it leaves unsaid."""
