"""Every method of the registry against slow loops, golden numbers and the contract of the seam."""

import math

import pytest
import torch

from rdh import catalog
from rdh.methods import method_class
from tests import naive_rescue
from tests.test_rescue import codes, one_hot

NAMES = sorted(catalog.methods())


def build(name: str, labels: torch.Tensor, n_bits: int = 3, **options):
    return method_class(name)(n_bits, labels, 0, **options)


def losses(method, h, labels):
    indices = torch.arange(len(h))
    method.remember(h.detach(), indices)
    return method.similarity_loss(h, labels, indices)


@pytest.mark.parametrize(
    ("classes", "dhn", "hashnet"), [((0, 0, 1, 1), 0.50600500, 0.73705352), ((0, 0, 0, 1), 0.68534269, 3.04222016)]
)
def test_similarity_losses_equal_the_golden_numbers(classes, dhn, hashnet):
    labels = one_hot(classes)
    assert losses(build("dhn", labels), codes(), labels).item() == pytest.approx(dhn, abs=5e-9)
    assert losses(build("dpsh", labels, pairs="batch"), codes(), labels).item() == pytest.approx(dhn, abs=5e-9)
    assert losses(build("dpsh", labels), codes(), labels).item() == pytest.approx(dhn, abs=5e-9)  # U = the batch itself
    assert losses(build("hashnet", labels), codes(), labels).item() == pytest.approx(hashnet, abs=5e-9)


def test_quantization_terms_equal_the_golden_numbers():
    labels = one_hot([0, 0, 1, 1])
    assert build("dpsh", labels).quantization_loss(codes()).item() == pytest.approx(0.1 * 0.18084158, abs=5e-10)
    assert build("dhn", labels).quantization_loss(codes()).item() == pytest.approx(0.1 * 0.08438434, abs=5e-10)
    assert build("hashnet", labels).quantization_loss(codes()) is None


def random_batch(seed: int, n: int = 9, n_bits: int = 6):
    generator = torch.Generator().manual_seed(seed)
    h = torch.tanh(torch.randn(n, n_bits, generator=generator, dtype=torch.float64))
    return h, (torch.rand(n, 4, generator=generator) < 0.4).double()


@pytest.mark.parametrize("seed", range(3))
def test_losses_equal_the_slow_loops(seed):
    h, labels = random_batch(seed)
    rows, y = h.tolist(), labels.tolist()
    assert losses(build("dhn", labels, 6), h, labels).item() == pytest.approx(
        naive_rescue.mean_pair_loss(rows, y, rows, y, 0.5)
    )
    assert losses(build("hashnet", labels, 6), h, labels).item() == pytest.approx(
        naive_rescue.balanced_pair_loss(rows, y, 10 / 6)
    )
    more_h, more_labels = random_batch(seed + 10, 20)
    dpsh = build("dpsh", more_labels, 6)
    dpsh.remember(more_h, torch.arange(20))
    expected = naive_rescue.mean_pair_loss(rows, y, more_h.tolist(), more_labels.tolist(), 0.5)
    assert dpsh.similarity_loss(h, labels, torch.arange(9)).item() == pytest.approx(expected)


def test_dpsh_differentiates_the_batch_side_alone():
    """With stored codes the gradient is (sigma - S) U / (2 n N): half of the in-batch one."""
    h, labels = random_batch(1)
    method = build("dpsh", labels, 6)
    leaf = h.clone().requires_grad_()
    losses(method, leaf, labels).backward()
    similar = (labels @ labels.T > 0).double()
    expected = (torch.sigmoid(h @ h.T / 2) - similar) @ h / (2 * 9 * 9)
    assert torch.allclose(leaf.grad, expected, atol=1e-14)


def test_dpsh_items_not_visited_yet_add_log_2_and_no_gradient():
    h, labels = random_batch(1)
    method = build("dpsh", labels, 6)
    leaf = h.clone().requires_grad_()
    loss = method.similarity_loss(leaf, labels, torch.arange(9))  # nothing remembered
    loss.backward()
    assert loss.item() == pytest.approx(math.log(2)) and not leaf.grad.any()


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("n_bits", [12, 128])
def test_gradient_reaches_the_codes_and_is_finite(name, n_bits):
    h, labels = random_batch(2, n_bits=n_bits)
    leaf = (h * 0.999).float().requires_grad_()
    method = build(name, labels.float(), n_bits)
    losses(method, leaf, labels.float()).backward()
    assert leaf.grad.abs().sum() > 0 and torch.isfinite(leaf.grad).all()


@pytest.mark.parametrize("name", NAMES)
def test_loss_does_not_depend_on_the_order_of_the_batch(name):
    h, labels = random_batch(3)
    order = torch.randperm(9, generator=torch.Generator().manual_seed(0))
    method = build(name, labels, 6)
    method.remember(h, torch.arange(9))
    before = method.similarity_loss(h, labels, torch.arange(9))
    assert method.similarity_loss(h[order], labels[order], order).item() == pytest.approx(before.item(), rel=1e-12)


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("alike", [True, False])
def test_batches_without_similar_or_dissimilar_pairs_stay_finite(name, alike):
    h, _ = random_batch(4, n=3)
    labels = torch.ones(3, 3, dtype=torch.float64) if alike else torch.zeros(3, 3, dtype=torch.float64)
    leaf = h.clone().requires_grad_()
    loss = losses(build(name, labels, 6), leaf, labels)
    loss.backward()
    assert torch.isfinite(loss) and torch.isfinite(leaf.grad).all()


@pytest.mark.parametrize("name", NAMES)
def test_saturated_codes_and_long_codes_do_not_overflow(name):
    h = torch.ones(8, 1024).requires_grad_()
    labels = torch.eye(2)[[0, 1] * 4]
    loss = losses(build(name, labels, 1024), h, labels)
    assert torch.isfinite(loss)


@pytest.mark.parametrize("name", NAMES)
def test_state_survives_save_and_load(name):
    h, labels = random_batch(5)
    first, second = build(name, labels, 6), build(name, labels, 6)
    first.remember(h, torch.arange(9))
    second.load_state_dict({key: value.clone() for key, value in first.state_dict().items()})
    batch, y = h[:4] * 0.5, labels[:4]
    assert (
        first.similarity_loss(batch, y, torch.arange(4)).item()
        == second.similarity_loss(batch, y, torch.arange(4)).item()
    )


@pytest.mark.parametrize("name", NAMES)
def test_card_says_what_the_method_is(name):
    card = catalog.methods()[name]
    assert card.title and ":" in card.headline and "Decisions of ours" in card.text and "With RDH" in card.text
