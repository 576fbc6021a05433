"""Shallow methods: LSH, ITQ, SDH and FSDH on random features and on the digits."""

import itertools
import math

import numpy as np
import pytest
import torch

from rdh import catalog
from rdh.datasets import load
from rdh.errors import UserError
from rdh.methods import method_class
from rdh.methods._tools.dcc import signs
from rdh.methods.itq import best_rotation, principal_axes, quantization_error
from rdh.retrieval import evaluate, pack_codes

NAMES = sorted(name for name, card in catalog.methods().items() if card.is_shallow)


def random_items(seed: int = 0, n: int = 200, n_features: int = 150, dtype=torch.float32):
    """Features of four overlapping classes, and multi-hot labels of one or two of them."""
    generator = torch.Generator().manual_seed(seed)
    labels = torch.eye(4)[torch.randint(4, (n,), generator=generator)]
    labels[: n // 4, 0] = 1
    features = labels @ torch.randn(4, n_features, generator=generator) + torch.randn(
        n, n_features, generator=generator
    )
    return features.to(dtype), labels.to(dtype)


def fitted(name: str, features, labels, n_bits: int = 12, seed: int = 0, **options):
    method = method_class(name)(n_bits, labels, seed, **options)
    method.fit(features, labels)
    return method


@pytest.fixture(scope="module")
def digits(tmp_path_factory):
    dataset = load("digits", tmp_path_factory.mktemp("data"))
    split = dataset.split(0)
    pixels = np.stack([dataset.read_image(item) for item in range(len(dataset.labels))])
    features = torch.from_numpy(pixels.reshape(len(pixels), -1).astype(np.float32) / 255)
    return features, dataset.labels, split


def digits_map(digits, encode, n_bits: int) -> float:
    features, labels, split = digits
    query, gallery = (
        pack_codes(encode(features[ids]).numpy()) for ids in (split.query, split.gallery)
    )
    return evaluate(query, gallery, labels[split.query], labels[split.gallery], n_bits=n_bits).map


def fitted_on_digits(digits, name: str, n_bits: int):
    features, labels, split = digits
    return fitted(
        name,
        features[split.train],
        torch.from_numpy(labels[split.train].astype(np.float32)),
        n_bits,
    )


def test_the_folder_holds_four_shallow_methods():
    assert NAMES == ["fsdh", "itq", "lsh", "sdh"]


@pytest.mark.parametrize("n_bits", [12, 32, 128])
@pytest.mark.parametrize("name", NAMES)
def test_codes_are_finite_and_set_by_the_seed(name, n_bits):
    features, labels = random_items()
    first, again, other = (
        fitted(name, features, labels, n_bits, seed).encode(features[:50]) for seed in (1, 1, 2)
    )
    assert first.shape == (50, n_bits) and torch.isfinite(first).all()
    assert torch.equal(first, again) and not torch.equal(first.sign(), other.sign())


@pytest.mark.parametrize("name", NAMES)
def test_an_item_has_one_code_whatever_it_is_encoded_with(name):
    features, labels = random_items(dtype=torch.float64)
    method = fitted(name, features, labels)
    assert torch.allclose(method.encode(features)[3:5], method.encode(features[3:5]), atol=1e-6)


@pytest.mark.parametrize("name", NAMES)
def test_state_survives_save_and_load(name, tmp_path):
    features, labels = random_items()
    method = fitted(name, features, labels)
    torch.save(method.state_dict(), tmp_path / "state.pt")
    loaded = method_class(name)(12, labels, 5)
    loaded.load_state_dict(torch.load(tmp_path / "state.pt", weights_only=True))
    assert torch.equal(loaded.encode(features), method.encode(features))


@pytest.mark.parametrize("name", NAMES)
def test_shallow_methods_have_nothing_to_train(name):
    features, labels = random_items(n=4)
    with pytest.raises(TypeError, match="similarity_loss"):
        method_class(name)(12, labels, 0).similarity_loss(features, labels, torch.arange(4))


# LSH


def test_lsh_bits_differ_as_often_as_the_angle_says():
    features = torch.tensor([[1.0, 0, 0], [math.cos(1), math.sin(1), 0], [0, 0, 1]])
    method = fitted("lsh", features, torch.ones(3, 1), 20_000, center=False)
    codes = method.encode(features).sign()
    differ = [(codes[0] != codes[other]).float().mean().item() for other in (1, 2)]
    assert differ == pytest.approx([1 / math.pi, 1 / 2], abs=0.02)


def test_lsh_centres_features_unless_told_not_to():
    features, labels = random_items()
    features = features.abs() + 5  # as after a ReLU
    balance = {}
    for center in (True, False):
        codes = fitted("lsh", features, labels, 64, center=center).encode(features).sign()
        balance[center] = codes.mean(0).abs().mean().item()
    assert balance[True] < 0.3 < 0.8 < balance[False]


# ITQ


def test_principal_axes_are_those_of_the_singular_value_decomposition():
    features, _ = random_items(n_features=20, dtype=torch.float64)
    centred = features - features.mean(0)
    axes = principal_axes(centred, 5)
    expected = torch.linalg.svd(centred, full_matrices=False).Vh[:5].T
    assert torch.allclose(
        (axes * expected).sum(0).abs(), torch.ones(5, dtype=torch.float64), atol=1e-9
    )


def test_best_rotation_beats_other_rotations_and_its_own_transpose():
    generator = torch.Generator().manual_seed(0)
    projected = torch.randn(300, 6, generator=generator, dtype=torch.float64) * torch.arange(1, 7)
    rotation = torch.linalg.qr(torch.randn(6, 6, generator=generator, dtype=torch.float64)).Q
    codes = signs(projected @ rotation)

    def error(r):
        return (codes - projected @ r).square().sum().item()

    best = best_rotation(codes, projected)
    assert torch.allclose(best @ best.T, torch.eye(6, dtype=torch.float64), atol=1e-12)
    others = [
        torch.linalg.qr(torch.randn(6, 6, generator=generator, dtype=torch.float64)).Q
        for _ in range(200)
    ]
    assert error(best) < min(map(error, [rotation, best.T, *others]))


def test_itq_quantization_error_falls_round_by_round():
    features, _ = random_items(n_features=40, dtype=torch.float64)
    centred = features - features.mean(0)
    projected = centred @ principal_axes(centred, 16)
    rotation = torch.linalg.qr(
        torch.randn(16, 16, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    ).Q
    errors = [quantization_error(projected, rotation).item()]
    for _ in range(30):
        rotation = best_rotation(signs(projected @ rotation), projected)
        errors.append(quantization_error(projected, rotation).item())
    assert all(later <= earlier + 1e-12 for earlier, later in itertools.pairwise(errors))
    assert errors[-1] < 0.99 * errors[0]


def test_itq_fit_ends_with_that_error_and_with_orthonormal_directions():
    features, labels = random_items(dtype=torch.float64)
    errors = []
    for rounds in (0, 1, 10, 50):
        method = fitted("itq", features, labels, 16, rounds=rounds)
        assert torch.allclose(
            method.projection.T @ method.projection, torch.eye(16, dtype=torch.float64), atol=1e-10
        )
        rotated = method.encode(features)
        errors.append((signs(rotated) - rotated).square().sum().item())
    assert errors == sorted(errors, reverse=True) and len(set(errors)) == 4


@pytest.mark.parametrize("n_bits", [16, 32])
def test_itq_beats_the_signs_of_the_principal_components_on_digits(digits, n_bits):
    features, _, split = digits
    mean = features[split.train].mean(0)
    axes = principal_axes(features[split.train] - mean, n_bits)
    plain = digits_map(digits, lambda x: (x - mean) @ axes, n_bits)
    rotated = digits_map(digits, fitted_on_digits(digits, "itq", n_bits).encode, n_bits)
    assert rotated > plain + 0.02


def test_itq_says_how_many_bits_there_can_be():
    features, labels = random_items(n_features=10)
    with pytest.raises(UserError, match="n_bits must be at most 10 for itq, got 12"):
        fitted("itq", features, labels, 12)


# SDH


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("name", ["sdh", "fsdh"])
def test_objectives_of_sdh_and_fsdh_never_grow(name, seed):
    features, labels = random_items(seed, dtype=torch.float64)
    method = fitted(name, features, labels, 12, seed, n_anchors=30, function_weight=0.1, rounds=6)
    _, objectives = method.alternate(method.kernel(features), labels)
    assert len(objectives) == 7 and objectives[-1] < objectives[0]
    assert all(later <= earlier * (1 + 1e-9) for earlier, later in itertools.pairwise(objectives))


def test_sdh_kernel_equals_its_formula_at_a_width_that_follows_the_features():
    features, labels = random_items(n=20, n_features=5, dtype=torch.float64)
    method = fitted("sdh", features, labels, n_anchors=6, gamma_scale=2.0)
    anchors = method.anchors.tolist()
    distances = [
        [sum((x - a) ** 2 for x, a in zip(row, anchor, strict=True)) for anchor in anchors]
        for row in features.tolist()
    ]
    gamma = 2 / np.mean(distances)
    assert method.gamma.item() == pytest.approx(gamma)
    assert method.kernel(features).numpy() == pytest.approx(np.exp(-gamma * np.array(distances)))
    scaled = fitted("sdh", 1000 * features, labels, n_anchors=6, gamma_scale=2.0)
    assert torch.allclose(scaled.kernel(1000 * features), method.kernel(features))


def test_supervision_beats_rotation_beats_chance_on_digits(digits):
    scores = [
        digits_map(digits, fitted_on_digits(digits, name, 32).encode, 32)
        for name in ("lsh", "itq", "sdh")
    ]
    assert scores == sorted(scores) and scores[0] > 0.3 and scores[2] > 0.9


# FSDH


def test_fsdh_equals_the_golden_numbers_and_its_codes_are_the_best_ones():
    exact = {"dtype": torch.float64}
    labels = torch.tensor([[1, 1, 0], [1, 0, 0], [0, 1, 1], [0, 0, 1]], **exact)
    start = torch.tensor([[1, -1], [1, 1], [-1, 1], [1, 1]], **exact)
    function = torch.tensor([[0.3, -0.8], [-0.2, -0.9], [-0.9, 0.1], [-0.6, 0.5]], **exact)
    method = method_class("fsdh")(2, labels, 0, function_weight=0.5)
    weights = method.regression(start, labels)
    expected = [[0.76190476, 0.09523810], [-0.28571429, -0.28571429], [0.09523810, 0.76190476]]
    np.testing.assert_allclose(weights.numpy(), expected, atol=5e-9)

    def total(codes: torch.Tensor) -> float:
        pull = 0.5 * (codes - function).square().sum()
        return float(method.label_objective(codes, weights, labels) + pull)

    better = method.next_codes(start, weights, function, labels)
    assert better.tolist() == [[1, -1], [1, -1], [-1, 1], [-1, 1]]
    assert (total(start), total(better)) == pytest.approx((9.55738095, 7.31928571), abs=5e-9)
    every = itertools.product([-1.0, 1.0], repeat=8)
    best = min(total(torch.tensor(one).double().view(4, 2)) for one in every)
    assert total(better) == pytest.approx(best)


def test_fsdh_gives_single_labels_one_code_a_class_and_is_done_after_two_rounds():
    labels = torch.eye(3)[torch.arange(93) % 3].double()  # 31 of each: no mean of a class is 0
    features = labels @ torch.randn(3, 20, generator=torch.Generator().manual_seed(1)).double()
    features += 0.1 * torch.randn(93, 20, generator=torch.Generator().manual_seed(2)).double()
    method = fitted("fsdh", features, labels, 16, n_anchors=20, rounds=4)
    _, objectives = method.alternate(method.kernel(features), labels)
    assert objectives[2:] == pytest.approx([objectives[2]] * 3, rel=1e-12)
    codes = method.first_codes(labels)
    for _ in range(2):
        weights = method.regression(codes, labels)
        codes = method.next_codes(codes, weights, torch.zeros_like(codes), labels)
    assert all(len(codes[labels[:, c] > 0].unique(dim=0)) == 1 for c in range(3))
    spread = fitted("fsdh", features, labels, 16, n_anchors=20, class_codes="spread")
    assert len(signs(spread.encode(features)).unique(dim=0)) == 3
