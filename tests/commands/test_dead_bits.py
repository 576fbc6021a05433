"""The verb dead-bits: what it refuses, what it trains, and what it writes."""

import json
import os
import re
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from rdh import cli, execution
from rdh.analysis.dead_bit_study import Study, make_plan
from rdh.commands.dead_bits import _submitted
from rdh.store.run_store import RunStore

HOUSE = Path(__file__).resolve().parents[2]
WITHIN = 300  # seconds; a shared machine may be slow
STUDY = Study(("hashnet", "dpsh"), (8,), (0, 1), preset="quick", parts=("counts",))


@pytest.fixture
def store(tmp_path: Path) -> RunStore:
    return RunStore(tmp_path / "runs")


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ("-o no/such/report.md", r"-o can't be written to .*no/such/report.md, there is no folder"),
        ("-o .", r"-o must name a file, .* is a folder: name one in it"),
        ("--methods frob", r"method must be one of .*got 'frob'"),
        ("--methods ,", r"--methods must name at least one method, or all"),
        ("--methods itq,lsh", r"--methods must name a method in which bits can die, got itq, lsh"),
        ("--bits 0", r"n_bits must be in \[1, 1024\], got 0"),
        ("--bits x", r"--bits takes whole numbers like 24,48 or ranges like 0-4, got 'x'"),
        ("--seeds 3-1", r"--seeds takes ranges from the smaller to the larger number"),
        ("--parts frob", r"--parts must be of counts, predictors, aims, got 'frob'"),
        ("--parts ,", r"--parts must be of counts, predictors, aims, got ','"),
        ("--rates fast", r"--rates takes numbers like 0\.01,0\.1, got 'fast'"),
        ("--rates 0", r"lr must be in \(0, 100\], got 0\.0"),
        ("--etas nan", r"--etas takes numbers like 0\.01,0\.1, got 'nan'"),
        ("--methods dpsh --aim-methods dhn", r"--aim-methods must be among .*dpsh, got 'dhn'"),
        ("--preset frob", r"preset must be one of demo, quick, offline, paper, got 'frob'"),
        ("--set amplifier=false", r"--set amplifier must be left out, got False: the study choos"),
        ("--set n_bits=8", r"--set n_bits must be left out, got 8"),
        ("--set probe_every=0", r"probe_every must be at least 1 for dead-bits, got 0"),
        ("--seeds 0-5000", r"A study has at most 1000 runs, got \d+; ask for fewer methods"),
    ],
)
def test_bad_input_is_one_sentence_before_anything_is_queued(
    options, sentence, store, capsys, monkeypatch
):
    monkeypatch.chdir(store.root.parent)
    code = cli.main(["dead-bits", *options.split(), "--runs", str(store.root)])
    said = capsys.readouterr()
    assert code == 2 and re.match(sentence, said.err), said.err
    assert said.err.count("\n") == 1 and said.out == "" and list(store.root.iterdir()) == []


def test_a_cancelled_run_waits_again_and_no_run_is_made_twice(store, capsys):
    configs = make_plan(STUDY).all_configs
    first = _submitted(store, configs, None)
    cancelled = first[configs[0].hash]
    execution.cancel(store, cancelled)
    again = _submitted(store, configs, None)
    states = execution.states(store)
    assert again == first and len(states) == len(configs) == 8
    assert {run.state for run in states.values()} == {"queued"}
    assert states[cancelled].attempt == 2
    assert f"8 runs in {store.root}: 0 have finished, 8 to train" in capsys.readouterr().err


def test_two_people_at_once_get_the_same_runs(store):
    configs = make_plan(STUDY).all_configs
    stores = [RunStore(store.root) for _ in range(4)]
    with ThreadPoolExecutor(4) as pool:
        answers = list(pool.map(lambda one: _submitted(one, configs, None), stores))
    assert all(answer == answers[0] for answer in answers)
    assert len(store.run_ids()) == len(configs)


@pytest.mark.process
def test_asked_again_it_trains_only_what_is_missing_and_the_report_names_its_command(store):
    environment = {name: value for name, value in os.environ.items() if "RDH_" not in name}
    environment |= {"PYTHONPATH": str(HOUSE), "HOME": str(store.root.parent)}

    def ask(*options: str) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-m", "rdh", "dead-bits", "--preset", "quick", "--parts"]
        command += ["counts", "--bits", "8", "--set", "epochs=2", "--runs", str(store.root)]
        return subprocess.run(
            [*command, "--methods", "hashnet,itq", *options],
            env=environment,
            capture_output=True,
            text=True,
            timeout=WITHIN,
            check=False,
            cwd=store.root.parent,
        )

    try:
        first = ask("--seeds", "0", "-o", "report.md")
        assert first.returncode == 0, first.stderr
        assert "2 runs in " in first.stderr and "2 to train; no run like them" in first.stderr
        assert "ITQ is left out" in first.stderr and first.stdout == ""
        text = (store.root.parent / "report.md").read_text()
        assert (
            "python -m rdh dead-bits --preset quick --methods hashnet,itq --bits 8 --seeds 0 "
            "--parts counts --set epochs=2"
        ) in text
        assert "2 runs: preset quick, epochs 2, seeds 0." in text and "* ITQ is left out" in text
        again = ask("--seeds", "0,1", "--json")
        assert again.returncode == 0, again.stderr
        assert "4 runs in " in again.stderr and "2 have finished, 2 to train, about" in again.stderr
        answer = json.loads(again.stdout)
        assert len(answer["run_ids"]) == 4 == len(store.run_ids())
        assert "±" in answer["report"]
    finally:
        execution.stop_supervisor(store)
