"""Where an aimed amplifier acts, against slow loops; and runs with an aim, through a resume."""

import numpy as np
import pytest
import torch
from torch import Tensor

from rdh import catalog
from rdh.errors import UserError
from rdh.methods import method_class
from rdh.rescue import alpha
from rdh.training import checkpoints, loop
from rdh.training.aim import ByAllPairs, ByLabels, make_aim
from rdh.training.state import restore, snapshot
from tests import naive_rescue
from tests.training.test_loop import (
    OPTIONS,
    Log,
    assert_equal,
    assert_same_end,
    config,
    digits,
    one_thread,
    resumed,
    start_saturated,
    take_steps,
    weights,
)

__all__ = ["digits", "one_thread"]  # the fixtures
AMPLIFIED = [name for name, card in catalog.methods().items() if card.saturates]
AIMS = ("all_pairs", "labels", "not_labels")
RDH = {"amplifier": True, "quantization": "error_aware"}
K = 3


def single_label(n: int = 40) -> Tensor:
    """Four classes; the last item has no label."""
    labels = torch.eye(4)[torch.arange(n) % 4]
    labels[-1] = 0
    return labels


def multi_label(n: int = 40) -> Tensor:
    return (torch.rand(n, 5, generator=torch.Generator().manual_seed(3)) < 0.4).float()


def visits(n: int, epochs: int = 3, batch: int = 7) -> list[list[tuple[Tensor, Tensor]]]:
    """For each epoch, batches of (indices, codes) that lean to one side for each class of four."""
    generator = torch.Generator().manual_seed(0)
    lean = torch.tensor([[1.0, -1, 0], [-1, -1, 1], [1, 1, 0], [-1, 1, -1]])
    epoch = lambda: [  # noqa: E731
        (part, torch.tanh(lean[part % 4] + 1.5 * torch.randn(len(part), K, generator=generator)))
        for part in torch.randperm(n, generator=generator).split(batch)
    ]
    return [epoch() for _ in range(epochs)]


def naive_side(labels: list[list[float]], signs: dict[int, list[int]], item: int, bit: int) -> int:
    """The side that the labels of an item call for, by the rule of `sides`; 0: undecided."""
    if not any(labels[item]):
        return 0
    is_multi_label = any(sum(row) > 1 for row in labels)
    vote = voters = 0
    for other, sign in signs.items():
        similar = naive_rescue.share_a_label(labels[item], labels[other])
        if is_multi_label or similar:
            vote += (2 * similar - 1) * sign[bit]
            voters += 1
    is_decided = voters > 1 and abs(vote) > 0.5 * voters**0.5
    return (vote > 0) - (vote < 0) if is_decided else 0


@pytest.mark.parametrize("labels", [single_label(), multi_label()], ids=["single", "multi"])
@pytest.mark.parametrize("wanted", [-1, 1], ids=["wrong", "right"])
def test_labels_aim_at_one_side_and_never_at_undecided_entries(labels, wanted):
    aim, signs, as_lists = ByLabels(labels, K, wanted), {}, labels.tolist()
    is_multi_label = bool((labels.sum(1) > 1).any())
    n_chosen = 0
    for epoch, batches in enumerate(visits(len(labels))):
        aim.start_epoch(epoch)
        voting = dict(signs)  # of multi-label items: as they were when the epoch began
        for indices, codes in batches:
            chosen = aim.visit(codes, indices)
            signs |= {
                item: [1 if h >= 0 else -1 for h in row]
                for item, row in zip(indices.tolist(), codes.tolist(), strict=True)
            }
            for row, item in enumerate(indices.tolist()):
                for bit in range(K):
                    side = naive_side(as_lists, voting if is_multi_label else signs, item, bit)
                    assert chosen[row, bit].item() == (codes[row, bit] * side * wanted > 0)
            n_chosen += chosen.sum().item()
    assert n_chosen > 4


def test_the_two_label_aims_share_no_entry_and_leave_out_the_undecided_ones():
    labels = single_label()
    aims = [ByLabels(labels, K, wanted) for wanted in (-1, 1)]
    for indices, codes in visits(len(labels))[0]:
        wrong, right = (aim.visit(codes, indices) for aim in aims)
        undecided = aims[0].sides.of(indices) == 0
        assert (wrong.int() + right.int() + undecided.int() == 1).all()


def test_all_pairs_confirm_what_the_gradient_over_all_visited_items_asks():
    labels = single_label()
    aim = ByAllPairs(method_class("dhn")(K, labels, 0), seed=0)
    batches = visits(len(labels))
    aim.start_epoch(0)
    for indices, codes in batches[0][:-1]:  # the last batch is not visited in this epoch
        assert not aim.visit(codes, indices).any(), "nothing is confirmed in the first epoch"
    visited = torch.cat([indices for indices, _ in batches[0][:-1]])
    last = torch.cat([codes for _, codes in batches[0][:-1]])
    similar = [[float((a * b).any()) for b in labels[visited]] for a in labels[visited]]
    asked = {}  # dL/dh_i = sum over j of [sigma(Theta_ij) - S_ij] h_j, up to a factor > 0
    for i, item in enumerate(visited.tolist()):
        for k in range(K):
            asked[item, k] = sum(
                (torch.sigmoid(last[i] @ last[j] / 2).item() - similar[i][j]) * last[j, k].item()
                for j in range(len(visited))
            )
    aim.start_epoch(1)
    n_chosen = 0
    for indices, codes in batches[1]:
        chosen = aim.visit(codes, indices)
        for row, item in enumerate(indices.tolist()):
            for k in range(K):
                gradient = asked.get((item, k), 0)
                assert chosen[row, k].item() == (codes[row, k] * gradient > 0)
        n_chosen += chosen.sum().item()
    assert n_chosen > 4


def test_without_an_aim_there_is_no_state_of_one(digits):
    for fields in ({}, {"amplifier": True}, {"amplifier": True, "amplifier_scale": 2}):
        settings = config(**fields)
        run = loop.start(settings, digits(settings))
        assert run.aim is None and snapshot(run)["aim"] is None
        assert make_aim(settings, run.method) is None


@pytest.mark.parametrize("aim", [None, *AIMS])
@pytest.mark.parametrize("scale", [1.0, 2.5])
def test_a_step_amplifies_flagged_entries_where_the_aim_allows_it_by_a_multiple_of_alpha(
    digits, aim, scale
):
    """With a batch of all items, plain SGD and no quantization: by the change of the head."""
    fields = {"amplifier_aim": aim} if aim else {}
    settings = config(
        **fields, amplifier=True, amplifier_scale=scale, quantization="none", tau=0.9,
        lr=0.01, momentum=0, weight_decay=0, batch_size=300, probe_every=0, schedule="constant",
        dataset_options={"query_per_class": 2, "train_per_class": 30},
    )  # fmt: skip
    run = start_saturated(settings, digits(settings))
    everything = torch.arange(300)
    if aim:
        run.aim.start_epoch(0)
        take_steps(run, 1)  # all items are visited
        run.epoch, run.position = 1, 0
        run.aim.start_epoch(1)
    features = run.network.backbone(run.inputs.batch(everything)).detach()
    h = torch.tanh(run.network.head(features)).detach().requires_grad_()
    labels = run.inputs.train_labels
    run.method.similarity_loss(h, labels, everything).backward()
    h, g = h.detach(), h.grad
    where = torch.ones_like(h, dtype=torch.bool)
    if aim == "all_pairs":  # on the codes of the last visit
        where = run.aim.asked * h > 0
    elif aim:
        majority = (labels.T @ h.sign()).sign()[labels.argmax(1)]
        certain = (labels.T @ h.sign()).abs()[labels.argmax(1)] > 0.5 * 30**0.5
        where = certain & ((h.sign() == majority) == (aim == "not_labels"))
    flagged = (h.abs() >= 0.9) & (h.sign() == g.sign())
    factor = torch.where(flagged & where, scale * alpha(0.9), 1.0)
    expected = ((g * factor * (1 - h**2)).T @ features) * 0.01
    before = run.network.head.weight.detach().clone()
    take_steps(run, 1)
    torch.testing.assert_close(before - run.network.head.weight, expected, rtol=1e-3, atol=1e-6)
    assert (flagged & where).any() and (aim is None or (flagged & ~where).any())


@pytest.mark.parametrize("aim", AIMS)
def test_a_run_with_an_aim_trains_and_ends_with_other_weights_than_the_papers(digits, aim):
    ours, papers = (
        config(epochs=5, lr=0.3, tau=0.9, amplifier_aim=one, **RDH) for one in (aim, "gradient")
    )
    log, runs = Log(), [loop.start(one, digits(one)) for one in (ours, papers)]
    outcome = log.fit(runs[0])
    Log().fit(runs[1])
    losses = [value for _, value in log.scalar("similarity_loss")]
    assert losses[-1] < losses[0] and outcome.evaluation.map > 0.15  # random codes: .10
    pairs = zip(weights(runs[0]), weights(runs[1]), strict=True)
    assert any(not torch.equal(a, b) for a, b in pairs)


@pytest.mark.parametrize(
    ("method", "aim"),
    [(method, "all_pairs") for method in AMPLIFIED]  # this aim asks the method itself
    + [(method, aim) for method in ("dpsh", "adsh") for aim in ("labels", "not_labels")],
)
def test_every_method_takes_an_aim_and_resumes_with_it_within_an_epoch(
    digits, tmp_path, method, aim
):
    settings = config(
        method=method, method_options=OPTIONS.get(method, {}), tau=0.7, probe_every=0,
        batch_size=32, amplifier_aim=aim, **RDH,
    )  # fmt: skip
    whole_log, whole = Log(), loop.start(settings, digits(settings))
    whole_log.fit(whole)
    log, run, _ = resumed(settings, digits, tmp_path, whole.step // 2)
    assert_same_end(log, run, whole_log, whole)
    first, second = run.aim.state_dict(), whole.aim.state_dict()
    assert_equal(list(first.values()), list(second.values()))


@pytest.mark.parametrize("aim", AIMS)
@pytest.mark.parametrize("stop_at", [1, 4, 6])  # in the first epoch, at its end, in the second
def test_a_resumed_run_with_an_aim_is_the_uninterrupted_one(digits, tmp_path, aim, stop_at):
    settings = config(tau=0.7, probe_every=3, amplifier_aim=aim, **RDH)
    whole = loop.start(settings, digits(settings))
    Log().fit(whole)
    _, run, _ = resumed(settings, digits, tmp_path, stop_at)
    assert_equal(weights(run), weights(whole))
    np.testing.assert_array_equal(run.probes.visits.signs, whole.probes.visits.signs)


@pytest.mark.parametrize("aim", AIMS)
def test_the_aim_does_not_depend_on_the_probes(digits, aim):
    ends = []
    for probe_every in (0, 1, 3):
        settings = config(tau=0.7, probe_every=probe_every, amplifier_aim=aim, **RDH)
        run = loop.start(settings, digits(settings))
        Log().fit(run)
        ends.append(weights(run))
    assert_equal(ends[0], ends[1])
    assert_equal(ends[0], ends[2])


@pytest.mark.parametrize("labels", [single_label(), multi_label()], ids=["single", "multi"])
def test_the_state_of_an_aim_holds_what_was_called_when_the_epoch_began(labels):
    method = method_class("hashnet")(K, labels, 0)
    for make in (lambda: ByLabels(labels, K, -1), lambda: ByAllPairs(method, 0)):
        whole, resumed_aim = make(), make()
        epochs = visits(len(labels))
        for epoch, batches in enumerate(epochs):
            whole.start_epoch(epoch)
            for step, (indices, codes) in enumerate(batches):
                if (epoch, step) == (1, 3):
                    copied = {name: part.clone() for name, part in whole.state_dict().items()}
                    resumed_aim.load_state_dict(copied)
                expected = whole.visit(codes, indices)
                if (epoch, step) >= (1, 3):
                    if step == 0:
                        resumed_aim.start_epoch(epoch)
                    assert torch.equal(resumed_aim.visit(codes, indices), expected)


@pytest.mark.parametrize("aim", AIMS)
def test_a_checkpoint_of_another_run_is_refused_in_one_sentence(digits, tmp_path, aim):
    settings, other = (config(amplifier_aim=one, **RDH) for one in (aim, "gradient"))
    log = Log(tmp_path)
    log.fit(loop.start(other, digits(other)))
    with pytest.raises(UserError, match=r"^The checkpoint does not fit this run's config"):
        restore(loop.start(settings, digits(settings)), checkpoints.load(tmp_path))
    for make in (
        lambda n: ByLabels(single_label(n), K, 1),
        lambda n: ByAllPairs(method_class("hashnet")(K, single_label(n), 0), 0),
    ):
        with pytest.raises(ValueError, match=r"must be \(8, 3\), got \(12, 3\)"):
            make(8).load_state_dict(make(12).state_dict())
