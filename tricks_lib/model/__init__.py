"""Tricks on the model: architecture, initialization and what its signals do."""
