"""DTSH, DNNH, DSRH and DSH against golden numbers and slow loops; blocks of triplets."""

import pytest
import torch

from rdh.methods._tools import triplets
from rdh.methods._tools.triplets import (
    hinge,
    mean_over_anchors,
    mean_over_triplets,
    soft_hinge,
    triplet_loss,
)
from tests import naive_triplets
from tests.methods.test_methods import build, random_batch
from tests.test_rescue import codes, one_hot

MULTI = torch.tensor([[1, 1, 0], [1, 0, 0], [0, 1, 1], [0, 0, 1]]).double()
EXACT = {"abs": 5e-9}
TRIPLETS = {
    "dtsh": lambda h, y: naive_triplets.triplet_likelihood(h, y, 0.1 * len(h[0]), 0.5),
    "dnnh": lambda h, y: naive_triplets.triplet_hinge(h, y, 1),
    "dsrh": lambda h, y: naive_triplets.ranking_loss(h, y, 5 / 64 * len(h[0]), 1),
    "dsh": lambda h, y: 10 / len(h[0]) * naive_triplets.contrastive_loss(h, y, len(h[0])),
}


def value_and_gradient(name: str, h: torch.Tensor, labels: torch.Tensor, **switches):
    leaf = h.clone().requires_grad_()
    loss = build(name, labels, h.shape[1], **switches).similarity_loss(
        leaf, labels, torch.arange(len(h))
    )
    loss.backward()
    return loss.item(), leaf.grad


@pytest.mark.parametrize("single", [True, False], ids=["single-label", "multi-label"])
@pytest.mark.parametrize("name", TRIPLETS)
def test_losses_equal_the_slow_loops_and_slopes_their_differences(name, single):
    h, labels = random_batch(3, single=single)
    labels[0] = 0  # an item without labels
    value, gradient = value_and_gradient(name, h, labels)
    loop = TRIPLETS[name]
    assert value == pytest.approx(loop(h.tolist(), labels.tolist()), rel=1e-9)
    for i, k in ((0, 1), (2, 3), (7, 5)):
        step = torch.zeros_like(h)
        step[i, k] = 1e-6
        sides = [loop((h + sign * step).tolist(), labels.tolist()) for sign in (1, -1)]
        assert gradient[i, k].item() == pytest.approx((sides[0] - sides[1]) / 2e-6, abs=1e-7)


def test_dtsh_equals_the_golden_numbers():
    labels = one_hot([0, 0, 1, 1])
    value, gradient = value_and_gradient("dtsh", codes(), labels, margin_per_bit=0.5)
    assert value == pytest.approx(1.26823483, **EXACT)
    assert gradient[0].tolist() == pytest.approx([0.24726607, 0.36173323, -0.17909604], **EXACT)
    assert gradient[1].tolist() == pytest.approx([-0.16157243, 0.25981480, -0.14539523], **EXACT)
    flagged = (codes().abs() >= 0.99) & (codes().sign() == gradient.sign())
    assert flagged.nonzero().tolist() == [[0, 0], [1, 0]]
    of_libraries = {"margin_per_bit": 5 / 3, "theta_scale": 1.0}
    assert value_and_gradient("dtsh", codes(), labels, **of_libraries)[0] == pytest.approx(
        3.82771123, **EXACT
    )
    labels = one_hot([0, 0, 1, 2])  # two anchors without a similar item
    assert value_and_gradient("dtsh", codes(), labels, margin_per_bit=0.5)[0] == pytest.approx(
        1.55840727, **EXACT
    )


def test_dnnh_equals_the_golden_numbers():
    labels = one_hot([0, 0, 1, 1])
    assert value_and_gradient("dnnh", codes(), labels)[0] == pytest.approx(0.46989266, **EXACT)
    value, gradient = value_and_gradient("dnnh", codes(), labels, margin=2.0)
    assert value == pytest.approx(1.39489675, **EXACT)
    assert gradient[1].tolist() == pytest.approx([-0.18625, 0.3745, -0.2125], **EXACT)
    labels = one_hot([0, 0, 1, 2])
    assert value_and_gradient("dnnh", codes(), labels)[0] == pytest.approx(0.75716737, abs=1e-8)


@pytest.mark.parametrize(
    ("margin", "balance", "expected"), [(1, 0, 0.23563523), (1, 1, 0.26163992), (0, 0, 0.0)]
)
def test_dsrh_equals_the_golden_numbers(margin, balance, expected):
    switches = {"margin_per_bit": margin / 3, "balance_weight": float(balance)}
    assert value_and_gradient("dsrh", codes(), MULTI, **switches)[0] == pytest.approx(
        expected, **EXACT
    )


def test_dsh_equals_the_golden_numbers_which_are_not_scaled():
    for classes, expected in (((0, 0, 1, 1), 0.88333733), ((0, 0, 1, 2), 1.18000333)):
        value, _ = value_and_gradient("dsh", codes(), one_hot(classes), margin_per_bit=2.0)
        assert 3 / 10 * value == pytest.approx(expected, **EXACT)
    pull = build("dsh", one_hot([0, 0, 1, 1])).quantization_loss(codes())
    assert 3 / 10 * pull.item() == pytest.approx(0.00929250, **EXACT)


@pytest.mark.parametrize("penalty", [hinge, soft_hinge])
@pytest.mark.parametrize("reduction", [mean_over_triplets, mean_over_anchors])
def test_blocks_of_anchors_change_nothing(monkeypatch, penalty, reduction):
    h, labels = random_batch(1)
    gains = (labels @ labels.T).clone()
    results = []
    for entries in (10**6, 1):  # all anchors, or one at a time
        monkeypatch.setattr(triplets, "BLOCK_ENTRIES", entries)
        scores = (h @ h.T).requires_grad_()
        loss = triplet_loss(scores, gains, 1.5, penalty, reduction)
        loss.backward()
        results.append((loss.item(), scores.grad))
    assert results[0][0] == pytest.approx(results[1][0], rel=1e-12) and results[0][0] > 0
    torch.testing.assert_close(results[0][1], results[1][1])


def test_a_batch_of_a_thousand_needs_no_array_of_all_its_triplets(monkeypatch):
    """The largest array holds a block of anchors; 1024^3 floats would be 4 GB."""
    sizes = []

    def watched(x: torch.Tensor):
        sizes.append(x.numel())
        return hinge(x)

    monkeypatch.setattr(triplets, "BLOCK_ENTRIES", 200_000)
    labels = torch.eye(64)[torch.arange(1024) % 64]
    h = torch.tanh(torch.randn(1024, 4, generator=torch.Generator().manual_seed(0)))
    triplet_loss(h @ h.T, labels @ labels.T, 1.0, watched, mean_over_triplets)
    assert max(sizes) <= 200_000 and sum(sizes) == 1024 * 15 * 1024


def test_dnnh_bits_see_a_slice_of_their_own():
    head = build("dnnh", torch.eye(2), 4).head(6)
    features = torch.randn(3, 6, generator=torch.Generator().manual_seed(0))
    before = head(features)
    with torch.no_grad():
        head.units.weight[50:100] += 1  # the slice of bit 1
        head.units.bias[50:100] += 1
    moved = (head(features) != before).any(0)
    assert before.shape == (3, 4) and moved.tolist() == [False, True, False, False]
    assert isinstance(build("dnnh", torch.eye(2), 4, division="none").head(6), torch.nn.Linear)
