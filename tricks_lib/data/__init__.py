"""Tricks on the data: what goes into a network, and in which form."""
