"""Parts of the Paddle program, and how it is written."""
