"""One rule for labels, the same for arrays, torch tensors, scores and data sets."""

import numpy as np
import pytest
import torch

from rdh import datasets
from rdh.errors import UserError
from rdh.rescue import LABEL_RULE, similarity
from rdh.retrieval import evaluate
from rdh.retrieval.bit_costs import bit_costs
from rdh.retrieval.labels import RULE, as_multi_hot

NUMBERS = np.array([0, 1, 1, 0, 1, 0])
HOT = np.eye(2, dtype=np.uint8)[NUMBERS]

ALIKE = {
    "numbers": NUMBERS,
    "column": NUMBERS[:, None],
    "unsigned column": NUMBERS[:, None].astype(np.uint8),
    "multi-hot": HOT,
    "multi-hot reals": HOT.astype(np.float32),
    "multi-hot booleans": HOT.astype(bool),
    "other numbers": 1_000_000 * NUMBERS + 7,
}
REFUSED = {
    "real numbers": NUMBERS / 1,
    "booleans": NUMBERS.astype(bool),
    "a column of reals": NUMBERS[:, None] / 1,
    "a column of booleans": NUMBERS[:, None].astype(bool),
    "negative numbers": NUMBERS - 1,
    "a negative column": NUMBERS[:, None] - 1,
    "counts": 2 * HOT,
    "shares": HOT / 2,
    "no class": np.zeros((6, 0)),
    "three axes": HOT[..., None],
}


def by_arrays(labels, other):
    """Similarity as the scores see it."""
    sides = as_multi_hot(labels, other)
    query, gallery = (side.astype(int) for side in sides)
    return (query @ gallery.T > 0).astype(np.float32)


def by_tensors(labels, other):
    return similarity(torch.from_numpy(labels), torch.from_numpy(other)).numpy()


READERS = pytest.mark.parametrize("read", [by_arrays, by_tensors])


@READERS
@pytest.mark.parametrize("kind", ALIKE)
def test_every_form_of_the_same_labels_means_the_same(read, kind):
    labels = ALIKE[kind]
    expected = [[float(one == other) for other in NUMBERS[2:]] for one in NUMBERS]
    assert read(labels, labels[2:]).tolist() == expected


@READERS
@pytest.mark.parametrize("kind", REFUSED)
def test_what_may_mean_two_things_or_nothing_is_refused(read, kind):
    with pytest.raises(ValueError, match=r"labels must be class numbers >= 0, .* got ") as caught:
        read(REFUSED[kind], REFUSED[kind])
    assert "\n" not in str(caught.value)


@READERS
def test_two_sides_of_two_kinds_are_refused(read):
    for labels, other in ((NUMBERS, HOT), (HOT, NUMBERS[:, None]), (HOT, np.eye(6, dtype=int))):
        with pytest.raises(ValueError, match="both"):
            read(labels, other)


def test_an_item_without_a_label_or_of_a_class_that_no_query_has_is_relevant_to_none():
    assert by_arrays(np.array([3, 5]), np.array([4, 5, 9])).tolist() == [[0, 0, 0], [0, 1, 0]]
    hot = np.array([[0, 0], [1, 0]])
    assert by_arrays(hot, hot).tolist() == by_tensors(hot, hot).tolist() == [[0, 0], [0, 1]]


def test_both_statements_of_the_rule_are_the_same():
    assert LABEL_RULE.startswith(f"labels {RULE}")


@pytest.mark.parametrize("score", [evaluate, bit_costs])
def test_every_score_takes_every_form(score):
    rng = np.random.default_rng(0)
    codes = rng.choice([-1, 1], (6, 8))
    found = {score(codes[:2], codes, one[:2], one).map_tie for one in ALIKE.values()}
    assert len(found) == 1
    with pytest.raises(UserError, match=r"query_labels must .*: of class numbers pass integers; "):
        score(codes[:2], codes, NUMBERS[:2, None] / 1, NUMBERS[:, None] / 1)


def test_a_data_set_of_arrays_takes_every_form(tmp_path):
    images = np.zeros((6, 4, 4), np.uint8)
    for kind in set(ALIKE) - {"other numbers"}:
        np.savez(tmp_path / "arrays.npz", images=images, labels=ALIKE[kind])
        np.testing.assert_array_equal(datasets.load("arrays", tmp_path).labels, HOT)
    for labels in REFUSED.values():
        np.savez(tmp_path / "arrays.npz", images=images, labels=labels)
        with pytest.raises(UserError, match=r"labels in .* must be class numbers"):
            datasets.load("arrays", tmp_path)
