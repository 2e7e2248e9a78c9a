"""Checkpoints that mean harm or make no sense, built opcode by opcode. Loading them elsewhere may run code."""
