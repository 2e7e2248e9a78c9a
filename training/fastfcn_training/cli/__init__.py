"""The command line of ``fastfcn-train``: which training the user asked for."""
