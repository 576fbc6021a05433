"""Average precision under ties, exactly, from two histograms per query.

K bits give only K + 1 distances, so thousands of gallery items tie. Given n_d items and p_d
relevant ones at each distance d, three averages need no ranking at all: the expectation over random
orders inside each tie group (McSherry and Najork, ECIR 2008; He et al., CVPR 2018), and the largest
and smallest value that any order can give. Call `average_precisions`.

With a cut-off top_k the sum of precisions at relevant ranks <= top_k is divided by one of
    M-ret   the relevant items among the top_k (this literature's convention, the headline)
    M-tot   all relevant items of the gallery
    M-min   the smaller of top_k and all relevant items
They coincide without a cut-off. A query without a relevant item counts 0; for M-ret, without one in
the top_k.
"""

from typing import NamedTuple

import numpy as np

from rdh.retrieval.split_group import Tables, split_group_scores

DENOMINATORS = ("M-ret", "M-tot", "M-min")


class TieGroups(NamedTuple):
    """The tie groups of every query, each array int64 (n_query, n_bits + 1)."""

    items: np.ndarray  # n_d
    relevant: np.ndarray  # p_d
    items_before: np.ndarray  # sum of n_e over e < d
    relevant_before: np.ndarray  # sum of p_e over e < d
    within: np.ndarray  # how many places of the group lie in the top_k: 0..n_d


class APScores(NamedTuple):
    """Average precision per query over all tie orders: three float64 (n_query,)."""

    tie: np.ndarray  # expected
    low: np.ndarray  # smallest
    high: np.ndarray  # largest


def average_precisions(
    n_items: np.ndarray, n_relevant: np.ndarray, top_k: int | None = None
) -> dict[str, APScores]:
    """Tie-aware average precision and its exact bounds, by denominator.

    Args:
        n_items, n_relevant: int64 (n_query, n_bits + 1), gallery items and relevant ones at each
            Hamming distance.
        top_k: Ranks that count, from 1; None or more than the gallery means all.

    Returns:
        One `APScores` for each name in `DENOMINATORS`.

    >>> scores = average_precisions(np.array([[2, 0]]), np.array([[1, 0]]))["M-ret"]
    >>> [part.tolist() for part in scores]
    [[0.75], [0.5], [1.0]]
    """
    groups = tie_groups(n_items, n_relevant, top_k)
    tables = Tables.up_to(int(n_items.sum(axis=1).max(initial=0)))
    sums = APScores(
        _expected_sums(groups, tables).sum(axis=1),
        _extreme_sums(groups, tables, relevant_first=False).sum(axis=1),
        _extreme_sums(groups, tables, relevant_first=True).sum(axis=1),
    )
    total = n_relevant.sum(axis=1)
    reachable = total if top_k is None else np.minimum(total, top_k)
    return {
        "M-ret": _over_retrieved(groups, tables, sums, total),
        "M-tot": APScores(*(ratio(part, total) for part in sums)),
        "M-min": APScores(*(ratio(part, reachable) for part in sums)),
    }


def band_by_distance(
    n_items: np.ndarray, n_relevant: np.ndarray, top_k: int | None = None
) -> np.ndarray:
    """Where the band between the best and the worst order of ties comes from.

    Args:
        n_items, n_relevant, top_k: as in `average_precisions`.

    Returns:
        Of each distance, the sum of precisions with its relevant items first minus that with them
        last, float64 (n_query, n_bits + 1). Without a cut-off their total is high - low times the
        number of relevant items.

    >>> band_by_distance(np.array([[2, 1]]), np.array([[1, 1]]))
    array([[0.5, 0. ]])
    """
    groups = tie_groups(n_items, n_relevant, top_k)
    tables = Tables.up_to(int(n_items.sum(axis=1).max(initial=0)))
    best, worst = (_extreme_sums(groups, tables, relevant_first=one) for one in (True, False))
    return best - worst


def tie_groups(n_items: np.ndarray, n_relevant: np.ndarray, top_k: int | None) -> TieGroups:
    """Histograms with what precedes each group, and how far the top_k reaches into it."""
    items_before = np.cumsum(n_items, axis=1) - n_items
    relevant_before = np.cumsum(n_relevant, axis=1) - n_relevant
    within = n_items if top_k is None else np.clip(top_k - items_before, 0, n_items)
    return TieGroups(n_items, n_relevant, items_before, relevant_before, within)


def ratio(numerator: np.ndarray, denominator: np.ndarray) -> np.ndarray:
    """numerator / denominator, and 0 for a denominator of 0."""
    return np.divide(
        numerator, denominator, out=np.zeros(np.shape(numerator)), where=denominator > 0
    )


def _expected_sums(groups: TieGroups, tables: Tables) -> np.ndarray:
    """Expected sum of precisions at the relevant places of each group, (n_query, n_bits + 1).

    Given a relevant item at place t of its group, the other p - 1 fall on the other n - 1 places
    evenly. So the expected precision there is [A + 1 + (t - 1) f] / (N + t) with
    f = (p - 1) / (n - 1), and every place is relevant with probability p / n. The sum over t = 1..m
    has a closed form with harmonic numbers.
    """
    n, p, before, relevant_before, m = groups
    f = ratio(p - 1, n - 1)
    brackets = m * f + (relevant_before + 1 - f * (before + 1)) * tables.harmonic_between(
        before, before + m
    )
    return ratio(p, n) * brackets


def _extreme_sums(groups: TieGroups, tables: Tables, *, relevant_first: bool) -> np.ndarray:
    """Sum of precisions in each group with its relevant items first or last, cut at the top_k.

    For r relevant items in a row from rank s + 1 on, the sum over t = 1..r of (A + t) / (s + t) is
    r + (A - s) (H(s + r) - H(s)). Returns (n_query, n_bits + 1).
    """
    n, p, before, relevant_before, m = groups
    hits = np.minimum(p, m) if relevant_first else np.maximum(0, m - (n - p))
    start = before if relevant_first else before + m - hits
    return hits + (relevant_before - start) * tables.harmonic_between(start, start + hits)


def _over_retrieved(
    groups: TieGroups, tables: Tables, sums: APScores, total: np.ndarray
) -> APScores:
    """Divides by the relevant items met. Their number depends on the order in a split group."""
    split = (groups.within > 0) & (groups.within < groups.items)
    queries, distances = np.nonzero(split)  # at most one group per query
    hits = np.where(groups.within == groups.items, groups.relevant, 0).sum(axis=1)
    scores = APScores(*(ratio(part, hits) for part in sums))
    if len(queries) == 0:
        return scores
    whole = groups._replace(within=np.where(split, 0, groups.within))
    before = APScores(
        _expected_sums(whole, tables).sum(axis=1),
        _extreme_sums(whole, tables, relevant_first=False).sum(axis=1),
        _extreme_sums(whole, tables, relevant_first=True).sum(axis=1),
    )
    for query, distance in zip(queries, distances, strict=True):
        n, p, n_before, p_before, m = (int(part[query, distance]) for part in groups)
        tie, low, high = (float(part[query]) for part in before)
        group, sums_before = (n, p, n_before, p_before, m), (tie, low, high)
        for part, score in zip(scores, split_group_scores(group, sums_before, tables), strict=True):
            part[query] = score
    return scores
