"""Dead entries that sit in a few images: label noise, or outliers."""

import numpy as np

from rdh.diagnosis._tools.evidence import Evidence
from rdh.diagnosis._tools.finding import CannotRun, Finding, Place

TITLE = "Few images carry the dead"
AFTER = ("collapsed", "not_learning")
HALF = 0.5  # of the dead entries
FEW = 0.01  # of the items looked at
LEAST = 40  # dead entries
SHOWN = 5


def check(evidence: Evidence) -> Finding | None:
    """Fires if a hundredth of the items hold half of the dead entries."""
    by_item = dead_by_item(evidence)
    n_dead = int(by_item.sum())
    if n_dead < LEAST:
        return None
    order = np.argsort(-by_item, kind="stable")
    n_few = 1 + int(np.searchsorted(np.cumsum(by_item[order]), HALF * n_dead))
    if n_few > FEW * len(by_item):
        return None
    look, names = evidence.look, evidence.split["class_names"]
    worst = order[: min(SHOWN, n_few)]
    listed = "; ".join(
        f"item {look['ids'][row]} ({' and '.join(names[look['labels'][row] > 0])}, "
        f"{by_item[row]} of {evidence.config.n_bits} bits)"
        for row in worst
    )
    bit = int(dead_mask(evidence)[worst[0]].argmax())
    return Finding(
        severity="note",
        sentence=f"{n_few} of {len(by_item):,} training items looked at hold half of their "
        f"{n_dead:,} dead entries: {listed}.",
        mechanism="An item whose label is wrong, or that looks like another class, is pulled by "
        "its pairs to one code and by its features to another; most of its bits end on the side "
        "that its label does not call for. Look at these images before you change a setting.",
        places=(Place("pages/bits.py", "The images whose bit is dead", {"bit": str(bit)}),),
    )


def dead_mask(evidence: Evidence) -> np.ndarray:
    """Which entries of the items looked at are dead, bool (n, n_bits)."""
    if not evidence.config.method_card.saturates:
        raise CannotRun("the method has no saturating activation, so nothing can be dead")
    h, right = evidence.look["codes"], evidence.look["right"]
    return (np.abs(h) >= np.float32(evidence.config.tau)) & (np.where(h >= 0, 1, -1) * right < 0)


def dead_by_item(evidence: Evidence) -> np.ndarray:
    """How many bits of each item are dead, (n,)."""
    return dead_mask(evidence).sum(1)
