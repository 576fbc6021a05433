"""The training loop against a plain one written by hand, through stops, resumes and divergence."""

import itertools
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from rdh import catalog
from rdh.config.run_config import RunConfig, make_config, with_plug_ins
from rdh.errors import Stopped, UserError
from rdh.inputs.load import Inputs, load_inputs
from rdh.methods import LOSSES, method_class
from rdh.rescue import GradientAmplifier, error_aware_quantization, similarity
from rdh.retrieval import CodesWarning, evaluate, pack_codes
from rdh.store.metrics_writer import Record
from rdh.training import checkpoints, loop
from rdh.training.evaluate import encode
from rdh.training.probes import Probes, logit_edges
from rdh.training.record import TrainingFailure, check_losses
from rdh.training.state import TrainingState, facts_of
from tests.naive_probes import NaiveProbes
from tests.training.test_probes import assert_same

DEEP = [name for name, card in catalog.methods().items() if not card.is_shallow]
SMALL = {"query_per_class": 2, "train_per_class": 6}  # 60 training items
OPTIONS = {
    "adsh": {"n_samples": 60},
    "dihn": {"n_samples": 60, "passes": 1, "old_epochs": 1},
    "dagh": {"n_anchors": 40},
}  # else these would visit 1777 and 60 items an epoch, and DIHN-R's second part would not begin
ARMS = {False: {"quantization": "plain"}, True: {"quantization": "error_aware", "amplifier": True}}


def config(**fields: Any) -> RunConfig:
    return make_config(
        **{
            "n_bits": 8,
            "batch_size": 16,
            "epochs": 3,
            "lr": 0.3,
            "dataset_options": SMALL,
            "device": "cpu",
        }
        | fields
    )


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    """Steps are small, so threads cost more than they bring, above all on a busy machine."""
    n_threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(n_threads)


@pytest.fixture(scope="module")
def digits(tmp_path_factory: pytest.TempPathFactory) -> Any:
    """(config) -> its inputs, made anew."""
    root = tmp_path_factory.mktemp("data")
    return lambda run_config: load_inputs(run_config, data_root=root)


class Log:
    """What a run hands out, and a stop after some number of steps (seen through should_stop)."""

    def __init__(self, folder: Path | None = None, stop_at: int | None = None) -> None:
        self.records: list[Record] = []
        self.codes: dict[str, dict[str, np.ndarray]] = {}
        self.saved_at: list[int] = []
        self.n_before = 0  # records before the last checkpoint: a resumed run keeps these
        self.folder, self.stop_at, self.run = folder, stop_at, None
        if folder is not None:
            (folder / "checkpoints").mkdir(exist_ok=True)

    def save(self, state: dict[str, Any]) -> None:
        self.saved_at.append(state["step"])
        self.n_before = len(self.records)
        if self.folder is not None:
            checkpoints.save(self.folder, state)

    def should_stop(self) -> bool:
        return self.run.step == self.stop_at

    def fit(self, run: TrainingState, checkpoint: dict[str, Any] | None = None) -> loop.Outcome:
        self.run = run
        return loop.fit(
            run,
            log=self.records.append,
            save_checkpoint=self.save,
            save_codes=lambda name, arrays: self.codes.__setitem__(name, arrays),
            should_stop=self.should_stop,
            checkpoint=checkpoint,
        )

    @property
    def probed(self) -> dict[int, dict[str, np.ndarray]]:
        """step -> arrays of the records of the probes."""
        return {record.step: record.arrays for record in self.records if "dead" in record.arrays}

    def scalar(self, name: str) -> list[tuple[int, float]]:
        return [
            (record.step, record.scalars[name]) for record in self.records if name in record.scalars
        ]


def weights(run: TrainingState) -> list[torch.Tensor]:
    return [tensor.clone() for tensor in run.network.state_dict().values()]


def assert_equal(first: list[torch.Tensor], second: list[torch.Tensor]) -> None:
    assert all(torch.equal(a, b) for a, b in zip(first, second, strict=True))


def take_steps(run: TrainingState, n: int) -> None:
    """Steps of one epoch, without records."""
    for _ in itertools.islice(loop.train_epoch(run), n):
        run.pending = 0


# One run


@pytest.mark.parametrize("rdh", [False, True])
def test_twenty_steps_on_digits_lower_the_loss_and_beat_random_codes(digits, rdh):
    small = config(epochs=5, probe_every=1, **ARMS[rdh])
    log = Log()
    run = loop.start(small, digits(small))
    outcome = log.fit(run)
    losses = [value for _, value in log.scalar("similarity_loss")]
    assert len(losses) == outcome.step == run.step == 20
    assert np.mean(losses[-4:]) < np.mean(losses[:4])
    assert 0.15 < outcome.evaluation.map <= outcome.best_map <= 1  # random codes: .10
    assert all(np.isfinite(value) for record in log.records for value in record.scalars.values())


def test_records_come_every_window_and_at_the_end_of_each_epoch(digits):
    small = config(
        epochs=2, probe_every=3, batch_size=16, eval_every=1
    )  # 4 steps an epoch, the last of 12 items
    log = Log()
    log.fit(loop.start(small, digits(small)))
    assert log.scalar("window_entries") == [
        (3, 3 * 16 * 8.0),
        (4, 12 * 8.0),
        (7, 3 * 16 * 8.0),
        (8, 12 * 8.0),
    ]
    assert [value for _, value in log.scalar("entries")] == [3 * 16 * 8.0, *[60 * 8.0] * 3]
    assert [record.epoch for record in log.records if "entries" in record.scalars] == [0, 1, 1, 2]
    assert [step for step, _ in log.scalar("map")] == [4, 8]
    assert not any(record.scalars == {} for record in log.records)


def test_probe_records_of_a_run_equal_the_slow_loops(digits):
    small = config(epochs=3, probe_every=3, tau=0.9, lr=2.0, n_bits=4, **ARMS[True])
    log, windows, run = Log(), [[]], loop.start(small, digits(small))
    add, record = run.probes.add, run.probes.record
    run.probes.add = lambda *step: (
        windows[-1].append([part.clone() for part in step[:5]]),
        add(*step),
    )
    run.probes.record = lambda *flags: (windows.append([]), record(*flags))[1]
    log.fit(run)
    naive = NaiveProbes(run.inputs.train_labels, 4, 0.9, logit_edges(0.9).tolist())
    records = [entry for entry in log.records if "dead" in entry.arrays]
    assert len(records) == len(windows) - 1 == 6
    for number, (entry, window) in enumerate(zip(records, windows, strict=False)):
        assert_same(entry.arrays, naive.record(window, True, ends_epoch=number % 2 == 1))
        for name in ("flagged", "dead", "amplified", "deaths", "flags_raised", "flagged_dead"):
            assert entry.scalars[name] == entry.arrays[name].sum()
    assert records[-1].scalars["flagged"] > 0


def test_the_rate_in_a_record_is_the_one_its_steps_were_made_with(digits):
    small = config(epochs=2, probe_every=4, lr=0.2, hash_lr_scale=1.0)
    log = Log()
    log.fit(loop.start(small, digits(small)))
    assert log.scalar("lr") == [
        (4, pytest.approx(0.2)),
        (8, pytest.approx(0.1)),
    ]  # cosine: half way after one of two


def test_codes_are_kept_at_epochs_0_1_2_4_and_the_last(digits):
    small = config(epochs=5, probe_every=0)
    log = Log()
    outcome = log.fit(loop.start(small, digits(small)))
    assert list(log.codes) == ["probe-0", "probe-4", "probe-8", "probe-16", "probe-20", "final"]
    final, probe = log.codes["final"], log.codes["probe-20"]
    assert (
        final["query"].shape == (20, 1)
        and final["gallery"].shape == (1777, 1)
        and outcome.step == 20
    )
    assert (
        probe["ids"].shape == (60,)
        and probe["bits"].dtype == np.uint8
        and probe["logits"].dtype == np.float16
    )
    rows = np.searchsorted(final["gallery_ids"], probe["ids"])
    np.testing.assert_array_equal(final["gallery"][rows], probe["bits"])


def test_without_probes_losses_are_recorded_once_an_epoch(digits):
    small = config(probe_every=0, **ARMS[True])
    log = Log()
    run = loop.start(small, digits(small))
    log.fit(run)
    assert [step for step, _ in log.scalar("loss")] == [4, 8, 12]
    assert run.probes is None and not log.scalar("window_entries")


@pytest.mark.parametrize("batch_size", [59, 60, 61, 500])
@pytest.mark.parametrize("method", ["dhn", "dpsh", "hashnet"])
def test_batches_of_one_item_and_batches_larger_than_the_training_set(digits, method, batch_size):
    small = config(method=method, batch_size=batch_size, epochs=2, **ARMS[True])
    log = Log()
    outcome = log.fit(loop.start(small, digits(small)))
    assert outcome.step == (4 if batch_size == 59 else 2)
    assert all(np.isfinite(value) for record in log.records for value in record.scalars.values())
    assert sum(value for _, value in log.scalar("window_entries")) == 2 * 60 * 8


def test_encoding_is_in_eval_mode_and_puts_the_mode_back(digits):
    small = config()
    run = loop.start(small, digits(small))
    run.network.backbone.append(torch.nn.Dropout(0.5))
    run.network.train()
    first, second = (encode(run, run.inputs.split.query) for _ in range(2))
    np.testing.assert_array_equal(first, second)
    assert run.network.training and first.shape == (20, 8) and first.dtype == np.float32


def test_the_same_seed_gives_the_same_weights_and_codes(digits):
    small = config(method="dpsh", augment=True, **ARMS[True])
    inputs = digits(small)
    runs, logs = [], []
    for _ in range(2):  # the second run gets used inputs: nothing of the first may shine through
        runs.append(loop.start(small, inputs))
        logs.append(Log())
        logs[-1].fit(runs[-1])
    assert_equal(*map(weights, runs))
    for name, arrays in logs[0].codes.items():
        for part, values in arrays.items():
            np.testing.assert_array_equal(logs[1].codes[name][part], values)


def test_another_seed_gives_other_weights_and_another_order(digits):
    small = config()
    inputs = digits(small)
    runs = [loop.start(config(seed=seed), inputs) for seed in (0, 1)]
    assert not torch.equal(weights(runs[0])[0], weights(runs[1])[0])
    orders = [visited(run) for run in runs]
    assert orders[0] != orders[1] and sorted(orders[0]) == sorted(orders[1])


def visited(run: TrainingState) -> list[int]:
    """Positions that the run's next epoch visits, in order."""
    seen, batch = [], run.inputs.batch
    run.inputs.batch = lambda positions: (seen.extend(positions.tolist()), batch(positions))[1]
    take_steps(run, 10_000)
    run.inputs.batch = batch
    return seen


@pytest.mark.parametrize("method", DEEP)
def test_both_arms_of_a_pair_share_initial_weights_and_the_order_of_items(digits, method):
    base = config(method=method, method_options=OPTIONS.get(method, {}))
    arms = [
        with_plug_ins(base, rdh=rdh) if catalog.method(method).saturates else base
        for rdh in (False, True)
    ]
    inputs = digits(base)
    runs = [loop.start(arm, inputs) for arm in arms]
    assert_equal(*map(weights, runs))
    first, second = map(visited, runs)
    assert first == second and len(set(first)) == len(first)


# The step


def plain_loop(run: TrainingState, n_steps: int) -> None:
    """The paper's step in plain PyTorch.

    GradientAmplifier stands between tanh and the losses. Their sum gets one backward pass.
    """
    settings, method, inputs = run.config, run.method, run.inputs
    amplifier = GradientAmplifier(settings.tau) if settings.amplifier else torch.nn.Identity()
    generator = torch.Generator().manual_seed(settings.seed * 1_000_003)
    method.on_epoch_start(0)
    order = method.epoch_indices(0, generator)
    run.network.train()
    for indices in itertools.islice(order.split(settings.batch_size), n_steps):
        labels = inputs.train_labels[indices]
        codes = amplifier(method.relax(run.network(inputs.batch(indices)), 0))
        method.remember(codes.detach(), indices)
        loss = method.similarity_loss(codes, labels, indices)
        regression = method.code_regression_loss(codes, indices)
        loss = loss if regression is None else loss + regression
        if settings.quantization == "error_aware":
            others = method.partners(codes.detach())
            term = error_aware_quantization(codes, similarity(labels), stored_codes=others)
            loss = loss + settings.eta * method.n_streams * term
        elif method.quantization_loss(codes) is not None:
            loss = loss + method.quantization_loss(codes)
        run.optimizer.zero_grad()
        loss.backward()
        run.optimizer.step()


@pytest.mark.parametrize("rdh", [False, True])
@pytest.mark.parametrize("method", DEEP)
def test_steps_equal_a_plain_loop_with_the_amplifier_module_and_one_backward(digits, method, rdh):
    if rdh and not catalog.method(method).saturates:
        pytest.skip("nothing saturates")
    settings = config(
        method=method, method_options=OPTIONS.get(method, {}), tau=0.9, lr=0.01, **ARMS[rdh]
    )
    inputs = digits(settings)
    ours, plain = (start_saturated(settings, inputs) for _ in range(2))
    ours.method.on_epoch_start(0)
    take_steps(ours, 4)
    plain_loop(plain, 4)
    for a, b in zip(weights(ours), weights(plain), strict=True):
        torch.testing.assert_close(a, b, rtol=1e-4, atol=1e-6)


def start_saturated(settings: RunConfig, inputs: Inputs) -> TrainingState:
    """With codes that the amplifier acts on from the first step."""
    run = loop.start(settings, inputs)
    head = run.network.head
    (head[-1] if isinstance(head, torch.nn.Sequential) else head).weight.data.mul_(20)
    return run


def test_the_amplifier_acts_from_the_first_step_in_that_comparison(digits):
    both, eaq = (
        config(tau=0.9, lr=0.01, amplifier=on, quantization="error_aware") for on in (True, False)
    )
    runs = [start_saturated(settings, digits(settings)) for settings in (both, eaq)]
    for run in runs:
        take_steps(run, 1)
    heads = [run.network.head.weight for run in runs]
    assert (heads[0] - heads[1]).abs().max() > 1e-4


@pytest.mark.parametrize(
    ("quantization", "n_terms"), [("none", 1), ("plain", 2), ("error_aware", 2)]
)
def test_quantization_says_which_term_joins_the_similarity_loss(digits, quantization, n_terms):
    settings = config(method="dpsh", quantization=quantization, probe_every=1, epochs=1)
    log = Log()
    log.fit(loop.start(settings, digits(settings)))
    total, parts = log.scalar("loss")[-1][1], [log.scalar(name)[-1][1] for name in LOSSES]
    assert total == pytest.approx(sum(parts), rel=1e-6) and np.count_nonzero(parts) == n_terms


@pytest.mark.parametrize("method", ["dpsh", "dsdh"])
def test_stored_pairs_compare_a_batch_with_the_signs_of_all_training_items(digits, method):
    settings = config(method=method, eaq_pairs="stored", **ARMS[True])
    run = loop.start(settings, digits(settings))
    take_steps(run, 2)
    indices, memory = torch.arange(8), run.method.stored_codes
    assert 0 < memory.any(1).sum() < len(memory), "some items are not visited yet"
    codes, labels = memory[indices] * 0.5 + 0.1, run.inputs.train_labels
    loss, gradient = loop.error_aware(settings, run.method, codes, labels[indices])
    expected = 0.0
    for h, own in zip(codes, labels[indices], strict=True):
        for stored, other in zip(memory, labels, strict=True):
            wanted = 1 if (own * other).any() else -1
            expected += (((h.sign() * stored.sign()) == wanted) * (h - h.sign()) ** 2).sum().item()
    assert loss.item() == pytest.approx(
        settings.eta * expected / (8 * len(memory) * settings.n_bits), rel=1e-4
    )
    leaf = codes.clone().requires_grad_()
    error_aware_quantization(
        leaf, similarity(labels[indices], labels), stored_codes=memory
    ).backward()
    assert torch.allclose(gradient, leaf.grad, rtol=1e-5, atol=1e-9)


# Stop and resume


def resumed(
    settings: RunConfig, digits: Any, folder: Path, stop_at: int
) -> tuple[Log, TrainingState, loop.Outcome]:
    """Stops after `stop_at` steps, then goes on from the file in a new run."""
    first = Log(folder, stop_at)
    with pytest.raises(Stopped):
        first.fit(loop.start(settings, digits(settings)))
    assert first.saved_at[-1] == first.run.step == stop_at and "final" not in first.codes
    torch.manual_seed(12345)  # a new process would have another state
    second = Log(folder)
    run = loop.start(settings, digits(settings))
    outcome = second.fit(run, checkpoints.load(folder))
    second.records = first.records[: first.n_before] + second.records
    return second, run, outcome


def assert_same_end(log: Log, run: TrainingState, whole_log: Log, whole: TrainingState) -> None:
    assert_equal(weights(run), weights(whole))
    for name, values in whole_log.codes["final"].items():
        np.testing.assert_array_equal(log.codes["final"][name], values)
    for first, second in zip(
        run.method.state_dict().values(), whole.method.state_dict().values(), strict=True
    ):
        assert torch.equal(first, second)
    if run.probes:
        np.testing.assert_array_equal(run.probes.visits.state, whole.probes.visits.state)
        for name in ("flagged", "dead", "histogram"):
            np.testing.assert_array_equal(log.probed[12][name], whole_log.probed[12][name])


@pytest.mark.parametrize(
    "stop_at", [1, 4, 6, 8, 12]
)  # mid-epoch, ends of epochs, the end of training
@pytest.mark.parametrize("method", ["dpsh", "hashnet"])
def test_a_resumed_run_ends_bit_identical_to_an_uninterrupted_one(
    digits, tmp_path, method, stop_at
):
    settings = config(
        method=method, augment=True, probe_every=3, checkpoint_every=1, eval_every=1, **ARMS[True]
    )
    whole_log, whole = Log(), loop.start(settings, digits(settings))
    expected = whole_log.fit(whole)
    log, run, outcome = resumed(settings, digits, tmp_path, stop_at)
    assert_same_end(log, run, whole_log, whole)
    assert outcome.step == expected.step and outcome.evaluation.map == expected.evaluation.map
    assert (
        outcome.best_map == expected.best_map or stop_at % 4 == 0
    )  # there it interrupts the evaluation of that epoch
    assert log.probed.keys() == whole_log.probed.keys()  # no record more: windows are whole
    for step, arrays in whole_log.probed.items():
        assert arrays.keys() == log.probed[step].keys()
        for name, values in arrays.items():
            np.testing.assert_array_equal(log.probed[step][name], values)
    for name in ("loss", "window_entries", "dead", "gradient_norm"):
        assert log.scalar(name) == whole_log.scalar(name)


@pytest.mark.parametrize("method", DEEP)
def test_every_method_resumes_within_an_epoch_with_its_memory(digits, tmp_path, method):
    settings = config(
        method=method, method_options=OPTIONS.get(method, {}), probe_every=0, batch_size=32
    )
    whole_log, whole = Log(), loop.start(settings, digits(settings))
    whole_log.fit(whole)
    log, run, _ = resumed(settings, digits, tmp_path, whole.step // 2)
    assert_same_end(log, run, whole_log, whole)


def test_a_killed_run_goes_on_from_its_last_checkpoint(digits, tmp_path):
    settings = config(method="dpsh", checkpoint_every=1, eval_every=1, **ARMS[True])
    whole_log, whole = Log(), loop.start(settings, digits(settings))
    expected = whole_log.fit(whole)
    killed = Log(tmp_path)
    killed.should_stop = lambda: 1 / 0 if killed.run.step == 10 else False
    with pytest.raises(ZeroDivisionError):
        killed.fit(loop.start(settings, digits(settings)))
    assert killed.saved_at == [4, 8]
    log, run = Log(), loop.start(settings, digits(settings))
    assert log.fit(run, checkpoints.load(tmp_path)).best_map == expected.best_map
    assert sorted(log.probed) == [12]
    assert_same_end(log, run, whole_log, whole)


def test_a_stop_during_the_last_evaluation_resumes_to_the_same_result(digits, tmp_path):
    settings = config()
    whole_log, whole = Log(), loop.start(settings, digits(settings))
    expected = whole_log.fit(whole)
    stopped = Log(tmp_path)
    asked = []
    stopped.should_stop = lambda: (
        stopped.run.epoch == 3 and len(asked.append(0) or asked) == 3
    )  # between two batches of codes
    with pytest.raises(Stopped):
        stopped.fit(loop.start(settings, digits(settings)))
    log, run = Log(), loop.start(settings, digits(settings))
    outcome = log.fit(run, checkpoints.load(tmp_path))
    assert outcome.evaluation.map == expected.evaluation.map
    log.records = stopped.records
    assert_same_end(log, run, whole_log, whole)


def test_a_checkpoint_of_another_network_is_refused(digits, tmp_path):
    log = Log(tmp_path)
    log.fit(loop.start(config(), digits(config())))
    other = config(n_bits=16)
    with pytest.raises(UserError, match=r"does not fit this run's config \(.+\); launch a new run"):
        Log().fit(loop.start(other, digits(other)), checkpoints.load(tmp_path))


@pytest.mark.parametrize("name", ["network", "optimizer", "method", "probes", "best_map", "rng"])
def test_a_checkpoint_without_one_of_its_parts_is_refused(digits, tmp_path, name):
    Log(tmp_path).fit(loop.start(config(method="dpsh"), digits(config())))
    state = checkpoints.load(tmp_path)
    del state[name]
    with pytest.raises(UserError, match="does not fit"):
        Log().fit(loop.start(config(method="dpsh"), digits(config())), state)


def test_a_checkpoint_of_an_older_version_is_resumed_with_counts_anew(digits, tmp_path, capsys):
    """It held the flags of the last visits, uint8 (N, n_bits), and no sides."""
    Log(tmp_path).fit(loop.start(config(epochs=1), digits(config())))
    state = checkpoints.load(tmp_path)
    state["entry_state"] = torch.ones_like(state.pop("probes")["entries"], dtype=torch.uint8)
    log = Log()
    log.fit(loop.start(config(epochs=2, probe_every=3), digits(config())), state)
    assert "the probes count each item from its next visit on" in capsys.readouterr().out
    assert log.scalar("entries") == [(7, 3 * 16 * 8.0), (8, 60 * 8.0)]


# Where the numbers break


def named_step(failure: TrainingFailure) -> int:
    return int(str(failure).split("at step ")[1].split()[0])


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("probe_every", [0, 1, 2, 3, 4])
@pytest.mark.parametrize("weight_decay", [0.1, 0.3, 1])
def test_a_run_that_diverges_names_step_cause_and_way_out_and_has_no_record_of_that_step(
    digits, probe_every, weight_decay
):
    """How soon the numbers break depends on the machine; what is kept of it does not."""
    wild = config(
        lr=100, weight_decay=weight_decay, schedule="constant", epochs=60, probe_every=probe_every
    )
    log, run = Log(), None
    with pytest.raises(TrainingFailure) as caught:
        log.fit(run := loop.start(wild, digits(wild)))
    step = named_step(caught.value)
    assert step <= run.step and f"(epoch {(step - 1) // 4 + 1}); lower lr" in str(caught.value)
    assert "(now 100)" in str(caught.value)
    assert "became" in str(caught.value) or "no longer finite" in str(caught.value)
    assert max((record.step for record in log.records), default=0) < step
    assert max(log.saved_at, default=0) < step
    assert all(np.isfinite(value) for record in log.records for value in record.scalars.values())


@pytest.mark.parametrize(
    ("broken", "eta", "said"), [(2, 0.5, True), (0, 0.5, False), (0, 11.0, True), (0, 10.0, False)]
)
def test_the_weight_of_quantization_is_named_where_it_may_be_the_cause(digits, broken, eta, said):
    run = loop.start(config(lr=100, eta=eta, quantization="error_aware"), digits(config()))
    run.pending = run.step = 1
    losses = np.zeros((1, 3))
    losses[0, broken] = np.inf
    with pytest.raises(TrainingFailure) as caught:
        check_losses(run, losses)
    assert (f"eta (now {eta:g})" in str(caught.value)) == said


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("value", [np.inf, np.nan])
@pytest.mark.parametrize("probe_every", [0, 1, 2, 3, 4])
@pytest.mark.parametrize("broken", range(1, 9))
def test_no_record_and_no_checkpoint_holds_a_step_that_broke_the_network(
    digits, broken, probe_every, value
):
    """Two epochs of four steps; the update of one of them leaves weights that are not finite."""
    settings = config(epochs=2, checkpoint_every=1, probe_every=probe_every)
    run = loop.start(settings, digits(settings))
    step = run.optimizer.step
    run.optimizer.step = lambda: (
        step(),
        run.step == broken - 1 and run.network.head.weight.data.fill_(value),
    )
    log = Log()
    with pytest.raises(TrainingFailure) as caught:
        log.fit(run)
    kept = [record.step for record in log.records]
    assert max(kept, default=0) < broken and max(log.saved_at, default=0) < broken
    assert named_step(caught.value) not in kept and "final" not in log.codes


@pytest.mark.filterwarnings("error")
def test_probes_of_logits_that_left_float32_do_not_warn():
    probes = Probes(torch.eye(4), 2, 0.99)
    logits = torch.tensor([[np.inf, 1], [-np.inf, 3e38], [np.nan, -3e38], [1, 2]])
    signs = torch.ones(4, 2)
    probes.add(logits, torch.tanh(logits), signs, 3e38 * signs, torch.arange(4))
    assert probes.record(True)[1]["histogram"].sum() == 8


@pytest.mark.parametrize("cause", ["similarity_loss", "quantization_loss"])
def test_a_loss_that_breaks_is_named_with_its_step_and_the_checkpoint_stays(
    digits, tmp_path, cause, monkeypatch
):
    settings = config(method="dpsh", checkpoint_every=1, probe_every=3)
    run = loop.start(settings, digits(settings))
    loss = getattr(run.method, cause)
    monkeypatch.setattr(
        run.method, cause, lambda *parts: loss(*parts) * (np.nan if run.step == 5 else 1)
    )
    log = Log(tmp_path)
    with pytest.raises(
        TrainingFailure, match=rf"The {cause.replace('_', ' ')} became nan at step 6 \(epoch 2\)"
    ):
        log.fit(run)
    assert log.saved_at == [4] and checkpoints.load(tmp_path)["step"] == 4
    assert max(record.step for record in log.records) == 4


def test_a_stop_never_saves_weights_that_are_broken(digits, tmp_path):
    settings = config()
    run = loop.start(settings, digits(settings))
    step = run.optimizer.step
    run.optimizer.step = lambda: (
        step(),
        run.step == 1 and run.network.head.weight.data.fill_(np.nan),
    )
    log = Log(tmp_path, stop_at=2)
    with pytest.raises(
        TrainingFailure, match=r"weights are no longer finite at step 2 \(epoch 1\)"
    ):
        log.fit(run)
    assert log.saved_at == []


# What a worker keeps beside the records


def test_facts_hold_the_denominators_of_a_run(digits):
    settings = config(method="dpsh")
    facts = facts_of(loop.start(settings, digits(settings)))
    assert (facts["n_train"], facts["n_query"], facts["n_gallery"], facts["n_bits"]) == (
        60,
        20,
        1777,
        8,
    )
    assert (facts["steps_per_epoch"], facts["total_steps"], facts["device"]) == (4, 12, "cpu")
    assert len(facts["logit_edges"]) == 65


def test_a_method_that_samples_has_epochs_of_its_own_length(digits):
    settings = config(method="adsh", method_options={"n_samples": 40})
    run = loop.start(settings, digits(settings))
    assert facts_of(run)["steps_per_epoch"] == 3 and facts_of(run)["n_train"] == 1777
    assert len(visited(run)) == 40


def test_codes_that_a_method_learns_for_the_gallery_are_evaluated(digits):
    settings = config(method="adsh", epochs=1, method_options={"n_samples": 40})
    log, run = Log(), loop.start(settings, digits(settings))
    log.fit(run)
    np.testing.assert_array_equal(
        log.codes["final"]["gallery"], pack_codes(run.method.gallery_codes().numpy())
    )


def test_queries_that_all_have_one_code_are_said_in_the_summary():
    gallery, labels = np.tile(np.eye(4) * 2 - 1, (3, 1)), np.arange(12) % 2
    with pytest.warns(CodesWarning):
        alike = evaluate(np.ones((3, 4)), gallery, labels[:3], labels)
    (note,) = alike.notes
    message = loop.Outcome(alike, 0.5, 1).summary()["message"]
    assert message == note.replace("query_codes", "The codes of the queries")
    healthy = evaluate(gallery[:3], gallery, labels[:3], labels)
    assert loop.Outcome(healthy, 0.5, 1).summary()["message"] is None
    part = loop.Outcome(healthy, 0.5, 1, left_out="No new classes.")
    assert part.summary()["message"] == "No new classes."


def test_a_gallery_of_a_handful_of_items_is_said_in_the_summary_whatever_its_codes():
    labels = np.array([0, 1, 0])
    with pytest.warns(CodesWarning):
        collapsed = evaluate(np.ones((3, 4)), np.ones((3, 4)), labels, labels)
    few = "The gallery has only 3 items, and chance can give any MAP there: add images."
    bad = "2 of 5 images can't be decoded and are left out: a.png and b.png."
    message = loop.Outcome(collapsed, 0.5, 1, left_out=bad).summary()["message"]
    assert message == f"All gallery items have the same code, so MAP is that of chance. {few} {bad}"
    codes = np.eye(4)[:3] * 2 - 1
    healthy = evaluate(codes, codes, labels, labels)
    assert loop.Outcome(healthy, 0.5, 1).summary()["message"] == few


def test_methods_say_what_they_train_on():
    assert (
        method_class("adsh").trains_on == "gallery" and method_class("hashnet").trains_on == "train"
    )
