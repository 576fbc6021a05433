"""What a recorder writes of a foreign loop is what one counts by hand, and it changes nothing."""

import numpy as np
import pytest
import torch

from rdh import execution
from rdh.config.run_config import RunConfig
from rdh.errors import UserError
from rdh.recorder import Recorder
from rdh.recorder.complaints import Complaints
from rdh.rescue import GradientAmplifier
from rdh.retrieval import evaluate
from rdh.store.run_store import RunStore
from rdh.training.entry_kinds import HELD
from rdh.training.probes import logit_edges
from tests.naive_probes import NaiveProbes
from tests.recorder.loops import BATCH, BITS, LABELS, TAU, Loop, N, hot, recorder_in


@pytest.fixture(autouse=True)
def nothing_is_left_out(monkeypatch):
    """A complaint is a failure here; tests of wrong use stand apart."""
    said: list[str] = []
    monkeypatch.setattr(Complaints, "say", lambda self, reason, text, n=1: said.append(text))
    yield
    assert said == []


def values(store: RunStore, run_id: str, name: str) -> np.ndarray:
    return store.reader(run_id).arrays(name)[2]


def test_records_are_those_of_slow_counting(tmp_path):
    loop, recorder = Loop(), recorder_in(tmp_path)
    for _ in range(4):
        loop.epoch(recorder)
    recorder.close()
    naive = NaiveProbes(hot(), BITS, TAU, logit_edges(TAU).tolist())
    store = RunStore(tmp_path)
    for place in range(4):
        expected = naive.record(loop.seen[3 * place : 3 * place + 3], False, True)
        for name, want in expected.items():
            if name.startswith("amplified") or name in HELD:  # nothing is amplified or held
                continue
            got = values(store, recorder.run_id, name)[place]
            np.testing.assert_allclose(got, want, rtol=1e-4, atol=1e-6, err_msg=name)
    flagged = store.reader(recorder.run_id).scalar("flagged")
    assert flagged[0].tolist() == [3, 6, 9, 12] and flagged[1].sum() > 0


def test_training_is_the_same_with_and_without_a_recorder(tmp_path):
    weights = []
    for watched in (False, True):
        loop = Loop()
        recorder = recorder_in(tmp_path) if watched else None
        for _ in range(3):
            loop.epoch(recorder)
        weights.append(loop.network.weight.detach().clone())
    assert torch.equal(*weights)


def test_losses_rates_and_settings_are_recorded(tmp_path):
    settings = {"lr": 2.0, "seed": 7, "dataset": "toys", "augment pictures": True, "path": tmp_path}
    settings |= {"image_size": "7 x 7", "optimizer": {"lr": 2}, "eta": 0.5}
    recorder = recorder_in(tmp_path, settings=settings, method="Pairs")
    loop = Loop()
    loop.epoch(recorder)
    recorder.close()
    store = RunStore(tmp_path)
    config = store.config(recorder.run_id)
    assert (config.label, config.method, config.eta) == ("toy loop", "Pairs", 0.5)
    assert (config.lr, config.seed, config.dataset, config.epochs) == (2.0, 7, "toys", None)
    kept = {"augment pictures": True, "path": str(tmp_path), "image_size": "7 x 7"}
    assert config.settings == kept | {"optimizer": "{'lr': 2}"}
    assert store.reader(recorder.run_id).scalar("lr")[1].tolist() == [2.0]
    assert store.reader(recorder.run_id).scalar("loss")[1] > 0
    assert isinstance(config, RunConfig) and config.is_watched


@pytest.mark.parametrize("scale", [1.0, 1024.0])  # as a GradScaler does it
def test_what_the_quantization_term_holds_is_that_of_slow_counting(tmp_path, scale):
    loop, recorder = Loop(), recorder_in(tmp_path, eta=3.0)
    for indices in torch.arange(N).split(BATCH) * 2:
        codes = recorder.watch(loop.codes(indices), indices)
        pairs = loop.loss(codes, indices)
        term = 3.0 * (recorder.quantized(codes).abs() - 1).square().mean()
        h = codes.detach().requires_grad_()
        own = loop.loss(h, indices), 3.0 * (h.abs() - 1).square().mean()
        of_pairs, of_term = (torch.autograd.grad(one, h)[0] for one in own)
        h = h.detach()
        loop.seen.append((torch.atanh(h), h, of_pairs, of_pairs + of_term, indices))
        loop.optimizer.zero_grad()
        ((pairs + term) * scale).backward()
        recorder.step(pairs + term, quantization=term)
    recorder.close()
    naive, store = NaiveProbes(hot(), BITS, TAU, logit_edges(TAU).tolist()), RunStore(tmp_path)
    for place in range(2):
        expected = naive.record(loop.seen[3 * place : 3 * place + 3], False, True)
        for name in (*HELD, "flagged", "dead", "quadrants", "gradient_count"):
            got = values(store, recorder.run_id, name)[place]
            np.testing.assert_allclose(got, expected[name], rtol=1e-4, err_msg=name)
    reader = store.reader(recorder.run_id)
    parts = [reader.scalar(f"{name}_loss")[1] for name in ("similarity", "quantization")]
    np.testing.assert_allclose(sum(parts), reader.scalar("loss")[1], rtol=1e-6)
    assert (parts[1] > 0).all() and reader.scalar("held")[1].sum() > 0


def test_without_indices_counts_are_of_what_passed_and_there_are_no_events(tmp_path):
    loop, recorder = Loop(), recorder_in(tmp_path)
    for _ in range(3):
        loop.epoch(recorder, told=None)
    recorder.close()
    store = RunStore(tmp_path)
    for place in range(3):
        naive = NaiveProbes(hot(), BITS, TAU, logit_edges(TAU).tolist())  # knows nothing before
        want = naive.record(loop.seen[3 * place : 3 * place + 3], False)
        for name in ("saturated", "flagged", "histogram", "flagged_levels"):
            got = values(store, recorder.run_id, f"{name}_window")[place]
            np.testing.assert_array_equal(got, want[name], err_msg=name)
    names = set(store.reader(recorder.run_id).shapes())
    assert not names & {"dead", "deaths", "flags_raised", "flagged", "wrong"}
    assert store.reader(recorder.run_id).meta()["n_train"] == N


def test_without_labels_nothing_is_called_dead_and_flags_are_the_same(tmp_path):
    found = []
    for labels in (LABELS, None):
        loop, recorder = Loop(), recorder_in(tmp_path, labels=labels)
        for _ in range(3):
            loop.epoch(recorder)
        recorder.close()
        found.append(recorder.run_id)
    store = RunStore(tmp_path)
    with_labels, without = (store.reader(run_id) for run_id in found)
    assert {"dead", "deaths"} <= set(with_labels.shapes())
    assert not {"dead", "deaths", "wrong", "flagged_dead"} & set(without.shapes())
    np.testing.assert_array_equal(*(one.arrays("flagged")[2] for one in (with_labels, without)))


def test_an_amplifier_in_the_loop_is_taken_out_of_the_gradients(tmp_path):
    """Either way round, the record says what was before it and what is behind it."""
    for amplifier_first in (True, False):
        torch.manual_seed(0)
        logits = (2 * torch.randn(N, BITS)).requires_grad_()
        pull, amplifier = torch.randn(N, BITS), GradientAmplifier(TAU)
        recorder = recorder_in(tmp_path, amplifier=True, probe_every=1)
        codes = torch.tanh(logits)
        if amplifier_first:
            codes = recorder.watch(amplifier(codes), torch.arange(N))
        else:
            codes = amplifier(recorder.watch(codes, torch.arange(N)))
        (codes * pull).sum().backward()
        recorder.step()
        recorder.close()
        store = RunStore(tmp_path)
        slope = 1 - torch.tanh(logits.detach()) ** 2
        before = values(store, recorder.run_id, "mean_gradient")[0]
        np.testing.assert_allclose(before, (pull * slope).abs().mean(0), rtol=1e-4)
        after = values(store, recorder.run_id, "mean_gradient_amplified")[0]
        np.testing.assert_allclose(after, logits.grad.abs().mean(0), rtol=1e-4)


def test_gradient_accumulation_is_one_step_of_several_visits(tmp_path):
    loop, recorder = Loop(), recorder_in(tmp_path, probe_every=1)
    for indices in torch.arange(N).split(BATCH):
        codes = recorder.watch(loop.codes(indices), indices)
        (loop.loss(codes, indices) / 3).backward()
    recorder.step()
    recorder.close()
    reader = RunStore(tmp_path).reader(recorder.run_id)
    assert reader.scalar("window_entries")[1].tolist() == [N * BITS]
    assert reader.records()[0][0] == 1


def test_losses_that_go_backward_one_by_one_are_summed(tmp_path):
    loop = Loop()
    means = []
    for split in (False, True):
        recorder = recorder_in(tmp_path, probe_every=1)
        codes = recorder.watch(loop.codes(torch.arange(N)), torch.arange(N))
        losses = loop.loss(codes, torch.arange(N)), (codes**2).mean()
        if split:
            losses[0].backward(retain_graph=True)
            losses[1].backward()
        else:
            sum(losses).backward()
        recorder.step()
        recorder.close()
        means.append(values(RunStore(tmp_path), recorder.run_id, "mean_gradient")[0])
    np.testing.assert_allclose(*means, rtol=1e-5)


@pytest.mark.parametrize("factor", [1.0, 65536.0])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16])
def test_a_scaled_gradient_changes_no_flag(tmp_path, dtype, factor):
    """As a GradScaler does it: the sign is the same, and so is every count."""
    found = []
    for scale in (1.0, factor):
        loop = Loop(dtype=dtype)
        recorder = recorder_in(tmp_path, probe_every=1)
        indices = torch.arange(N)
        codes = recorder.watch(loop.codes(indices), indices)
        (loop.loss(codes.float(), indices) * scale).backward()
        recorder.step()
        recorder.close()
        found.append(values(RunStore(tmp_path), recorder.run_id, "flagged"))
    np.testing.assert_array_equal(*found)


def test_autocast_is_watched(tmp_path):
    loop, recorder = Loop(), recorder_in(tmp_path)
    for indices in torch.arange(N).split(BATCH):
        with torch.autocast("cpu", dtype=torch.bfloat16):
            codes = recorder.watch(torch.tanh(loop.network(loop.images[indices])), indices)
        assert codes.dtype == torch.bfloat16
        loop.loss(codes.float(), indices).backward()
        recorder.step()
    recorder.close()
    assert RunStore(tmp_path).reader(recorder.run_id).scalar("entries")[1].tolist() == [N * BITS]


def test_a_compiled_network_is_watched_from_outside(tmp_path):
    """By the backend without a C compiler: what is compiled does not matter, that it is does."""
    found = []
    for compiled in (False, True):
        loop, recorder = Loop(), recorder_in(tmp_path)
        if compiled:
            loop.network = torch.compile(loop.network, backend="aot_eager")
        loop.epoch(recorder)
        recorder.close()
        found.append(values(RunStore(tmp_path), recorder.run_id, "flagged"))
    np.testing.assert_array_equal(*found)


def test_nothing_is_recorded_without_gradients(tmp_path):
    loop, recorder = Loop(), recorder_in(tmp_path)
    loop.epoch(recorder)
    with torch.no_grad():
        recorder.watch(loop.codes(torch.arange(N)), torch.arange(N))
    recorder.close()
    assert RunStore(tmp_path).reader(recorder.run_id).scalar("window_entries")[1].sum() == N * BITS


def test_an_evaluation_is_that_of_retrieval_and_keeps_the_codes(tmp_path):
    loop, recorder = Loop(), recorder_in(tmp_path)
    for _ in range(3):
        loop.epoch(recorder)
    with torch.no_grad():
        codes = torch.tanh(loop.network(loop.images))
    query, gallery = slice(0, 6), slice(6, None)
    sides = codes[query], codes[gallery], LABELS[query], LABELS[gallery]
    scores = recorder.evaluate(*sides)
    recorder.close()
    want = evaluate(*(one.numpy() for one in sides))
    store = RunStore(tmp_path)
    result, last = store.result(recorder.run_id), store.reader(recorder.run_id)
    assert scores.map == want.map == result["metrics"]["map"] == last.scalar("map")[1][-1]
    assert result["metrics"]["best_map"] == want.map
    np.testing.assert_array_equal(last.arrays("recall_by_radius")[2][0], want.recall_by_radius)
    naive = NaiveProbes(hot(), BITS, TAU, logit_edges(TAU).tolist())
    for place in range(3):
        naive.record(loop.seen[3 * place : 3 * place + 3], False)
    called = {int(LABELS[i]): naive.called[i] for i in range(N)}
    dead = sum(
        abs(float(h)) >= np.float32(TAU) and float(h) * called[int(label)][bit] < 0
        for row, label in zip(codes[gallery], LABELS[gallery], strict=True)
        for bit, h in enumerate(row)
    )
    assert last.scalar("gallery_dead")[1].tolist() == [dead] and "cost_gallery" in result["metrics"]


@pytest.mark.parametrize("drop_last", [False, True])
def test_a_window_ends_with_its_epoch(tmp_path, drop_last):
    """Else an item would come twice in it. Of 24 items in batches of 7, the last has 3 or falls."""
    loop, recorder = Loop(), recorder_in(tmp_path, probe_every=3)
    for _ in range(3):
        for indices in torch.randperm(N).split(7):
            if len(indices) == 7 or not drop_last:
                loop.step(recorder, indices)
    recorder.close()
    records = RunStore(tmp_path).reader(recorder.run_id).records()
    steps = [3, 6, 9] if drop_last else [3, 4, 7, 8, 11, 12]
    assert [step for step, *_ in records] == steps
    naive = NaiveProbes(hot(), BITS, TAU, logit_edges(TAU).tolist())
    for place, (start, stop) in enumerate(zip([0, *steps], steps, strict=False)):
        want = naive.record(loop.seen[start:stop], False)["flagged"]
        np.testing.assert_array_equal(
            values(RunStore(tmp_path), recorder.run_id, "flagged")[place], want
        )


def test_labels_of_one_side_may_be_numbers_and_those_of_the_others_multi_hot(tmp_path):
    found = []
    for labels in (LABELS, hot()):
        loop, recorder = Loop(), recorder_in(tmp_path)  # class numbers
        loop.epoch(recorder)
        codes = torch.tanh(loop.network(loop.images)).detach()
        assert recorder.evaluate(codes[:6], codes[6:], labels[:6], labels[6:]) is not None
        recorder.close()
        found.append(RunStore(tmp_path).result(recorder.run_id)["metrics"])
    assert found[0] == found[1] and "cost_gallery" in found[0]


def test_signs_are_evaluated_without_a_cost(tmp_path):
    recorder = recorder_in(tmp_path)
    loop = Loop()
    loop.epoch(recorder)
    signs = torch.randn(N, BITS, generator=torch.Generator().manual_seed(0)).sign()
    assert recorder.evaluate(signs[:6], signs[6:], LABELS[:6], LABELS[6:]) is not None
    recorder.close()
    metrics = RunStore(tmp_path).result(recorder.run_id)["metrics"]
    assert "map" in metrics and "cost_gallery" not in metrics


def test_of_several_ranks_the_first_records(tmp_path, monkeypatch):
    monkeypatch.setenv("WORLD_SIZE", "2")
    monkeypatch.setenv("RANK", "1")
    other = recorder_in(tmp_path)
    loop = Loop()
    loop.epoch(other)
    assert other.run_id is None and other.evaluate([], [], [], []) is None
    other.close()
    monkeypatch.setenv("RANK", "0")
    first = recorder_in(tmp_path)
    first.close()
    assert list(RunStore(tmp_path).run_ids()) == [first.run_id]
    assert "rank 0 of 2 is recorded" in (tmp_path / first.run_id / "log.txt").read_text()


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"n_bits": 0}, "n_bits must be"),
        ({"n_bits": "64"}, "n_bits must be"),
        ({"n_items": 0}, "n_items must be"),
        ({"tau": 1.0}, "tau must be"),
        ({"probe_every": 0}, "probe_every must be a whole number of at least 1, got 0"),
        ({"probe_every": "x"}, "probe_every must be a whole number of at least 1, got 'x'"),
        (
            {"n_items": 10**13, "labels": None},
            "n_items = 10000000000000, n_bits",
        ),
        ({"labels": [[1], [1, 2]]}, "labels must be an array, got a list that makes none"),
        ({"labels": hot().to_sparse()}, r"labels must be an array, .* Use Tensor.to_dense\(\)"),
        ({"labels": LABELS.to("meta")}, "labels must be an array, got a Tensor"),
        ({"labels": {0: 1}}, "labels must be an array, got a dict that makes none"),
        ({"labels": LABELS[:-1]}, "labels must be those of all n_items = 24 .* got 23"),
        ({"labels": LABELS.float()}, "labels must be class numbers"),
        ({"labels": LABELS[:7].float()}, "labels must be class numbers .* training items, got 7"),
        ({"settings": {"quantization": "eaq"}}, "quantization must be"),
        ({"settings": ["lr"]}, "settings must be a dict"),
        ({"name": " "}, "name must be a text"),
        ({"name": "../"}, "name must be a text of more than slashes, dots and hyphens, got '../'"),
        ({"name": "x" * 100}, "name must have at most 80 characters"),
        ({"eta": -1}, "eta must be"),
        ({"total_steps": 1.5}, "total_steps must be a whole number"),
        ({"run_id": "../up"}, "run_id must be 6 to 80"),
    ],
)
def test_wrong_construction_is_refused_in_one_sentence(tmp_path, change, sentence):
    fields = {"name": "toy", "n_items": N, "n_bits": BITS, "labels": LABELS, "runs": tmp_path}
    with pytest.raises(UserError, match=sentence) as error:
        Recorder(**fields | change)
    assert "\n" not in str(error.value)
    assert not [path for path in tmp_path.iterdir() if path.is_dir()]


def test_whole_numbers_of_other_libraries_are_taken(tmp_path):
    sizes = {"n_items": np.int64(N), "n_bits": torch.tensor(BITS), "probe_every": np.int32(1)}
    recorder = Recorder("toy", **sizes, total_steps=np.int64(9), labels=LABELS, runs=tmp_path)
    codes = 2 * np.eye(2, BITS) - 1
    assert recorder.evaluate(codes, codes, [0, 1], [0, 1], top_k=np.int64(1)).map == 1.0
    recorder.close()
    config = RunStore(tmp_path).config(recorder.run_id)
    assert (config.n_items, config.n_bits, config.probe_every) == (N, BITS, 1)


def test_a_name_that_looks_like_a_path_is_shown_without_slashes(tmp_path):
    recorder = Recorder("../x/y", n_items=N, n_bits=BITS, labels=LABELS, runs=tmp_path)
    recorder.close()
    config = RunStore(tmp_path).config(recorder.run_id)
    assert (config.name, config.method) == ("x-y", "x-y")


def test_two_recorders_never_share_a_folder(tmp_path):
    first = recorder_in(tmp_path, run_id="my-own-run")
    with pytest.raises(UserError, match=r"There is a run my-own-run .* already"):
        recorder_in(tmp_path, run_id="my-own-run")
    second, third = (recorder_in(tmp_path) for _ in range(2))  # of one name
    assert len({first.run_id, second.run_id, third.run_id}) == 3
    for one in (first, second, third):
        one.close()
    assert {one.state for one in execution.states(RunStore(tmp_path)).values()} == {"finished"}
