"""Methods with a target code a class: Hadamard and spread codes, CSQ, DPN and MDSH."""

import itertools
import math

import pytest
import torch

from rdh.methods._tools.centres import (
    class_centres,
    hadamard,
    hadamard_codes,
    min_distance,
    spread_codes,
)
from tests import naive_methods
from tests.methods.test_methods import build, random_batch
from tests.test_rescue import codes, one_hot


def seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


@pytest.mark.parametrize(
    "order", [1, 2, 4, 8, 12, 16, 20, 24, 32, 40, 48, 60, 64, 80, 96, 128, 1024]
)
def test_hadamard_rows_are_orthogonal(order):
    matrix = hadamard(order)
    assert set(matrix.unique().tolist()) <= {-1, 1}
    assert torch.equal(matrix @ matrix.T, order * torch.eye(order))


@pytest.mark.parametrize("order", [3, 6, 10, 18, 25, 36, 50])
def test_orders_without_a_known_construction_say_so(order):
    assert hadamard(order) is None and hadamard_codes(2, order, seeded()) is None


@pytest.mark.parametrize("n_bits", [12, 16, 24, 32, 48, 64, 128])
def test_centres_from_a_hadamard_matrix_are_exactly_half_the_bits_apart(n_bits):
    for n_classes in (2, 10, n_bits, 2 * n_bits):
        centres = class_centres(n_classes, n_bits, seeded(3))
        assert centres.shape == (n_classes, n_bits) and set(centres.unique().tolist()) == {-1, 1}
        assert min_distance(centres) == n_bits / 2
    assert hadamard_codes(2 * n_bits + 1, n_bits, seeded()) is None


@pytest.mark.parametrize(
    ("n_classes", "n_bits"), [(10, 36), (80, 24), (80, 32), (100, 36), (80, 50), (21, 25)]
)
def test_centres_beyond_hadamard_are_balanced_and_a_quarter_of_the_bits_apart(n_classes, n_bits):
    centres = class_centres(n_classes, n_bits, seeded(1))
    assert ((centres < 0).sum(1) == n_bits // 2).all()
    assert min_distance(centres) >= n_bits / 4


@pytest.mark.parametrize("n_bits", [24, 36])
def test_centres_are_set_by_the_seed(n_bits):
    first, again, other = (class_centres(10, n_bits, seeded(seed)) for seed in (5, 5, 6))
    assert torch.equal(first, again) and not torch.equal(first, other)


def test_more_classes_than_codes_repeat_codes_instead_of_failing():
    centres = class_centres(10, 1, seeded())
    assert centres.shape == (10, 1)


def test_spread_codes_are_farther_apart_than_random_ones():
    spread = spread_codes(40, 32, seeded())
    chance = torch.where(torch.rand(40, 32, generator=seeded()) < 0.5, -1.0, 1.0)
    assert min_distance(spread) > min_distance(chance)


def test_min_distance_equals_counting():
    codes = spread_codes(6, 9, seeded(2)).tolist()
    counts = [
        sum(x != y for x, y in zip(a, b, strict=True)) for a, b in itertools.combinations(codes, 2)
    ]
    assert min_distance(torch.tensor(codes)) == min(counts)


@pytest.mark.parametrize("seed", range(3))
def test_losses_equal_the_slow_loops(seed):
    h, labels = random_batch(seed)
    labels[0] = 0
    rows, y, indices = h.tolist(), labels.tolist(), torch.arange(9)
    csq = build("csq", labels, 6, seed=seed)
    expected = naive_methods.central_loss(rows, y, csq.centres.tolist(), csq.tie_break.tolist())
    assert csq.similarity_loss(h, labels, indices).item() == pytest.approx(expected, rel=1e-4)
    dpn = build("dpn", labels, 6, seed=seed, margin=0.7)
    expected = naive_methods.polarization_loss((3 * h).tolist(), y, dpn.targets.tolist(), 0.7)
    assert dpn.similarity_loss(3 * h, labels, indices).item() == pytest.approx(expected)


def test_csq_takes_the_majority_of_several_centres_and_one_fixed_code_for_ties():
    labels = torch.tensor([[1.0, 0, 0], [1, 1, 0], [1, 1, 1]])
    method = build("csq", labels, 4)
    method.centres = torch.tensor([[1.0, 1, -1, -1], [1, -1, 1, -1], [-1, -1, -1, -1]])
    method.tie_break = torch.tensor([-1.0, -1, 1, 1])
    assert method.targets(labels).tolist() == [[1, 1, -1, -1], [1, -1, 1, -1], [1, -1, -1, -1]]


def test_csq_gradient_is_strong_for_wrong_bits_and_finite_at_exactly_one():
    labels = one_hot([0]).float()
    method = build("csq", labels, 4)
    leaf = (-method.targets(labels) * torch.tensor([[0.9, 0.99, 0.999, 1.0]])).requires_grad_()
    method.similarity_loss(leaf, labels, torch.arange(1)).backward()
    slopes = leaf.grad.abs()[0].tolist()
    assert slopes[:3] == pytest.approx(
        [2.5, 25, 250], rel=0.01
    )  # 1 / (4 (1 - |h|)): it undoes tanh's damping
    assert slopes[2] < slopes[3] < float("inf")


def test_dpn_pays_nothing_beyond_the_margin_and_the_distance_below_it():
    labels = one_hot([0, 0]).float()
    method = build("dpn", labels, 2)
    target = method.targets[0]
    v = torch.stack([1.5 * target, torch.tensor([0.25, -0.5]) * target])
    assert method.similarity_loss(v, labels, torch.arange(2)).item() == pytest.approx(
        (0 + 0 + 0.75 + 1.5) / 4
    )


def test_dpn_targets_are_signs_spread_or_random():
    labels = one_hot([0, 1, 2])
    spread, chance = (
        build("dpn", labels, 16, targets=kind).targets for kind in ("spread", "random")
    )
    for targets in (spread, chance):
        assert targets.shape == (3, 16) and set(targets.unique().tolist()) == {-1, 1}
    assert min_distance(spread) >= 8


def test_csq_with_sigmoid_outputs_is_the_cross_entropy_of_the_logits():
    """2 sigma(z) - 1 = tanh(z / 2), so that (h + 1) / 2 = sigma(z)."""
    generator = torch.Generator().manual_seed(0)
    logits, labels = torch.randn(5, 16, generator=generator), torch.eye(3)[[0, 1, 2, 1, 0]]
    method = build("csq", labels, 16, output="sigmoid")
    codes = method.relax(logits, 0)
    torch.testing.assert_close(codes, 2 * torch.sigmoid(logits) - 1)
    targets = (method.centres[[0, 1, 2, 1, 0]] + 1) / 2
    expected = torch.nn.functional.binary_cross_entropy_with_logits(logits, targets)
    torch.testing.assert_close(
        method.similarity_loss(codes, labels, torch.arange(5)), expected, atol=1e-5, rtol=1e-4
    )


# MDSH


def separation(n_codes: int, n_bits: int) -> int:
    """The distance d that MDSH asks of centres, after Gilbert and Varshamov.

    It is the smallest d for which balls of radius d - 1 around n_codes codes fill the space of
    n_bits bits.
    """
    volume = 0
    for distance in range(1, n_bits + 1):
        volume += math.comb(n_bits, distance - 1)
        if volume * n_codes >= 2**n_bits:
            return distance
    return n_bits


@pytest.mark.parametrize(
    ("n_bits", "n_classes", "expected"),
    [(16, 10, 6), (24, 10, 10), (32, 10, 13), (48, 10, 21), (48, 80, 17), (16, 100, 4)],
)
def test_centres_are_as_far_apart_as_mdsh_asks(n_bits, n_classes, expected):
    assert separation(n_classes, n_bits) == expected
    assert min_distance(class_centres(n_classes, n_bits, seeded())) >= expected


@pytest.mark.parametrize(("n_bits", "n_codes"), [(5, 3), (8, 10), (9, 2)])
def test_separation_is_the_smallest_distance_whose_balls_fill_the_space(n_bits, n_codes):
    sizes = [sum(word) for word in itertools.product([0, 1], repeat=n_bits)]
    fills = [d for d in range(1, n_bits + 1) if sum(x < d for x in sizes) * n_codes >= 2**n_bits]
    assert separation(n_codes, n_bits) == fills[0]


def test_mdsh_equals_the_golden_numbers_and_flags_the_entry_that_its_centre_calls_wrong():
    labels, centres = (
        one_hot([0, 0, 1, 1])[:, :2],
        torch.tensor([[1.0, 1, -1], [1, -1, 1], [-1, 1, 1]]),
    )
    method = build("mdsh", labels)
    method.centres = centres[:2]
    leaf = codes().requires_grad_()
    loss = method.similarity_loss(leaf, labels, torch.arange(4))
    loss.backward()
    assert loss.item() == pytest.approx(2.13295475, abs=5e-9)
    row = [-0.18639310, -0.24888765, 0.30508657]
    assert leaf.grad[0].tolist() == pytest.approx(row, abs=5e-9)
    flagged = (leaf.abs() >= 0.99) & (leaf.sign() == leaf.grad.sign())
    assert flagged.nonzero().tolist() == [[2, 1]]
    labels = torch.tensor([[1, 1, 0], [1, 0, 0], [0, 1, 1], [0, 0, 1]]).double()
    method = build("mdsh", labels)
    method.centres = centres
    loss = method.similarity_loss(codes(), labels, torch.arange(4))
    assert loss.item() == pytest.approx(1.18233692, abs=5e-9)


def test_mdsh_equals_the_slow_loop_and_a_certain_wrong_class_has_a_finite_gradient():
    h, labels = random_batch(2)
    labels[0] = 0
    method = build("mdsh", labels, 6)
    expected = naive_methods.centre_classification(
        h.tolist(), labels.tolist(), method.centres.tolist()
    )
    loss = method.similarity_loss(h, labels, torch.arange(9))
    assert loss.item() == pytest.approx(expected, rel=1e-6)
    method = build("mdsh", torch.eye(2), 1024)
    leaf = method.centres[:1].clone().requires_grad_()  # at the centre of the wrong class
    method.similarity_loss(leaf, torch.eye(2)[1:], torch.arange(1)).backward()
    assert torch.isfinite(leaf.grad).all() and leaf.grad.any()
