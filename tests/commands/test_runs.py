"""`rdh runs`: tags and the archive."""

import json

import pytest

from rdh import cli, execution
from rdh.config.run_config import make_config
from rdh.store.metrics_writer import MetricsWriter, Record
from rdh.store.run_store import RunStore


@pytest.fixture
def call(tmp_path, capsys, monkeypatch):
    """Calls a verb; gives (exit code, stdout, stderr)."""
    monkeypatch.setattr(execution, "revive", lambda _: None)

    def call(*words: str) -> tuple[int, str, str]:
        code = cli.main([*words, "--runs", str(tmp_path / "runs")])
        said = capsys.readouterr()
        return code, said.out, said.err

    return call


def test_tags_are_given_taken_and_listed_and_archived_runs_are_hidden(tmp_path, call):
    store = RunStore(tmp_path / "runs")
    first, second = execution.submit(store, [make_config(seed=seed) for seed in (0, 1)])
    assert "tags" not in call("runs")[1], "an empty column is left out"
    assert call("runs", "tag", first, "for the paper", "b")[1] == f"{first}: for the paper, b\n"
    assert call("runs", "tag", first, "b", "--remove")[1] == f"{first}: for the paper\n"
    assert call("runs", "archive", second)[1] == f"{second}: archived\n"
    code, table, said = call("runs")
    assert code == 0 and "for the paper" in table and second not in table
    assert said == "1 archived run left out; --archived shows all.\n"
    assert f"{second}" in call("runs", "list", "--archived")[1]
    listed = json.loads(call("runs", "list", "--archived", "--json")[1])["runs"]
    assert [(one["run"], one["tags"], one["archived"]) for one in listed] == [
        (first, ["for the paper"], False),
        (second, [], True),
    ]
    call("runs", "archive", second, "--undo")
    assert second in call("runs")[1]


def test_a_bad_tag_is_one_sentence(tmp_path, call):
    (run_id,) = execution.submit(RunStore(tmp_path / "runs"), [make_config()])
    code, out, said = call("runs", "tag", run_id, "x" * 41)
    assert (code, out) == (2, "") and said.startswith("A tag must be 1 to 40 printable characters")
    assert said.count("\n") == 1


def test_the_cost_of_the_dead_is_said_once_and_is_no_negative_zero(tmp_path, call):
    store = RunStore(tmp_path / "runs")
    run_id = store.create(make_config())
    numbers = {"cost_gallery": -2e-6, "cost_query": 0.0, "map": 0.5}
    writer = MetricsWriter(store.run_dir(run_id) / "metrics.db", attempt=1)
    writer.put_meta(n_train=10, n_bits=32)
    writer.log(Record(8, 0, {"dead": 0.0, "flagged": 3.0, "entries": 320.0} | numbers))
    writer.close()
    store.write_json(run_id, "result.json", {"attempt": 1, "state": "finished", "metrics": numbers})
    said = call("runs", "show", run_id)[1]
    assert "+0.0000 MAP, of those in the gallery; +0.0000 MAP, of those in the queries" in said
    assert "cost_gallery" not in said and "cost_query" not in said
    (row,) = [line for line in call("runs")[1].splitlines() if run_id in line]
    assert "+0.0000" in row and "0.00%" in row and "collapsed" not in call("runs")[1]


def test_a_collapsed_run_has_no_number_of_dead_entries_and_no_cost(tmp_path, call):
    store = RunStore(tmp_path / "runs")
    run_id = store.create(make_config())
    numbers = {"cost_gallery": 0.0, "map": 0.1, "n_distinct_codes": 1.0}
    writer = MetricsWriter(store.run_dir(run_id) / "metrics.db", attempt=1)
    writer.put_meta(n_train=10, n_bits=32)
    writer.log(Record(8, 0, {"dead": 0.0, "flagged": 3.0, "entries": 320.0} | numbers))
    writer.close()
    store.write_json(run_id, "result.json", {"attempt": 1, "state": "finished", "metrics": numbers})
    for said in (call("runs")[1], call("runs", "show", run_id)[1]):
        assert "collapsed" in said and "+0.0000" not in said
    assert "0.00%" not in call("runs")[1] and "dead at the end" not in said
    (row,) = json.loads(call("runs", "--json")[1])["runs"]
    assert (row["dead"], row["cost"], row["collapsed"]) == (None, None, True)


def test_a_run_whose_records_are_lost_says_so_in_the_list_and_alone(tmp_path, call):
    store = RunStore(tmp_path / "runs")
    run_id = store.create(make_config())
    metrics = {"map": 0.5}
    store.write_json(run_id, "result.json", {"attempt": 1, "state": "finished", "metrics": metrics})
    (store.run_dir(run_id) / "metrics.db").write_bytes(b"")
    (row,) = json.loads(call("runs", "--json")[1])["runs"]
    lost = f"metrics.db of run {run_id} is empty, so its records are lost: launch it again"
    assert row["reason"].startswith(lost) and row["MAP"] == 0.5
    shown = call("runs", "show", run_id)[1]
    assert f"not known  {lost}" in shown
