"""Training: one loop from the first step to the final evaluation, with probes and checkpoints."""
