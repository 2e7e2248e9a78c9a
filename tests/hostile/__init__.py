"""Malicious or malformed checkpoints, built opcode by opcode. Loading them elsewhere may run code."""
