"""What the book measures with: seeds, statistics and claims that the build checks."""
