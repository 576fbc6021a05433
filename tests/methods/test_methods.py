"""Promises of every deep method, and DPSH, DHN, HashNet and DCH against slow loops.

The four are also compared with golden numbers.
"""

import math

import pytest
import torch

from rdh import catalog
from rdh.charts import palette
from rdh.config.run_config import make_config
from rdh.errors import UserError
from rdh.methods import Method, method_class
from tests import naive_methods, naive_rescue
from tests.test_rescue import codes, one_hot

NAMES = sorted(name for name, card in catalog.methods().items() if not card.is_shallow)
N_ITEMS = 9


def build(name: str, labels: torch.Tensor, n_bits: int = 3, seed: int = 0, **options):
    return method_class(name)(n_bits, labels, seed, **options)


def losses(method, h, labels):
    indices = torch.arange(len(h))
    method.remember(h.detach(), indices)
    return method.similarity_loss(h, labels, indices)


def random_batch(seed: int, n: int = N_ITEMS, n_bits: int = 6, single: bool = False):
    generator = torch.Generator().manual_seed(seed)
    h = torch.tanh(torch.randn(n, n_bits, generator=generator, dtype=torch.float64))
    if single:
        return h, torch.eye(4, dtype=torch.float64)[torch.randint(4, (n,), generator=generator)]
    return h, (torch.rand(n, 4, generator=generator) < 0.4).double()


def batch_of(name: str, seed: int, n: int = N_ITEMS, n_bits: int = 6, single: bool = False):
    """A random batch as wide as the method's codes."""
    return random_batch(seed, n, method_class(name).n_streams * n_bits, single)


def live(method: Method, h: torch.Tensor, epochs: range = range(4)) -> Method:
    """The epochs of a run as `training` calls them, with the network's codes fixed to h."""
    for epoch in epochs:
        method.on_epoch_start(epoch)
        generator = torch.Generator().manual_seed(epoch)
        for indices in method.epoch_indices(epoch, generator).split(4):
            method.remember(h[indices], indices)
    return method


def total_loss(
    method: Method, h: torch.Tensor, labels: torch.Tensor, indices: torch.Tensor
) -> torch.Tensor:
    """Every term of the method's own."""
    terms = (
        method.similarity_loss(h, labels, indices),
        method.code_regression_loss(h, indices),
        method.quantization_loss(h),
    )
    return sum(term for term in terms if term is not None)


# The contract


@pytest.mark.parametrize("single", [True, False], ids=["single-label", "multi-label"])
@pytest.mark.parametrize("n_bits", [12, 128])
@pytest.mark.parametrize("name", NAMES)
def test_gradient_reaches_the_codes_and_is_finite(name, n_bits, single):
    h, labels = batch_of(name, 2, n_bits=n_bits, single=single)
    leaf = (h * 0.999).float().requires_grad_()
    method = live(build(name, labels.float(), n_bits), leaf.detach())
    loss = total_loss(method, leaf, labels.float(), torch.arange(N_ITEMS))
    loss.backward()
    assert loss.ndim == 0 and loss.dtype == torch.float32
    labelled = labels.any(1)
    assert (leaf.grad.abs().sum(1)[labelled] > 0).all() and torch.isfinite(leaf.grad).all()


@pytest.mark.parametrize("name", NAMES)
def test_loss_does_not_depend_on_the_order_of_the_batch(name):
    h, labels = batch_of(name, 3)
    order = torch.randperm(N_ITEMS, generator=torch.Generator().manual_seed(0))
    method = live(build(name, labels, 6), h)
    before = total_loss(method, h, labels, torch.arange(N_ITEMS))
    after = total_loss(method, h[order], labels[order], order)
    assert after.item() == pytest.approx(before.item(), rel=1e-12)


@pytest.mark.parametrize("name", NAMES)
def test_the_same_seed_gives_the_same_numbers(name):
    h, labels = batch_of(name, 6)
    first, second = (live(build(name, labels, 6, seed=7), h) for _ in range(2))
    indices = torch.arange(N_ITEMS)
    assert torch.equal(
        total_loss(first, h, labels, indices), total_loss(second, h, labels, indices)
    )
    for key, tensor in first.state_dict().items():
        assert torch.equal(tensor, second.state_dict()[key])


@pytest.mark.parametrize("n", [1, 3])
@pytest.mark.parametrize("alike", [True, False])
@pytest.mark.parametrize("name", NAMES)
def test_batches_without_similar_or_dissimilar_pairs_stay_finite(name, alike, n):
    h, _ = batch_of(name, 4, n=n)
    labels = (
        torch.ones(n, 3, dtype=torch.float64) if alike else torch.zeros(n, 3, dtype=torch.float64)
    )
    method = live(build(name, labels, 6), h)
    leaf = h.clone().requires_grad_()
    loss = total_loss(method, leaf, labels, torch.arange(n))
    loss.backward()
    assert torch.isfinite(loss) and torch.isfinite(leaf.grad).all()


@pytest.mark.parametrize("name", NAMES)
def test_saturated_codes_and_long_codes_do_not_overflow(name):
    h = torch.ones(8, method_class(name).n_streams * 1024)
    h[:4] *= -1
    leaf = h.requires_grad_()
    labels = torch.eye(2)[[0, 1] * 4]
    method = live(build(name, labels, 1024), leaf.detach())
    loss = total_loss(method, leaf, labels, torch.arange(8))
    loss.backward()
    assert torch.isfinite(loss) and torch.isfinite(leaf.grad).all()


@pytest.mark.parametrize("name", NAMES)
def test_losses_are_float32_under_autocast(name):
    h, labels = batch_of(name, 5, n_bits=24)
    indices = torch.arange(N_ITEMS)
    expected = total_loss(live(build(name, labels, 24), h), h, labels, indices)  # in float64
    method = live(build(name, labels.float(), 24), h.float())
    with torch.autocast("cpu", dtype=torch.bfloat16):
        loss = total_loss(method, h.float(), labels.float(), indices)
        relaxed = method.relax(h.bfloat16(), 0)
    assert (
        loss.item() == pytest.approx(expected.item(), rel=1e-5)
        and loss.dtype == relaxed.dtype == torch.float32
    )


@pytest.mark.parametrize("name", NAMES)
def test_a_run_goes_on_from_its_saved_state_as_if_it_had_not_stopped(name, tmp_path):
    h, labels = batch_of(name, 5)
    whole = live(build(name, labels, 6), h)
    torch.save(whole.state_dict(), tmp_path / "state.pt")
    resumed = build(name, labels, 6)
    resumed.load_state_dict(torch.load(tmp_path / "state.pt", weights_only=True))
    indices, later = torch.arange(4), 0.5 * h
    for _ in range(2):
        expected = total_loss(whole, later[:4], labels[:4], indices)
        assert torch.equal(total_loss(resumed, later[:4], labels[:4], indices), expected)
        live(whole, later, range(4, 8))
        live(resumed, later, range(4, 8))


@pytest.mark.parametrize("name", NAMES)
def test_an_epoch_visits_each_of_its_items_once_in_an_order_set_by_the_generator(name):
    h, labels = batch_of(name, 0)
    method = live(build(name, labels, 6), h)
    first, second = (method.epoch_indices(4, torch.Generator().manual_seed(1)) for _ in range(2))
    assert torch.equal(first, second) and len(first.unique()) == len(first) == method.epoch_length
    assert not torch.equal(first, method.epoch_indices(4, torch.Generator().manual_seed(2)))


@pytest.mark.parametrize("name", NAMES)
def test_the_state_grows_with_the_items_and_not_with_their_pairs(name):
    _, labels = batch_of(name, 0, n=400)
    state = build(name, labels, 6).state_dict()
    most = 400 * 6 * method_class(name).n_streams
    assert all(tensor.numel() <= most for tensor in state.values())


@pytest.mark.parametrize("name", NAMES)
def test_only_codes_with_an_activation_stay_within_one(name):
    _, labels = batch_of(name, 0)
    method = build(name, labels, 6)
    relaxed = method.relax(torch.linspace(-3, 3, 7), 0)
    assert (relaxed.abs().max() < 1) == (method.activation is not None) and not relaxed[3]


@pytest.mark.parametrize("name", sorted(catalog.methods()))
def test_the_card_follows_the_template_of_rdh_methods(name):
    card = catalog.method(name)
    assert ":" in card.headline and card.title in card.headline
    for part in ("\nObjective: ", "\nDecisions of ours: ", "\nWith RDH: "):
        assert part in card.text


@pytest.mark.parametrize("name", sorted(catalog.methods()))
def test_the_weight_of_the_plain_term_weighs_it(name):
    card, (h, labels) = catalog.method(name), batch_of(name, 5)
    if card.plain_weight is None:
        method = build(name, labels, 6)
        assert method.quantization_loss(h) is None
    else:
        one, two = (
            build(name, labels, 6, **{card.plain_weight: weight}).quantization_loss(h)
            for weight in (1.0, 2.0)
        )
        assert two.item() == pytest.approx(2 * one.item()) and one.item() > 0


def test_every_method_has_a_colour_of_its_own():
    colors = {name: card.color.upper() for name, card in catalog.methods().items()}
    taken = [*colors.values(), palette.DEAD.upper(), palette.NEUTRAL.upper()]
    assert sorted({color for color in taken if taken.count(color) > 1}) == [], colors


@pytest.mark.parametrize(
    "name", [name for name in catalog.methods() if method_class(name).activation is None]
)
def test_the_amplifier_is_refused_where_nothing_saturates(name):
    with pytest.raises(UserError, match="amplifier must be off"):
        make_config(method=name, amplifier=True)


@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("hashnet", {"stage_epochs": 0}),
        ("dsdh", {"classifier_penalty": 0.0}),
        ("dagh", {"n_anchors": 1}),
        ("adsh", {"passes": 0}),
        ("adsh", {"n_samples": 0}),
        ("dch", {"gamma": 0.0}),
    ],
)
def test_switches_out_of_range_are_named(name, options):
    with pytest.raises(UserError, match=f"method_options {next(iter(options))} must be at least"):
        make_config(method=name, method_options=options)


# DPSH, DHN, HashNet


@pytest.mark.parametrize(
    ("classes", "dhn", "hashnet"),
    [((0, 0, 1, 1), 0.50600500, 0.73705352), ((0, 0, 0, 1), 0.68534269, 3.04222016)],
)
def test_similarity_losses_equal_the_golden_numbers(classes, dhn, hashnet):
    labels = one_hot(classes)
    assert losses(build("dhn", labels), codes(), labels).item() == pytest.approx(dhn, abs=5e-9)
    assert losses(build("dpsh", labels, pairs="in_batch"), codes(), labels).item() == pytest.approx(
        dhn, abs=5e-9
    )
    for name in (
        "dpsh",
        "dsdh",
        "dagh",
    ):  # stored codes U = the batch itself; DAGH-R compares within the batch
        assert losses(build(name, labels), codes(), labels).item() == pytest.approx(dhn, abs=5e-9)
    assert losses(build("hashnet", labels), codes(), labels).item() == pytest.approx(
        hashnet, abs=5e-9
    )


def test_quantization_terms_equal_the_golden_numbers():
    labels = one_hot([0, 0, 1, 1])
    assert build("dpsh", labels).quantization_loss(codes()).item() == pytest.approx(
        0.1 * 0.18084158, abs=5e-10
    )
    assert build("dhn", labels).quantization_loss(codes()).item() == pytest.approx(
        0.1 * 0.08438434, abs=5e-10
    )
    assert build("csq", labels).quantization_loss(codes()).item() == pytest.approx(
        1e-4 * 0.18084158, abs=5e-13
    )
    assert build("hashnet", labels).quantization_loss(codes()) is None


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
    assert losses(build("hashnet", labels, 6, graded=True), h, labels).item() == pytest.approx(
        naive_methods.graded_pair_loss(rows, y, 10 / 6)
    )
    assert losses(build("dch", labels, 6), h, labels).item() == pytest.approx(
        naive_methods.cauchy_loss(rows, y, 20), abs=1e-5
    )
    assert build("dch", labels, 6).quantization_loss(h).item() == pytest.approx(
        0.1 * naive_methods.cauchy_quantization(rows, 20)
    )
    more_h, more_labels = random_batch(seed + 10, 20)
    expected = naive_rescue.mean_pair_loss(rows, y, more_h.tolist(), more_labels.tolist(), 0.5)
    for name in ("dpsh", "dsdh"):
        method = build(name, more_labels, 6)
        method.remember(more_h, torch.arange(20))
        assert method.similarity_loss(h, labels, torch.arange(9)).item() == pytest.approx(expected)


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


def test_hashnet_continuation_is_off_by_default_and_steepens_tanh_as_the_authors_do():
    labels = one_hot([0, 1])
    assert build("hashnet", labels).slope(149) == 1
    method = build("hashnet", labels, continuation=True)
    stages = {stage: round(method.slope(3 * stage), 3) for stage in (0, 1, 5, 10, 50)}
    assert stages == {
        0: 1.0,
        1: 1.414,
        5: 2.449,
        10: 3.317,
        50: 7.141,
    }  # theirs, a stage lasting 200 steps
    assert (
        method.slope(2) == 1
        and build("hashnet", labels, continuation=True, stage_epochs=20).slope(19) == 1
    )
    logits = torch.tensor([[0.3, -0.2]])
    assert torch.equal(method.relax(logits, 15), torch.tanh(math.sqrt(6) * logits))


def test_graded_similarity_changes_nothing_for_single_labels():
    h, labels = random_batch(1, single=True)
    plain, graded = (
        losses(build("hashnet", labels, 6, graded=on), h, labels) for on in (False, True)
    )
    assert plain.item() == pytest.approx(graded.item(), rel=1e-12)


# DCH


def test_dch_dissimilar_items_with_one_code_have_a_finite_loss_and_gradient():
    leaf = torch.full((2, 12), 0.99, requires_grad=True)
    loss = build("dch", torch.eye(2), 12).similarity_loss(leaf, torch.eye(2), torch.arange(2))
    loss.backward()
    assert 10 < loss.item() < 20 and torch.isfinite(leaf.grad).all()


@pytest.mark.skipif(not torch.cuda.is_available(), reason="no GPU here")
@pytest.mark.parametrize("name", NAMES)
def test_the_gpu_gives_the_same_loss_gradient_and_state(name):
    h, labels = batch_of(name, 7, n_bits=24)
    indices, results = torch.arange(N_ITEMS), []
    for device in ("cpu", "cuda"):
        leaf = h.to(device).requires_grad_()
        method = live(build(name, labels.to(device), 24), leaf.detach())
        loss = total_loss(method, leaf, labels.to(device), indices.to(device))
        loss.backward()
        results.append(
            (
                loss.cpu(),
                leaf.grad.cpu(),
                {key: value.cpu() for key, value in method.state_dict().items()},
            )
        )
    for ours, theirs in zip(*results, strict=True):
        torch.testing.assert_close(ours, theirs)
