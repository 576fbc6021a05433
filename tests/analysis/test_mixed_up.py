"""Classes that a search mixes up, and the sides of classes, against slow loops."""

import itertools

import numpy as np
import pytest

from rdh.analysis.mixed_up import class_shares, class_sides, most_mixed_classes, most_mixed_up
from rdh.retrieval import pack_codes
from rdh.store.levels import CERTAIN
from tests.naive_retrieval import hamming_distance


def naive_shares(codes, gallery, labels, gallery_labels, n_listed):
    """By every order of every tie group, one after the other."""
    n_classes = labels.shape[1]
    sums, n_queries = np.zeros((n_classes, n_classes)), np.zeros(n_classes)
    for code, has in zip(codes, labels, strict=True):
        distances = [hamming_distance(code, other) for other in gallery]
        groups = [
            [i for i, d in enumerate(distances) if d == near] for near in sorted({*distances})
        ]
        orders = itertools.product(*(itertools.permutations(group) for group in groups))
        found = [
            gallery_labels[[item for part in order for item in part][:n_listed]].mean(0)
            for order in orders
        ]
        for c in np.flatnonzero(has):
            sums[c] += np.mean(found, axis=0)
            n_queries[c] += 1
    return np.array(
        [row / n if n else row * np.nan for row, n in zip(sums, n_queries, strict=True)]
    )


@pytest.mark.parametrize("multi_label", [False, True])
@pytest.mark.parametrize("n_listed", [1, 3, 7, 99])
def test_shares_are_the_mean_over_all_orders_of_ties(n_listed, multi_label):
    rng = np.random.default_rng(n_listed)
    codes, gallery = (rng.choice([-1, 1], (n, 4)) for n in (12, 7))
    sides = [np.eye(4, dtype=np.uint8)[rng.integers(0, 3, n)] for n in (12, 7)]
    if multi_label:
        sides = [one | rng.integers(0, 2, one.shape).astype(np.uint8) for one in sides]
    found = class_shares(
        pack_codes(codes), pack_codes(gallery), *sides, n_bits=4, n_listed=n_listed
    )
    np.testing.assert_allclose(found, naive_shares(codes, gallery, *sides, n_listed), rtol=1e-12)
    assert np.isnan(found[3]).all() or multi_label, "no query has the fourth class"


def test_the_most_mixed_up_pair_is_the_largest_share_off_the_diagonal():
    shares = np.array([[0.7, 0.2, 0.1], [0.0, 0.6, 0.4], [np.nan] * 3])
    assert most_mixed_up(shares) == (1, 2, 0.4)
    assert most_mixed_up(np.array([[1.0]])) is None
    assert most_mixed_classes(shares, 3).tolist() == [0, 1, 2]
    assert most_mixed_classes(shares, 1).tolist() == [1], "its queries find the fewest of their own"


@pytest.mark.parametrize("n_bits", [3, 8, 70])
def test_a_class_is_on_the_side_of_its_majority_if_that_is_no_chance(n_bits):
    rng = np.random.default_rng(n_bits)
    codes = rng.choice([-1, 1], (60, n_bits), p=[0.4, 0.6])
    labels = np.eye(4, dtype=np.uint8)[rng.integers(0, 3, 60)]
    found = class_sides(pack_codes(codes), labels, n_bits)
    for c, bit in itertools.product(range(4), range(n_bits)):
        votes = [code[bit] for code, has in zip(codes, labels, strict=True) if has[c]]
        is_sure = abs(sum(votes)) > CERTAIN * len(votes) ** 0.5
        assert found[c, bit] == (np.sign(sum(votes)) if is_sure else 0)
