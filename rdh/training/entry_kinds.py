"""The counts of the probes, each defined once as a row over the kinds of entries.

An entry is one (training item, bit). Its *kind* is a 9-bit number. It holds the entry's present:
how many thresholds |h| has reached, its side, whether the gradients ask it to leave that side. And
it holds the entry's last visit: whether it was dead, had been rescued, was positive.
"""

import numpy as np

from rdh.store.levels import TAU_LEVELS

DEAD, RESCUED, POSITIVE = 1, 2, 4  # an entry's state at its last visit
# the parts of a kind; the state begins at 64
N_REACHED, SIDE, LEAVING, LEAVING_TOTAL, STATE, N_KINDS = 7, 8, 16, 32, 64, 512


def thresholds(tau: float) -> np.ndarray:
    """TAU_LEVELS, tau and 1 in increasing order: at most 7, float32 as the codes.

    At |h| = 1, tanh's slope 1 - h^2 is 0.
    """
    return np.unique(np.array([*TAU_LEVELS, tau, 1.0], np.float32))


def count_rows(tau: float) -> tuple[dict[str, np.ndarray], np.ndarray]:
    """Which kinds each count is made of.

    * Death: an entry becomes dead. If it had been rescued before, it is also a *relapse*.
    * Rescue: a dead entry falls below tau or changes its side.
    * Release: a dead entry stays on its side, but is no longer asked to leave it.

    So the number of dead entries changes by deaths - rescues - releases.

    Args:
        tau: The run's threshold of saturation.

    Returns:
        (name of a count -> row (512,) or rows (..., 512) with a weight for each kind,
        the state uint8 (512,) that an entry of each kind leaves behind).
    """
    kinds = np.arange(N_KINDS)
    positive, leaving, leaving_total = (
        (kinds & flag) > 0 for flag in (SIDE, LEAVING, LEAVING_TOTAL)
    )
    was_dead, was_rescued, was_positive = (
        (kinds // STATE & flag) > 0 for flag in (DEAD, RESCUED, POSITIVE)
    )
    reached = {
        float(level): (kinds & N_REACHED) > rank for rank, level in enumerate(thresholds(tau))
    }
    levels = [reached[float(np.float32(level))] for level in TAU_LEVELS]
    saturated = reached[float(np.float32(tau))]
    dead = saturated & leaving
    same_side = positive == was_positive
    rescued = was_dead & ~(saturated & same_side)
    died = dead & ~(was_dead & same_side)
    rows = {
        "saturated": by_side(saturated, positive),
        "dead_window": by_side(dead, positive),
        "dead_total": by_side(saturated & leaving_total, positive),
        "dead_hard": dead & reached[1.0],
        "dead_levels": np.stack([by_side(level & leaving, positive) for level in levels]),
        "saturated_levels": np.stack(levels),
        "leaving": leaving,
        "deaths": died,
        "rescues": rescued,
        "releases": was_dead & ~rescued & ~dead,
        "relapses": died & (was_rescued | rescued),
        "dead_all": by_side(dead, positive) * 1 - by_side(was_dead, was_positive),  # its change
    }
    state = dead * DEAD + (was_rescued | rescued) * RESCUED + positive * POSITIVE
    return rows, state.astype(np.uint8)


def by_side(mask: np.ndarray, positive: np.ndarray) -> np.ndarray:
    """Splits a mask into the entries on the -1 side and those on the +1 side: (2, ...)."""
    return np.stack([mask & ~positive, mask & positive])
