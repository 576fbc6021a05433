"""The levels of tau at which every run counts saturated and dead entries.

A slider over tau moves between them and needs no new run.
"""

TAU_LEVELS = (0.9, 0.95, 0.99, 0.995, 0.999)
