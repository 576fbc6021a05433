"""Precision and recall of the Gradient Amplifier over tau: on what does it act besides the dead?

The amplifier multiplies the gradient of every saturated entry that its gradient asks to leave. The
probes count these entries at five levels of tau, whether the run amplifies or not.
"""

from dataclasses import dataclass

import numpy as np

N_RECORDS = 10  # the last ones; a single record is noisy
COUNTS = ("amplified_levels", "amplified_dead_levels", "dead_window_levels", "beyond_reach_levels")


@dataclass(frozen=True, eq=False)
class Reach:
    """What the amplifier acts on at each level of tau, all (n_levels,).

    Attributes:
        amplified: entries that it acts on.
        amplified_dead: those of them that are dead.
        dead: dead entries among those seen.
        beyond: those of `amplified_dead` that it does not move: alpha (1 - h^2) < 0.1.
    """

    amplified: np.ndarray
    amplified_dead: np.ndarray
    dead: np.ndarray
    beyond: np.ndarray

    @property
    def precision(self) -> np.ndarray:
        """Of what it acts on, the share that is dead. NaN if it acts on nothing."""
        return _ratio(self.amplified_dead, self.amplified)

    @property
    def recall(self) -> np.ndarray:
        """Of the dead, the share that it acts on. NaN if nothing is dead."""
        return _ratio(self.amplified_dead, self.dead)

    @property
    def reached(self) -> np.ndarray:
        """Of the dead, the share that it acts on and moves. NaN if nothing is dead."""
        return _ratio(self.amplified_dead - self.beyond, self.dead)


def amplifier_reach(
    amplified: np.ndarray, amplified_dead: np.ndarray, dead: np.ndarray, beyond: np.ndarray
) -> Reach:
    """Sums the last 10 records of the arrays in COUNTS, each (n_records, n_levels)."""
    amplified, amplified_dead, dead, beyond = (
        np.asarray(counts)[-N_RECORDS:].sum(0, dtype=np.int64)
        for counts in (amplified, amplified_dead, dead, beyond)
    )
    return Reach(amplified, amplified_dead, dead, beyond)


def _ratio(part: np.ndarray, whole: np.ndarray) -> np.ndarray:
    return np.where(whole > 0, part / np.maximum(whole, 1), np.nan)
