"""The probes against slow loops over entries, and hand-made lives of single entries."""

import itertools
import math

import numpy as np
import pytest
import torch

from rdh.rescue import amplify
from rdh.store.levels import TAU_LEVELS
from rdh.training.probes import N_BINS, Probes, logit_edges
from tests.naive_probes import NaiveProbes

TAUS = (
    0.0,
    0.001,
    0.1,
    0.3,
    0.5,
    0.76,
    0.9,
    0.95,
    0.97,
    0.99,
    0.995,
    0.999,
    0.9999,
    0.999999,
    0.99999999,
)


def random_step(
    generator: torch.Generator, indices: torch.Tensor, n_bits: int
) -> tuple[torch.Tensor, ...]:
    """A random step: logits wide enough for every level, and some gradients exactly zero.

    The total gradient sometimes disagrees with the one of the pairs.
    """
    logits = torch.randn(len(indices), n_bits, generator=generator) * 4
    wanted = torch.randn(len(indices), n_bits, generator=generator) * 0.01
    wanted[torch.rand(wanted.shape, generator=generator) < 0.1] = 0
    total = wanted + torch.randn(len(indices), n_bits, generator=generator) * 0.005
    return logits, torch.tanh(logits), wanted, total, indices


def assert_same(got: dict[str, np.ndarray], expected: dict[str, np.ndarray]) -> None:
    assert set(got) == set(expected)
    for name, values in expected.items():
        assert got[name].shape == values.shape, name
        if got[name].dtype == np.int32:
            np.testing.assert_array_equal(got[name], values, err_msg=name)
        else:  # float32 sums in any order: exact to a share of the largest value
            exact_to = 1e-5 * np.abs(values).max()
            np.testing.assert_allclose(got[name], values, rtol=1e-4, atol=exact_to, err_msg=name)


@pytest.mark.parametrize("amplifier", [True, False])
@pytest.mark.parametrize("tau", [0.0, 0.5, 0.9, 0.99, 0.999])
def test_records_equal_the_slow_loops(tau, amplifier):
    generator = torch.Generator().manual_seed(round(tau * 1000))
    probes = Probes(23, 3, tau)
    naive = NaiveProbes(23, 3, tau, logit_edges(tau).tolist())
    for _ in range(4):  # epochs of 6 batches, the last of 3 items, in windows of 4 and 2 steps
        steps = [
            random_step(generator, part, 3)
            for part in torch.randperm(23, generator=generator).split(4)
        ]
        for window in (steps[:4], steps[4:]):
            for step in window:
                probes.add(*step)
            scalars, arrays = probes.record(amplifier)
            assert scalars == {"entries": sum(len(step[0]) for step in window) * 3.0}
            assert_same(arrays, naive.record(window, amplifier))
            assert probes.is_empty


def test_dead_entries_change_by_deaths_minus_rescues_minus_releases():
    generator = torch.Generator().manual_seed(5)
    probes, before = Probes(40, 6, 0.9), np.zeros(6)
    seen = dict.fromkeys(("deaths", "rescues", "releases", "relapses"), 0)
    for _ in range(30):
        probes.add(*random_step(generator, torch.randperm(40, generator=generator)[:15], 6))
        arrays = probes.record(False)[1]
        now = arrays["dead_all"].sum(0)
        np.testing.assert_array_equal(
            now - before, arrays["deaths"] - arrays["rescues"] - arrays["releases"]
        )
        assert (arrays["relapses"] <= arrays["deaths"]).all()
        seen = {name: count + arrays[name].sum() for name, count in seen.items()}
        before = now
    assert all(seen.values()), seen


def test_once_all_items_were_seen_the_dead_are_those_of_the_last_visits():
    generator = torch.Generator().manual_seed(6)
    probes = Probes(30, 4, 0.99)
    for _ in range(3):
        for part in torch.randperm(30, generator=generator).split(10):
            probes.add(*random_step(generator, part, 4))
        arrays = probes.record(True)[1]
    np.testing.assert_array_equal(arrays["dead_all"], arrays["dead_window"])


UP, DOWN = 3.0, -3.0  # tanh = +-.99505: saturated at .99
LIVES = {  # (F, dL_sim/dh) at each visit -> events at each visit
    "dies and stays dead": [((UP, 1), "death"), ((UP, 1), ""), ((UP, 2), "")],
    "is saturated and right": [((UP, -1), ""), ((DOWN, 1), ""), ((UP, 0), "")],
    "leaves the saturated zone": [((UP, 1), "death"), ((0.5, 1), "rescue")],
    "leaves it and no longer wants to": [((UP, 1), "death"), ((0.5, -1), "rescue")],
    "flips": [((UP, 1), "death"), ((DOWN, 1), "rescue")],
    "flips below tau": [((DOWN, -1), "death"), ((0.5, -1), "rescue")],
    "flips and dies on the other side": [((UP, 1), "death"), ((DOWN, -1), "rescue death relapse")],
    "is released, dies again": [((UP, 1), "death"), ((UP, -1), "release"), ((UP, 1), "death")],
    "relapses after a rescue": [
        ((UP, 1), "death"),
        ((1.0, 1), "rescue"),
        ((UP, -1), ""),
        ((UP, 1), "death relapse"),
    ],
    "a zero gradient releases": [((UP, 1), "death"), ((UP, 0), "release")],
    "relapses twice": [
        *[
            ((UP, 1), "death"),
            ((1.0, 1), "rescue"),
            ((DOWN, -1), "death relapse"),
            ((DOWN, 1), "release"),
        ],
        *[((DOWN, -1), "death relapse"), ((DOWN, -1), ""), ((-1.0, -1), "rescue")],
    ],
}


@pytest.mark.parametrize("name", LIVES)
def test_life_of_an_entry_that(name):
    probes = Probes(2, 2, 0.99)
    for (logit, wanted), expected in LIVES[name]:
        logits = torch.tensor([[0.1, logit]])
        probes.add(
            logits,
            torch.tanh(logits),
            torch.tensor([[1.0, wanted]]),
            torch.zeros(1, 2),
            torch.tensor([1]),
        )
        arrays = probes.record(False)[1]
        names = {
            "death": "deaths",
            "rescue": "rescues",
            "release": "releases",
            "relapse": "relapses",
        }
        for event, array in names.items():
            assert arrays[array].tolist() == [0, expected.split().count(event)], event


def test_sides_levels_and_hard_counts_by_hand():
    codes = torch.tensor(
        [[0.9], [0.95], [0.99], [-0.995], [-0.999], [1.0], [-1.0], [0.8999], [1.0]]
    )
    wanted = torch.tensor([[1.0], [1.0], [1.0], [-1.0], [-1.0], [1.0], [-1.0], [1.0], [-1.0]])
    probes = Probes(9, 1, 0.99)
    probes.add(torch.atanh(codes).clamp(-20, 20), codes, wanted, -wanted, torch.arange(9))
    arrays = probes.record(True)[1]
    assert arrays["saturated"][:, 0].tolist() == [3, 3]  # .99 in float32 counts as |h| >= .99
    # The last entry saturates on the side that the pairs want.
    assert arrays["dead_window"][:, 0].tolist() == [3, 2]
    # The total gradient is the opposite, so only the last entry is dead by it.
    assert arrays["dead_total"][:, 0].tolist() == [0, 1]
    assert arrays["dead_hard"].tolist() == [2]
    assert arrays["dead_levels"][:, :, 0].tolist() == [[3, 4], [3, 3], [3, 2], [3, 1], [2, 1]]
    assert arrays["saturated_levels"][:, 0].tolist() == [8, 7, 6, 5, 4]


def test_hard_is_where_float32_has_no_slope_left():
    codes = torch.tensor([[0.999], [1 - 2**-23], [1 - 2**-24], [1.0], [-1.0]])
    ones = torch.ones(5, 1)
    probes = Probes(5, 1, 0.99)
    probes.add(9 * codes, codes, codes.sign(), ones, torch.arange(5))
    assert probes.record(True)[1]["dead_hard"].tolist() == [2]


@pytest.mark.parametrize("tau", TAUS)
def test_edges_are_uniform_and_include_zero_and_the_threshold(tau):
    edges = logit_edges(tau)
    assert edges.shape == (N_BINS + 1,)
    np.testing.assert_allclose(np.diff(edges), edges[1] - edges[0])
    for value in (0.0, math.atanh(tau), -math.atanh(tau)):
        assert np.abs(edges - value).min() < 1e-12


@pytest.mark.parametrize("tau", TAUS)
def test_no_bin_holds_entries_of_both_sides_of_the_threshold(tau):
    """Sides are compared 1e-5 away from the edge, since float32 logits are not finer than that."""
    threshold, edges = math.atanh(tau), logit_edges(tau)
    values = [
        sign * threshold * (1 + hair) for sign, hair in itertools.product((-1, 1), (-1e-5, 1e-5))
    ]
    logits = torch.tensor([values], dtype=torch.float32).T
    probes = Probes(4, 1, tau)
    probes.add(logits, torch.tanh(logits), torch.ones(4, 1), torch.ones(4, 1), torch.arange(4))
    histogram = probes.record(False)[1]["histogram"][0]
    expected = np.zeros(N_BINS)
    for value in values:
        expected[
            np.clip(np.searchsorted(edges, np.float32(value), side="right") - 1, 0, N_BINS - 1)
        ] += 1
    np.testing.assert_array_equal(histogram, expected)


@pytest.mark.parametrize("tau", TAUS)
def test_saturated_is_judged_in_float32_as_the_amplifier_does(tau):
    generator = torch.Generator().manual_seed(1)
    step = random_step(generator, torch.arange(200), 5)
    probes = Probes(200, 5, tau)
    probes.add(*step)
    arrays = probes.record(True)[1]
    codes, total = step[1], step[3]
    changed = (
        (amplify(total, codes, tau) != total).sum(0) if tau > 0 else ((codes * total) > 0).sum(0)
    )
    assert arrays["saturated"].sum(0).tolist() == (codes.abs() >= tau).sum(0).tolist()
    assert arrays["dead_total"].sum(0).tolist() == changed.tolist()


def test_gradient_sums_are_mirrored_so_that_the_pairs_ask_for_plus_one():
    """Two entries with the same story on opposite sides share a bin and a sign."""
    logits = torch.tensor([[-3.0], [3.0]])
    codes = torch.tanh(logits)
    wanted = torch.tensor([[-0.2], [0.2]])
    probes = Probes(2, 1, 0.99)
    probes.add(logits, codes, wanted, wanted, torch.arange(2))
    arrays = probes.record(True)[1]
    (where,) = arrays["gradient_count"].nonzero()[0]
    edges = logit_edges(0.99)
    assert edges[where] <= -3 <= edges[where + 1] and arrays["gradient_count"][where] == 2
    slope = 1 - math.tanh(3) ** 2
    before, after = arrays["gradient_sum"][:, where]
    assert before == pytest.approx(
        2 * -0.2 * slope, rel=1e-4
    )  # negative: descent moves F up, to +1
    assert after == pytest.approx(before / (1 - 0.99**2), rel=1e-5)
    assert np.count_nonzero(arrays["gradient_sum"]) == 2


def test_levels_are_those_that_the_slider_offers():
    assert TAU_LEVELS == (0.9, 0.95, 0.99, 0.995, 0.999)


def test_a_loaded_state_goes_on_where_it_was_saved():
    generator = torch.Generator().manual_seed(2)
    steps = [random_step(generator, torch.randperm(12, generator=generator), 4) for _ in range(6)]
    whole, first, second = (Probes(12, 4, 0.9) for _ in range(3))
    for step in steps[:3]:
        whole.add(*step), whole.record(True)
        first.add(*step), first.record(True)
    second.load_state(first.state)
    first.state[:] = 0  # it was a copy
    for step in steps[3:]:
        whole.add(*step)
        second.add(*step)
        assert_same(second.record(True)[1], whole.record(True)[1])


def test_a_state_of_another_shape_is_refused():
    with pytest.raises(ValueError, match=r"must be \(12, 4\), got \(12, 5\)"):
        Probes(12, 4, 0.9).load_state(np.zeros((12, 5), np.uint8))


def test_counts_are_stored_as_int32():
    probes = Probes(4, 2, 0.99)
    probes.add(*random_step(torch.Generator().manual_seed(0), torch.arange(4), 2))
    arrays = probes.record(True)[1]
    kinds = {name: values.dtype for name, values in arrays.items()}
    assert {name for name, dtype in kinds.items() if dtype == np.float64} == {
        "gradient_sum",
        "gradient_count",
    }
    assert all(dtype in (np.int32, np.float32, np.float64) for dtype in kinds.values())
