"""What is written: one folder a run. The folder is the truth; everything else is an index of it."""
