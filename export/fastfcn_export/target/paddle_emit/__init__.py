"""Parts of the target that writes a Paddle program."""
