"""Deep hashing with and without dead-bit rescue: train, measure, compare.

The paper is "Rescuing Deep Hashing from Dead Bits Problem", IJCAI 2021.
"""

__version__ = "0.1.0"
