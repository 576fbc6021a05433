"""The counts of the probes, each defined once as a row over the kinds of entries.

An entry is one (training item, bit). Its *kind* is a 7-bit number that says how it was at a visit:
how many thresholds |h| had reached, its side, whether the similarity gradient asked it to leave
that side, and how its labels judged that side. Kind 0 is an entry that was never visited.

While an item is visited, one bit more says whether the whole gradient asks it to leave. Between
visits, two bits more remember whether the entry was ever answered as a flagged one, or rescued as
a dead one.
"""

from dataclasses import dataclass

import numpy as np

from rdh.store.levels import TAU_LEVELS

# The parts of a kind. A code of 0 counts as +1, as it does in retrieval.
N_REACHED, POSITIVE, LEAVING, JUDGED, N_KINDS = 7, 8, 16, 32, 128
RIGHT, WRONG, UNDECIDED = 1, 2, 3  # times JUDGED; 0: never visited
LEAVING_TOTAL = 128  # of the present
ANSWERED, RESCUED, PAST_BITS = 128, 256, 9  # of the past
N_PAST = 1 << PAST_BITS
# What a visit changes: a bit for each of EVENTS, then is it flagged and dead, was it so.
EVENTS = (
    *("flags_raised", "flags_answered", "flags_dropped", "flags_raised_again"),
    *("deaths", "rescues", "releases", "relapses"),
)
N_EVENTS, IS, WAS = 256, 8, 10
HELD = ("asked_back", "held")  # of a window: by the pairs, and what the rest of the loss keeps
AGAIN = ("visited_again", "changed_sides")  # of a window: as stored codes of the last visit err


def thresholds(tau: float) -> tuple[np.float32, ...]:
    """TAU_LEVELS, tau and 1 in increasing order, float32 as the codes: 7, the last one infinite if
    tau is one of the levels.

    At |h| = 1, tanh's slope 1 - h^2 is 0.
    """
    found = np.unique(np.array([*TAU_LEVELS, tau, 1.0], np.float32))
    return (*found, np.float32(np.inf))[:7]


def n_reached(level: float, tau: float) -> int:
    """How many thresholds an entry has reached at least if |h| >= level."""
    return int(np.searchsorted(thresholds(tau), np.float32(level))) + 1


@dataclass(frozen=True)
class Entries:
    """What the kinds say, bool (n_kinds,) each; `levels` (5, n_kinds): |h| >= TAU_LEVELS."""

    positive: np.ndarray
    leaving: np.ndarray
    wrong: np.ndarray
    undecided: np.ndarray
    levels: np.ndarray
    hard: np.ndarray
    saturated: np.ndarray

    @classmethod
    def of(cls, kinds: np.ndarray, tau: float) -> "Entries":
        """Reads kinds, of the present or of the past."""
        judged, reached = kinds // JUDGED % 4, kinds & N_REACHED
        return cls(
            positive=(kinds & POSITIVE) > 0,
            leaving=(kinds & LEAVING) > 0,
            wrong=judged == WRONG,
            undecided=judged == UNDECIDED,
            levels=np.stack([reached >= n_reached(level, tau) for level in TAU_LEVELS]),
            hard=reached >= n_reached(1.0, tau),
            saturated=reached >= n_reached(tau, tau),
        )

    @property
    def flagged(self) -> np.ndarray:
        """Saturated, and the similarity gradient asks it to leave (Eq. 3)."""
        return self.saturated & self.leaving

    @property
    def dead(self) -> np.ndarray:
        """Saturated, on the other side than its labels call for."""
        return self.saturated & self.wrong


class Rows:
    """Counts as sums over kinds: name of a count -> which kinds it is made of, bool (..., n_kinds).

    One product of matrices answers all of them.
    """

    def __init__(self, rows: dict[str, np.ndarray]) -> None:
        parts, self._places, stop = [], [], 0
        for name, row in rows.items():
            parts.append(row.reshape(-1, row.shape[-1]))
            start, stop = stop, stop + len(parts[-1])
            self._places.append((name, slice(start, stop), row.shape[:-1]))
        self._matrix = np.concatenate(parts).astype(np.float64)

    def counts(self, table: np.ndarray) -> dict[str, np.ndarray]:
        """The counts, int32 (..., n_bits), from the entries of each kind, (n_bits, n_kinds)."""
        sums = (self._matrix @ table.astype(np.float64).T).astype(np.int32)  # exact: below 2^53
        n_bits = len(table)
        return {name: sums[place].reshape(*shape, n_bits) for name, place, shape in self._places}


def running_rows(tau: float) -> Rows:
    """The counts of all items, over the 128 kinds."""
    e = Entries.of(np.arange(N_KINDS), tau)
    rows = {
        "saturated": by_side(e.saturated, e.positive),
        "flagged": by_side(e.flagged, e.positive),
        "dead": by_side(e.dead, e.positive),
        "wrong": e.wrong,
        "undecided": e.saturated & e.undecided,
        "flagged_hard": e.flagged & e.hard,
        "dead_hard": e.dead & e.hard,
        "flagged_dead": e.flagged & e.dead,
        "saturated_levels": e.levels,
        "flagged_levels": np.stack([by_side(level & e.leaving, e.positive) for level in e.levels]),
        "dead_levels": np.stack([by_side(level & e.wrong, e.positive) for level in e.levels]),
    }
    return Rows(rows)


def window_rows(tau: float) -> Rows:
    """The counts of a window, over the 256 kinds of the present."""
    kinds = np.arange(2 * N_KINDS)
    e, leaving_total = Entries.of(kinds, tau), (kinds & LEAVING_TOTAL) > 0
    rows = {
        "leaving": e.leaving,
        "asked_back": e.wrong & e.leaving,
        "held": e.wrong & e.leaving & ~leaving_total,
        "quadrants": np.stack(
            [by_side(asked, e.positive) for asked in (~leaving_total, leaving_total)]
        ),
        "amplified": by_side(e.saturated & leaving_total, e.positive),
        "amplified_levels": e.levels & leaving_total,
        "amplified_dead_levels": e.levels & leaving_total & e.wrong,
        "dead_window_levels": e.levels & e.wrong,
    }
    return Rows(rows)


def event_rows() -> Rows:
    """The counts of the EVENTS, over the 256 combinations of them."""
    which = np.arange(N_EVENTS)
    return Rows({name: (which >> place & 1) > 0 for place, name in enumerate(EVENTS)})


def changes_of(tau: float) -> np.ndarray:
    """What a visit changes: int32 (512 * 128,), looked up at past * 128 + kind.

    The lower 9 bits are the next past: the kind, and whether the entry was ever answered or
    rescued. The bits above are the *changes*. Flagged and dead entries are followed in the same way
    (`_followed`).
    """
    past, kinds = np.divmod(np.arange(N_PAST * N_KINDS), N_KINDS)
    was, now = Entries.of(past, tau), Entries.of(kinds, tau)
    stayed = now.saturated & (now.positive == was.positive)
    flag_events, answered = _followed(was.flagged, now.flagged, stayed, (past & ANSWERED) > 0)
    dead_events, rescued = _followed(was.dead, now.dead, stayed, (past & RESCUED) > 0)
    changes = (now.flagged + 2 * now.dead << IS) + (was.flagged + 2 * was.dead << WAS)
    for place, event in enumerate((*flag_events, *dead_events)):
        changes += event.astype(np.int64) << place
    next_past = kinds + answered * ANSWERED + rescued * RESCUED
    return (next_past + changes * N_PAST).astype(np.int32)


def _followed(
    was_on: np.ndarray, is_on: np.ndarray, stayed: np.ndarray, had_left: np.ndarray
) -> tuple[tuple[np.ndarray, ...], np.ndarray]:
    """How entries become flagged, or dead, and cease to be.

    * Begun (raised; death): an entry becomes flagged, or dead.
    * Left (answered; rescue): a flagged or dead one falls below tau or changes its side.
    * Dropped (dropped; release): it stays, but is no longer asked to leave. Its gradient, or its
      labels, call for this side now, or for none.
    * Begun again (raised again; relapse): begun after it had left before.

    So the number of flagged, or dead, entries changes by begun - left - dropped.

    Args:
        was_on: Flagged, or dead, at the last visit.
        is_on: The same now.
        stayed: Is saturated on the side of the last visit.
        had_left: Whether it left once before.

    Returns:
        ((begun, left, dropped, begun again), whether it has left by now).
    """
    left = was_on & ~stayed
    begun = is_on & ~(was_on & stayed)
    has_left = had_left | left
    return (begun, left, was_on & stayed & ~is_on, begun & has_left), has_left


def by_side(mask: np.ndarray, positive: np.ndarray) -> np.ndarray:
    """Splits a mask into the entries on the -1 side and those on the +1 side: (2, ...)."""
    return np.stack([mask & ~positive, mask & positive])
