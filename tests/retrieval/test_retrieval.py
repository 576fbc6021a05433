"""Evaluation against slow loops, every tie order, golden numbers and scikit-learn."""

import json
import types
import warnings

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import average_precision_score

from rdh.bench import retrieval as bench
from rdh.errors import UserError
from rdh.retrieval import CodesWarning, evaluate, pack_codes, pairwise, unpack_codes
from rdh.retrieval.bit_costs import bit_costs
from rdh.retrieval.codes import bit_balance, code_counts, effective_number, hamming_distances
from rdh.retrieval.radius import (
    ball_scores,
    mean_tie_size,
    precision_recall_at,
    precision_recall_by_radius,
    precision_recall_by_rank,
)
from rdh.retrieval.ranking import DENOMINATORS, average_precisions
from tests import naive_retrieval as naive

CLOSE = {"rel": 1e-12, "abs": 1e-12}


def histograms_of(distances, relevance, n_bits=None):
    """One query's histograms (1, n_bits + 1) from its items' distances and relevance."""
    length = (max(distances) if n_bits is None else n_bits) + 1
    n_items = np.bincount(distances, minlength=length)
    n_relevant = np.bincount(distances, weights=relevance, minlength=length).astype(np.int64)
    return n_items[None], n_relevant[None]


def scores_of(distances, relevance, top_k=None, denominator="M-ret"):
    """(tie, low, high) of one query."""
    return tuple(
        float(part[0])
        for part in average_precisions(*histograms_of(distances, relevance), top_k)[denominator]
    )


def random_data(rng, n_query, n_gallery, n_bits, n_classes, multi_label=False):
    def labels(n):
        if multi_label:
            return (rng.random((n, n_classes)) < 0.3).astype(np.uint8)
        return np.eye(n_classes, dtype=np.uint8)[rng.integers(0, n_classes, n)]

    def codes(n):
        return rng.choice(np.array([-1, 1], dtype=np.int8), size=(n, n_bits))

    return codes(n_query), codes(n_gallery), labels(n_query), labels(n_gallery)


@pytest.mark.parametrize("n_bits", [1, 7, 8, 9, 12, 48, 63, 64, 65, 100, 255, 256, 257, 1024])
def test_codes_survive_packing_at_any_length(n_bits):
    codes = np.random.default_rng(n_bits).choice(np.array([-1, 1], dtype=np.int8), size=(5, n_bits))
    packed = pack_codes(codes)
    assert packed.shape == (5, -(-n_bits // 8)) and packed.dtype == np.uint8
    np.testing.assert_array_equal(unpack_codes(packed, n_bits), codes)


def test_zero_counts_as_plus_one_and_so_does_minus_zero():
    np.testing.assert_array_equal(
        unpack_codes(pack_codes(np.array([[0.0, -0.0, -1e-9]])), 3), [[1, 1, -1]]
    )


def test_first_bit_is_the_lowest_bit_of_the_first_byte():
    np.testing.assert_array_equal(
        pack_codes(np.array([[1, -1, -1, -1, -1, -1, -1, -1, -1, 1]])), [[1, 2]]
    )


def test_booleans_half_floats_and_infinities_have_signs():
    expected = pack_codes(np.array([[1, -1, 1]]))
    np.testing.assert_array_equal(pack_codes(np.array([[True, False, True]])), expected)
    np.testing.assert_array_equal(
        pack_codes(np.array([[0.5, -0.5, np.inf]], dtype=np.float16)), expected
    )


@pytest.mark.parametrize(
    ("codes", "message"),
    [
        (np.array([[0.1, np.nan]]), r"codes hold NaN \(first in row 0\)"),
        (np.array([1.0, -1.0]), "items x bits, got 1 dimension"),
        (np.zeros((2, 0)), "1 to 1024 bits, got 0"),
        (np.ones((1, 1025)), "1 to 1024 bits, got 1025"),
        (np.array([[0, 1]]), "must be -1 or \\+1, got 0; for 0 / 1 bits pass booleans"),
        (np.array([[0, 1]], dtype=np.uint8), "must be -1 or \\+1, got 0"),
        (np.array([["a", "b"]]), "real values, got <U1"),
    ],
)
def test_codes_without_a_sign_are_refused_in_one_sentence(codes, message):
    with pytest.raises(UserError, match=message):
        pack_codes(codes)


@pytest.mark.parametrize(
    ("packed", "n_bits", "message"),
    [
        (np.zeros((2, 1), dtype=np.uint8), 9, r"must be uint8 \(n, 2\), got uint8 \(2, 1\)"),
        (np.zeros((2, 2), dtype=np.int8), 9, "got int8"),
        (np.array([[0, 255]], dtype=np.uint8), 9, "bits set beyond bit 8"),
        (np.zeros((1, 1), dtype=np.uint8), 0, "n_bits must be a whole number in 1..1024, got 0"),
    ],
)
def test_packed_codes_of_another_length_are_refused(packed, n_bits, message):
    with pytest.raises(UserError, match=message):
        unpack_codes(packed, n_bits)


def test_bit_balance_is_zero_for_even_bits_and_one_for_constant_bits():
    even, constant = [1, -1, 1, -1], [1, 1, 1, 1]
    assert bit_balance(pack_codes(np.array([even]).T), 1) == 0
    assert bit_balance(pack_codes(np.array([even, constant]).T), 2) == pytest.approx(0.5)


@pytest.mark.parametrize("n_bits", [5, 70])
def test_distinct_codes_are_counted_over_all_words(n_bits):
    codes = -np.ones((4, n_bits))
    codes[1, -1] = codes[3, 0] = 1
    assert sorted(code_counts(pack_codes(codes))) == [1, 1, 2]


@pytest.mark.parametrize("n_bits", [1, 12, 64, 65, 255, 256, 1024])
def test_distances_equal_the_count_of_differing_signs(n_bits):
    rng = np.random.default_rng(n_bits)
    query, gallery, _, _ = random_data(rng, 3, 7, n_bits, 2)
    gallery[0], gallery[1] = query[0], -query[0]  # both ends of the range
    expected = [[naive.hamming_distance(code, other) for other in gallery] for code in query]
    distances = hamming_distances(pack_codes(query), pack_codes(gallery), n_bits)
    np.testing.assert_array_equal(distances, expected)
    assert distances[0, 0] == 0 and distances[0, 1] == n_bits


SIX = ([0, 0, 1, 1, 1, 2], [1, 0, 0, 1, 1, 1])


@pytest.mark.parametrize(
    ("top_k", "denominator", "expected"),
    [
        (None, "M-ret", (0.66944444, 0.56666667, 0.77083333)),
        (None, "M-tot", (0.66944444, 0.56666667, 0.77083333)),
        (None, "M-min", (0.66944444, 0.56666667, 0.77083333)),
        (4, "M-tot", (0.40277778, None, None)),
        (4, "M-ret", (0.68518519, 0.5, 0.83333333)),
        (2, "M-tot", (0.1875, None, None)),
        (2, "M-min", (0.375, None, None)),
        (2, "M-ret", (0.75, 0.5, 1.0)),
    ],
)
def test_golden_six_items(top_k, denominator, expected):
    for ours, value in zip(scores_of(*SIX, top_k, denominator), expected, strict=True):
        assert value is None or ours == pytest.approx(value, abs=5e-9)


def test_golden_split_group_where_fewer_hits_score_higher():
    tie, low, high = scores_of([0, 0, 1, 1], [1, 0, 1, 0], top_k=3)
    assert (tie, low, high) == pytest.approx((0.72916667, 0.5, 1.0), abs=5e-9)


def test_golden_given_order():
    assert naive.average_precision(SIX[1], None, "M-ret") == pytest.approx(0.69166667, abs=5e-9)


@pytest.mark.parametrize("seed", range(40))
def test_tie_aware_scores_equal_brute_force_over_all_orders(seed):
    rng = np.random.default_rng(seed)
    n = int(rng.integers(1, 10))
    distances = rng.integers(0, int(rng.integers(1, 5)), n).tolist()
    relevance = (rng.random(n) < rng.random()).astype(int).tolist()
    for top_k in (None, *range(1, n + 3)):
        for denominator in DENOMINATORS:
            expected = naive.tie_aware(distances, relevance, top_k, denominator)
            assert scores_of(distances, relevance, top_k, denominator) == pytest.approx(
                expected, **CLOSE
            )


def test_average_precision_without_ties_equals_scikit_learn():
    rng = np.random.default_rng(3)
    n = 60
    relevance, distances = (rng.random(n) < 0.3).astype(int), rng.permutation(n)
    expected = average_precision_score(relevance, -distances)
    assert scores_of(distances, relevance) == pytest.approx((expected,) * 3, **CLOSE)


def test_headline_without_ties_equals_scikit_learn():
    rng = np.random.default_rng(14)
    n_bits = 200  # item i differs from the query in i bits: no two tie
    gallery = np.where(np.arange(n_bits) < np.arange(n_bits + 1)[:, None], -1, 1)
    query, labels = np.ones((4, n_bits)), (rng.random((n_bits + 1, 4)) < 0.3).astype(np.uint8)
    result = evaluate(query, gallery, np.eye(4, dtype=np.uint8), labels)
    expected = [average_precision_score(labels[:, one], -np.arange(n_bits + 1)) for one in range(4)]
    np.testing.assert_allclose(result.average_precision, expected, rtol=1e-12)
    assert result.map_tie == pytest.approx(result.map, **CLOSE) and result.mean_tie_size == 1
    assert result.map_low == pytest.approx(result.map_high, **CLOSE)


@settings(max_examples=40, deadline=None, derandomize=True, database=None)
@given(
    n_bits=st.integers(1, 20),
    n_gallery=st.integers(1, 40),
    multi_label=st.booleans(),
    top_k=st.one_of(st.none(), st.integers(1, 60)),
    seed=st.integers(0, 2**32 - 1),
)
def test_scores_lie_between_their_bounds_and_equal_slow_loops(
    n_bits, n_gallery, multi_label, top_k, seed
):
    data = random_data(np.random.default_rng(seed), 3, n_gallery, n_bits, 4, multi_label)
    result, order = evaluate(*data, top_k=top_k), np.random.default_rng(0).permutation(n_gallery)
    for denominator in DENOMINATORS:
        scores = result.by_denominator[denominator]
        assert (
            -1e-12
            <= scores.map_low
            <= scores.map_tie + 1e-12
            <= scores.map_high + 2e-12
            <= 1 + 3e-12
        )
        expected = [
            naive.stable_average_precision(
                code, data[1], labels, data[3], order, top_k, denominator
            )
            for code, labels in zip(data[0], data[2], strict=True)
        ]
        assert scores.map == pytest.approx(np.mean(expected), **CLOSE)
        assert scores.map_low - 1e-12 <= scores.map <= scores.map_high + 1e-12


def test_closed_form_keeps_its_digits_late_in_a_gallery_of_a_million():
    before, n_tied = (
        1_000_000,
        3,
    )  # three relevant items tie behind a million others: any order gives the same value
    histograms = np.array([[before, n_tied]]), np.array([[0, n_tied]])
    expected = sum(hit / (before + hit) for hit in range(1, n_tied + 1)) / n_tied
    has_extended = np.finfo(np.longdouble).eps < np.finfo(np.float64).eps
    for part in average_precisions(*histograms)["M-ret"]:
        assert part[0] == pytest.approx(expected, rel=1e-9 if has_extended else 1e-2)


def test_large_split_group_stays_between_its_bounds_and_matches_sampling():
    rng = np.random.default_rng(0)
    n, p, before, top_k = 3000, 700, 50, 1000
    relevance_before = (rng.random(before) < 0.5).astype(int)
    histograms = np.array([[1] * before + [n]]), np.array([[*relevance_before, p]])
    tie, low, high = (float(part[0]) for part in average_precisions(*histograms, top_k)["M-ret"])
    group = np.repeat([1, 0], [p, n - p])
    sampled = []
    for _ in range(300):
        ranked = np.concatenate([relevance_before, rng.permutation(group)])[:top_k]
        ranks = np.flatnonzero(ranked) + 1
        sampled.append((np.arange(1, len(ranks) + 1) / ranks).mean())
    assert low < min(sampled) < max(sampled) < high
    assert tie == pytest.approx(np.mean(sampled), abs=5 * np.std(sampled) / np.sqrt(300))


def test_all_denominators_are_zero_without_a_relevant_item():
    for denominator in DENOMINATORS:
        assert scores_of([0, 1, 1], [0, 0, 0], 2, denominator) == (0, 0, 0)


@pytest.mark.parametrize("multi_label", [False, True])
@pytest.mark.parametrize("n_bits", [3, 16, 300])
@pytest.mark.parametrize("top_k", [None, 1, 5, 40, 1000])
def test_headline_equals_a_stable_sort_of_the_shuffled_gallery(n_bits, top_k, multi_label):
    data = random_data(np.random.default_rng(n_bits), 4, 40, n_bits, 3, multi_label)
    order = np.random.default_rng(7).permutation(40)
    result = evaluate(*data, top_k=top_k, order_seed=7)
    for denominator in DENOMINATORS:
        expected = [
            naive.stable_average_precision(
                code, data[1], labels, data[3], order, top_k, denominator
            )
            for code, labels in zip(data[0], data[2], strict=True)
        ]
        assert result.by_denominator[denominator].map == pytest.approx(np.mean(expected), **CLOSE)
        if denominator == "M-ret":
            np.testing.assert_allclose(result.average_precision, expected, rtol=1e-12)


def test_headline_repeats_with_its_seed_lies_within_the_bounds_and_averages_to_the_tie_aware_map():
    data = random_data(np.random.default_rng(1), 20, 200, 6, 4)
    maps = [evaluate(*data, order_seed=seed, top_k=30).map for seed in range(200)]
    result = evaluate(*data, order_seed=0, top_k=30)
    assert result.map == maps[0] != maps[1]
    assert result.map_low <= min(maps) and max(maps) <= result.map_high
    assert np.mean(maps) == pytest.approx(result.map_tie, abs=5 * np.std(maps) / np.sqrt(200))


def test_a_gallery_stored_class_by_class_gains_nothing():
    data = random_data(np.random.default_rng(5), 50, 300, 4, 3)
    by_class = np.argsort(data[3].argmax(axis=1), kind="stable")
    mixed = evaluate(*data, headline=False)
    sorted_gallery = evaluate(
        data[0], data[1][by_class], data[2], data[3][by_class], headline=False
    )
    assert sorted_gallery.map_tie == mixed.map_tie


@pytest.mark.parametrize("multi_label", [False, True])
@pytest.mark.parametrize("top_k", [None, 5])
def test_a_query_that_lies_in_the_gallery_is_left_out(multi_label, top_k):
    """One query at a time with its row deleted gives the same as all at once."""
    rng = np.random.default_rng(5)
    _, codes, _, labels = random_data(rng, 1, 40, 6, 3, multi_label)
    own = rng.permutation(40)[:9]
    found = evaluate(
        codes[own], codes, labels[own], labels, query_positions=own, top_k=top_k, by_rank=True
    )
    order = np.random.default_rng(0).permutation(40)
    for query, item in enumerate(own):
        others = order[order != item]
        expected = naive.stable_average_precision(
            codes[item], codes, labels[item], labels, others, top_k
        )
        assert found.average_precision[query] == pytest.approx(expected, **CLOSE)
    alone = [
        evaluate(
            codes[[item]],
            np.delete(codes, item, axis=0),
            labels[[item]],
            np.delete(labels, item, axis=0),
            top_k=top_k,
            by_rank=True,
        )
        for item in own
    ]
    for name in [
        "map_tie",
        "map_low",
        "map_high",
        "recall_by_radius",
        "precision_at_radius_2",
        "mean_tie_size",
        "mean_ball_size",
        "precision_by_rank",
        "recall_by_rank",
    ]:
        expected = np.mean([getattr(one, name) for one in alone], axis=0)
        np.testing.assert_allclose(getattr(found, name), expected, rtol=1e-12, err_msg=name)
    assert found.items_by_distance.sum() == 9 * 39 and found.n_gallery == 40


@pytest.mark.parametrize(
    ("positions", "message"),
    [
        ([0], r"query_positions must be integers \(2,\), .*, got int64 \(1,\)"),
        ([0.0, 1.0], r"query_positions must be integers \(2,\), .*, got float64 \(2,\)"),
        ([0, 3], r"query_positions must lie in 0..2, the rows of gallery_codes, got 3"),
        ([-1, 0], "got -1"),
    ],
)
@pytest.mark.parametrize("score", [evaluate, bit_costs])
def test_places_that_are_not_in_the_gallery_are_refused(score, positions, message):
    with pytest.raises(UserError, match=message):
        score(**GOOD, query_positions=positions)


def test_a_gallery_of_the_query_alone_is_refused():
    with pytest.raises(UserError, match="leaving it out leaves nothing to rank"):
        evaluate(np.ones((1, 4)), np.ones((1, 4)), [0], [0], query_positions=[0])


def test_without_the_headline_only_map_is_missing():
    data = random_data(np.random.default_rng(2), 5, 30, 8, 3)
    quick, full = evaluate(*data, headline=False), evaluate(*data)
    assert (
        quick.map is None
        and quick.average_precision is None
        and quick.by_denominator["M-tot"].map is None
    )
    assert (quick.map_tie, quick.map_low, quick.map_high) == (
        full.map_tie,
        full.map_low,
        full.map_high,
    )


def test_curve_by_radius_equals_naive_balls():
    data = random_data(np.random.default_rng(4), 6, 30, 5, 3)
    data[2][0] = 0  # a query without any relevant item stays in the recall
    result = evaluate(*data)
    for radius in range(6):
        pairs = []
        for code, labels in zip(data[0], data[2], strict=True):
            distances = [naive.hamming_distance(code, other) for other in data[1]]
            relevance = [int(naive.is_relevant(labels, other)) for other in data[3]]
            pairs.append(naive.precision_recall_in_ball(distances, relevance, radius))
        precisions = [precision for precision, _ in pairs if precision is not None]
        assert result.precision_by_radius[radius] == pytest.approx(np.mean(precisions), **CLOSE)
        assert result.recall_by_radius[radius] == pytest.approx(
            np.mean([recall for _, recall in pairs]), **CLOSE
        )
        if radius == 2:
            assert result.precision_at_radius_2 == pytest.approx(
                sum(precisions) / len(pairs), **CLOSE
            )
            assert result.recall_at_radius_2 == result.recall_by_radius[2]


def test_empty_balls_are_left_out_of_the_curve_but_count_zero_at_radius_two():
    n_items = np.array([[0, 0, 0, 4], [0, 2, 0, 2]])
    n_relevant = np.array([[0, 0, 0, 1], [0, 1, 0, 1]])
    precision, recall = precision_recall_by_radius(n_items, n_relevant)
    assert np.isnan(precision[0])
    np.testing.assert_allclose(precision[1:], [0.5, 0.5, (0.25 + 0.5) / 2])
    np.testing.assert_allclose(recall, [0, 0.25, 0.25, 1])
    assert ball_scores(n_items, n_relevant) == {
        "precision": 0.25,
        "recall": 0.25,
        "mean_size": 1.0,
        "empty_share": 0.5,
    }


def test_legacy_mask_averages_only_queries_that_found_something():
    n_items, n_relevant = np.array([[1, 1], [1, 1]]), np.array([[1, 1], [0, 1]])
    precision, recall = precision_recall_by_radius(n_items, n_relevant, legacy_mask=True)
    np.testing.assert_allclose(precision, [1, 0.75])
    np.testing.assert_allclose(recall, [0.5, 1])


@pytest.mark.parametrize("n_listed", [1, 2, 3, 5, 6, 9])
def test_precision_of_a_list_is_its_expectation_over_tie_orders(n_listed):
    precision, recall = precision_recall_at(*histograms_of(*SIX), n_listed)
    assert precision == pytest.approx(naive.expected_precision_at(*SIX, n_listed), **CLOSE)
    assert recall == pytest.approx(precision * min(n_listed, 6) / 4, **CLOSE)


def test_queries_without_a_relevant_item_count_zero_and_are_reported():
    codes = np.array([[1, 1], [1, 1]])
    result = evaluate(
        codes, codes, np.array([[1, 0, 0], [0, 0, 1]]), np.array([[1, 0, 0], [1, 0, 0]])
    )
    assert result.n_queries_without_relevant == 1
    assert result.map == result.map_tie == 0.5


def test_cut_off_beyond_the_gallery_means_all():
    data = random_data(np.random.default_rng(6), 5, 30, 8, 3)
    everything, beyond = evaluate(*data), evaluate(*data, top_k=10**9)
    assert everything.by_denominator == beyond.by_denominator
    assert (
        len(set(map(str, everything.by_denominator.values()))) == 1
    )  # without a cut-off all three coincide


def test_health_of_the_codes_is_that_of_the_gallery():
    gallery = np.array([[1, 1], [1, -1], [1, 1], [1, -1]])
    labels = np.ones((4, 1), dtype=np.uint8)
    result = evaluate(gallery[:1], gallery, labels[:1], labels)
    assert (result.n_distinct_codes, result.bit_balance, result.mean_ball_size) == (2, 0.5, 4.0)
    assert (result.n_effective_codes, result.mean_tie_size) == (pytest.approx(2), 2.0)
    np.testing.assert_array_equal(result.items_by_distance, [2, 2, 0])


def test_inputs_are_left_as_they_were():
    data = random_data(np.random.default_rng(8), 5, 30, 8, 3)
    copies = [part.copy() for part in data]
    evaluate(*data)
    for part, copy in zip(data, copies, strict=True):
        np.testing.assert_array_equal(part, copy)


@pytest.mark.parametrize("headline", [False, True])
def test_progress_counts_every_query_once(headline):
    data, seen = random_data(np.random.default_rng(9), 70, 30, 8, 3), []
    evaluate(*data, headline=headline, progress=lambda done, total: seen.append((done, total)))
    assert {total for _, total in seen} == {70}
    assert [done for done, _ in seen] == sorted({done for done, _ in seen}) and seen[-1] == (70, 70)


def test_progress_may_stop_the_evaluation():
    def stop(done, total):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        evaluate(*random_data(np.random.default_rng(9), 200, 30, 8, 3), progress=stop)


def test_another_kernel_can_stand_in():
    data, calls = random_data(np.random.default_rng(10), 5, 30, 8, 3), []
    kernel = types.SimpleNamespace(
        distance_histograms=lambda *args, **options: (
            calls.append("a") or pairwise.distance_histograms(*args, **options)
        ),
        stable_precision_sums=lambda *args, **options: (
            calls.append("b") or pairwise.stable_precision_sums(*args, **options)
        ),
    )
    assert evaluate(*data, kernel=kernel).map == pytest.approx(evaluate(*data).map, **CLOSE)
    assert evaluate(*data, kernel=kernel, headline=False).map_tie == evaluate(*data).map_tie
    assert calls == ["b", "a"]


def test_precision_and_recall_by_rank_come_on_request_and_agree_with_lists():
    data = random_data(np.random.default_rng(13), 6, 40, 5, 3)
    result = evaluate(*data, by_rank=True, list_lengths=tuple(range(1, 41)))
    np.testing.assert_allclose(
        result.precision_by_rank, list(result.precision_at.values()), rtol=1e-12
    )
    np.testing.assert_allclose(result.recall_by_rank, list(result.recall_at.values()), rtol=1e-12)
    assert len(evaluate(*data, by_rank=True, top_k=7).precision_by_rank) == 7
    assert evaluate(*data).precision_by_rank is None
    (
        json.dumps(result.as_dict(), allow_nan=False),
        json.dumps(evaluate(*data).as_dict(), allow_nan=False),
    )


def test_precision_by_rank_is_its_expectation_over_tie_orders():
    precision, _ = precision_recall_by_rank(*histograms_of(*SIX))
    expected = [naive.expected_precision_at(*SIX, n_listed) for n_listed in range(1, 7)]
    np.testing.assert_allclose(precision, expected, rtol=1e-12)


def test_tie_size_is_that_of_the_group_a_random_item_lies_in():
    assert mean_tie_size(np.array([[2, 0, 2], [1, 0, 3]])) == pytest.approx((2 + (1 + 9) / 4) / 2)


def test_effective_number_of_codes_weighs_them_by_their_frequency():
    assert effective_number(np.array([5, 5, 5, 5])) == pytest.approx(4)
    assert effective_number(np.array([7])) == 1
    assert 1 < effective_number(np.array([97, 1, 1, 1])) < 1.3


def test_evaluation_turns_into_plain_json():
    far = evaluate(
        np.array([[1, 1, 1]]), np.array([[-1, -1, -1]]), np.array([[1]]), np.array([[1]])
    )
    values = json.loads(json.dumps(far.as_dict(), allow_nan=False))
    assert values["precision_by_radius"] == [None, None, None, 1.0]
    assert values["by_denominator"]["M-ret"]["map"] == values["map"] == 1.0
    assert "average_precision" not in values


def test_scalars_are_finite_and_name_the_other_denominators_only_with_a_cut_off():
    data = random_data(np.random.default_rng(11), 5, 30, 8, 3)
    plain, cut, quick = (
        evaluate(*data),
        evaluate(*data, top_k=5),
        evaluate(*data, top_k=5, headline=False),
    )
    assert (
        plain.scalars()["map"] == plain.map
        and plain.scalars()["precision_at_10"] == plain.precision_at[10]
    )
    assert all(isinstance(value, float) and np.isfinite(value) for value in cut.scalars().values())
    assert set(cut.scalars()) - set(plain.scalars()) == {
        "map_m_tot",
        "map_m_min",
        "map_tie_m_tot",
        "map_tie_m_min",
    }
    assert set(cut.scalars()) - set(quick.scalars()) == {"map", "map_m_tot", "map_m_min"}


def test_packed_codes_give_the_same_scores_as_their_signs():
    data = random_data(np.random.default_rng(12), 5, 30, 12, 3)
    packed = evaluate(pack_codes(data[0]), pack_codes(data[1]), *data[2:], n_bits=12)
    assert packed.as_dict() == evaluate(*data).as_dict()
    with pytest.raises(
        UserError, match=r"gallery_codes of 12 bits must be uint8 \(n, 2\), got uint8 \(30, 1\)"
    ):
        evaluate(pack_codes(data[0]), pack_codes(data[1][:, :8]), *data[2:], n_bits=12)


GOOD = {
    "query_codes": np.ones((2, 4)),
    "gallery_codes": np.ones((3, 4)),
    "query_labels": np.eye(2, dtype=np.uint8),
    "gallery_labels": np.array([[1, 0], [0, 1], [1, 1]]),
}


def test_a_packed_file_cut_short_is_refused():
    packed = pack_codes(np.ones((3, 12)))
    with pytest.raises(
        UserError, match=r"gallery_labels have 3 rows for 2 codes: one row per code is needed"
    ):
        evaluate(packed, packed[:2], [0] * 3, [0] * 3, n_bits=12)
    with pytest.raises(
        UserError, match=r"query_codes of 12 bits must be uint8 \(n, 2\), got uint8 \(3, 1\)"
    ):
        evaluate(packed[:, :1], packed, [0] * 3, [0] * 3, n_bits=12)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            {"gallery_codes": np.ones((3, 5))},
            "query_codes have 4 bits and gallery_codes 5: both must",
        ),
        ({"query_codes": np.full((2, 4), np.nan)}, "query_codes hold NaN"),
        ({"gallery_codes": np.ones(3)}, "gallery_codes must be a table of items x bits"),
        (
            {"query_codes": np.ones((0, 4)), "query_labels": np.ones((0, 2))},
            "query_codes are empty",
        ),
        (
            {"gallery_codes": np.ones((0, 4)), "gallery_labels": np.ones((0, 2))},
            "gallery_codes are empty",
        ),
        (
            {"query_labels": np.eye(2, 3)},
            "query_labels have 3 classes and gallery_labels 2: both must",
        ),
        ({"gallery_labels": np.ones((4, 2))}, "gallery_labels have 4 rows for 3 codes"),
        (
            {"query_labels": np.array([0, 1])},
            "query_labels and gallery_labels must both be class numbers or both be multi-hot",
        ),
        (
            {"query_labels": np.array([[0, 2], [1, 0]])},
            r"query_labels must be .* multi-hot labels of 0 and 1, .* got 2 in int64 \(2, 2\)",
        ),
        (
            {"query_labels": np.array([[0, np.nan], [1, 0]])},
            r"query_labels must be .* multi-hot labels of 0 and 1, .* got nan in float64",
        ),
        ({"top_k": 0}, "top_k must be a whole number >= 1, or None for the whole gallery, got 0"),
        ({"top_k": -1}, "got -1"),
        ({"top_k": 2.5}, "got 2.5"),
        ({"top_k": True}, "got True"),
        ({"list_lengths": (0, -3)}, "^list_lengths must hold whole numbers >= 1, got 0.$"),
        ({"list_lengths": (10, None)}, "^list_lengths must hold whole numbers >= 1, got None.$"),
        ({"order_seed": -1}, "^order_seed must be a whole number >= 0, got -1.$"),
        (
            {"list_lengths": 10},
            r"^list_lengths must be several whole numbers >= 1, such as \(10, 100\), got 10.$",
        ),
        ({"n_bits": "16"}, "^n_bits must be a whole number in 1..1024, got '16'.$"),
        ({"n_bits": 16.0}, "^n_bits must be a whole number in 1..1024, got 16.0.$"),
        ({"n_bits": True}, "^n_bits must be a whole number in 1..1024, got True.$"),
        (
            {"query_codes": [[1, 2], [1]]},
            r"^query_codes must be an array, got a list that makes none \(.*\).$",
        ),
        ({"order_seed": 1.5}, "order_seed must be a whole number >= 0, got 1.5"),
        ({"headline": "no"}, "^headline must be True or False, got 'no'.$"),
        ({"by_rank": np.ones(2)}, "^by_rank must be True or False, got array"),
        ({"progress": 3}, r"^progress must be a function \(done, total\), or None, got 3.$"),
        ({"list_lengths": np.array(3)}, "^list_lengths must be several whole numbers >= 1"),
        (
            {"query_codes": np.ma.masked_array(np.ones((2, 4)), [[True] * 4, [False] * 4])},
            "^query_codes must have no masked entries: fill them, or leave their items out.$",
        ),
        (
            {"gallery_codes": torch.ones(3, 4, device="meta")},
            r"^gallery_codes must be an array, got a Tensor that makes none \(.*no data!?\).$",
        ),
    ],
)
def test_bad_input_is_refused_in_one_sentence(change, message):
    with pytest.raises(UserError, match=message):
        evaluate(**{**GOOD, **change})


def test_numbers_of_any_size_and_integer_kind_count_alike():
    plain = evaluate(**GOOD, top_k=3, list_lengths=(2, 3)).as_dict()
    for top_k, lengths in ((2**70, (2, 2**70)), (np.uint64(2**64 - 1), (np.uint8(2), np.int16(3)))):
        other = evaluate(**GOOD, top_k=top_k, list_lengths=lengths).as_dict()
        assert other["map"] == plain["map"]
    assert (
        evaluate(
            **GOOD, top_k=np.uint64(3), list_lengths=iter((2, 3)), order_seed=np.uint8(0)
        ).as_dict()
        == plain
    )


def probabilities(kind):
    data = random_data(np.random.default_rng(5), 4, 20, 8, 3)
    bits = [part > 0 for part in data[:2]]
    noise = np.random.default_rng(6).uniform(0.01, 0.4, (20, 8))
    as_given = {
        "bits": lambda part: part.astype(float),
        "sigmoid": lambda part: abs(part - noise[: len(part)]),
    }[kind]
    return [as_given(part) for part in bits], bits, data


@pytest.mark.parametrize("kind", ["bits", "sigmoid"])
@pytest.mark.parametrize("score", [evaluate, bit_costs], ids=["evaluate", "bit_costs"])
def test_real_values_that_are_bits_or_probabilities_are_refused_with_the_way_out(kind, score):
    real, bits, data = probabilities(kind)
    message = (
        r"judged by their signs, got real values from .*: of bits or probabilities p "
        r"pass booleans \(p > 0.5\)"
    )
    with pytest.raises(UserError, match=message) as caught:
        score(*real, *data[2:])
    assert "\n" not in str(caught.value)
    ways_out = [bits, [part > 0.5 for part in real], [2 * part - 1 for part in real]]
    assert len({score(*way, *data[2:]).map_tie for way in ways_out}) == 1


ONE_SIGN = {
    "positive logits": (lambda rng, shape: rng.uniform(0.2, 9, shape), "all +1 (values from 0.2"),
    "a sigmoid": (lambda rng, shape: rng.uniform(0.6, 1, shape), "all +1 (values from 0.6"),
    "zeros": (lambda rng, shape: np.zeros(shape), "all +1 (0 and 1 only)"),
    "features": (lambda rng, shape: rng.normal(size=shape).clip(0, None), "all +1 (values from 0"),
    "bits": (lambda rng, shape: rng.integers(0, 2, shape) / 1, "all +1 (0 and 1 only)"),
    "minus ones": (lambda rng, shape: np.full(shape, -1), "all -1"),
}


@pytest.mark.parametrize("score", [evaluate, bit_costs])
@pytest.mark.parametrize("kind", ONE_SIGN)
def test_a_gallery_of_one_sign_is_scored_and_warned_of(kind, score):
    make, words = ONE_SIGN[kind]
    rng, labels = np.random.default_rng(7), np.arange(24) % 3
    queries, gallery = rng.choice([-1.0, 1.0], (4, 8)), make(rng, (24, 8))
    with pytest.warns(CodesWarning) as caught:
        found = score(queries, gallery, labels[:4], labels)
    (sentence,) = (str(one.message) for one in caught)
    assert sentence.startswith(f"gallery_codes have one sign, {words}") and "\n" not in sentence
    assert "all items tie and the scores are those of chance" in sentence
    assert caught[0].filename == __file__
    if score is evaluate:
        assert found.notes == (sentence,) and found.n_distinct_codes == 1


def test_sides_of_one_code_are_named_and_single_items_are_not():
    rng, labels = np.random.default_rng(7), np.arange(24) % 3
    gallery, one_code = rng.choice([-1, 1], (24, 8)), np.tile([1, -1] * 4, (24, 1))
    with pytest.warns(CodesWarning) as caught:
        evaluate(one_code[:4], one_code, labels[:4], labels)
    assert [str(one.message).partition(", so ")[0] for one in caught] == [
        "query_codes are all the same code",
        "gallery_codes are all the same code",
    ]
    packed = pack_codes(one_code[:4]), pack_codes(gallery)
    with pytest.warns(
        CodesWarning, match="query_codes are all the same .* ranks the gallery alike"
    ):
        evaluate(*packed, labels[:4], labels, n_bits=8)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert evaluate(np.ones((1, 8)), gallery, labels[:1], labels).notes == ()
        assert pack_codes(np.array([[0.2, 0.9]])).tolist() == [[3]]  # as training packs logits


def test_torch_tensors_are_taken_as_they_come():
    logits = torch.randn(24, 8, generator=torch.Generator().manual_seed(0))
    labels = torch.eye(3, dtype=torch.int64)[torch.arange(24) % 3]
    expected = evaluate(
        logits[:4].numpy(), logits[4:].numpy(), labels[:4].numpy(), labels[4:].numpy()
    )
    for codes in (
        logits.clone().requires_grad_(),
        logits.bfloat16(),
        logits > 0,
        logits.sign().long(),
    ):
        assert evaluate(codes[:4], codes[4:], labels[:4], labels[4:].float()).map == expected.map
        np.testing.assert_array_equal(pack_codes(codes), pack_codes(logits.numpy()))


def test_the_benchmark_says_what_its_numbers_are(monkeypatch):
    for part in ("compared", "leave_one_out", "scale_rows"):
        monkeypatch.setattr(bench, part, lambda *arguments: {})
    units = bench.measure(1, "small")["units"]
    assert (
        "one whole call, all queries" in units["ms"]
        and "argsort's ms divided by" in units["ratio_*"]
    )
