"""Starting Paddle: settings, device and processes."""
