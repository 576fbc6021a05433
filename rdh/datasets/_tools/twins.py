"""Finds pictures that are queries and also in the gallery or the training set.

Scores over such a data set are too good, because the nearest item is the query itself. Files are
compared by size, then by a digest of their beginning. Only those that are still equal are read
completely. So large files are read at their beginning
only, unless they are copies.
"""

from collections import defaultdict
from typing import NamedTuple

import numpy as np

from rdh.datasets._tools.base import BadImage, Dataset
from rdh.datasets._tools.splits import Split


class Twin(NamedTuple):
    """A query, and another item with the same picture. Both are item ids."""

    query: int
    other: int


def twins(dataset: Dataset, split: Split) -> list[Twin]:
    """Pairs of a query and the first other item in gallery or training set with the same picture.

    Pictures that can't be read have no twin. A picture that was saved anew, smaller or in another
    format, is another picture here.
    """
    rough = dataset.rough_keys()
    others = np.union1d(split.gallery, split.train)
    shared = np.intersect1d(rough[split.query], rough[others])
    shared = shared[shared >= 0]  # below 0: a file that is missing
    query = split.query[np.isin(rough[split.query], shared)]
    others = others[np.isin(rough[others], shared)]
    for is_quick in (True, False):
        query_keys = _keys(dataset, query, rough, is_quick=is_quick)
        other_keys = _keys(dataset, others, rough, is_quick=is_quick)
        both = query_keys.keys() & other_keys.keys()
        query = np.array(sorted(one for key in both for one in query_keys[key]), np.int64)
        others = np.array(sorted(one for key in both for one in other_keys[key]), np.int64)
    first = {one: other_keys[key][0] for key in both for one in query_keys[key]}
    return [Twin(one, first[one]) for one in query.tolist()]


def _keys(
    dataset: Dataset, item_ids: np.ndarray, rough: np.ndarray, *, is_quick: bool
) -> dict[tuple[int, bytes], list[int]]:
    """(rough key, picture key) -> items, in increasing order."""
    found: dict[tuple[int, bytes], list[int]] = defaultdict(list)
    for item_id in item_ids.tolist():
        try:
            key = dataset.picture_key(item_id, is_quick=is_quick)
        except BadImage:
            continue
        found[int(rough[item_id]), key].append(item_id)
    return found
