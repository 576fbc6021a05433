"""Rank correlations and their bootstrap, against slow and obvious ones."""

import math

import numpy as np
import pytest
from scipy import stats

from rdh.studies._dead_bits import ranks
from rdh.studies._dead_bits.ranks import Correlation, lead, rank_correlation


@pytest.mark.parametrize(
    ("low", "high", "side"),
    [(0.1, 0.2, "above"), (-0.2, -0.1, "below"), (-0.1, 0.1, "around"), (np.nan, 1, "unknown")],
)
def test_an_interval_says_on_which_side_of_zero_it_lies(low, high, side):
    assert Correlation(0.0, low, high, 3).side == side


@pytest.fixture
def runs() -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    generator = np.random.default_rng(1)
    groups = np.repeat(["a", "b", "c"], (9, 6, 5))
    x = generator.integers(0, 8, 20).astype(float)  # with ties
    return x, -x + generator.normal(size=20) * 3, groups


def naive_within(x, y, groups) -> float:
    """Ranks in their own group, divided by its size and centred; one correlation over all."""
    ranks = [[], []]
    for group in sorted(set(groups)):
        of_group = [i for i, one in enumerate(groups) if one == group]
        for values, found in zip((x, y), ranks, strict=True):
            ranked = stats.rankdata([values[i] for i in of_group])
            found += [(rank - (len(of_group) + 1) / 2) / len(of_group) for rank in ranked]
    return stats.pearsonr(*ranks).statistic


def test_the_correlation_is_spearmans_and_within_groups_that_of_a_slow_loop(runs):
    found = rank_correlation(*runs)
    np.testing.assert_allclose(found.overall.value, stats.spearmanr(runs[0], runs[1]).statistic)
    np.testing.assert_allclose(found.within.value, naive_within(*runs))


def naive_draws(groups, settings, n_draws) -> list[list[int]]:
    """Rows of each draw: settings within each group, then as many runs as the largest one has."""
    generator = np.random.default_rng(0)
    draws = [[] for _ in range(n_draws)]
    for group in sorted(set(groups)):
        members = {}
        for row in np.flatnonzero(groups == group):
            members.setdefault(settings[row], []).append(row)
        members = [members[key] for key in sorted(members)]
        most = max(map(len, members))
        chosen = generator.integers(0, len(members), (n_draws, len(members), 1))
        sizes = np.array([len(one) for one in members])
        runs = generator.integers(0, sizes[chosen], (n_draws, len(members), most))
        for draw, rows in enumerate(draws):
            for place, setting in enumerate(chosen[draw, :, 0]):
                rows += [members[setting][run] for run in runs[draw, place]]
    return draws


@pytest.mark.parametrize("size", [1, 3])
def test_the_bootstrap_draws_settings_and_then_their_runs_within_each_group(
    runs, size, monkeypatch
):
    monkeypatch.setattr(ranks, "DRAWS", 50)
    x, y, groups = runs
    settings = np.arange(20) // size  # of three runs, but for those that a group cuts
    found = rank_correlation(x, y, groups, settings)
    for draw, rows in enumerate(naive_draws(groups, settings, 50)):
        np.testing.assert_allclose(
            found.overall_draws[draw], stats.spearmanr(x[rows], y[rows]).statistic
        )
        np.testing.assert_allclose(
            found.within_draws[draw], naive_within(x[rows], y[rows], groups[rows])
        )
    np.testing.assert_allclose(
        (found.overall.low, found.overall.high), np.percentile(found.overall_draws, (2.5, 97.5))
    )


def test_seeds_of_one_setting_do_not_make_an_interval_narrower_as_settings_would(runs):
    x, y, groups = (np.repeat(one, 5) for one in runs)  # each run five times: five equal seeds
    as_settings = rank_correlation(x, y, groups).overall
    as_seeds = rank_correlation(x, y, groups, np.repeat(np.arange(20), 5)).overall
    assert as_seeds.high - as_seeds.low > 1.5 * (as_settings.high - as_settings.low)
    alone = rank_correlation(*runs).overall
    np.testing.assert_allclose(as_seeds[:3], alone[:3], atol=0.03)


def test_a_count_that_never_changes_has_no_correlation(runs):
    found = rank_correlation(np.zeros(20), runs[1], runs[2])
    assert math.isnan(found.overall.value) and found.overall.side == "unknown"


def test_equal_correlations_are_not_ahead_of_each_other(runs):
    one, other = rank_correlation(*runs), rank_correlation(-runs[0], runs[1], runs[2])
    between = lead(one.overall_draws, other.overall_draws, 0.0, 20)
    np.testing.assert_allclose((between.low, between.high), 0, atol=1e-12)
    assert lead(one.overall_draws, one.overall_draws * 0.1, 0.5, 20).side == "above"
