"""MAP with entries flipped, against the evaluation of codes that are flipped by hand."""

import numpy as np
import pytest

from rdh.retrieval import evaluate, pack_codes
from rdh.retrieval.freed import FreedMap
from rdh.retrieval.gpu import TorchKernel
from rdh.retrieval.kernel import Codes
from tests.naive_retrieval import hamming_distance, is_relevant, tie_aware


def made(
    seed: int, n_query: int, n_gallery: int, n_bits: int, inside: bool
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray, np.ndarray | None]:
    """Signs and labels of both sides, with many ties; queries inside the gallery if asked for."""
    rng = np.random.default_rng(seed)
    classes = rng.integers(0, 5, n_gallery)
    gallery = rng.choice([-1, 1], (5, n_bits))[classes] * rng.choice(
        [-1, 1], (n_gallery, n_bits), p=[0.15, 0.85]
    )
    labels = np.eye(5, dtype=np.uint8)[classes]
    own = rng.permutation(n_gallery)[:n_query]
    if inside:
        return gallery[own], gallery, labels[own], labels, own
    query = gallery[own] * rng.choice([-1, 1], (n_query, n_bits), p=[0.1, 0.9])
    return query, gallery, labels[own], labels, None


def score(data, top_k=None, kernel=None):
    query, gallery, *labels, own = data
    codes = Codes(pack_codes(query), pack_codes(gallery), query.shape[1], *labels, own)
    return FreedMap(codes, top_k, kernel)


def evaluated(data, top_k=None):
    *sides, own = data
    return evaluate(*sides, top_k=top_k, headline=False, query_positions=own).map_tie


def flipped(codes, flips):
    return np.where(flips, -codes, codes)


@pytest.mark.parametrize("top_k", [None, 1, 700, 5000])
@pytest.mark.parametrize("inside", [False, True])
@pytest.mark.parametrize("n_bits", [12, 32, 63, 128])
def test_flipped_entries_score_as_codes_flipped_by_hand(n_bits, inside, top_k):
    data = query, gallery, *labels, own = made(n_bits, 60, 4000, n_bits, inside)
    found, rng = score(data, top_k), np.random.default_rng(1)
    assert found.map_tie == pytest.approx(evaluated(data, top_k), abs=1e-12)
    for share in (0.0002, 0.03, 1.0):
        flips = rng.random(gallery.shape) < share
        by_hand = (query, flipped(gallery, flips), *labels, own)
        assert found.of_gallery(flips) == pytest.approx(evaluated(by_hand, top_k), abs=1e-12)
        flips = rng.random(query.shape) < share
        by_hand = (flipped(query, flips), gallery, *labels, own)
        assert found.of_queries(flips) == pytest.approx(evaluated(by_hand, top_k), abs=1e-12)


def test_one_bit_at_a_time_scores_as_its_flips_alone():
    data = query, gallery, *labels, own = made(0, 40, 900, 16, True)
    flips = np.random.default_rng(1).random(gallery.shape) < 0.1
    flips[:, 3] = False
    found = score(data).by_bit(flips)
    for bit in range(16):
        alone = flips & (np.arange(16) == bit)
        expected = evaluated((query, flipped(gallery, alone), *labels, own))
        assert found[bit] == pytest.approx(expected, abs=1e-12)
    assert found[3] == score(data).map_tie


def test_a_query_flipped_in_the_gallery_is_still_left_out():
    query, gallery, *labels, own = made(0, 30, 30, 12, True)
    found = score((query, gallery, *labels, own))
    for place in own[:5]:
        flips = np.zeros(gallery.shape, bool)
        flips[place] = True
        by_hand = evaluated((query, flipped(gallery, flips), *labels, own))
        assert found.of_gallery(flips) == pytest.approx(by_hand, abs=1e-12)
        row = int(np.flatnonzero(own == place)[0])
        alone = score((query[[row]], gallery, labels[0][[row]], labels[1], own[[row]]))
        assert alone.of_gallery(flips) == alone.map_tie  # nobody else is asked


def test_nothing_flipped_is_the_map_as_it_is_and_flipping_again_undoes_it():
    data = _, gallery, *_ = made(2, 50, 800, 24, False)
    found = score(data)
    assert found.of_gallery(np.zeros(gallery.shape, bool)) == found.map_tie
    assert found.of_queries(np.zeros((50, 24), bool)) == found.map_tie
    found.of_gallery(np.ones(gallery.shape, bool))
    assert found.of_gallery(np.zeros(gallery.shape, bool)) == found.map_tie


@pytest.mark.parametrize("top_k", [None, 1, 3, 5, 9])
def test_expected_scores_of_few_items_equal_all_tie_orders(top_k):
    data = query, gallery, labels, gallery_labels, _ = made(5, 8, 9, 3, False)
    expected = []
    for code, its_labels in zip(query, labels, strict=True):
        distances = [hamming_distance(code, other) for other in gallery]
        relevance = [int(is_relevant(its_labels, other)) for other in gallery_labels]
        expected.append(tie_aware(distances, relevance, top_k, "M-ret")[0])
    assert score(data, top_k).map_tie == pytest.approx(np.mean(expected), abs=1e-12)


def test_a_query_without_relevant_items_counts_0():
    query, gallery, labels, gallery_labels, _ = made(0, 4, 50, 8, False)
    data = (query, gallery, np.zeros_like(labels), gallery_labels, None)
    assert score(data).map_tie == 0 == score(data, top_k=7).map_tie


def test_a_kernel_on_a_device_finds_the_same():
    data = _, gallery, *_ = made(4, 30, 500, 40, True)
    flips = np.random.default_rng(0).random(gallery.shape) < 0.05
    found, other = score(data), score(data, kernel=TorchKernel("cpu"))
    assert found.of_gallery(flips) == other.of_gallery(flips)
    assert found.of_queries(flips[:30]) == other.of_queries(flips[:30])
