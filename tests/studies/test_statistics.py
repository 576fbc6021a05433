"""Statistics of pairs: hand-computed tables, and simulations with and without an effect."""

import math

import numpy as np
import pytest
from scipy import stats

from rdh.studies._tools.statistics import (
    holm,
    interval,
    judged,
    mean_over_cells,
    paired_effect,
)

NAN = math.nan


def column(*values: float) -> np.ndarray:
    """One split, a seed a row."""
    return np.array(values)[:, None]


def test_a_table_of_three_pairs_is_as_computed_by_hand():
    # differences .01, .02, .03: mean .02, std .01, standard error .01 / sqrt(3);
    # Student's t with 2 degrees of freedom at 97.5 %: 4.302653
    effect = paired_effect(column(0.50, 0.60, 0.70), column(0.51, 0.62, 0.73))
    half = 4.302653 * 0.01 / math.sqrt(3)
    assert (effect.n, effect.n_higher, effect.n_equal) == (3, 3, 0)
    assert effect.before == pytest.approx(0.6) and effect.after == pytest.approx(0.62)
    assert effect.before_std == pytest.approx(0.1)
    assert effect.difference == pytest.approx(0.02)
    assert effect.relative == pytest.approx(0.02 / 0.6)
    assert effect.interval.low == pytest.approx(0.02 - half, rel=1e-6)
    assert effect.interval.high == pytest.approx(0.02 + half, rel=1e-6)
    assert effect.interval.p == pytest.approx(0.0741799, rel=1e-4)  # t = 3.4641
    assert effect.seed_std == pytest.approx(0.01) and math.isnan(effect.split_std)


@pytest.mark.parametrize(
    "differences",
    [
        column(0.1),
        column(0.1, 0.2),
        column(0.1, 0.2, NAN),
        np.full((2, 2), NAN),
        column(0.1, 0.1, 0.1),  # the seed changes nothing: there is no spread to judge by
        np.array([[0.1, 0.2], [0.3, NAN]]),  # crossed, and one run is missing
    ],
)
def test_there_is_no_interval_without_three_different_pairs(differences):
    found = interval(differences)
    assert found.method == "none" and math.isnan(found.low) and math.isnan(found.p)
    assert judged([paired_effect(np.zeros_like(differences), differences)])[0].verdict == "unknown"


def test_pairs_of_which_one_run_is_missing_are_left_out_of_both_arms():
    effect = paired_effect(column(0.5, 0.6, 0.9, NAN), column(0.6, 0.8, NAN, 0.1))
    assert (effect.n, effect.before, effect.after) == (2, 0.55, pytest.approx(0.7))


def test_equal_pairs_count_neither_as_higher_nor_as_lower():
    effect = paired_effect(column(0.5, 0.5, 0.5), column(0.5, 0.6, 0.4))
    assert (effect.n_higher, effect.n_equal) == (1, 1)


def test_the_variances_over_seeds_and_over_splits_are_told_apart():
    # differences = seed part + split part: each margin has the spread of its own part
    differences = np.array([[0.0], [0.1], [0.2]]) + np.array([[0.0, 0.01]])
    effect = paired_effect(np.zeros((3, 2)), differences)
    assert effect.seed_std == pytest.approx(0.1)
    assert effect.split_std == pytest.approx(np.std([0.1, 0.11], ddof=1))
    assert effect.interval.method == "bootstrap"


def test_holm_is_as_computed_by_hand_and_leaves_out_what_has_no_p():
    # sorted .01, .02, .04 times 3, 2, 1, never below the one before
    assert holm([0.02, NAN, 0.01, 0.04]) == pytest.approx([0.04, NAN, 0.03, 0.04], nan_ok=True)
    assert holm([0.6, 0.7]) == pytest.approx([1.0, 1.0])
    assert len(holm([])) == 0


def test_a_cell_that_is_sure_alone_may_be_open_in_a_table():
    sure = paired_effect(column(0.5, 0.5, 0.5, 0.5), column(0.51, 0.52, 0.53, 0.52))
    noise = paired_effect(column(0.5, 0.5, 0.5, 0.5), column(0.51, 0.49, 0.52, 0.48))
    assert 0.01 < sure.interval.p < 0.02
    assert judged([sure])[0].verdict == "gain"
    assert [one.verdict for one in judged([sure] + [noise] * 9)] == ["open"] * 10


def test_a_comparison_that_a_table_shows_twice_is_corrected_as_one():
    effect = paired_effect(column(0.5, 0.5, 0.5), column(0.51, 0.52, 0.53))
    other = paired_effect(column(0.5, 0.5, 0.5), column(0.50, 0.52, 0.49))
    twice = judged([effect, other, effect], ["a", "b", "a"])
    assert twice[0] == twice[2] and twice[:2] == judged([effect, other])
    assert judged([effect, other, effect])[0].p_holm == pytest.approx(3 * effect.interval.p)


def test_a_sure_loss_is_a_loss():
    effect = paired_effect(column(0.52, 0.521, 0.52, 0.522), column(0.5, 0.5, 0.5, 0.5))
    assert judged([effect])[0].verdict == "loss"


def test_the_mean_over_cells_averages_the_cells_of_a_seed_first():
    cells = [
        (column(0.5, 0.5, 0.5), column(0.6, 0.5, 0.7)),
        (column(0.1, 0.1, 0.1), column(0.1, 0.2, 0.3)),
    ]
    mean = mean_over_cells(cells)
    by_hand = np.array([0.05, 0.05, 0.2])
    assert mean.n == 3 and mean.difference == pytest.approx(by_hand.mean())
    expected = stats.ttest_1samp(by_hand, 0).confidence_interval(0.95)
    assert mean.interval.low == pytest.approx(expected.low)


def test_the_mean_over_cells_needs_a_pair_that_all_cells_have():
    assert mean_over_cells([]) is None
    apart = [(column(0.5, NAN), column(0.6, NAN)), (column(NAN, 0.5), column(NAN, 0.6))]
    assert mean_over_cells(apart) is None


def is_within(n_hits: int, n: int, share: float) -> bool:
    """Whether that many hits are no surprise at the 0.1 % level."""
    return stats.binomtest(n_hits, n, share).pvalue > 0.001


@pytest.mark.parametrize("is_shared", [False, True])
def test_of_tables_without_an_effect_no_more_than_five_percent_call_one(is_shared):
    """1000 tables of 4 cells and 5 seeds, whether or not the cells share what a seed does.

    The rate is 5 % at the most by Holm's proof, so that the count of 1000 may lie a little above.
    """
    rng = np.random.default_rng(2)
    n_called = 0
    for _ in range(1000):
        shared = rng.normal(size=(5, 1)) if is_shared else 0.0
        effects = []
        for _ in range(4):
            before = 0.6 + 0.01 * rng.normal(size=(5, 1))
            after = before + 0.004 * (shared + rng.normal(size=(5, 1)))
            effects.append(paired_effect(before, after))
        n_called += any(one.verdict != "open" for one in judged(effects))
    assert stats.binomtest(n_called, 1000, 0.05, alternative="greater").pvalue > 0.01


def test_the_interval_of_a_known_effect_covers_it_in_95_percent():
    rng = np.random.default_rng(3)
    n_covered = 0
    for _ in range(1000):
        found = interval(0.01 + 0.005 * rng.normal(size=(5, 1)))
        n_covered += found.low <= 0.01 <= found.high
    assert is_within(n_covered, 1000, 0.95)


@pytest.mark.parametrize(("of_seed", "of_split"), [(0.01, 0.01), (0.01, 0.0), (0.0, 0.01)])
def test_where_seeds_and_splits_are_crossed_the_interval_covers_in_at_least_95_percent(
    of_seed, of_split
):
    rng = np.random.default_rng(4)
    n_covered, n = 0, 150
    for _ in range(n):
        parts = of_seed * rng.normal(size=(5, 1)) + of_split * rng.normal(size=(1, 3))
        found = interval(0.02 + parts + 0.005 * rng.normal(size=(5, 3)))
        n_covered += found.low <= 0.02 <= found.high
    assert stats.binomtest(n_covered, n, 0.95, alternative="less").pvalue > 0.001


def test_equal_pairs_give_equal_bits_again():
    differences = np.random.default_rng(5).normal(size=(4, 3))
    assert interval(differences) == interval(differences.copy())
