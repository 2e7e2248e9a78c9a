"""The command ``fastfcn``."""
