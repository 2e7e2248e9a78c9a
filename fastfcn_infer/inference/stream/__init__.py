"""Many pictures: where they come from, and reading, labelling and using them at the same time."""
