"""Which classes a search mixes up, and which side of each bit a class of the gallery is on."""

import numpy as np

from rdh.retrieval.codes import hamming_distances
from rdh.store.levels import CERTAIN

QUERIES_AT_ONCE = 8  # rows of distances in memory


def class_shares(
    query: np.ndarray,
    gallery: np.ndarray,
    query_labels: np.ndarray,
    gallery_labels: np.ndarray,
    *,
    n_bits: int,
    n_listed: int,
) -> np.ndarray:
    """Of the first items that the queries of a class find, the share that each class has.

    Items at the same distance have no order, so those at the last distance that is reached count
    in part: the shares are expected over all orders.

    Args:
        query, gallery: packed codes, uint8 (n, ceil(n_bits / 8)).
        query_labels, gallery_labels: multi-hot (n, n_classes). An item with several labels counts
            for each of them.
        n_bits: the code length.
        n_listed: how many items of each ranking count; a smaller gallery counts as a whole.

    Returns:
        float64 (n_classes, n_classes), the queries' classes in rows; NaN for a class without a
        query.

    >>> codes, labels = np.array([[0], [1], [3]], np.uint8), np.eye(3)
    >>> class_shares(codes, codes, labels, labels, n_bits=2, n_listed=2)[0]
    array([0.5, 0.5, 0. ])
    """
    n_listed, has = min(n_listed, len(gallery)), (gallery_labels > 0).astype(np.float64)
    found = np.empty((len(query), has.shape[1]))
    for start in range(0, len(query), QUERIES_AT_ONCE):
        table = hamming_distances(query[start : start + QUERIES_AT_ONCE], gallery, n_bits)
        for place, distances in enumerate(table, start):
            found[place] = _expected_labels(distances, has, n_bits, n_listed)
    of = (query_labels > 0).astype(np.float64)
    n_queries = of.sum(0)[:, None]
    sums = of.T @ (found / n_listed)
    return np.divide(sums, n_queries, out=np.full_like(sums, np.nan), where=n_queries > 0)


def _expected_labels(
    distances: np.ndarray, has: np.ndarray, n_bits: int, n_listed: int
) -> np.ndarray:
    """How many of the first n_listed items have each label, expected over ties, (n_classes,)."""
    n_items = np.bincount(distances, minlength=n_bits + 1)
    last = int(np.searchsorted(np.cumsum(n_items), n_listed))
    places = np.flatnonzero(distances <= last)
    n_before = int(n_items[:last].sum())
    share = (n_listed - n_before) / n_items[last]
    return np.where(distances[places] == last, share, 1.0) @ has[places]


def most_mixed_up(shares: np.ndarray) -> tuple[int, int, float] | None:
    """The class that stands most where another one was asked for.

    Args:
        shares: of `class_shares`.

    Returns:
        The class asked for, the class found, and its share; None with fewer than two classes.
    """
    others = np.where(np.eye(len(shares), dtype=bool) | np.isnan(shares), -1.0, shares)
    if others.size < 2 or others.max() < 0:
        return None
    asked, found = np.unravel_index(int(others.argmax()), others.shape)
    return int(asked), int(found), float(others[asked, found])


def most_mixed_classes(shares: np.ndarray, most: int) -> np.ndarray:
    """The classes to show: all, or the `most` whose queries find the fewest items of their own."""
    if len(shares) <= most:
        return np.arange(len(shares))
    own = np.nan_to_num(np.diag(shares), nan=np.inf)
    return np.sort(np.argsort(own, kind="stable")[:most])


def class_sides(gallery: np.ndarray, labels: np.ndarray, n_bits: int) -> np.ndarray:
    """The side of each bit that most gallery items of a class are on.

    Args:
        gallery: packed codes, uint8 (n, ceil(n_bits / 8)).
        labels: multi-hot (n, n_classes).
        n_bits: the code length.

    Returns:
        int8 (n_classes, n_bits): -1, +1, or 0 if the class is evenly split: its majority is no
        larger than CERTAIN standard deviations of fair coins.

    >>> class_sides(np.array([[1], [1], [2]], np.uint8), np.array([[1, 0], [1, 0], [0, 1]]), 2)
    array([[ 1, -1],
           [-1,  1]], dtype=int8)
    """
    bytes_ = np.arange(256, dtype=np.uint8)[:, None]
    signs = 2 * np.unpackbits(bytes_, axis=1, bitorder="little").astype(np.int64) - 1
    votes = np.zeros((labels.shape[1], 8 * gallery.shape[1]), dtype=np.int64)
    for number, has in enumerate((labels > 0).T):  # the bytes are counted, not each bit of each
        for place, column in enumerate(gallery[has].T):
            votes[number, 8 * place : 8 * place + 8] = np.bincount(column, minlength=256) @ signs
    votes = votes[:, :n_bits]
    voters = (labels > 0).sum(0)[:, None]
    return (np.sign(votes) * (np.abs(votes) > CERTAIN * np.sqrt(voters))).astype(np.int8)
