"""What the newest record of a run says about each of its bits."""

from dataclasses import dataclass

import numpy as np

from pages.common.readers import RunSeries
from pages.common.words import link
from rdh import analysis
from rdh.analysis.one_bit import costliest_first

COSTS = {  # the first that a run has is shown
    "cost_by_bit_gallery": "in the gallery",
    "cost_by_bit_train": "inside the training set",
}

MOST_NAMED = 8  # bits of a sentence


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
        has_collapsed: all items have one code.
    """

    dead: np.ndarray | None
    flagged: np.ndarray
    saturated: np.ndarray
    n_items: float
    n_saturated_of: float
    cost: Cost | None
    has_collapsed: bool = False

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

    @property
    def constant(self) -> list[int]:
        """Bits of which all items are saturated on one and the same side.

        Each class calls for that side then, so that none of their entries is dead, however many
        are flagged.
        """
        is_whole = self.saturated.max(0) >= self.n_saturated_of
        return np.flatnonzero(is_whole & (self.n_saturated_of == self.n_items)).tolist()

    def share(self, counts: np.ndarray) -> np.ndarray:
        """Counts (2, n_bits) as shares of the items, (n_bits,)."""
        n = self.n_saturated_of if counts is self.saturated else self.n_items
        return counts.sum(0) / max(n, 1)


def read_counts(run: RunSeries) -> BitCounts | None:
    """The counts of the newest record; None before the first, and in runs without probes."""
    counts = run.counts()
    flagged, saturated = run.series("flagged")[1], run.running("saturated")[1]
    if counts is None or not len(flagged) or not len(saturated):
        return None
    dead, n_bits = run.series("dead")[1], flagged.shape[-1]
    return BitCounts(
        dead[-1] if len(dead) else None,
        flagged[-1],
        saturated[-1],
        counts.entries / n_bits,
        counts.saturated_of / n_bits,
        read_cost(run),
        analysis.has_collapsed(run.last()),
    )


def read_cost(run: RunSeries) -> Cost | None:
    """What the dead entries of each bit cost at the last evaluation that measured it."""
    for name, place in COSTS.items():
        steps, values = run.series(name)
        if len(steps):
            return Cost(values[-1], place, int(steps[-1]))
    return None


def about_constant(counts: BitCounts) -> str:
    """Which bits are the same for all items, and why none of their entries is dead."""
    bits = counts.constant
    if not bits:
        return ""
    every = f"{len(bits)} of {counts.saturated.shape[1]} bits"
    named = f"bit{'s' * (len(bits) > 1)} {', '.join(map(str, bits[:MOST_NAMED]))}"
    named += " …" if len(bits) > MOST_NAMED else ""
    dead = (
        "Training collapsed, so its dead entries say nothing: all classes call for the side that "
        "such a bit is on, so none of its entries counts as dead."
        if counts.has_collapsed
        else "Each class calls for that side, so none of their entries is dead, however many a "
        "gradient flags."
    )
    return (
        f"Constant, with all training items saturated on one side: {every} ({named}). {dead} "
        f"Such a bit tells no two images apart: {link('constant', 'bit balance')}."
    )
