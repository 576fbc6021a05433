"""The sides that labels call for, against slow loops over all pairs of items."""

import pytest
import torch

from rdh.training.sides import Sides
from tests.naive_probes import called_side
from tests.training.test_probes import KINDS, labels_of

N, K = 60, 5


def visited(
    sides: Sides, generator: torch.Generator, n_windows: int = 4
) -> tuple[torch.Tensor, torch.Tensor]:
    """Visits windows of leaning codes; returns the signs of the last visits, and who was seen."""
    signs = torch.zeros(N, K, dtype=torch.int8)
    for _ in range(n_windows):
        indices = torch.randperm(N, generator=generator)[:25]
        codes = torch.randn(25, K, generator=generator) + torch.linspace(-2, 2, K)
        codes[0, 0] = 0.0  # counts as +1
        sides.visit(indices, codes)
        signs[indices] = torch.where(codes >= 0, 1, -1).to(torch.int8)
    return signs, signs[:, 0] != 0


def called(wanted: torch.Tensor, signs: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
    """By the slow loops, for items with the wanted labels."""
    rows, own = labels.int().tolist(), signs.tolist()
    return torch.tensor(
        [[called_side(row, own, rows, k) for k in range(K)] for row in wanted.int().tolist()],
        dtype=torch.int8,
    )


@pytest.mark.parametrize("kind", KINDS)
def test_sides_equal_the_slow_loops(kind):
    generator = torch.Generator().manual_seed(3)
    labels = labels_of(kind, generator, N)
    sides = Sides(labels, K)
    assert not sides.of_all().any(), "before the first visit all are undecided"
    signs, seen = visited(sides, generator)
    sides.renew()
    expected = called(labels, signs, labels)
    assert torch.equal(sides.of_all(), expected) and not seen.all()
    some = torch.tensor([7, 2, 9])
    assert torch.equal(sides.of(some), expected[some])
    assert sides.is_multi_label == (kind == "multi-label")
    if kind == "a class of each item":
        assert not expected.any(), "one vote is no majority"
    else:
        assert {-1, 0, 1} == set(expected.ravel().tolist())


@pytest.mark.parametrize("kind", ["single-label", "multi-label"])
def test_other_items_get_the_sides_that_the_training_items_call_for(kind):
    generator = torch.Generator().manual_seed(4)
    labels = labels_of(kind, generator, N)
    sides = Sides(labels, K)
    signs, _ = visited(sides, generator)
    sides.renew()
    n_classes = labels.shape[1]
    others = torch.cat([torch.eye(n_classes), torch.zeros(1, n_classes)])
    if kind == "multi-label":
        others = torch.cat([others, torch.ones(1, n_classes)])
    assert torch.equal(sides.of_labels(others), called(others, signs, labels))


def test_single_label_sides_are_renewed_at_once_and_multi_label_ones_wait():
    for labels, changes in ((torch.ones(9, 1), True), (torch.ones(9, 2), False)):
        sides = Sides(labels, 1)
        sides.visit(torch.arange(9), torch.ones(9, 1, dtype=torch.int8))
        assert bool(sides.of_all().all()) is changes
        sides.renew()
        assert sides.of_all().ravel().tolist() == [1] * 9


@pytest.mark.parametrize("kind", ["single-label", "multi-label"])
def test_loaded_signs_call_for_the_same_sides(kind):
    generator = torch.Generator().manual_seed(5)
    labels = labels_of(kind, generator, N)
    sides, loaded = Sides(labels, K), Sides(labels, K)
    visited(sides, generator)
    sides.renew()
    loaded.load_signs(sides.signs)
    assert torch.equal(loaded.of_all(), sides.of_all())
    for both in (sides, loaded):
        visited(both, torch.Generator().manual_seed(6))
        both.renew()
    assert torch.equal(loaded.of_all(), sides.of_all())


def test_signs_of_another_shape_are_refused():
    with pytest.raises(ValueError, match=r"signs must be \(6, 2\), got \(6, 3\)"):
        Sides(torch.ones(6, 1), 2).load_signs(torch.zeros(6, 3, dtype=torch.int8))


def test_of_thousands_of_classes_only_their_sums_are_kept():
    """One number for each class and bit: nothing grows with pairs of classes."""
    n = 5000
    labels = torch.nn.functional.one_hot(torch.arange(n) // 5)
    sides = Sides(labels, 2)
    sides.visit(torch.arange(n), torch.ones(n, 2, dtype=torch.int8))
    largest = max(value.numel() for value in vars(sides).values() if torch.is_tensor(value))
    assert largest == 2 * n and bool((sides.of_all() == 1).all())
