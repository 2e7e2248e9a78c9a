"""Paddle started: settings, devices and processes."""
