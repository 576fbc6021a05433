"""What every entry was at its last visit, and the running totals of it over all training items."""

import numpy as np
import torch

from rdh.training.entry_kinds import (
    IS,
    JUDGED,
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

    A visit costs a few passes over the visited entries, however many items there are: the totals
    lose what they were (`visit`) and gain what they are (`gain`).

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
        self.load(np.zeros((n_items, n_bits), np.int16))

    def load(self, state: np.ndarray) -> None:
        """Takes over a `state` and counts it."""
        self.state = state.copy()
        kinds = state & np.int16(N_KINDS - 1)
        self._kinds = count_by_bit(kinds, N_KINDS)
        self._places = count_by_bit(_past_places(state, self._changed(state, kinds)[1]), N_PLACES)

    @property
    def signs(self) -> np.ndarray:
        """The signs of the last visits, int8 (N, n_bits); 0: never visited."""
        is_visited = (self.state & 3 * JUDGED) > 0
        return (np.where(self.state & POSITIVE, 1, -1) * is_visited).astype(np.int8)

    @property
    def n_seen(self) -> int:
        """Entries that were visited at least once."""
        return self.state.size - int(self._kinds[:, 0].sum())

    def visit(self, kinds: np.ndarray, bins: np.ndarray, indices: np.ndarray) -> np.ndarray:
        """Puts what entries are in the place of what they were.

        Args:
            kinds: uint8 (n, n_bits).
            bins: Of F, uint8 (n, n_bits).
            indices: Of the items, (n,), each once.

        Returns:
            What changed, uint16 (n, n_bits): see `changes_of`.
        """
        past = self.state.take(indices, 0)
        next_past, changes = self._changed(past, kinds)
        self.state[indices] = next_past + bins * np.int16(N_PAST)
        self._kinds -= count_by_bit(past & np.int16(N_KINDS - 1), N_KINDS)
        self._places -= count_by_bit(_past_places(past, changes), N_PLACES)
        return changes

    def gain(self, kinds: np.ndarray, places: np.ndarray) -> None:
        """Adds visited entries to the totals.

        Args:
            kinds: How many there are of each kind, (n_bits, 128).
            places: How many there are in each `places_now`, (n_bits, 256).
        """
        self._kinds += kinds
        self._places += places

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

    def _changed(self, past: np.ndarray, kinds: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """The next past of entries, int16 without their bins, and their changes, uint16."""
        places = past.view(np.uint16) * np.uint16(N_KINDS)  # times 128: the bins leave 16 bits
        found = self._changes.take(places + kinds.astype(np.uint16))
        return found.astype(np.int16) & np.int16(N_PAST - 1), (found >> PAST_BITS).astype(np.uint16)


def places_now(bins: np.ndarray, changes: np.ndarray) -> np.ndarray:
    """The place of visited entries in the histograms, uint16 (n, n_bits) below 256."""
    return (changes >> IS & 3) * np.uint16(N_BINS) + bins


def _past_places(past: np.ndarray, changes: np.ndarray) -> np.ndarray:
    """The same for what they were."""
    return (past.view(np.uint16) >> np.uint16(PAST_BITS)) + (changes >> WAS) * np.uint16(N_BINS)


def count_by_bit(keys: np.ndarray, n_keys: int) -> np.ndarray:
    """How many entries of each bit have each key: keys (n, n_bits) -> (n_bits, n_keys).

    torch adds a row to others, and counts int32, faster than NumPy does.
    """
    n_bits = keys.shape[1]
    places = torch.from_numpy(keys).int().mul_(n_bits).add_(torch.arange(n_bits, dtype=torch.int32))
    counts = torch.bincount(places.view(-1), minlength=n_keys * n_bits)
    return counts.numpy().reshape(n_keys, n_bits).T
