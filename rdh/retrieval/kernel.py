"""What a kernel is.

A kernel counts and ranks: everything `evaluate` reports is computed from its integers. There are
three, equal to the
last integer: `bitsliced` (the fast one), `pairwise` (two loops to read, on every machine), `gpu`
(torch).
"""

from typing import NamedTuple, Protocol

import numpy as np

from rdh.retrieval.threads import Progress


class Ranking(NamedTuple):
    """What `stable_precision_sums` finds; the last two are None where only histograms were asked
    for.
    """

    n_items: np.ndarray  # int64 (n_query, n_bits + 1): gallery items at each distance
    n_relevant: np.ndarray  # int64 (n_query, n_bits + 1): relevant ones among them
    precision_sums: (
        np.ndarray | None
    )  # float64 (n_query,): of the precision at each relevant rank <= top_k
    n_hits: np.ndarray | None  # int64 (n_query,): relevant items at these ranks


class Kernel(Protocol):
    """A module or object with these two functions.

    Packed codes uint8 (n, ceil(n_bits / 8)), checked by the caller, as are the labels: multi-hot
    (n, n_classes) of 0 / 1. An item is relevant to a query where they share a label.
    """

    def distance_histograms(
        self,
        query_packed: np.ndarray,
        gallery_packed: np.ndarray,
        n_bits: int,
        query_labels: np.ndarray,
        gallery_labels: np.ndarray,
        *,
        threads: int | None = None,
        progress: Progress | None = None,
    ) -> tuple[np.ndarray, np.ndarray]:
        """For every query and every distance 0..n_bits: the gallery items there, and the relevant
        ones among them,
        two int64 (n_query, n_bits + 1). threads: None = one a core.
        """
        ...

    def stable_precision_sums(
        self,
        query_packed: np.ndarray,
        gallery_packed: np.ndarray,
        n_bits: int,
        query_labels: np.ndarray,
        gallery_labels: np.ndarray,
        *,
        top_k: int | None = None,
        threads: int | None = None,
        progress: Progress | None = None,
    ) -> Ranking:
        """Rank the gallery by distance, ties in its own order, and sum precision at each relevant
        rank <= top_k.
        """
        ...
