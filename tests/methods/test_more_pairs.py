"""HSWD, CNNH and DMUH-R against golden numbers and slow loops."""

import itertools

import numpy as np
import pytest
import torch

from rdh.methods.cnnh import best_codes, sweep
from rdh.training import loop
from tests import naive_methods
from tests.methods.test_methods import build, random_batch
from tests.naive_rescue import dot, sgn
from tests.test_rescue import codes, one_hot
from tests.training.test_loop import Log, config, digits, one_thread

__all__ = ["digits", "one_thread"]  # the fixtures

EXACT = {"abs": 5e-9}


# HSWD


def test_hswd_equals_plain_quantization_where_bits_are_half_and_half():
    pull = build("hswd", one_hot([0, 0, 1, 1]), quantization_weight=1.0).quantization_loss
    assert pull(codes()).item() == pytest.approx(0.18084158, **EXACT)


def test_hswd_asks_bits_to_leave_their_side_until_each_is_half_and_half():
    leaf = codes()
    leaf[1, 0], leaf[0, 2] = 0.992, -0.2
    leaf.requires_grad_()
    loss = build("hswd", one_hot([0, 0, 1, 1]), quantization_weight=1.0).quantization_loss(leaf)
    loss.backward()
    assert loss.item() == pytest.approx(0.51417492, **EXACT)
    expected = [
        [-0.00083333, 0.08333333, -0.2],
        [-0.00133333, 0.01666667, -0.11666667],
        [0.3, -0.0005, 0.06666667],
        [0.11666667, -0.00016667, 0.05],
    ]
    np.testing.assert_allclose(leaf.grad.numpy(), expected, atol=5e-9)
    leaves = (leaf.grad.sign() == leaf.sign()).nonzero().tolist()
    assert leaves == [[0, 2], [2, 0]]


@pytest.mark.parametrize("n", [8, 9])
def test_hswd_equals_the_slow_loop_with_the_middle_item_above(n):
    h, labels = random_batch(0, n=n)
    columns = [naive_methods.half_and_half(column) for column in h.T.tolist()]
    targets = np.array(columns).T.tolist()
    expected = 0.1 * naive_methods.mean_squared_difference(h.tolist(), targets)
    assert build("hswd", labels, 6).quantization_loss(h).item() == pytest.approx(expected)
    assert build("hswd", labels, 6).quantization_loss(h[:1]).item() == 0


def test_hswd_is_hashnet_apart_from_its_pull():
    h, labels = random_batch(1)
    losses = [
        build(name, labels, 6).similarity_loss(h, labels, torch.arange(9))
        for name in ("hswd", "hashnet")
    ]
    assert torch.equal(*losses)


# CNNH


def test_cnnh_equals_the_golden_numbers_of_both_stages():
    target = np.where(np.arange(4)[:, None] // 2 == np.arange(4) // 2, 1.0, -1.0)
    start = np.array([[0.5, -0.2], [0.1, 0.4], [-0.3, 0.6], [0.7, -0.1]])
    found, objectives = best_codes(start, target, np.ones(4), 1)
    assert objectives == pytest.approx([16.175675, 0.0], **EXACT)
    np.testing.assert_allclose(found, [[-1, -1], [-1, -1], [1, 1], [1, 1]], atol=1e-12)
    method = build("cnnh", torch.eye(4))
    method.targets = torch.tensor([[1.0, -1, 1], [1, 1, -1], [-1, 1, 1], [-1, 1, -1]])
    leaf = codes().requires_grad_()
    loss = method.similarity_loss(leaf, torch.eye(4), torch.arange(4))
    loss.backward()
    assert loss.item() == pytest.approx(1.37817492, **EXACT)
    row = [-0.00083333, 0.08333333, -0.13333333]
    assert leaf.grad[0].tolist() == pytest.approx(row, **EXACT)


def test_cnnh_sweeps_over_kinds_of_labels_equal_the_objective_over_all_items():
    """Each entry moves by the Newton step that differences of the slow objective give."""
    rng = np.random.default_rng(0)
    kinds = np.array([[1, 0, 0], [0, 1, 0], [0, 1, 1]])
    counts = np.array([3, 1, 2])
    items = np.repeat(kinds, counts, 0).tolist()
    target = np.where(kinds @ kinds.T > 0, 1.0, -1.0)
    start = rng.uniform(-0.1, 0.1, (3, 2))

    def value(codes: np.ndarray) -> float:
        return naive_methods.similarity_errors(np.repeat(codes, counts, 0).tolist(), items)

    expected, step = start.copy(), 1e-4
    for i, k in itertools.product(range(3), range(2)):
        moved = np.zeros_like(start)
        moved[i, k] = step
        low, here, high = (value(expected + sign * moved) for sign in (-1, 0, 1))
        first, second = (high - low) / (2 * step), (high - 2 * here + low) / step**2
        whole = -first / second if second > 1e-9 else -2 * np.sign(first)
        expected[i, k] += np.clip(whole, -1 - expected[i, k], 1 - expected[i, k])
    np.testing.assert_allclose(sweep(start, target, counts.astype(float)), expected, atol=1e-5)


def test_cnnh_objective_falls_and_targets_of_equal_labels_are_equal():
    labels = torch.eye(3)[torch.arange(30) % 3]
    labels[29] = 0
    start = np.random.default_rng(0).uniform(-1, 1, (30, 6))
    full = np.where((labels @ labels.T).numpy() > 0, 1.0, -1.0)
    _, objectives = best_codes(start, full, np.ones(30), 10)
    assert objectives == sorted(objectives, reverse=True) and objectives[-1] < objectives[0] / 2
    method = build("cnnh", labels, 6)
    method.on_epoch_start(0)
    targets = method.targets
    assert not targets[29].any() and len(targets.unique(dim=0)) == 4
    apart = [(targets[i] != targets[j]).sum() for i, j in itertools.combinations(range(3), 2)]
    assert min(apart) >= 3
    before = targets.clone()
    method.on_epoch_start(1)
    assert torch.equal(method.targets, before)


def test_cnnh_plus_adds_the_cross_entropy_of_the_labels_and_learns_its_classifier(digits):
    h, labels = random_batch(5)
    labels[2] = 0
    plain, plus = (build("cnnh", labels, 6, class_weight=weight) for weight in (0.0, 0.5))
    assert not plain.learned().state_dict(), "CNNH itself learns nothing besides the network"
    for method in (plain, plus):
        method.on_epoch_start(0)
    first, second = (method.similarity_loss(h, labels, torch.arange(9)) for method in (plain, plus))
    scores = [
        [dot(row, weights) for weights in plus.classifier.weight.tolist()] for row in h.tolist()
    ]
    expected = 0.5 * naive_methods.classification(scores, labels.tolist())
    assert second.item() - first.item() == pytest.approx(expected, rel=1e-6)
    settings = config(method="cnnh", method_options={"class_weight": 1.0}, epochs=1)
    run = loop.start(settings, digits(settings))
    before = run.network.learned.weight.detach().clone()
    Log().fit(run)
    assert not torch.equal(run.network.learned.weight, before)


# DMUH-R


def visited(attention: float, labels: torch.Tensor):
    method = build("dmuh", labels, attention=attention)
    method.momentum_codes.copy_(
        torch.tensor([[0.9, -0.2, -0.3], [-0.99, -0.8, 0.1], [0.7, 0.9, 0.2], [0.4, 0.95, -0.6]])
    )
    method.is_seen.fill_(True)
    method.remember(codes(), torch.arange(4))
    return method


def test_dmuh_equals_the_golden_numbers():
    labels = one_hot([0, 0, 1, 1])
    method = visited(1.0, labels)
    uncertainty = method.uncertainty.mean(1).tolist()
    assert uncertainty == pytest.approx([0.14916667, 0.05033333, 0.16616667, 0.1415], abs=1e-8)
    loss = method.similarity_loss(codes(), labels, torch.arange(4))
    assert loss.item() == pytest.approx(0.50609158, abs=1e-8)
    assert method.quantization_loss(codes()).item() == pytest.approx(0.01966572, abs=1e-8)
    momentum = method.momentum_codes[0].tolist()
    assert momentum == pytest.approx([0.9095, -0.23, -0.25], abs=1e-7)


def test_dmuh_equals_the_slow_loop_and_without_attention_dpsh_within_the_batch():
    h, labels = random_batch(2)
    method = build("dmuh", labels, 6, attention=2.0)
    indices = torch.arange(9)
    method.remember(0.3 * h, indices)
    assert not method.uncertainty.any(), "nothing is uncertain at the first visit"
    method.remember(h, indices)
    rows, u = h.tolist(), (0.35 * h).abs().tolist()
    found = method.similarity_loss(h, labels, indices).item()
    expected = naive_methods.uncertain_pair_loss(rows, labels.tolist(), u, 2.0)
    assert found == pytest.approx(expected, rel=1e-9)
    total = sum(1 + 2 * one for row in u for one in row)
    pull = sum(
        (1 + 2 * one) * (x - sgn(x)) ** 2
        for row, own in zip(rows, u, strict=True)
        for x, one in zip(row, own, strict=True)
    )
    assert method.quantization_loss(h).item() == pytest.approx(0.1 * pull / total)
    plain, dpsh = (
        build("dmuh", labels, 6, attention=0.0),
        build("dpsh", labels, 6, pairs="in_batch"),
    )
    plain.remember(0.3 * h, indices)
    plain.remember(h, indices)
    for part in (lambda m: m.similarity_loss(h, labels, indices), lambda m: m.quantization_loss(h)):
        assert part(plain).item() == pytest.approx(part(dpsh).item(), rel=1e-12)


def test_dmuh_can_not_see_a_dead_bit():
    """Saturated codes stay where they are, so their uncertainty is 0."""
    labels = one_hot([0, 1])
    method = build("dmuh", labels, 2)
    h = torch.tanh(torch.tensor([[6.0, 0.3], [-6.0, 0.1]]).double())
    for shift in (0.0, 0.2):
        method.remember(torch.tanh(torch.atanh(h) + shift), torch.arange(2))
    assert (method.uncertainty[:, 0] < 1e-5).all() and (method.uncertainty[:, 1] > 0.05).all()
