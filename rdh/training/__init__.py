"""What learns: one loop from the first step to the final evaluation, its probes and checkpoints."""
