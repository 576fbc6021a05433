"""`rdh diagnose`: one run in full, all runs as a table."""

import json

import pytest

from rdh import cli
from rdh.config.run_config import make_config
from rdh.diagnosis import checks
from rdh.store.run_store import RunStore
from tests.diagnosis.conftest import write_run


@pytest.fixture
def store(tmp_path) -> RunStore:
    return RunStore(tmp_path / "runs")


@pytest.fixture
def call(store, capsys):
    def call(*words: str) -> tuple[int, str, str]:
        code = cli.main([*words, "--runs", str(store.root)])
        said = capsys.readouterr()
        return code, said.out, said.err

    return call


GROWS = {"loss": [1.0] * 20 + [2.0] * 20}


def test_a_run_is_told_with_reason_remedy_and_what_could_not_run(store, call):
    run_id = write_run(store, scalars=GROWS).run_id
    code, out, _ = call("diagnose", run_id)
    assert code == 0
    assert "▲ Diverging: costs MAP" in out and "  Why: A step is longer" in out
    assert f"Try: python -m rdh runs clone {run_id} --set lr=" in out
    assert "Could not run: Weak opponent: it looks at a pair" in out
    assert "Diverging  costs MAP: The loss grows" in call("runs", "show", run_id)[1]
    said = json.loads(call("diagnose", run_id, "--json")[1])
    assert [one["check"] for one in said["findings"]] == ["diverging"]
    assert set(said["ran"]) | set(said["could_not_run"]) == set(checks())


def test_a_healthy_run_says_that_nothing_was_found_and_by_what(store, call):
    run_id = write_run(store, scalars={"loss": [1.0] * 40}).run_id
    out = call("diagnose", run_id)[1]
    assert out.startswith("finished: 400 steps in 0 s.\nNothing found.\n") and "Diverging" in out


def test_a_run_without_records_is_not_called_healthy_and_an_empty_folder_says_so(store, call):
    assert call("diagnose", "--all")[:2] == (0, f"There is no run in {store.root} yet.\n")
    run_id = store.create(make_config(method="hashnet"))
    out = call("diagnose", run_id)[1]
    assert (
        out.startswith("still queued.\nNo check could run.\nCould not run: ") and "ran:" not in out
    )
    assert f"{run_id}: no check could run\n" in call("diagnose", "--all")[1]


def test_the_table_of_all_runs_counts_how_often_each_check_fires(store, call):
    sick = write_run(store, scalars=GROWS).run_id
    write_run(store, scalars={"loss": [1.0] * 40})
    code, out, _ = call("diagnose", "--all", "--markdown")
    assert code == 0
    head, _, *rows = [line.split(" | ") for line in out.splitlines() if line.startswith("|")]
    place = head.index("Diverging")
    assert rows[-1][place] == "1 of 2"
    assert next(row for row in rows if sick in row[0])[place] == "▲"


@pytest.mark.parametrize("words", [(), ("--all", "hashnet-4-s0-123456"), ("--markdown",)])
def test_either_a_run_or_all_is_asked_for(words, store, call):
    code, _, said = call("diagnose", *words)
    assert code == 2 and "diagnose takes either a RUN or --all" in said
