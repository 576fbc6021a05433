"""Methods with discrete codes (DSDH, DAGH-R, ADSH) against slow loops and enumeration."""

import itertools

import pytest
import torch

from rdh.methods._tools import sampling as _sampling
from rdh.methods._tools.dcc import (
    code_objective,
    discrete_codes,
    random_signs,
    ridge,
    signs,
    signs_or,
)
from rdh.methods._tools.sampling import random_sample, similar_sums
from rdh.rescue import similarity
from tests import naive_methods
from tests.methods.test_methods import build, live, random_batch


def random_problem(seed: int, n: int = 7, n_bits: int = 5):
    """(codes, gram, pull) of a code step."""
    generator = torch.Generator().manual_seed(seed)
    pull, factor = (
        torch.randn(rows, n_bits, generator=generator, dtype=torch.float64) for rows in (n, 4)
    )
    return random_signs(n, n_bits, seed, pull), factor.T @ factor, pull


# Coordinate descent


@pytest.mark.parametrize("seed", range(10))
def test_one_sweep_sets_every_bit_to_its_better_value(seed):
    codes, gram, pull = random_problem(seed)
    expected = [
        naive_methods.coordinate_descent(code, gram.tolist(), p)
        for code, p in zip(codes.tolist(), pull.tolist(), strict=True)
    ]
    assert discrete_codes(codes, gram, pull, sweeps=1).tolist() == expected


@pytest.mark.parametrize("seed", range(10))
def test_sweeps_never_raise_the_objective_and_end_where_no_single_bit_helps(seed):
    codes, gram, pull = random_problem(seed, n=20, n_bits=8)
    values = [code_objective(codes, gram, pull).item()]
    for _ in range(12):
        codes = discrete_codes(codes, gram, pull, sweeps=1)
        values.append(code_objective(codes, gram, pull).item())
    assert all(later <= earlier + 1e-12 for earlier, later in itertools.pairwise(values))
    for k in range(8):
        flipped = codes.clone()
        flipped[:, k] *= -1
        gain = ((flipped @ gram) * flipped).sum(1) - 2 * (flipped * pull).sum(1)
        assert (gain >= ((codes @ gram) * codes).sum(1) - 2 * (codes * pull).sum(1) - 1e-12).all()


def test_without_coupling_the_codes_are_the_best_of_all():
    """With a diagonal gram the bits are independent: one sweep finds what enumeration finds."""
    codes, _, pull = random_problem(3, n_bits=4)
    gram = torch.diag(torch.arange(4).double())
    found = discrete_codes(codes, gram, pull, sweeps=1)
    for code, p in zip(found.tolist(), pull.tolist(), strict=True):
        best = min(
            naive_methods.every_code(4),
            key=lambda b, p=p: naive_methods.quadratic(b, gram.tolist(), p),
        )
        assert code == best


def test_the_start_is_left_as_it_was():
    codes, gram, pull = random_problem(0)
    before = codes.clone()
    discrete_codes(codes, gram, pull)
    assert torch.equal(codes, before)


def test_a_tie_keeps_the_old_bit():
    codes = torch.tensor([[1.0, -1.0, 1.0]])
    zero = torch.zeros(3, 3)
    assert torch.equal(discrete_codes(codes, zero, zero[:1]), codes)
    assert signs_or(torch.tensor([0.0, -2.0, 3.0]), -codes[0]).tolist() == [-1, -1, 1]
    assert signs(torch.tensor([0.0, -0.0, -1.0])).tolist() == [1, 1, -1]  # stored codes know no 0


def test_ridge_is_the_minimum():
    codes, _, _ = random_problem(1, n=12)
    _, labels = random_batch(1, n=12)
    best = ridge(codes, labels, 0.1)
    leaf = best.clone().requires_grad_()
    ((labels - codes @ leaf).square().sum() + 0.1 * leaf.square().sum()).backward()
    assert leaf.grad.abs().max() < 1e-12


def test_items_without_labels_do_not_break_the_ridge():
    assert not ridge(torch.ones(3, 4), torch.zeros(3, 2), 0.1).any()


# Samples


def test_sums_over_similar_items_equal_one_product_and_stay_within_their_block(monkeypatch):
    sizes = []

    def recorded(labels, others):
        sizes.append(len(labels) * len(others))
        return similarity(labels, others)

    monkeypatch.setattr(_sampling, "share_a_label", recorded)
    monkeypatch.setattr(_sampling, "BLOCK_ENTRIES", 100)
    values, labels = random_batch(0, n=37)
    found = similar_sums(labels[:21], labels, values)
    assert torch.allclose(found, similarity(labels[:21], labels).double() @ values, atol=1e-12)
    assert len(sizes) == 11 and max(sizes) <= 100


def test_samples_differ_by_round_and_seed_alone():
    assert torch.equal(random_sample(50, 10, 3, 4), random_sample(50, 10, 3, 4))
    assert not torch.equal(random_sample(50, 10, 3, 4), random_sample(50, 10, 3, 5))
    assert not torch.equal(random_sample(50, 10, 3, 4), random_sample(50, 10, 4, 4))
    assert sorted(random_sample(6, 10, 0, 0).tolist()) == list(range(6))


# DSDH


def test_dsdh_has_no_pull_in_the_first_epoch_and_one_to_its_codes_after_it():
    h, labels = random_batch(0)
    method = live(build("dsdh", labels, 6), h, range(1))
    assert method.code_regression_loss(h, torch.arange(9)) is None
    method.on_epoch_start(1)
    assert set(method.binary_codes.unique().tolist()) == {-1, 1}
    expected = 0.35 * naive_methods.mean_squared_difference(
        h[2:5].tolist(), method.binary_codes[2:5].tolist()
    )
    assert method.code_regression_loss(h[2:5], torch.arange(2, 5)).item() == pytest.approx(expected)


@pytest.mark.parametrize("seed", range(5))
def test_dsdh_updates_never_raise_their_objective(seed):
    """W and B of ||Y - B W||^2 + 0.1 ||W||^2 + 0.2 ||B - U||^2, from B = sgn U."""
    h, labels = random_batch(seed, n=15)
    method = live(build("dsdh", labels, 6, code_weight=0.2), h, range(1))
    codes, values = signs(h), []
    for epoch in range(1, 4):
        classifier = ridge(codes, labels, 0.1)
        method.on_epoch_start(epoch)
        for binary_codes in (codes, method.binary_codes):
            rows = (binary_codes.tolist(), h.tolist(), labels.tolist(), classifier.tolist())
            values.append(naive_methods.classification_objective(*rows, 0.1, 0.2))
        codes = method.binary_codes.clone()
    assert all(later <= earlier + 1e-9 for earlier, later in itertools.pairwise(values))


def test_dsdh_rounds_are_as_many_updates_in_turn_until_nothing_changes():
    h, labels = random_batch(3, n=15)
    once, thrice, often = (build("dsdh", labels, 6, rounds=rounds) for rounds in (1, 3, 100))
    codes = signs(h)
    for _ in range(3):
        codes = once.solve_codes(codes, h, labels)
    assert torch.equal(thrice.solve_codes(signs(h), h, labels), codes)
    settled = often.solve_codes(signs(h), h, labels)
    assert torch.equal(once.solve_codes(settled, h, labels), settled)


def test_dsdh_by_batch_pulls_to_codes_solved_on_that_batch():
    h, labels = random_batch(1)
    method = build("dsdh", labels, 6, schedule="batch")
    indices = torch.arange(3, 8)
    targets = method.solve_codes(signs(h[indices]), h[indices], labels[indices])
    expected = 0.35 * naive_methods.mean_squared_difference(h[indices].tolist(), targets.tolist())
    live(method, h)
    assert method.code_regression_loss(h[indices], indices).item() == pytest.approx(expected)


def test_dsdh_gives_separable_classes_their_own_codes():
    labels = torch.eye(3, dtype=torch.float64).repeat(5, 1)
    h = 0.5 * random_signs(3, 8, 2, labels).repeat(5, 1) + 0.1 * random_batch(0, n=15, n_bits=8)[0]
    method = live(build("dsdh", labels, 8), h)
    assert torch.equal(method.binary_codes, method.binary_codes[:3].repeat(5, 1))


@pytest.mark.parametrize("name", ["dsdh", "dagh", "adsh"])
def test_the_pull_to_learned_codes_stays_under_rdh_unless_asked(name):
    _, labels = random_batch(0)
    assert build(name, labels).keeps_code_regression
    assert not build(name, labels, regression_under_rdh="replace").keeps_code_regression


# DAGH-R


def test_dagh_targets_and_pull_equal_the_slow_loops():
    h, labels = random_batch(2, n=14)
    labels[:2] = 0  # without labels: no anchor is theirs, and as anchors they have no target
    method = build("dagh", labels, 6, n_anchors=8)
    method.anchors.copy_(torch.tensor([0, 2, 3, 5, 7, 8, 11, 13]))
    anchors = method.anchors.tolist()
    expected = naive_methods.anchor_targets(labels.tolist(), anchors, method.binary_codes.tolist())
    assert torch.allclose(
        method.anchor_targets(), torch.tensor(expected, dtype=torch.float64), atol=1e-12
    )
    method.on_epoch_start(0)
    assert (
        method.code_regression_loss(h[anchors], method.anchors) is None
    )  # the codes are still random
    method.has_codes.fill_(True)
    rows = [h[k].tolist() if labels[k].any() else c for k, c in zip(anchors, expected, strict=True)]
    loss = method.code_regression_loss(h[anchors], method.anchors)
    assert loss.item() == pytest.approx(0.1 * naive_methods.mean_squared_difference(rows, expected))


def test_dagh_code_step_is_the_best_of_all_codes():
    """sum_k Z_ik ||b - h_k||^2 for every item, by enumeration of its 2^4 codes."""
    h, labels = random_batch(4, n=12, n_bits=4)
    method = build("dagh", labels, 4, n_anchors=6)
    start = method.binary_codes.clone()
    live(method, h, range(1))
    anchors = method.anchors.tolist()
    method.on_epoch_start(1)
    graph = naive_methods.anchor_graph(labels.tolist(), anchors)
    for item, weights in enumerate(graph):
        if not any(weights):
            assert torch.equal(method.binary_codes[item], start[item])
            continue

        def cost(code, weights=weights):
            return sum(
                z * naive_methods.squared_distance(code, h[k].tolist())
                for z, k in zip(weights, anchors, strict=True)
            )

        assert method.binary_codes[item].tolist() == min(naive_methods.every_code(4), key=cost)


def test_dagh_items_of_one_class_get_one_code():
    h, labels = random_batch(5, n=20, single=True)
    method = live(build("dagh", labels, 6), h)
    for y in torch.eye(4, dtype=torch.float64):
        assert len(method.binary_codes[(labels == y).all(1)].unique(dim=0)) <= 1


def test_dagh_draws_new_anchors_every_epoch():
    h, labels = random_batch(5, n=20)
    method = build("dagh", labels, 6, n_anchors=5)
    seen = []
    for epoch in range(3):
        live(method, h, range(epoch, epoch + 1))
        seen.append(sorted(method.epoch_indices(epoch, torch.Generator()).tolist()))
    assert method.epoch_length == 5 and seen[0] != seen[1] != seen[2]


# ADSH


def adsh(labels, n_bits=6, **options):
    return build("adsh", labels, n_bits, n_samples=5, **options)


@pytest.mark.parametrize("seed", [0, 1, 2, "one class"])
def test_adsh_losses_equal_the_slow_loops(seed):
    h, labels = random_batch(0 if seed == "one class" else seed, n=14)
    labels = torch.ones_like(labels) if seed == "one class" else labels
    method = adsh(labels)
    sample = method.sample.tolist()
    ratio = naive_methods.similar_ratio(labels.tolist(), sample)
    assert method.ratio.item() == pytest.approx(ratio)
    batch = method.sample[:3]
    rows = (
        h[batch].tolist(),
        labels[batch].tolist(),
        method.binary_codes.tolist(),
        labels.tolist(),
    )
    expected = naive_methods.asymmetric_loss(*rows, ratio) / (3 * 14 * 6)
    assert method.similarity_loss(h[batch], labels[batch], batch).item() == pytest.approx(expected)
    assert method.code_regression_loss(h[batch], batch) is None  # the codes are still random
    method.has_codes.fill_(True)
    expected = (
        200
        / 14
        * naive_methods.mean_squared_difference(rows[0], method.binary_codes[batch].tolist())
    )
    assert method.code_regression_loss(h[batch], batch).item() == pytest.approx(expected)


@pytest.mark.parametrize("gamma", [0.0, 200.0])
@pytest.mark.parametrize("seed", range(4))
def test_adsh_code_updates_never_raise_their_objective(seed, gamma):
    h, labels = random_batch(seed, n=14)
    method = live(adsh(labels, gamma=gamma), h, range(1))
    sample = method.sample.tolist()

    def objective(codes):
        rows = (h[sample].tolist(), labels[sample].tolist(), codes.tolist(), labels.tolist())
        pull = sum(naive_methods.squared_distance(h[i].tolist(), codes[i].tolist()) for i in sample)
        return naive_methods.asymmetric_loss(*rows, method.ratio.item()) + gamma * pull

    before = objective(method.binary_codes)
    after = method.gallery_codes()
    assert objective(after) <= before + 1e-9
    for item in range(14):  # the last bit of the pass is at its best given the others
        flipped = after.clone()
        flipped[item, 5] *= -1
        assert objective(flipped) >= objective(after) - 1e-9


def test_adsh_gallery_codes_are_its_learned_codes_after_the_update_that_is_due():
    h, labels = random_batch(1, n=14)
    method = live(adsh(labels), h, range(3))
    state = {key: value.clone() for key, value in method.state_dict().items()}
    codes = method.gallery_codes()
    assert codes.shape == (14, 6) and set(codes.unique().tolist()) == {-1, 1}
    assert all(
        torch.equal(value, state[key]) for key, value in method.state_dict().items()
    )  # evaluating changes nothing
    method.on_epoch_start(3)
    assert torch.equal(method.binary_codes, codes) and method.has_codes


def test_adsh_samples_anew_every_third_epoch():
    h, labels = random_batch(1, n=30)
    method = adsh(labels)
    samples = []
    for epoch in range(7):
        live(method, h, range(epoch, epoch + 1))
        samples.append(sorted(method.epoch_indices(epoch, torch.Generator()).tolist()))
    assert (
        samples[0]
        == samples[1]
        == samples[2]
        != samples[3]
        == samples[4]
        == samples[5]
        != samples[6]
    )
    assert method.ratio.item() == pytest.approx(
        naive_methods.similar_ratio(labels.tolist(), method.sample.tolist())
    )
    assert method.trains_on == "gallery"


def test_adsh_codes_of_the_gallery_separate_classes_that_the_network_separates():
    labels = torch.eye(3, dtype=torch.float64).repeat(6, 1)
    h = 0.9 * random_signs(3, 8, 2, labels).repeat(6, 1)
    codes = live(build("adsh", labels, 8), h, range(4)).gallery_codes()
    similar = similarity(labels) > 0
    products = codes @ codes.T
    assert products[similar].min() > products[~similar].max()


@pytest.mark.parametrize("name", ["dpsh", "dhn", "hashnet", "dsdh", "dagh", "dch", "csq", "dpn"])
def test_other_methods_leave_the_gallery_to_the_network(name):
    _, labels = random_batch(0)
    assert build(name, labels).gallery_codes() is None
