"""Deep hashing with and without dead-bit rescue: train, measure, compare (IJCAI 2021, "Rescuing
Deep Hashing from Dead Bits Problem").
"""

__version__ = "0.1.0"
