"""One query with bits switched off, against `evaluate` on shorter codes and against slow loops."""

import numpy as np
import pytest

from rdh.errors import UserError
from rdh.retrieval import evaluate, pack_codes
from rdh.retrieval.one_query import Gallery, stable_score
from rdh.retrieval.ranking import average_precisions, band_by_distance
from tests.naive_retrieval import (
    average_precision,
    hamming_distance,
    is_relevant,
    stable_average_precision,
    tie_aware,
)
from tests.retrieval.test_kernels import random_data

CASES = [(2, 0, None), (9, 3, None), (16, 5, 40), (65, 11, None), (130, 40, 100)]


def searched(data, query, off, top_k):
    codes, gallery, labels, gallery_labels = data
    whole = Gallery(pack_codes(gallery), gallery_labels, gallery.shape[1], top_k=top_k)
    return whole.search(pack_codes(codes)[query], labels[query], off)


@pytest.mark.parametrize("multi_label", [False, True])
@pytest.mark.parametrize(("n_bits", "n_off", "top_k"), CASES)
def test_a_search_without_some_bits_scores_as_evaluate_does_on_the_codes_without_them(
    n_bits, n_off, top_k, multi_label
):
    rng = np.random.default_rng(n_bits)
    data = random_data(rng, 5, 400, n_bits, 3, multi_label, noise=0.2)
    off = rng.choice(n_bits, n_off, replace=False).tolist()
    kept = np.setdiff1d(np.arange(n_bits), off)
    expected = evaluate(data[0][:, kept], data[1][:, kept], *data[2:], top_k=top_k)
    found = [searched(data, query, off, top_k) for query in range(5)]
    np.testing.assert_allclose(
        [one.scores.stable for one in found], expected.average_precision, rtol=1e-12
    )
    np.testing.assert_allclose(
        [one.scores.tie for one in found], expected.average_precision_tie, rtol=1e-12
    )
    assert np.mean([one.scores.low for one in found]) == pytest.approx(expected.map_low)
    assert np.mean([one.scores.high for one in found]) == pytest.approx(expected.map_high)


def test_the_order_distances_and_score_are_those_of_a_slow_stable_sort():
    rng = np.random.default_rng(0)
    codes, gallery, labels, gallery_labels = random_data(rng, 3, 60, 10, 3, noise=0.2)
    shuffle = np.random.default_rng(0).permutation(60)
    for query in range(3):
        found = searched((codes, gallery, labels, gallery_labels), query, [2, 7], None)
        kept = np.delete(np.arange(10), [2, 7])
        code, others = codes[query][kept], gallery[:, kept]
        distances = [hamming_distance(code, other) for other in others]
        assert found.distances.tolist() == distances
        assert found.order.tolist() == sorted(shuffle, key=lambda item: distances[item])
        assert found.n_items.tolist() == [distances.count(d) for d in range(11)]
        assert found.is_relevant.tolist() == [
            is_relevant(labels[query], one) for one in gallery_labels
        ]
        assert found.scores.stable == pytest.approx(
            stable_average_precision(code, others, labels[query], gallery_labels, shuffle)
        )


@pytest.mark.parametrize("top_k", [None, 4])
def test_the_scores_over_ties_are_those_of_every_order_by_hand(top_k):
    rng = np.random.default_rng(3)
    data = random_data(rng, 2, 9, 4, 2, noise=0.3)
    for query in range(2):
        found = searched(data, query, [1], top_k)
        relevance = found.is_relevant.astype(int).tolist()
        expected = tie_aware(found.distances.tolist(), relevance, top_k, "M-ret")
        assert found.scores[1:] == pytest.approx(expected)


@pytest.mark.parametrize("top_k", [None, 50])
@pytest.mark.parametrize("n_bits", [3, 64, 70])
def test_what_each_further_bit_does_is_what_a_search_without_it_finds(n_bits, top_k):
    rng = np.random.default_rng(n_bits)
    codes, gallery, labels, gallery_labels = random_data(rng, 1, 300, n_bits, 3, noise=0.2)
    whole = Gallery(pack_codes(gallery), gallery_labels, n_bits, top_k=top_k)
    query, off = pack_codes(codes)[0], [1]
    without = whole.without_each(query, labels[0], off)
    assert np.flatnonzero(np.isnan(without)).tolist() == off
    for bit in set(range(n_bits)) - set(off):
        expected = whole.search(query, labels[0], [*off, bit]).scores.tie
        assert without[bit] == pytest.approx(expected, rel=1e-12)


def test_with_all_bits_off_everything_ties_and_no_bit_is_left():
    data = random_data(np.random.default_rng(1), 1, 50, 8, 2)
    found = searched(data, 0, range(8), None)
    assert (
        not found.distances.any()
        and found.order.tolist() == Gallery(pack_codes(data[1]), data[3], 8)._shuffle.tolist()
    )
    whole = Gallery(pack_codes(data[1]), data[3], 8)
    assert np.isnan(whole.without_each(pack_codes(data[0])[0], data[2][0], range(8))).all()


def test_a_query_without_labels_is_ranked_and_not_scored():
    codes, gallery, _, labels = random_data(np.random.default_rng(2), 1, 50, 8, 2)
    found = Gallery(pack_codes(gallery), labels, 8).search(pack_codes(codes)[0])
    assert found.scores is None and found.is_relevant is None
    assert (np.diff(found.distances[found.order].astype(int)) >= 0).all()


def test_a_query_without_a_relevant_item_scores_0():
    data = random_data(np.random.default_rng(2), 1, 50, 8, 2)
    data[2][:], data[3][:] = [[1, 0]], [[0, 1]]
    assert searched(data, 0, [], None).scores == (0, 0, 0, 0)


@pytest.mark.parametrize("top_k", [None, 1, 3, 99])
def test_a_stable_score_is_the_naive_average_precision(top_k):
    relevance = [0, 1, 1, 0, 1]
    expected = average_precision(relevance, top_k, "M-ret")
    assert stable_score(np.array(relevance, dtype=bool), top_k) == pytest.approx(expected)


def test_the_parts_of_the_tie_band_add_up_to_it_and_lie_where_right_and_wrong_items_tie():
    n_items, n_relevant = np.array([[3, 0, 4, 2]]), np.array([[1, 0, 4, 1]])
    parts = band_by_distance(n_items, n_relevant)[0]
    scores = average_precisions(n_items, n_relevant)["M-ret"]
    assert parts.sum() / 6 == pytest.approx(float(scores.high[0] - scores.low[0]))
    assert (parts > 0).tolist() == [True, False, False, True]


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda g: g.search(np.zeros(2, np.uint8)), "the query code of 8 bits must be uint8"),
        (lambda g: g.search(np.zeros(1, np.uint8), off=[8]), r"off must hold bits in 0\.\.7, got"),
        (
            lambda g: g.search(np.zeros(1, np.uint8), np.ones(3)),
            r"query labels must be \(2,\), one for each class",
        ),
        (lambda g: Gallery(g.packed, g.labels[1:], 8), "have 3 rows for 4 codes"),
    ],
)
def test_what_does_not_fit_is_one_sentence(make, words):
    gallery = Gallery(np.zeros((4, 1), np.uint8), np.ones((4, 2)), 8)
    with pytest.raises(UserError, match=words):
        make(gallery)
