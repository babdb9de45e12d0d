"""Tricks on learning: the loop, optimizers, schedules and regularization."""
