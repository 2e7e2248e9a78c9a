"""Training: labelled pictures in, a checkpoint for `fastfcn-export` out.

The command ``fastfcn-train`` is what is public; all names and modules are internal.
"""
