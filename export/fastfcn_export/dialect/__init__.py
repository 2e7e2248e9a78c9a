"""The dialects of checkpoints: which code wrote one, what its tensors are called, and what it leaves unsaid."""
