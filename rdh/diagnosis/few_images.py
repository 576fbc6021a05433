"""Items whose bits are mostly dead, with codes of another class: wrong labels, or outliers."""

import numpy as np

from rdh.diagnosis._tools.evidence import Evidence
from rdh.diagnosis._tools.finding import CannotRun, Finding, Place

TITLE = "Few images carry the dead"
AFTER = ("collapsed", "not_learning", "quantization_wins")
DEAD_BITS = 0.375  # of an item's bits: codes of two classes differ in about half of them
LEAST = 4  # items
FEW = 0.05  # of the items looked at
MUCH = 0.1  # of the dead entries
SHOWN = 5


def check(evidence: Evidence) -> Finding | None:
    """Fires if a few items sit with another class, dead, and hold a tenth of all dead entries."""
    dead = dead_mask(evidence)
    by_item = dead.sum(1)
    own, other, nearest = sides_of_classes(evidence)
    few = np.flatnonzero((by_item >= DEAD_BITS * evidence.config.n_bits) & (other > own))
    n_dead, held = int(by_item.sum()), int(by_item[few].sum())
    if not LEAST <= len(few) <= FEW * len(by_item) or held < MUCH * n_dead:
        return None
    worst = few[np.argsort(-by_item[few], kind="stable")][:SHOWN]
    look, names = evidence.look, evidence.split["class_names"]
    listed = "; ".join(
        f"item {look['ids'][row]} ({' and '.join(names[look['labels'][row] > 0])}, {by_item[row]} "
        f"of {evidence.config.n_bits} bits, nearest to {names[nearest[row]]})"
        for row in worst
    )
    bit = int(dead[worst[0]].argmax())
    return Finding(
        severity="note",
        sentence=f"{len(few)} of {len(by_item):,} training items looked at hold {held:,} of the "
        f"{n_dead:,} dead entries that this look finds, and their codes are those of another "
        f"class: {listed}.",
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


def sides_of_classes(evidence: Evidence) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """How near the codes of the items looked at are to the mean codes of the classes, by sign.

    Returns:
        Nearness from -1 to 1 of each item to the nearest of its own classes, that to the nearest
        of the others, and which of these it is; each (n,).
    """
    h, labels = evidence.look["codes"], evidence.look["labels"] > 0
    centres = np.sign(labels.T.astype(np.float32) @ h)
    near = np.where(h >= 0, 1, -1) @ centres.T / h.shape[1]
    others = np.where(labels, -np.inf, near)
    own = np.where(labels, near, -np.inf).max(1)
    return own, others.max(1), others.argmax(1)
