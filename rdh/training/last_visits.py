"""What every entry was at its last visit, and the running totals of it over all training items."""

import numpy as np

from rdh.retrieval.loops import compiled_loop
from rdh.training.entry_kinds import (
    IS,
    JUDGED,
    N_EVENTS,
    N_KINDS,
    N_PAST,
    PAST_BITS,
    POSITIVE,
    WAS,
    changes_of,
    running_rows,
)

N_BINS = 64
N_PLACES = 4 * N_BINS  # (flagged + 2 dead, bin of F)


class LastVisits:
    """The entries of all items, and how many there are of each kind.

    A visit costs one pass over the visited entries, however many items there are: the totals lose
    what they were and gain what they are.

    Args:
        n_items: Training items N.
        n_bits: Code length.
        tau: Threshold of saturation, in [0, 1).

    Attributes:
        state: int16 (N, n_bits): the kind of each entry, whether it had been answered and rescued
            (`entry_kinds`), and times 512 its bin of F. 0: never visited.
    """

    def __init__(self, n_items: int, n_bits: int, tau: float) -> None:
        self._changes, self._rows = changes_of(tau), running_rows(tau)
        self._forget(n_items, n_bits)

    def load(self, state: np.ndarray) -> None:
        """Takes over a `state` and counts it."""
        self._forget(*state.shape)
        kinds, bins = (part.astype(np.uint8) for part in (state & (N_KINDS - 1), state // N_PAST))
        self.visit(kinds, bins, np.arange(len(state)))
        self.state[:] = state  # with what had happened before

    def _forget(self, n_items: int, n_bits: int) -> None:
        self.state = np.zeros((n_items, n_bits), np.int16)
        self._kinds = np.zeros((n_bits, N_KINDS), np.int32)
        self._places = np.zeros((n_bits, N_PLACES), np.int32)
        self._kinds[:, 0] = self._places[:, 0] = n_items

    @property
    def signs(self) -> np.ndarray:
        """The signs of the last visits, int8 (N, n_bits); 0: never visited."""
        is_visited = (self.state & 3 * JUDGED) > 0
        return (np.where(self.state & POSITIVE, 1, -1) * is_visited).astype(np.int8)

    @property
    def n_seen(self) -> int:
        """Entries that were visited at least once."""
        return self.state.size - int(self._kinds[:, 0].sum())

    def visit(
        self, kinds: np.ndarray, bins: np.ndarray, indices: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Puts what entries are in the place of what they were.

        Args:
            kinds: uint8 (n, n_bits), with or without LEAVING_TOTAL.
            bins: Of F, uint8 (n, n_bits).
            indices: Of the items, int64 (n,), each once.

        Returns:
            (how many of these entries are of each kind, int32 (n_bits, 256); how many have each
            combination of the EVENTS, (n_bits, 256); how many had been visited before, and of
            these, how many were on the other side then, (2, n_bits)).
        """
        past = self.state.take(indices, 0)  # in one go: rows far apart are slow to come
        n_bits = self.state.shape[1]
        present, events = np.zeros((2, n_bits, N_EVENTS), np.int32)
        again = np.zeros((2, n_bits), np.int32)
        _visit(
            *(past, kinds, bins, indices, self._changes),
            *(self.state, self._kinds, self._places, present, events, again),
        )
        return present, events, again

    def totals(self) -> dict[str, np.ndarray]:
        """The counts of `running_rows`; histograms of F for each bit, and of flagged and dead."""
        places = self._places.reshape(-1, 4, N_BINS)
        histogram, pooled = places.sum(1), places.sum(0)
        histogram[:, 0] -= self._kinds[:, 0]  # entries that were never visited lie in bin 0
        return self._rows.counts(self._kinds) | {
            "histogram": histogram.astype(np.int32),
            "flagged_histogram": (pooled[1] + pooled[3]).astype(np.int32),
            "dead_histogram": (pooled[2] + pooled[3]).astype(np.int32),
        }


STATES, BYTES, COUNTS = "int16[:,::1]", "uint8[:,::1]", "int32[:,::1]"


@compiled_loop(
    f"void({STATES}, {BYTES}, {BYTES}, int64[::1], int32[::1], {STATES}, {COUNTS}, {COUNTS}, "
    f"{COUNTS}, {COUNTS}, {COUNTS})"
)
def _visit(
    past: np.ndarray,
    present: np.ndarray,
    bins: np.ndarray,
    indices: np.ndarray,
    changes: np.ndarray,
    state: np.ndarray,
    n_kinds: np.ndarray,
    n_places: np.ndarray,
    n_present: np.ndarray,
    n_events: np.ndarray,
    n_again: np.ndarray,
) -> None:
    """See `LastVisits.visit`. The last six are changed; `changes` is that of `changes_of`.

    Places without a sign spare numba the look whether they count from the end, and all but the last
    of the loops over bits take many of them at once.
    """
    n_bits = state.shape[1]
    found = np.empty(n_bits, np.uint32)
    for row in range(len(indices)):
        item = indices[row]
        for bit in range(n_bits):
            was, kind = np.uint16(past[row, bit]) & (N_PAST - 1), present[row, bit] & (N_KINDS - 1)
            found[bit] = changes[np.uint64(was * N_KINDS + kind)]
        for bit in range(n_bits):
            state[item, bit] = (found[bit] & (N_PAST - 1)) + np.uint32(bins[row, bit]) * N_PAST
            is_again = (past[row, bit] & 3 * JUDGED) > 0
            n_again[0, bit] += is_again
            n_again[1, bit] += is_again & (((past[row, bit] ^ present[row, bit]) & POSITIVE) > 0)
        for bit in range(n_bits):
            was, change = np.uint16(past[row, bit]), found[bit] >> PAST_BITS
            n_kinds[bit, np.uint64(was & (N_KINDS - 1))] -= 1
            n_present[bit, np.uint64(present[row, bit])] += 1
            n_places[bit, np.uint64((was >> PAST_BITS) + (change >> WAS) * N_BINS)] -= 1
            n_places[bit, np.uint64(bins[row, bit] + (change >> IS & 3) * N_BINS)] += 1
            n_events[bit, np.uint64(change & (N_EVENTS - 1))] += 1
    for bit in range(n_bits):  # what the entries are: counted once
        for kind in range(N_KINDS):
            n_kinds[bit, kind] += n_present[bit, kind] + n_present[bit, N_KINDS + kind]
