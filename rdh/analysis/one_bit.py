"""One bit of one run: the side of each kept item, the side that its labels call for, and changes.

A *look* passes training items through the network once more, in eval mode. The files
codes/probe-STEP.npz hold what it found.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise

import numpy as np

from rdh.store.levels import CERTAIN

NEAR = 0.1  # |h| below it: near the border between the two sides


@dataclass(frozen=True)
class Look:
    """One bit of n items, as the network had it after one step.

    Attributes:
        ids: positions in the data set, (n,).
        codes: h, (n,).
        right: the side that each item's labels call for, (n,): -1, +1, or 0 if undecided.
        tau: threshold of saturation.
    """

    ids: np.ndarray
    codes: np.ndarray
    right: np.ndarray
    tau: float

    @classmethod
    def read(
        cls, arrays: Mapping[str, np.ndarray], tau: float, bit: int | slice = slice(None)
    ) -> "Look":
        """Of what a run's file of probe codes holds.

        Args:
            arrays: of the file. Runs from before dead bits were counted kept neither the slope nor
                the right sides: these are 0 then.
            tau: threshold of saturation.
            bit: of the codes; a slice gives codes and right as (n, n_bits).
        """
        slope = float(arrays.get("slope", 1.0))
        codes = np.tanh(slope * arrays["logits"][:, bit].astype(np.float64))
        right = arrays["right"][:, bit] if "right" in arrays else np.zeros(codes.shape, np.int8)
        return cls(arrays["ids"], codes, right, tau)

    @cached_property
    def sides(self) -> np.ndarray:
        """-1 or +1, (n,); 0 counts as +1, as in retrieval."""
        return np.where(self.codes >= 0, 1, -1)

    @property
    def is_one_code(self) -> bool:
        """Whether all items have one code, of a look at all bits: then no dead count says much."""
        return bool((self.sides == self.sides[:1]).all())

    @cached_property
    def saturated(self) -> np.ndarray:
        return np.abs(self.codes) >= np.float32(self.tau)

    @cached_property
    def wrong(self) -> np.ndarray:
        return self.sides * self.right < 0

    @cached_property
    def dead(self) -> np.ndarray:
        return self.saturated & self.wrong

    @cached_property
    def nearly_dead(self) -> np.ndarray:
        """Places of the wrong items that are not saturated, the deepest first."""
        places = np.flatnonzero(self.wrong & ~self.saturated)
        return places[np.argsort(-np.abs(self.codes[places]), kind="stable")]

    @cached_property
    def near_border(self) -> np.ndarray:
        """Places of the items with |h| < NEAR, the nearest to h = 0 first."""
        places = np.flatnonzero(np.abs(self.codes) < NEAR)
        return places[np.argsort(np.abs(self.codes[places]), kind="stable")]

    def of(self, places: np.ndarray) -> "Look":
        """The same look at some of the items."""
        return Look(self.ids[places], self.codes[places], self.right[places], self.tau)


def called_sides(codes: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """The side that each item's labels call for, by the votes of these items alone.

    For files of runs that did not keep it. The rule is that of `rdh.training.sides`: items of the
    same class vote with their signs; if items have several labels, all items vote, similar ones for
    their own sign and dissimilar ones against it.

    Args:
        codes: one bit of n items, (n,).
        labels: multi-hot, (n, n_classes).

    Returns:
        int8 (n,): -1, +1, or 0 if the vote is even, or if the item has no label.
    """
    has, signs = labels > 0, np.where(codes >= 0, 1, -1)
    if (has.sum(1) > 1).any():
        shares = (has.astype(np.float32) @ has.T.astype(np.float32)) > 0
        votes = (2 * shares.astype(np.float32) - 1) @ signs.astype(np.float32)
        voters = np.full(len(signs), len(signs))
    else:
        class_of = has.argmax(1)
        voters = np.bincount(class_of, has.any(1), minlength=has.shape[1])[class_of]
        votes = np.bincount(class_of, signs * has.any(1), minlength=has.shape[1])[class_of]
    is_decided = has.any(1) & (voters > 1) & (np.abs(votes) > CERTAIN * np.sqrt(voters))
    return (np.sign(votes) * is_decided).astype(np.int8)


def changes(before: Look, after: Look) -> tuple[Look, Look, dict[str, np.ndarray]]:
    """What happened to a bit's items between two looks.

    Args:
        before: the earlier look.
        after: the later look.

    Returns:
        Both looks at the items that both have, and the places of six disjoint groups among them:
        rescued: dead before, on the right side now;
        loosened: dead before, on the same side below tau now;
        died: dead now, not before, and h moved there;
        turned: dead now, not before, though h stayed on its side and saturated: what their labels
            call for has changed;
        to_right, to_wrong, to_undecided: all others that changed sides, by where they are now.
    """
    before, after = _in_common(before, after)
    flipped = before.sides != after.sides
    stayed = before.saturated & after.saturated & ~flipped
    is_right = after.sides * after.right > 0
    groups = {
        "rescued": flipped & before.dead & is_right,
        "loosened": ~flipped & before.dead & ~after.saturated,
        "died": after.dead & ~before.dead & ~stayed,
        "turned": after.dead & ~before.dead & stayed,
        "to_right": flipped & ~before.dead & is_right,
        "to_wrong": flipped & after.wrong & (before.dead | ~after.dead),
        "to_undecided": flipped & (after.right == 0),
    }
    return before, after, {name: np.flatnonzero(part) for name, part in groups.items()}


def _in_common(before: Look, after: Look) -> tuple[Look, Look]:
    """Both looks at the items that both have, in the order of their ids."""
    _, first, second = np.intersect1d(before.ids, after.ids, return_indices=True)
    return before.of(first), after.of(second)


@dataclass(frozen=True)
class Event:
    """What happened to a bit of one item between two looks that follow each other.

    Attributes:
        step: of the later look.
        since: of the earlier look.
        item: position in the data set.
        kind: "died", "rescued" or "released", as the events of the probes.
        before: h at the earlier look.
        after: h at the later look.
        stayed: whether it was saturated at both looks, on one side: then not h has changed, but
            the side that its labels call for.
    """

    step: int
    since: int
    item: int
    kind: str
    before: float
    after: float
    stayed: bool


def events_between(looks: Mapping[int, Look]) -> list[Event]:
    """Deaths, rescues and releases of a bit's items, as far as looks can tell.

    What happened and was undone between two looks is not seen.

    Args:
        looks: by training step.

    Returns:
        The newest first; of one step, the deepest first.
    """
    events: list[Event] = []
    for (since, one), (step, other) in pairwise(sorted(looks.items())):
        before, after = _in_common(one, other)
        stayed = after.saturated & (before.sides == after.sides)
        kinds = {
            "died": after.dead & ~(before.dead & stayed),
            "rescued": before.dead & ~stayed,
            "released": before.dead & stayed & ~after.dead,
        }
        for kind, is_so in kinds.items():
            events += [
                Event(
                    step,
                    since,
                    int(after.ids[place]),
                    kind,
                    float(before.codes[place]),
                    float(after.codes[place]),
                    bool(stayed[place] & before.saturated[place]),
                )
                for place in np.flatnonzero(is_so)
            ]
    return sorted(events, key=lambda one: (-one.step, -abs(one.after), one.item))


def class_balance(look: Look, labels: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Where the items of each class are, and what they call for.

    An item with several labels counts for each of them.

    Args:
        look: at n items.
        labels: of these items, multi-hot (n, n_classes).

    Returns:
        Counts (n_classes, 2, 3) by side (-1, +1) and state: free, saturated but not dead, dead; and
        how many items of each class call for the sides -1 and +1, (n_classes, 2).
    """
    has = (labels > 0).astype(np.int64)
    state = look.saturated.astype(int) + look.dead
    cell = 3 * (look.sides > 0) + state
    counts = np.stack([has[cell == one].sum(0) for one in range(6)], 1).reshape(-1, 2, 3)
    return counts, np.stack([has[look.right == side].sum(0) for side in (-1, 1)], 1)


def costliest_first(cost: np.ndarray | None, dead: np.ndarray) -> np.ndarray:
    """The bits in the order of what their dead entries cost.

    Bits that cost something come first, then other bits with dead entries, then all others. Within
    each of these the higher cost comes first, then the more dead entries, then the lower number.

    Args:
        cost: MAP that each bit's dead entries cost, (n_bits,); None if it was not measured.
        dead: dead entries of each bit, (n_bits,).

    Returns:
        All bits, (n_bits,).
    """
    cost = np.zeros(len(dead)) if cost is None else np.nan_to_num(cost)
    group = np.where(cost > 0, 0, np.where(dead > 0, 1, 2))
    return np.lexsort((-dead, -cost, group))
