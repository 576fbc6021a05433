"""Benchmarks at toy size: they run, their routines agree, their numbers are well named."""

import json

import numpy as np
import pytest
import torch

from rdh.bench import _pages, _scale, _synthetic, execution, live, probes, queue, retrieval, step
from rdh.cli import main
from rdh.config.run_config import make_config, with_plug_ins
from rdh.retrieval import evaluate
from rdh.retrieval.bitsliced import kernel as bitsliced
from rdh.retrieval.codes import hamming_distances, words_of

TINY = {
    "single-label": retrieval.Workload(20, 700, 64, False, 5),
    "multi-label": retrieval.Workload(20, 700, 48, True, 5),
}


@pytest.fixture
def tiny(monkeypatch):
    monkeypatch.setitem(retrieval.SIZES, "small", TINY)
    monkeypatch.setitem(retrieval.SCALE_ROWS, "small", ((10, 600), (10, 1200)))


@pytest.mark.process
def test_bench_retrieval_prints_medians_ratios_and_memory_as_json(tiny, capsys):
    assert main(["bench", "retrieval", "--rounds", "2", "--size", "small"]) == 0
    found = json.loads(capsys.readouterr().out)
    for name in TINY:
        routines = set(found[name]["ms"])
        assert {
            "histograms_1_thread",
            "ranking_all_threads",
            "argsort",
            "torch_sort",
            "popcount",
        } <= routines
        assert all(value > 0 for value in found[name]["ms"].values())
        assert (
            found[name]["ratio_ranking_1_thread"] > 0
            and found[name]["queries_timed"]["argsort"] == 5
        )
    assert all(value > 0 for value in found["without_each_bit"]["ms"].values())
    assert [row["shape"] for row in found["scale"]] == [[10, 600, 64], [10, 1200, 64]]
    assert found["scale"][0]["seconds"] > 0


@pytest.mark.slow
@pytest.mark.process
def test_bench_execution_compares_forked_with_cold_runs(monkeypatch, tmp_path, capsys):
    monkeypatch.setattr(execution, "N_AT_ONCE", 2)
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")
    monkeypatch.setenv("RDH_CACHE", str(tmp_path))  # no features, so digits alone
    assert main(["bench", "execution", "--rounds", "1"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert set(found) == {"what", "device", "threads", "torch", "digits", "idle memory"}
    assert list(found["digits"]) == ["warm over cold", "warm", "cold"]
    names = {"claimed_to_first_step", "submit_to_first_point", "submit_to_end", "runs_a_minute"}
    for row in found["digits"].values():
        assert set(row) == names and all(value > 0 for value in row.values())
    assert set(found["idle memory"]["mb"]) == {
        *("supervisor, warm", "supervisor, cold", "warm parent", "worker, warm", "worker, cold")
    }
    assert found["idle memory"]["over a cold worker"]["worker, cold"] == 1


def test_bench_queue_says_what_waiting_runs_cost_pages_and_the_supervisor(monkeypatch, capsys):
    monkeypatch.setattr(queue, "SIZES", (1, 3))
    monkeypatch.setattr(queue.run_store, "SECONDS_OF_A_CLOCK", 0.0)
    assert main(["bench", "queue", "--rounds", "1"]) == 0
    said = capsys.readouterr()
    found = json.loads(said.out)
    assert list(found["1 waiting"]) == list(found["3 waiting"]) and said.err == ""
    for n_runs in (1, 3):
        assert len(found[f"{n_runs} waiting"]) == 5
        assert all(value >= 0 for value in found[f"{n_runs} waiting"].values())


@pytest.mark.process
def test_bench_live_reads_finished_runs_and_ticks_a_real_page(monkeypatch, capsys):
    monkeypatch.setattr(live, "N_SEEDS", 1)
    few = {"N_FINISHED": 2, "FINISHED_STEPS": 200, "SHORT_STEPS": 400, "LONG_STEPS": 2000}
    few |= {"N_TICKS": 2, "PAGES": ("live",), "SHOWN": ("live",), "BROWSER_ROUNDS": 1}
    monkeypatch.setenv("RDH_LOGIN", "1")  # the benchmark brings the cookie, as a browser does
    for name, value in few.items():
        monkeypatch.setattr(_pages, name, value)
    assert main(["bench", "live", "--rounds", "1"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["one query of 59000 items"].keys() == {"ranked_ms", "without_each_ms"}
    assert found["40 finished runs"].keys() == {"compare_ms", "look_ms"}
    for row in found["40 finished runs"].values():
        assert row.keys() == {"first", "rerun"} and all(value > 0 for value in row.values())
    short, long = (found[f"a tick at step {steps}"] for steps in (400, 2000))
    assert 0 < short["kb"] < long["kb"] < 150, "20 records, and 100"
    assert found["page live"]["wall_ms"] > 0 and found["empty page"]["wall_ms"] > 0
    assert found["2 ticks"]["torch_loaded"] is False
    if "in a browser" not in found:  # Chromium is here
        kinds = ("charts in view", "all charts")
        in_view, every = (found[f"live in a browser, {kind}"] for kind in kinds)
        assert 1 <= in_view["warm_charts"] < every["warm_charts"]


def test_size_is_refused_where_it_means_nothing(capsys):
    assert main(["bench", "live", "--size", "small"]) == 2
    assert "--size is for bench retrieval only" in capsys.readouterr().err


@pytest.mark.parametrize("multi_label", [False, True])
def test_the_routines_compared_find_the_same_score(multi_label):
    data = _synthetic.draw(12, 500, 64, multi_label)
    found = evaluate(*data[:2], *data[3:5], n_bits=data.n_bits)
    chosen = retrieval.other_arms(data, 12)
    for name in ("argsort", "torch_sort"):  # their ties fall anyhow
        assert found.map_low <= chosen[name][0]() <= found.map_high


def test_the_floor_visits_every_pair():
    data = _synthetic.draw(7, 64, 64, False)
    query, gallery = words_of(data[0]), words_of(data[1])
    sums = []

    def spy(name, arguments, write):
        function = bitsliced.compiled(name, arguments, write)
        return lambda *given: (function(*given), sums.append(given[-1].sum()))

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(retrieval, "compiled", spy)
        retrieval.popcount_pass(query, gallery)()
    assert sums == [hamming_distances(data[0], data[1], 64).sum()]


def test_multi_label_data_are_as_dense_as_they_say():
    data = _synthetic.draw(200, 5000, 48, True)
    shared = data.query_labels.astype(np.float32) @ data.gallery_labels.astype(np.float32).T > 0
    assert 0.33 < shared.mean() < 0.43


def test_a_scale_row_says_what_it_measured():
    row = _scale.scale_row(5, 300, 16)
    assert row["shape"] == [5, 300, 16] and row["ns_per_pair"] > 0
    assert row["peak_mb"] is None or row["peak_mb"] >= row["peak_mb_before"] > 0


def test_steps_of_both_arms_are_compared():
    base = make_config(method="hashnet", probe_every=0, **step.HEAD_ONLY)
    found = step.compared(
        {"baseline": base, "rdh": with_plug_ins(base, rdh=True)}, rounds=1, steps=2
    )
    assert found["baseline_ms"] > 0 and found["rdh_ms"] > 0
    assert found["ratio"] == pytest.approx(
        found["rdh_ms"] / found["baseline_ms"], rel=0.01, abs=0.002
    )
    assert torch.is_grad_enabled()


def test_a_foreign_step_is_compared_with_a_watched_one():
    pixels = 3 * probes.WATCHED_SIDE**2
    network = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(pixels, 64))
    found = probes.watched(1, steps=2, network=network)
    assert found["without_ms"] > 0 and found["recorder_ms"] > 0 and found["rounds"] == 1
