"""A loop that uses its recorder wrongly goes on, is told why in one sentence, and loses nothing."""

import copy
import errno
import os
import pickle
import threading
import warnings

import numpy as np
import pytest
import torch

from rdh.recorder import RecorderWarning
from rdh.store.run_store import RunStore
from tests.full_disk import file_limit
from tests.recorder.loops import BITS, Loop, N, recorder_in

EVERY = torch.arange(N)


def told(call) -> list[str]:
    """The sentences that a call warns of."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        call()
    assert all(one.category is RecorderWarning for one in caught)
    return [str(one.message) for one in caught]


def backward(recorder, codes, indices) -> None:
    recorder.watch(codes, indices)
    codes.sum().backward()
    recorder.step(1.0)


def with_term(recorder, value, n_apart=1) -> None:
    """A step of a loop with a quantization term, of which too little or too much is told."""
    codes = recorder.watch(torch.zeros(N, BITS, requires_grad=True), EVERY)
    (codes.sum() + sum(recorder.quantized(codes).sum() for _ in range(n_apart))).backward()
    recorder.step(1.0, quantization=value)


@pytest.mark.parametrize(
    ("use", "sentence"),
    [
        (
            lambda one: backward(one, 3 * torch.ones(N, BITS, requires_grad=True), EVERY),
            r"codes must lie in [-1, 1], got 3: pass torch.tanh(logits)",
        ),
        (
            lambda one: (one.watch(torch.zeros(N, BITS), EVERY), one.step(1.0)),
            "codes must have a gradient",
        ),
        (
            lambda one: backward(one, torch.zeros(N, BITS + 1, requires_grad=True), EVERY),
            f"codes must be a tensor (n, {BITS})",
        ),
        (lambda one: (one.watch([1.0], EVERY), one.step(1.0)), "codes must be a tensor"),
        (
            lambda one: backward(one, torch.zeros(N, BITS, requires_grad=True), EVERY + 1),
            f"indices must be positions below n_items = {N}, got {N}",
        ),
        (
            lambda one: backward(one, torch.zeros(N, BITS, requires_grad=True), EVERY[1:]),
            f"indices must be {N} whole numbers",
        ),
        (
            lambda one: backward(one, torch.zeros(N, BITS, requires_grad=True), EVERY.float()),
            f"indices must be {N} whole numbers, one a code, got torch.float32",
        ),
        (
            lambda one: backward(one, torch.zeros(N, BITS, requires_grad=True), slice(0, N)),
            f"indices must be {N} whole numbers, one a code, got slice",
        ),
        (
            lambda one: backward(one, torch.zeros(N, BITS, requires_grad=True), EVERY.to_sparse()),
            f"got torch.int64 ({N},) sparse or meta",
        ),
        (
            lambda one: (
                one.watch(torch.eye(N, BITS).to_sparse().requires_grad_(), EVERY),
                one.step(1.0),
            ),
            f"must be a dense tensor of floating-point numbers, got torch.float32 ({N}, {BITS}) sp",
        ),
        (
            lambda one: (
                one.watch(torch.zeros(N, BITS, device="meta", requires_grad=True), EVERY),
                one.step(1.0),
            ),
            "codes must be a dense tensor",
        ),
        (
            lambda one: backward(one, torch.zeros(N, BITS, requires_grad=True), EVERY // 2),
            "an item came more than once",
        ),
        (
            lambda one: backward(one, torch.full((N, BITS), torch.nan).requires_grad_(), EVERY),
            "codes must be finite",
        ),
        (
            lambda one: (
                one.watch(torch.zeros(N, BITS, requires_grad=True), EVERY),
                one.step(1.0),
            ),
            "no gradient has come back",
        ),
        (
            lambda one: (
                backward(one, torch.zeros(N, BITS, requires_grad=True), EVERY),
                one.step(float("nan")),
            ),
            "the loss became nan at step 2: lower",
        ),
        (
            lambda one: one.quantized(torch.zeros(N, BITS, requires_grad=True)),
            "quantized must get the codes that watch returned last: call watch before it",
        ),
        (
            lambda one: (
                backward(one, torch.zeros(N, BITS, requires_grad=True), EVERY),
                one.quantized(torch.zeros(N, BITS, requires_grad=True)),
            ),
            "quantized must get the codes that watch returned last: call watch before it",
        ),
        (lambda one: with_term(one, float("nan")), "the quantization term became nan at step 1: "),
        (lambda one: with_term(one, 0.5, n_apart=0), "step got the value of a quantization term, "),
        (lambda one: with_term(one, None), "quantized was called, but step got no value of the te"),
        (lambda one: with_term(one, 0.5, n_apart=2), "quantized was called twice for the codes th"),
        (lambda one: one.step(1.0, quantization="q"), "pass quantization.mean() or quantization."),
        (lambda one: one.step("much"), "loss must be a number or a tensor of one, got str"),
        (lambda one: one.step(torch.ones(3)), "got torch.float32 (3,): pass loss.mean()"),
        (lambda one: one.step(1.0, lr=[0.1]), "lr must be a number or a tensor of one, got list"),
        (
            lambda one: one.evaluate(np.ones((2, 3)), np.ones((2, 3)), [0, 1], [0, 1]),
            f"query_codes must be (n, {BITS})",
        ),
        (
            lambda one: one.evaluate(np.ones((2, BITS)), np.ones((2, BITS)), [0, 1], [0]),
            "the evaluation is missing",
        ),
        (
            lambda one: one.evaluate(
                np.ones((2, BITS)), np.ones((2, BITS)), torch.eye(2).to_sparse(), [0, 1]
            ),
            "query_labels must be an array, got a Tensor that makes none",
        ),
    ],
)
def test_wrong_use_is_said_once_and_the_loop_goes_on(tmp_path, use, sentence):
    recorder = recorder_in(tmp_path, probe_every=1)
    said = told(lambda: (use(recorder), use(recorder)))
    assert sum(sentence in one for one in said) == 1, said
    assert "\n" not in "".join(said)
    loop = Loop()
    loop.epoch(recorder)  # what comes after it is recorded
    recorder.close()
    result = RunStore(tmp_path).result(recorder.run_id)
    assert result["state"] == "finished" and "left something out" in result["message"]
    assert sentence in (tmp_path / recorder.run_id / "log.txt").read_text()
    assert RunStore(tmp_path).reader(recorder.run_id).scalar("entries")[1][-1] == N * BITS


@pytest.mark.parametrize(
    ("codes", "indices"),
    [
        (torch.zeros(N, BITS + 1), EVERY),
        (torch.zeros(BITS), None),
        (torch.zeros(N, BITS), EVERY[:5]),
        (torch.zeros(N, BITS), EVERY + N),
        (torch.full((N, BITS), torch.nan), EVERY),
        (3 * torch.ones(N, BITS), EVERY),
    ],
)
def test_one_mistake_is_one_sentence(tmp_path, codes, indices):
    """What was done, to call watch, is not asked for as well."""
    recorder = recorder_in(tmp_path, probe_every=1)
    codes.requires_grad_()
    assert len(told(lambda: (backward(recorder, codes, indices), recorder.close()))) == 1


def test_a_setting_that_pages_compute_with_is_a_number_or_left_out_with_a_sentence(tmp_path):
    settings = {"eta": "x", "lr": float("nan"), "epochs": "many", "seed": None, "note": "x"}
    said = told(lambda: recorder_in(tmp_path, run_id="toy-run", settings=settings).close())
    assert len(said) == 3
    assert "eta in settings must be a finite number, got 'x'; it is left out" in said[0]
    config = RunStore(tmp_path).config("toy-run")
    assert (config.eta, config.lr, config.epochs) == (None, None, None)
    assert config.settings == {"seed": None, "note": "x"}


def test_closing_twice_is_closing_once_and_what_comes_later_is_said_once(tmp_path):
    recorder, loop = recorder_in(tmp_path), Loop()
    loop.epoch(recorder)
    recorder.close()
    (said,) = told(lambda: [loop.epoch(recorder), recorder.close(), loop.epoch(recorder)])
    assert f"run {recorder.run_id} is closed, so nothing is recorded any more" in said
    assert RunStore(tmp_path).result(recorder.run_id)["step"] == 3


@pytest.mark.parametrize("copied", [copy.deepcopy, lambda one: pickle.loads(pickle.dumps(one))])
def test_a_copy_records_nothing_and_says_so_once(tmp_path, copied):
    """A model that holds its recorder is copied for an average of weights, or saved whole."""
    recorder, loop = recorder_in(tmp_path), Loop()
    other = copied(recorder)
    (said,) = told(lambda: (loop.epoch(other), other.close(), loop.epoch(other)))
    assert f"a copy of the recorder of run {recorder.run_id}" in said and other.run_id is None
    loop.epoch(recorder)
    recorder.close()
    assert RunStore(tmp_path).result(recorder.run_id)["step"] == 3


@pytest.mark.parametrize("place", [3, torch.tensor(3), [3], np.array([3])])
def test_a_batch_of_one_and_an_empty_one_are_counted(tmp_path, place):
    recorder = recorder_in(tmp_path, probe_every=1)
    backward(recorder, torch.zeros(1, BITS, requires_grad=True), place)
    backward(recorder, torch.zeros(0, BITS, requires_grad=True), EVERY[:0])
    recorder.close()
    reader = RunStore(tmp_path).reader(recorder.run_id)
    assert reader.scalar("window_entries")[1].tolist() == [BITS]
    assert reader.scalar("loss")[0].tolist() == [1, 2]


def test_a_warning_that_is_made_an_error_does_not_reach_the_loop(tmp_path):
    recorder = recorder_in(tmp_path)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        recorder.watch(torch.zeros(N, BITS), EVERY)
    recorder.close()


def test_of_an_item_that_comes_again_the_last_visit_counts(tmp_path):
    recorder = recorder_in(tmp_path, probe_every=1)
    codes = torch.full((2, BITS), 0.99)
    codes[0] = -0.99
    codes.requires_grad_()
    told(lambda: backward(recorder, codes, torch.tensor([5, 5])))
    recorder.close()
    saturated = RunStore(tmp_path).reader(recorder.run_id).arrays("saturated")[2][0]
    assert saturated.sum(1).tolist() == [0, BITS]  # on the +1 side


def test_good_items_of_a_bad_batch_are_counted(tmp_path):
    recorder = recorder_in(tmp_path, probe_every=1)
    codes = torch.zeros(N, BITS)
    codes[3, 0] = torch.nan
    codes[4, 0] = 7.0
    codes.requires_grad_()
    told(lambda: backward(recorder, codes, EVERY))
    recorder.close()
    entries = RunStore(tmp_path).reader(recorder.run_id).scalar("entries")[1]
    assert entries.tolist() == [(N - 2) * BITS]


def test_gradients_that_overflow_are_left_out(tmp_path):
    """A GradScaler skips such a step."""
    recorder = recorder_in(tmp_path, probe_every=1)
    codes = torch.zeros(N, BITS, requires_grad=True)
    recorder.watch(codes, EVERY)
    (codes * torch.inf).sum().backward()
    said = told(lambda: recorder.step(1.0))
    assert "a GradScaler skips such a step" in said[0]
    recorder.close()


def test_a_loop_that_never_calls_step_keeps_its_memory(tmp_path, monkeypatch):
    monkeypatch.setattr("rdh.recorder.session.MOST_VISITS", 5)
    recorder, codes = recorder_in(tmp_path), torch.zeros(N, BITS, requires_grad=True)
    said = told(lambda: [recorder.watch(codes, EVERY) for _ in range(7)])
    assert "watch was called 5 times without a step" in said[0]
    assert len(recorder._session._window.visits) == 2
    recorder.close()


def test_a_full_disk_costs_records_and_nothing_else(tmp_path):
    recorder, loop = recorder_in(tmp_path), Loop()
    for _ in range(2):
        loop.epoch(recorder)
    size = (tmp_path / recorder.run_id / "metrics.db-wal").stat().st_size
    with file_limit(size):
        said = told(lambda: [loop.epoch(recorder) for _ in range(3)])
    assert len([one for one in said if "can't be written" in one]) == 1
    loop.epoch(recorder)
    told(recorder.close)
    result = RunStore(tmp_path).result(recorder.run_id)
    assert result["state"] == "finished" and result["dropped_records"] == 3
    steps = [step for step, *_ in RunStore(tmp_path).reader(recorder.run_id).records()]
    assert steps == [3, 6, 18]


def test_a_folder_that_is_removed_does_not_end_the_training(tmp_path):
    recorder, loop = recorder_in(tmp_path), Loop()
    loop.epoch(recorder)
    (tmp_path / recorder.run_id).rename(tmp_path / ".gone")
    told(lambda: (recorder._session.folder.pulse.beat(), loop.epoch(recorder), recorder.close()))
    assert loop.network.weight.isfinite().all()


def test_a_forked_child_leaves_the_run_to_its_parent(tmp_path):
    recorder, loop = recorder_in(tmp_path), Loop()
    loop.epoch(recorder)
    child = os.fork()
    if not child:  # torch must not compute in it; the recorder is asked all the same
        recorder.step(1.0)
        recorder.close()
        os._exit(errno.EPERM if recorder._session is not None else 0)
    assert os.waitpid(child, 0)[1] == 0
    store = RunStore(tmp_path)
    assert not store.result(recorder.run_id)
    loop.epoch(recorder)
    recorder.close()
    assert store.result(recorder.run_id)["step"] == 6
    assert [step for step, *_ in store.reader(recorder.run_id).records()] == [3, 6]


def test_threads_that_share_a_recorder_lose_no_record(tmp_path):
    recorder = recorder_in(tmp_path, probe_every=1)
    codes, labels = np.ones((N, BITS)), np.arange(N) % 3

    def train() -> None:
        for _ in range(20):
            recorder.watch(torch.zeros(N, BITS, requires_grad=True), EVERY).sum().backward()
            recorder.step(1.0)
            recorder.evaluate(codes, codes, labels, labels)

    threads = [threading.Thread(target=train) for _ in range(4)]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RecorderWarning)  # a step ends that of all threads
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    recorder.close()
    store = RunStore(tmp_path)
    result = store.result(recorder.run_id)
    assert (result["state"], result["step"], result["dropped_records"]) == ("finished", 80, 0)
    assert len(store.reader(recorder.run_id).scalar("map")[0]) == 80
