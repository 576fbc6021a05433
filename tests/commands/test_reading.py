"""Verbs that read: they make nothing, and their sentences can be followed as they are."""

import json
import shlex
import sys

import pytest

from rdh import catalog, cli, execution, studies
from rdh.catalog import Folder
from rdh.config.run_config import make_config
from rdh.errors import UserError
from rdh.store.run_store import RunStore
from tests.studies.conftest import finish

STUDY = 'preset = "quick"\nbits = 8\nseeds = "0-2"\ntitle = "a | b < c $ d"\n'


@pytest.fixture
def store(tmp_path):
    return RunStore(tmp_path / "runs")


@pytest.fixture
def study(tmp_path):
    path = tmp_path / "my study.toml"
    path.write_text(STUDY)
    return str(path)


@pytest.mark.parametrize(
    "line",
    [
        "runs",
        "runs show hashnet-8-s0-123456",
        "study show table1",
        "study report table1",
        "supervisor",
        "supervisor stop",
        "encode hashnet-8-s0-123456 digits -o x.npz",
    ],
)
def test_a_verb_that_reads_refuses_a_folder_that_is_not_there_and_makes_none(
    line, tmp_path, monkeypatch, capsys
):
    monkeypatch.chdir(tmp_path)
    assert cli.main([*line.split(), "--runs", "no/such"]) == 2
    assert capsys.readouterr().err == (
        f"There is no runs folder {tmp_path}/no/such; name another by --runs or RDH_RUNS, or let "
        "`python -m rdh demo --runs no/such` make it.\n"
    )
    assert [*tmp_path.iterdir()] == []


def test_the_command_that_trains_what_is_missing_repeats_the_call(store, study, capsys):
    line = ["--seeds", "0-1", "--set", "lr=0.1", "--runs", str(store.root)]
    assert cli.main(["study", "report", study, *line]) == 2
    command = capsys.readouterr().err.split("`")[1]
    assert shlex.split(command) == ["python", "-m", "rdh", "study", "run", study, *line]


def finished(store, study):
    for one in studies.expand(studies.study(study).grids):
        finish(store, one.config, 0.5 + 0.1 * (one.cell.arm == "rdh") + 0.01 * one.seed)
    return ["study", "report", study, "--runs", str(store.root)]


def test_a_terminal_gets_markdown_and_a_pipe_or_a_file_what_is_asked_for(
    store, study, tmp_path, monkeypatch, capsys
):
    line = finished(store, study)
    assert cli.main(line) == 0
    assert capsys.readouterr().out.startswith("<!doctype html>")
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True)
    assert cli.main(line) == 0
    said = capsys.readouterr()
    assert said.out.startswith("# a \\| b") and "-o my_study.html writes it" in said.err
    assert cli.main([*line, "--to", "html"]) == 2
    assert "write it by -o my_study.html, or print --to md" in capsys.readouterr().err
    assert cli.main([*line, "--to", "csv"]) == 0 and "," in capsys.readouterr().out
    for name, start in (("x.md", "# a"), ("x.html", "<!doctype"), ("x.json", "{"), ("x.tex", "% ")):
        assert cli.main([*line, "-o", str(tmp_path / name)]) == 0
        assert (tmp_path / name).read_text().startswith(start)
    capsys.readouterr()
    assert cli.main([*line, "--to", "csv", "-o", "-"]) == 0 and "," in capsys.readouterr().out


def test_a_broken_method_file_is_named_instead_of_the_config_of_its_runs(
    store, monkeypatch, capsys
):
    run_id = store.create(make_config(method="dpsh"))
    store.write_json(run_id, "result.json", {"attempt": 1, "state": "finished"})
    usable = {name: card for name, card in catalog.methods().items() if name != "dpsh"}
    whole, broken = catalog._folder, {"rdh/methods/dpsh.py": "line 3: invalid syntax"}
    monkeypatch.setattr(
        catalog, "_folder", lambda one: Folder(usable, broken) if one == "methods" else whole(one)
    )
    monkeypatch.setattr("rdh.execution.queue.registry.plug_in_stamps", lambda: 1)
    assert cli.main(["runs", "--json", "--runs", str(store.root)]) == 0
    (row,) = json.loads(capsys.readouterr().out)["runs"]
    assert (row["state"], row["reason"]) == (
        "unreadable",
        "The method dpsh can't be used: rdh/methods/dpsh.py, line 3: invalid syntax. Mend the "
        "file, or move it out of rdh/methods.",
    )


def test_a_run_of_a_sweep_that_can_not_be_read_is_trained_anew(store):
    (old,) = execution.submit(store, [make_config()], sweep="one")
    (store.root / old / "config.json").write_text("{")
    (new,) = execution.submit(store, [make_config()], sweep="one")
    assert new != old and execution.submit(store, [make_config()], sweep="one") == [new]


@pytest.mark.parametrize("verb", ["train", "sweep", "train --here", "runs clone RUN --set"])
def test_data_that_can_not_be_loaded_are_refused_before_a_run_is_made(
    verb, store, tmp_path, capsys
):
    run_id = store.create(make_config())
    place = "dataset=cifar10" if "clone" in verb else "--dataset cifar10"
    line = f"{verb} {place}".replace("RUN", run_id)
    roots = ["--runs", str(store.root), "--data-root", str(tmp_path / "no")]
    assert cli.main([*line.split(), *roots]) == 2
    assert "No CIFAR-10 in " in capsys.readouterr().err and store.run_ids() == [run_id]


def test_the_store_of_a_reader_makes_no_folder(tmp_path):
    with pytest.raises(UserError, match="There is no runs folder"):
        RunStore(tmp_path / "no", makes=False)
    assert [*tmp_path.iterdir()] == []
