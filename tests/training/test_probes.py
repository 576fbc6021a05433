"""The probes against slow loops over entries, and hand-made lives of single entries."""

import itertools
import math

import numpy as np
import pytest
import torch

from rdh.rescue import amplify
from rdh.store.levels import TAU_LEVELS
from rdh.training.entry_kinds import EVENTS
from rdh.training.last_visits import N_BINS
from rdh.training.probes import Probes, logit_edges
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


def labels_of(kind: str, generator: torch.Generator, n: int) -> torch.Tensor:
    """Multi-hot labels (n, n_classes) of one kind."""
    if kind == "multi-label":
        return (torch.rand(n, 4, generator=generator) < 0.3).float()  # some items have none
    n_classes = {"single-label": 4, "one class": 1, "a class of each item": n}[kind]
    first = (
        torch.arange(n) if n_classes == n else torch.randint(n_classes, (n,), generator=generator)
    )
    labels = torch.nn.functional.one_hot(first, n_classes).float()
    if kind == "single-label":
        labels[:3] = 0  # without a label
        labels = torch.cat([labels, labels.new_zeros(n, 1)], 1)
        labels[5] = torch.eye(5)[4]  # the one item of its class
    return labels


def leaning(step: tuple[torch.Tensor, ...], labels: torch.Tensor) -> tuple[torch.Tensor, ...]:
    """The step with logits that lean to one side for each class and bit, so that sides are sure."""
    logits, *_, indices = step
    lean = torch.sin(torch.arange(labels.shape[1] * logits.shape[1]) * 2.0 + 1).sign() * 0.5
    logits = logits + labels[indices] @ lean.reshape(labels.shape[1], -1)
    return logits, torch.tanh(logits), *step[2:]


KINDS = ["single-label", "multi-label", "one class", "a class of each item"]


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("amplifier", [True, False])
@pytest.mark.parametrize("tau", [0.0, 0.5, 0.9, 0.99, 0.999])
def test_records_equal_the_slow_loops(tau, amplifier, kind):
    generator = torch.Generator().manual_seed(round(tau * 1000))
    labels = labels_of(kind, generator, 41)
    probes = Probes(labels, 3, tau)
    naive = NaiveProbes(labels, 3, tau, logit_edges(tau).tolist())
    seen, n_seen = torch.zeros(41, dtype=torch.bool), 0
    for _ in range(3):  # epochs of 6 batches, the last of 6 items, in windows of 4 and 2 steps
        steps = [
            leaning(random_step(generator, part, 3), labels)
            for part in torch.randperm(41, generator=generator).split(7)
        ]
        for window, ends_epoch in ((steps[:4], False), (steps[4:], True)):
            for step in window:
                probes.add(*step)
                seen[step[-1]] = True
            scalars, arrays = probes.record(amplifier, ends_epoch)
            n_seen = sum(len(step[0]) for step in window) * 3.0
            norms = naive.norms(window, amplifier)
            assert {name: scalars.pop(name) for name in norms} == pytest.approx(norms, rel=1e-4)
            assert scalars == {"entries": int(seen.sum()) * 3.0, "window_entries": n_seen}
            assert_same(arrays, naive.record(window, amplifier, ends_epoch))
            assert probes.is_empty


@pytest.mark.parametrize("kind", ["single-label", "multi-label"])
def test_those_steps_hold_every_kind_of_entry_and_event(kind):
    generator = torch.Generator().manual_seed(5)
    labels = labels_of(kind, generator, 200)
    probes, total = Probes(labels, 6, 0.9), {}
    for _ in range(30):
        indices = torch.randperm(200, generator=generator)[:90]
        probes.add(*leaning(random_step(generator, indices, 6), labels))
        for name, values in probes.record(True, ends_epoch=True)[1].items():
            total[name] = total.get(name, 0) + np.abs(values).sum()
    assert not [name for name, values in total.items() if values == 0]


@pytest.mark.parametrize("kind", ["single-label", "multi-label"])
def test_flagged_and_dead_entries_change_exactly_by_their_events(kind):
    generator = torch.Generator().manual_seed(5)
    labels = labels_of(kind, generator, 80)
    probes, before = Probes(labels, 6, 0.9), {"flagged": np.zeros(6), "dead": np.zeros(6)}
    for _ in range(30):
        indices = torch.randperm(80, generator=generator)[:35]
        probes.add(*leaning(random_step(generator, indices, 6), labels))
        arrays = probes.record(False, ends_epoch=True)[1]
        for name, (begun, left, dropped, again) in zip(
            before, (EVENTS[:4], EVENTS[4:]), strict=True
        ):
            now = arrays[name].sum(0)
            np.testing.assert_array_equal(
                now - before[name], arrays[begun] - arrays[left] - arrays[dropped], err_msg=name
            )
            assert (arrays[again] <= arrays[begun]).all()
            before[name] = now


def test_an_entry_that_waits_for_its_visit_keeps_what_it_was():
    """Its class turns to the other side meanwhile."""
    probes = Probes(torch.ones(9, 1), 1, 0.9)
    for logit, n in ((3.0, 9), (-3.0, 8)):
        logits = torch.full((n, 1), logit)
        probes.add(logits, torch.tanh(logits), -logits, logits, torch.arange(n))
        arrays = probes.record(False)[1]
    assert arrays["saturated"].ravel().tolist() == [8, 1] and arrays["dead"].sum() == 0
    assert arrays["histogram"].sum() == 9


def test_multi_label_sides_wait_for_the_end_of_the_epoch():
    """As a class they would turn at once: nobody is wrong then."""
    labels = torch.tensor([[1.0, 1.0]]).repeat(9, 1)
    probes, n_dead = Probes(labels, 1, 0.9), []
    for logit, ends_epoch in ((3.0, False), (-3.0, False), (-3.0, True)):
        logits = torch.full((9, 1), logit)
        probes.add(logits, torch.tanh(logits), logits, logits, torch.arange(9))
        n_dead.append(probes.record(False, ends_epoch)[1]["dead"].sum())
    assert n_dead == [0, 9, 0]


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


NAMES = {
    "flagged": {"death": 0, "rescue": 1, "release": 2, "relapse": 3},
    "dead": {"death": 4, "rescue": 5, "release": 6, "relapse": 7},
}


def one_visit(probes: Probes, logit: float, wanted: float) -> dict[str, np.ndarray]:
    """The second bit of item 1 is visited; its first bit never saturates."""
    logits = torch.tensor([[0.1, logit]])
    gradient = torch.tensor([[1.0, wanted]])
    probes.add(logits, torch.tanh(logits), gradient, torch.zeros(1, 2), torch.tensor([1]))
    return probes.record(False)[1]


@pytest.mark.parametrize("name", LIVES)
def test_life_of_a_flagged_entry_that(name):
    probes = Probes(torch.ones(2, 1), 2, 0.99)
    for (logit, wanted), expected in LIVES[name]:
        arrays = one_visit(probes, logit, wanted)
        for event, place in NAMES["flagged"].items():
            assert arrays[EVENTS[place]].tolist() == [0, expected.split().count(event)], event


@pytest.mark.parametrize("name", LIVES)
def test_life_of_a_dead_entry_that(name):
    """The side that its class calls for stands in for the gradient: 20 others of it say so."""
    probes = Probes(torch.ones(22, 1), 2, 0.99)
    for (logit, wanted), expected in LIVES[name]:
        signs = -torch.tensor(float(np.sign(wanted))).repeat(20, 1)  # descent moves against it
        if wanted == 0:  # a split class
            signs = torch.tensor([[1.0], [-1.0]]).repeat(10, 1)
        others = 0.1 * signs.repeat(1, 2)
        probes.add(others, others, others, others, torch.arange(2, 22))
        arrays = one_visit(probes, logit, 0.0)
        for event, place in NAMES["dead"].items():
            assert arrays[EVENTS[place]].tolist() == [0, expected.split().count(event)], event


def test_sides_levels_and_hard_counts_by_hand():
    codes = torch.tensor(
        [[0.9], [0.95], [0.99], [-0.995], [-0.999], [1.0], [-1.0], [0.8999], [1.0]]
    )
    wanted = torch.tensor([[1.0], [1.0], [1.0], [-1.0], [-1.0], [1.0], [-1.0], [1.0], [-1.0]])
    probes = Probes(torch.eye(9), 1, 0.99)
    probes.add(torch.atanh(codes).clamp(-20, 20), codes, wanted, -wanted, torch.arange(9))
    arrays = probes.record(True)[1]
    assert arrays["saturated"][:, 0].tolist() == [3, 3]  # .99 in float32 counts as |h| >= .99
    # The last entry saturates on the side that the pairs want.
    assert arrays["flagged"][:, 0].tolist() == [3, 2]
    # The total gradient is the opposite, so only the last entry is amplified.
    assert arrays["amplified"][:, 0].tolist() == [0, 1]
    assert arrays["flagged_hard"].tolist() == [2]
    assert arrays["flagged_levels"][:, :, 0].tolist() == [[3, 4], [3, 3], [3, 2], [3, 1], [2, 1]]
    assert arrays["saturated_levels"][:, 0].tolist() == [8, 7, 6, 5, 4]


def test_hard_is_where_float32_has_no_slope_left():
    codes = torch.tensor([[0.999], [1 - 2**-23], [1 - 2**-24], [1.0], [-1.0]])
    ones = torch.ones(5, 1)
    probes = Probes(torch.eye(5), 1, 0.99)
    probes.add(9 * codes, codes, codes.sign(), ones, torch.arange(5))
    assert probes.record(True)[1]["flagged_hard"].tolist() == [2]


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
    probes = Probes(torch.eye(4), 1, tau)
    probes.add(logits, torch.tanh(logits), torch.ones(4, 1), torch.ones(4, 1), torch.arange(4))
    histogram = probes.record(False)[1]["histogram"][0]
    expected = np.zeros(N_BINS)
    for value in values:
        expected[
            np.clip(np.searchsorted(edges, np.float32(value), side="right") - 1, 0, N_BINS - 1)
        ] += 1
    np.testing.assert_array_equal(histogram, expected)


def test_gradients_after_an_amplifier_with_aim_and_scale_are_those_it_sends_back():
    generator = torch.Generator().manual_seed(2)
    step = random_step(generator, torch.arange(300), 4)
    logits, codes, wanted, total, _ = step
    where = torch.rand(codes.shape, generator=generator) < 0.5
    probes = Probes(torch.ones(300, 1), 4, 0.9, scale=2.0)
    probes.add(*step, where)
    scalars, arrays = probes.record(True)
    sent = amplify(total, codes, 0.9, 2.0, where) * (1 - codes * codes)
    norm = sent.double().square().sum().sqrt().item()
    assert scalars["gradient_norm_amplified"] == pytest.approx(norm, rel=1e-4)
    pulls = [
        (sent.abs() * (codes * total > 0) * (codes * side > 0)).mean(0).numpy() for side in (-1, 1)
    ]
    np.testing.assert_allclose(arrays["leaving_pull_amplified"], pulls, rtol=1e-4)
    np.testing.assert_allclose(
        arrays["mean_gradient_amplified"], sent.abs().mean(0).numpy(), rtol=1e-4
    )
    by_bin = np.zeros(N_BINS)
    edges = logit_edges(0.9)
    for logit, asked, pull in zip(
        logits.ravel().tolist(), wanted.ravel().tolist(), sent.ravel().tolist(), strict=True
    ):
        place = np.clip(np.searchsorted(edges, logit, side="right") - 1, 0, N_BINS - 1)
        if asked:
            by_bin[place if asked < 0 else N_BINS - 1 - place] -= np.sign(asked) * pull
    largest = np.abs(by_bin).max()
    np.testing.assert_allclose(arrays["gradient_sum"][1], by_bin, atol=1e-4 * largest)
    flagged = (codes.abs() >= 0.9) & (codes * total > 0)
    assert (flagged & where).any() and (flagged & ~where).any()
    probes.add(*step)  # of a record without an aim, the next one knows nothing
    assert (probes.record(True)[1]["mean_gradient_amplified"] > 0).all()


@pytest.mark.parametrize("tau", TAUS)
def test_saturated_is_judged_in_float32_as_the_amplifier_does(tau):
    generator = torch.Generator().manual_seed(1)
    step = random_step(generator, torch.arange(200), 5)
    probes = Probes(torch.ones(200, 1), 5, tau)
    probes.add(*step)
    arrays = probes.record(True)[1]
    codes, total = step[1], step[3]
    changed = (
        (amplify(total, codes, tau) != total).sum(0) if tau > 0 else ((codes * total) > 0).sum(0)
    )
    assert arrays["saturated"].sum(0).tolist() == (codes.abs() >= tau).sum(0).tolist()
    assert arrays["amplified"].sum(0).tolist() == changed.tolist()


def test_gradient_sums_are_mirrored_so_that_the_pairs_ask_for_plus_one():
    """Two entries with the same story on opposite sides share a bin and a sign."""
    logits = torch.tensor([[-3.0], [3.0]])
    codes = torch.tanh(logits)
    wanted = torch.tensor([[-0.2], [0.2]])
    probes = Probes(torch.eye(2), 1, 0.99)
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


@pytest.mark.parametrize("kind", ["single-label", "multi-label"])
def test_a_loaded_state_goes_on_where_it_was_saved(kind):
    """Also within an epoch, when the sides of a multi-label set are older than the last signs."""
    generator = torch.Generator().manual_seed(2)
    labels = labels_of(kind, generator, 30)
    steps = [
        leaning(random_step(generator, torch.randperm(30, generator=generator)[:20], 4), labels)
        for _ in range(8)
    ]
    whole, first, second = (Probes(labels, 4, 0.9) for _ in range(3))
    for number, step in enumerate(steps[:4]):
        for probes in (whole, first):
            probes.add(*step)
            probes.record(True, ends_epoch=number == 2)
    second.load_state_dict(first.state_dict())
    first.visits.state[:] = 0  # it was a copy
    first.sides.called[:] = 0
    for number, step in enumerate(steps[4:]):
        whole.add(*step)
        second.add(*step)
        ends_epoch = number == 2
        assert_same(second.record(True, ends_epoch)[1], whole.record(True, ends_epoch)[1])


def test_a_state_of_another_shape_is_refused():
    probes = Probes(torch.ones(12, 1), 4, 0.9)
    state = Probes(torch.ones(12, 1), 5, 0.9).state_dict()
    with pytest.raises(ValueError, match=r"must be \(12, 4\), got \(12, 5\)"):
        probes.load_state_dict(state)
    state = Probes(torch.eye(12), 4, 0.9).state_dict()
    with pytest.raises(ValueError, match=r"must be \(2, 4\), got \(13, 4\)"):
        probes.load_state_dict(state)


def test_of_a_code_that_is_exactly_zero_the_side_is_plus_one():
    probes = Probes(torch.ones(9, 1), 1, 0.0)
    zeros = torch.zeros(9, 1)
    probes.add(zeros, zeros, zeros, zeros, torch.arange(9))
    arrays = probes.record(False)[1]
    assert arrays["saturated"].ravel().tolist() == [0, 9] and arrays["wrong"].tolist() == [0]


def test_counts_are_stored_as_int32():
    probes = Probes(torch.eye(4), 2, 0.99)
    probes.add(*random_step(torch.Generator().manual_seed(0), torch.arange(4), 2))
    arrays = probes.record(True)[1]
    kinds = {name: values.dtype for name, values in arrays.items()}
    assert {name for name, dtype in kinds.items() if dtype == np.float64} == {
        "gradient_sum",
        "gradient_count",
    }
    assert all(dtype in (np.int32, np.float32, np.float64) for dtype in kinds.values())


def test_columns_of_wider_tensors_count_as_they_are():
    """As the gallery's side of a method with two streams."""
    *columns, indices = random_step(torch.Generator().manual_seed(0), torch.arange(40), 3)
    records = []
    for step in (columns, [torch.cat([column, -column], 1)[:, :3] for column in columns]):
        probes = Probes(torch.eye(4)[torch.arange(40) % 4], 3, 0.9)
        probes.add(*step, indices)
        records.append(probes.record(True)[1])
    for name, values in records[0].items():
        np.testing.assert_array_equal(records[1][name], values, err_msg=name)


def test_other_numbers_than_float32_are_refused():
    probes = Probes(torch.eye(4), 2, 0.99)
    *columns, indices = random_step(torch.Generator().manual_seed(0), torch.arange(4), 2)
    probes.add(*(column.double() for column in columns), indices)
    with pytest.raises(TypeError, match=r"gradients of float32, got torch\.float64"):
        probes.record(True)


def test_a_window_that_comes_as_one_step_holds_the_same_entries():
    """As it comes from a GPU."""
    generator = torch.Generator().manual_seed(0)
    steps = [random_step(generator, part, 3) for part in torch.arange(40).split(9)]
    records = []
    for parts in (steps, [tuple(torch.cat(column) for column in zip(*steps, strict=True))]):
        probes = Probes(torch.eye(4)[torch.arange(40) % 4], 3, 0.9)
        for part in parts:
            probes.add(*part, slope=2.0)
        records.append(probes.record(True)[1])
    for name, values in records[0].items():
        np.testing.assert_array_equal(records[1][name], values, err_msg=name)
