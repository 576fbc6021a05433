"""What the newest record of a run says about each of its bits, with the words for what it lacks."""

from dataclasses import dataclass

import numpy as np

from pages.common.readers import RunSeries
from rdh.analysis.one_bit import costliest_first

COSTS = {  # the first that a run has is shown
    "cost_by_bit_gallery": "in the gallery",
    "cost_by_bit_train": "inside the training set",
}


@dataclass(frozen=True)
class Cost:
    """MAP that each bit's dead entries cost at an evaluation.

    Attributes:
        by_bit: MAP with the bit's dead entries on their right side minus MAP, (n_bits,).
        place: where these entries are: "in the gallery" or "inside the training set".
        step: of the evaluation.
    """

    by_bit: np.ndarray
    place: str
    step: int


@dataclass(frozen=True)
class BitCounts:
    """Entries of each bit and side, (2, n_bits): the -1 side, then the +1 side.

    Attributes:
        dead: each item at its last visit; None if the run did not count them.
        flagged: each item at its last visit.
        saturated: each item at its last visit. In runs that did not count the dead, the items seen
            since the record before.
        n_items: training items that were visited.
        n_saturated_of: items that `saturated` counts.
        cost: at the last evaluation; None before it, or if it was not measured.
    """

    dead: np.ndarray | None
    flagged: np.ndarray
    saturated: np.ndarray
    n_items: float
    n_saturated_of: float
    cost: Cost | None

    @property
    def main(self) -> np.ndarray:
        """(n_bits,) dead entries, or flagged ones of a run that did not count the dead."""
        return (self.flagged if self.dead is None else self.dead).sum(0)

    @property
    def order(self) -> np.ndarray:
        """The bits, the costliest first."""
        return costliest_first(None if self.cost is None else self.cost.by_bit, self.main)

    @property
    def with_entries(self) -> np.ndarray:
        """The bits that have dead (or flagged) entries, the costliest first."""
        return self.order[self.main[self.order] > 0]

    def share(self, counts: np.ndarray) -> np.ndarray:
        """Counts (2, n_bits) as shares of the items, (n_bits,)."""
        n = self.n_saturated_of if counts is self.saturated else self.n_items
        return counts.sum(0) / max(n, 1)


def read_counts(run: RunSeries) -> BitCounts | None:
    """The counts of the newest record; None before the first, and in runs without probes."""
    flagged = newest(run, "flagged")
    if flagged is None:
        return None
    n_bits, dead = flagged.shape[-1], newest(run, "dead")
    saturated, entries = newest(run, "saturated"), "entries"
    if saturated is None:
        saturated, entries = newest(run, "saturated_window"), "window_entries"
    if saturated is None:
        return None
    scalars = run.scalars()
    n_saturated_of = float(scalars[entries].dropna().iloc[-1]) / n_bits
    n_items = float(run.meta()["n_train"]) if dead is None else n_saturated_of
    return BitCounts(dead, flagged, saturated, n_items, n_saturated_of, read_cost(run))


def read_cost(run: RunSeries) -> Cost | None:
    """What the dead entries of each bit cost at the last evaluation that measured it."""
    for name, place in COSTS.items():
        steps, values = run.series(name)
        if len(steps):
            return Cost(values[-1], place, int(steps[-1]))
    return None


def newest(run: RunSeries, name: str) -> np.ndarray | None:
    """The last value of an array; None if the run has none."""
    values = run.series(name)[1]
    return values[-1] if len(values) else None
