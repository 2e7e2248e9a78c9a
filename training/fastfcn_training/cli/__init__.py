"""The command ``fastfcn-train``: what was asked for, in any of its forms."""
