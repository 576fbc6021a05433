"""What every run counts by: levels of tau, and the limit from which a vote decides a side.

TAU_LEVELS: every run counts saturated, flagged and dead entries at them, so a slider over tau needs
no new run. CERTAIN: a side is undecided up to |vote| = CERTAIN sqrt(voters), see
`rdh.training.sides`.
"""

TAU_LEVELS = (0.9, 0.95, 0.99, 0.995, 0.999)
CERTAIN = 0.5  # standard deviations of a vote of fair coins
