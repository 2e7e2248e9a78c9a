"""``fastfcn-train align``: this training compared with recorded values of the original code."""
