"""Figures in the one style of the book."""
