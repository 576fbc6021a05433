"""What a kernel is.

A kernel counts and ranks: everything `evaluate` reports is computed from its integers. There are
three, equal to the last integer: `bitsliced` (the fast one), `pairwise` (two loops to read, on
every machine) and `gpu` (torch).
"""

from typing import NamedTuple, Protocol

import numpy as np

from rdh.errors import Progress


class Codes(NamedTuple):
    """What a kernel compares: packed codes and labels of both sides, checked by the caller.

    An item is relevant to a query if they share a label.
    """

    query: np.ndarray  # uint8 (n_query, ceil(n_bits / 8))
    gallery: np.ndarray  # uint8 (n_gallery, ceil(n_bits / 8))
    n_bits: int
    query_labels: np.ndarray  # multi-hot (n_query, n_classes) of 0 / 1
    gallery_labels: np.ndarray  # multi-hot (n_gallery, n_classes) of 0 / 1
    # int64 (n_query,): each query's own place in the gallery, which is left out; None: no query
    # lies in the gallery
    own: np.ndarray | None = None


class Ranking(NamedTuple):
    """What `stable_precision_sums` finds. The last two are None without a ranking."""

    n_items: np.ndarray  # int64 (n_query, n_bits + 1): gallery items at each distance
    n_relevant: np.ndarray  # int64 (n_query, n_bits + 1): relevant ones among them
    # float64 (n_query,): sum of the precisions at the relevant ranks <= top_k
    precision_sums: np.ndarray | None
    n_hits: np.ndarray | None  # int64 (n_query,): relevant items at these ranks


class Kernel(Protocol):
    """A module or object with these two functions."""

    def distance_histograms(
        self, codes: Codes, *, threads: int | None = None, progress: Progress | None = None
    ) -> tuple[np.ndarray, np.ndarray]:
        """Counts the gallery items, and the relevant ones among them, at each distance 0..n_bits.

        Args:
            threads: None means one for each core.
            progress: Called with (queries done, queries in all).

        Returns:
            Two int64 (n_query, n_bits + 1).
        """
        ...

    def stable_precision_sums(
        self,
        codes: Codes,
        *,
        top_k: int | None = None,
        threads: int | None = None,
        progress: Progress | None = None,
    ) -> Ranking:
        """Ranks the gallery by distance, ties in its own order, and sums precision.

        Only relevant ranks <= top_k count; None means all.
        """
        ...
