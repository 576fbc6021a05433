"""The counts of the probes, defined once: a row over the kinds of entries for each of them.

A *kind* is a 9-bit number that says all that is asked of an entry (training item, bit) now and what
it was at its last visit: how many thresholds |h| has reached, its side, whether a gradient asks it
to leave that side, dead, rescued, positive before.
"""

import numpy as np

from rdh.config.run_config import TAU_LEVELS

DEAD, RESCUED, POSITIVE = 1, 2, 4  # an entry's state at its last visit
N_REACHED, SIDE, LEAVING, LEAVING_TOTAL, STATE, N_KINDS = (
    7,
    8,
    16,
    32,
    64,
    512,
)  # the parts of a kind


def thresholds(tau: float) -> np.ndarray:
    """TAU_LEVELS, tau and 1 in increasing order, at most 7, float32 as the codes are: |h| = 1 is
    where 1 - h^2 is 0.
    """
    return np.unique(np.float32([*TAU_LEVELS, tau, 1.0]))


def count_rows(tau: float) -> tuple[dict[str, np.ndarray], np.ndarray]:
    """(name -> row or rows (..., 512) that pick the kinds a count is made of, state (512,) that an
    entry of each kind leaves behind).

    death: becomes dead. rescue: was dead, now |h| < tau or on the other side. relapse: death after
    a rescue. release: was dead, sits where it was, but the pairs no longer ask it to leave. So dead
    entries change by deaths - rescues - releases.
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
        "dead": by_side(dead, positive),
        "dead_total": by_side(saturated & leaving_total, positive),
        "dead_hard": dead & reached[1.0],
        "levels": np.stack([by_side(level & leaving, positive) for level in levels]),
        "saturated_levels": np.stack(levels),
        "leaving": leaving,
        "deaths": died,
        "rescues": rescued,
        "releases": was_dead & ~rescued & ~dead,
        "relapses": died & (was_rescued | rescued),
        "dead_now": by_side(dead, positive) * 1 - by_side(was_dead, was_positive),  # its change
    }
    state = dead * DEAD + (was_rescued | rescued) * RESCUED + positive * POSITIVE
    return rows, state.astype(np.uint8)


def by_side(mask: np.ndarray, positive: np.ndarray) -> np.ndarray:
    """A mask split into its entries on the -1 side and on the +1 side: (2, ...)."""
    return np.stack([mask & ~positive, mask & positive])
