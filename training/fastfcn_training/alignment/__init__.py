"""Comparisons that a faithful reproduction owes, and the recorded values that they compare with."""
