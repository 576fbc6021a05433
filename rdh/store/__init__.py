"""Reads and writes run folders. The folder is the truth; everything else is an index of it."""
