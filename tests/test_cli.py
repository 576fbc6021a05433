"""The command line as a person meets it: real processes, and one table of all refusals."""

import argparse
import contextlib
import json
import math
import os
import pty
import re
import select
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import pandas as pd
import pytest

from rdh import analysis, catalog, cli, execution
from rdh.commands import _common
from rdh.commands._follow import Watch
from rdh.commands._progress import Pace, bar
from rdh.commands._report import paired_lines
from rdh.config.ranges import parse_names, parse_numbers
from rdh.config.run_config import RunConfig, make_config, with_plug_ins
from rdh.errors import UserError
from rdh.store.run_store import RunStore

HOUSE = Path(__file__).resolve().parents[1]
TOY = (
    sys.executable,
    str(HOUSE / "tests" / "execution" / "toy_worker.py"),
)  # a worker without torch
MARK = "RDH_TEST_FOLDER"
WITHIN = 600  # seconds; a shared machine may be slow
TINY = ("--preset", "quick", "--set", "epochs=2", "--bits", "8")


@pytest.fixture
def env(tmp_path: Path) -> Iterator[dict[str, str]]:
    """A clean environment; at the end everything that was started with it is killed."""
    gone = (
        "RDH_RUNS",
        "RDH_DATA",
        "RDH_CACHE",
        "RDH_SLOTS",
        "COLUMNS",
    )
    env = {name: value for name, value in os.environ.items() if name not in gone}
    yield env | {
        MARK: str(tmp_path),
        "HOME": str(tmp_path),
        "PYTHONPATH": str(HOUSE),
        "CUDA_VISIBLE_DEVICES": "",
    }
    for entry in Path("/proc").iterdir():
        with contextlib.suppress(OSError):
            if entry.name.isdecimal() and f"{MARK}={tmp_path}".encode() in (
                entry / "environ"
            ).read_bytes().split(b"\0"):
                os.kill(int(entry.name), signal.SIGKILL)


@pytest.fixture
def toy(store: RunStore, env: dict[str, str]) -> dict[str, str]:
    """A supervisor whose workers only pretend to train, two at a time."""
    start_supervisor(store, env, TOY)
    return env


@pytest.fixture
def store(tmp_path: Path) -> RunStore:
    return RunStore(tmp_path / "runs")


def rdh(store: RunStore, env: dict[str, str], *arguments: str) -> subprocess.CompletedProcess:
    command = [sys.executable, "-m", "rdh", *arguments, "--runs", str(store.root)]
    return subprocess.run(
        command,
        env=env,
        capture_output=True,
        text=True,
        timeout=WITHIN,
        check=False,
        cwd=store.root.parent,
    )


def start_supervisor(store: RunStore, env: dict[str, str], worker: Sequence[str]) -> None:
    """A supervisor with another worker command; verbs find it there."""
    command = [sys.executable, "-m", "rdh.execution.supervisor_process", str(store.root)]
    subprocess.Popen(
        [*command, "--worker", json.dumps(worker)],
        env=env | {"RDH_SLOTS": "2"},
        start_new_session=True,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    wait_for(lambda: execution.supervisor_status(store)["pid"], "the supervisor is there")


def wait_for(condition: Callable[[], object], what: str) -> None:
    deadline = time.monotonic() + WITHIN
    while not condition():
        assert time.monotonic() < deadline, f"not within {WITHIN} s: {what}"
        time.sleep(0.02)


def last_json(answer: subprocess.CompletedProcess) -> dict:
    return json.loads(answer.stdout.splitlines()[-1])


# What is refused: exit 2, one sentence on stderr, nothing on stdout

REFUSED = [
    (
        "frob",
        r"VERB must be one of demo, train, sweep, study, .*, got 'frob'; `python -m rdh --help`",
    ),
    ("train --bits x", r"--bits must be a whole number, got 'x'; `python -m rdh train --help`"),
    ("train --bits", r"Argument --bits: expected one argument"),
    ("train --frob", r"Unrecognized arguments: --frob"),
    ("train --see 3", r"Unrecognized arguments: --see 3"),
    ("train --here --detach", r"--detach: not allowed with argument --here"),
    ("train --method frob", r"method must be one of .*hashnet.*, got 'frob'"),
    ("train --dataset frob", r"dataset must be one of arrays, cifar10, coco, digits.*, got 'frob'"),
    (
        "train --preset frob",
        r"preset must be one of demo, digits, quick, offline, paper, got 'frob'",
    ),
    ("train --bits 0", r"n_bits must be in \[1, 1024\], got 0"),
    ("train --seed -1", r"seed must be in \[0, 4294967296\), got -1"),
    (
        "train --set name=x",
        r"'name' is not a setting of a run; `python -m rdh train --help` lists them",
    ),
    (
        "train --method dpsh --set method=dhn",
        r"--method and --set method both give method, got --set method=dhn; give one of them",
    ),
    ("train --bits 8 --set n_bits=16", r"--bits and --set n_bits both give n_bits, got"),
    ("train --seed 1 --set seed=2", r"--seed and --set seed both give seed, got"),
    ("train --rdh --set amplifier=false", r"--rdh and --set amplifier both give amplifier"),
    ("train --dataset digits --set dataset=mosaic", r"--dataset and --set dataset both give"),
    ("train --set eta=0.4", r"eta must be left out for HashNet: there is no quantization term"),
    ("sweep --methods dpsh --set method=dhn", r"--methods and --set method both give method"),
    ("sweep --bits 8 --set n_bits=16", r"--bits and --set n_bits both give n_bits"),
    ("sweep --seeds 0-2 --set seed=5", r"--seeds and --set seed both give seed"),
    ("sweep --rdh off --set amplifier=true", r"--rdh and --set amplifier both give amplifier"),
    ("train --set amplifier_aim=labels", r"amplifier_aim must be gradient if the amplifier is off"),
    ("sweep --rdh off --set amplifier_scale=2", r"amplifier_scale must be 1 if the amplifier is"),
    ("train --rdh --set amplifier_aim=x", r"amplifier_aim must be one of gradient, all_pairs, lab"),
    ("sweep --rdh off --set eta=0.4", r"eta must be left out for HashNet"),
    ("sweep --set n_bits=x", r"n_bits must be a whole number, got 'x'"),
    ("sweep --set method=3", r"method must be text, got 3"),
    (
        "train --dataset mosaic --set dataset_options.n_items=-5",
        r"dataset_options n_items must be in \[20, 1000000\], got -5\.",
    ),
    (
        "train --dataset image_folder --set dataset_options.folder=../../etc",
        r"dataset_options folder must be a relative path, without `\.\.`",
    ),
    ("train --set tau=1", r"tau must be in \[0, 1\), got 1 "),
    ("train --set bits=3", r"'bits' is not a setting of a run; did you mean n_bits\?"),
    (
        "train --set lr",
        r"--set takes KEY=VALUE like lr=0.1, got 'lr'; `python -m rdh train --help` li",
    ),
    ("train --set =3", r"--set takes KEY=VALUE"),
    ("train --set lr=fast", r"lr must be a number, got 'fast'"),
    ("train --set lr=1e999", r"lr must be a finite number, got inf"),
    ("train --set epochs=3.5", r"epochs must be a whole number, got 3.5"),
    (
        "train --set method_options.frob=1",
        r"method_options of hashnet must be among .*, got 'frob'",
    ),
    ("train --set method_options.=1", r"--set takes KEY=VALUE"),
    (
        "train --set method_options=1 --set method_options.x=1",
        r"once as a whole and once as method_options.x",
    ),
    ("train --set lr=0.1 --set lr=0.2", r"--set gives lr twice; choose one"),
    ("train --set method_options.x=1 --set method_options.x=2", r"gives method_options.x twice"),
    ("diagnose a-run --with a-run", r"--with goes with a RUN and names another one"),
    ("diagnose --all --with a-run", r"--with goes with a RUN and names another one"),
    ("train --method itq --rdh", r"amplifier must be off for itq"),
    (
        "train --here --set weights=no/such.pth",
        r"The weights file .*/no/such.pth can't be read \(No such file",
    ),
    (
        "train --here --set backbone=torchvision:resnet1",
        r"torchvision:resnet1 is not in .*; it has resnet18, ",
    ),
    (
        "sweep --seeds 4-0",
        r"--seeds takes ranges from the smaller to the larger number like 0-4, got '4-0'",
    ),
    ("sweep --seeds 1,x", r"--seeds takes whole numbers like 24,48 or ranges like 0-4, got '1,x'"),
    ("sweep --bits ,", r"--bits takes at least one whole number, got ','"),
    ("sweep --methods ,", r"--methods must name at least one method"),
    ("sweep --methods dhn,,lsh", r"--methods has nothing between two commas, got 'dhn,,lsh'"),
    ("sweep --seeds 0,,1", r"--seeds has nothing between two commas, got '0,,1'"),
    ("sweep --eta ,1", r"--eta has nothing between two commas, got ',1'"),
    ("sweep --name=", r"--name must not be empty; leave it out"),
    ("train --dataset=", r"dataset must be one of arrays, cifar10, .*, got ''"),
    ("data --data-root=", r"The data folder must be a path, got ''; name one by --data-root"),
    ("methods ", r"method must be one of adsh, .*, got ''"),
    ("sweep --methods hashnet,frob", r"method must be one of .*, got 'frob'"),
    ("sweep --seeds 0-5000", r"A sweep has at most 1000 runs, got 10002"),
    ("sweep --arms baseline,best", r"arms must be among baseline, noq, .*, got 'best'"),
    ("sweep --arms ,", r"--arms must name at least one of baseline, noq"),
    ("sweep --arms rdh --rdh on", r"--arms and --rdh both name the arms; give one of them"),
    ("sweep --arms rdh --set quantization=none", r"--arms and --set quantization both give"),
    ("sweep --arms noq", r"hashnet can't be run in the arm noq: hashnet has no plain quant"),
    (
        "sweep --arms rdh --methods lsh",
        r"lsh can't be run in the arm rdh: amplifier must be off.*; leave out one",
    ),
    ("sweep --tau 0.9 --set tau=0.99", r"--tau and --set tau both give tau, got"),
    ("sweep --tau 1.5", r"tau must be in \[0, 1\), got 1.5"),
    ("sweep --eta=--", r"--eta takes a value, got '--'; `python -m rdh --help`"),
    ("sweep --eta x", r"--eta takes numbers like 0.01,0.1, got 'x'"),
    ("sweep --rdh off --eta 1", r"eta must be left out for HashNet"),
    ("study frob", r"ACTION must be one of list, show, run, report, got 'frob'"),
    ("study run table9", r"study must be one of dead_bits, .* or a file that ends in .toml"),
    ("study run no.toml", r"The study no.toml can't be read \(no such file or directory\)"),
    ("study run table1 --preset demo --seeds 0,2", r"seeds of a study must have no hole"),
    ("study run table1 --methods lsh", r"lsh can't be run in the arm rdh"),
    ("study run table1 --seeds 0-99", r"A study has at most 1000 runs, got 4000 \(5 methods x"),
    ("study run table1 --methods ,", r"methods of a study must name at least one value"),
    ("study run figure6 --set tau=0.9", r"tau of a study is both swept and set"),
    ("study run table1 --dataset coco --set dataset=x", r"--dataset and --set dataset both"),
    ("study report table1 --to pdf", r"--to must be one of html, .*, got 'pdf'"),
    ("study report table1 -o no/such/x.html", r"-o can.t be written to .*, there is no folder"),
    ("sweep --rdh maybe", r"--rdh must be one of both, on, off, got 'maybe'"),
    (
        "runs frob",
        r"ACTION must be one of list, show, .*, pause, resume, .*, prune, got 'frob'",
    ),
    ("runs show", r"The following arguments are required: RUN; `python -m rdh runs show --help`"),
    (
        "runs show hashnet-32-s0-123456",
        r"There is no run hashnet-32-s0-123456 in .*; `python -m rdh runs` lists them",
    ),
    ("runs delete ../../etc", r"run must be an id like hashnet-rdh-32-s0-1a2b3c, got '../../etc'"),
    ("methods frob", r"method must be one of .*, got 'frob'"),
    ("data prepare frob", r"dataset must be one of arrays, cifar10, coco, digits.*, got 'frob'"),
    ("data prepare", r"The following arguments are required: NAME"),
    ("supervisor frob", r"must be one of status, start, stop, got 'frob'"),
    ("dashboard --port 0", r"--port must be in \[1, 65535\], got 0"),
    ("dashboard --port 70000", r"--port must be in \[1, 65535\], got 70000"),
    ("dashboard --port http", r"--port must be a whole number, got 'http'"),
    ("bench frob", r"must be one of step, probes, input, live.*, got 'frob'"),
    ("bench step --rounds 0", r"--rounds must be at least 1, got 0"),
]


@pytest.mark.parametrize(("line", "sentence"), REFUSED, ids=[line for line, _ in REFUSED])
def test_bad_input_is_one_sentence_and_exit_2(line, sentence, store, capsys):
    try:
        code = cli.main([*line.split(" "), "--runs", str(store.root)])
    except SystemExit as exit_:
        code = exit_.code
    said = capsys.readouterr()
    # a command that a sentence names repeats --runs
    assert code == 2 and re.search(sentence, said.err.replace(f" --runs {store.root}", "")), (
        said.err
    )
    assert said.err.count("\n") == 1 and said.out == ""
    assert list(store.root.iterdir()) == [] and not list(store.root.parent.glob("None"))


@pytest.mark.parametrize(
    ("line", "sentence"),
    [
        ("study report table1 --preset demo", r"No run of the study table1 has finished in "),
        ("study run table1 --data-root no/such", r"No CIFAR-10 in .*no/such"),
    ],
)
def test_a_study_that_can_not_go_on_is_one_sentence_and_queues_nothing(
    line, sentence, store, capsys
):
    assert cli.main([*line.split(), "--runs", str(store.root)]) == 2
    said = capsys.readouterr()
    assert re.search(sentence, said.err) and said.err.count("\n") == 1 and said.out == ""
    assert store.run_ids() == []


@pytest.mark.parametrize("line", ["runs show nothing-here", "train --set lr=-1", "train --bits x"])
def test_a_real_process_says_the_same(line, store, env):
    answer = rdh(store, env, *line.split())
    assert answer.returncode == 2 and answer.stdout == ""
    assert answer.stderr.count("\n") == 1 and "Traceback" not in answer.stderr


@pytest.mark.parametrize(
    "line", ["runs", "demo", "dashboard", "supervisor", "train --here", "sweep"]
)
def test_a_file_where_the_runs_folder_should_be_is_one_sentence(line, tmp_path, capsys):
    (tmp_path / "file").write_text("")
    assert cli.main([*line.split(), "--runs", str(tmp_path / "file")]) == 2
    assert re.fullmatch(
        r"The runs folder .*/file is a file; name another folder .*\n", capsys.readouterr().err
    )


@pytest.mark.parametrize("folder", ["", "~nosuchuser/x", "a\0b"])
def test_a_runs_folder_that_is_no_path_is_one_sentence(folder, capsys):
    assert cli.main(["runs", "--runs", folder]) == 2
    assert re.fullmatch(r"The runs folder .* by --runs or RDH_RUNS\.\n", capsys.readouterr().err)


def test_a_data_folder_that_is_none_is_one_sentence(tmp_path, monkeypatch, capsys):
    (tmp_path / "file").write_text("")
    for place, sentence in ((tmp_path / "file", "is a file"), ("~nosuchuser/x", "is not a path")):
        monkeypatch.setenv("RDH_DATA", str(place))
        assert cli.main(["data"]) == 2
        said = capsys.readouterr()
        assert said.out == "" and re.fullmatch(
            rf"The data folder .* {sentence}.* --data-root or RDH_DATA\.\n", said.err
        )


def test_json_edited_by_hand_breaks_neither_the_list_nor_a_run(store, capsys):
    run_id = store.create(make_config())
    store.write_json(run_id, "hb.json", {"step": "abc", "total_steps": "x"})
    store.write_json(
        run_id, "result.json", {"state": "finished", "metrics": 5, "step": "a", "seconds": "b"}
    )
    for line in (["runs"], ["runs", "show", run_id]):
        assert cli.main([*line, "--runs", str(store.root)]) == 0
        assert run_id in capsys.readouterr().out


def test_the_report_never_averages_runs_of_other_lengths(store, capsys):
    from rdh.commands._report import report

    for epochs, scores in ((60, (0.5, 0.6)), (5, (0.1, 0.5))):
        for is_rdh, score in zip((False, True), scores, strict=True):
            run_id = store.create(with_plug_ins(make_config(epochs=epochs), rdh=is_rdh))
            store.write_json(
                run_id,
                "result.json",
                {"attempt": 1, "state": "finished", "metrics": {"map": score}},
            )
    report(store, store.run_ids(), as_json=False)
    text = capsys.readouterr().out
    assert "HashNet, 32 bits, epochs 60, seed 0: RDH changes MAP by +0.1000." in text
    assert "HashNet, 32 bits, epochs 5, seed 0: RDH changes MAP by +0.4000." in text


def test_a_port_that_is_taken_is_one_sentence(store, capsys):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        assert cli.main(["dashboard", "--port", str(port), "--runs", str(store.root)]) == 2
    assert re.fullmatch(
        rf"--port must be a port that is free, got {port} \(.+\); name another one\.\n",
        capsys.readouterr().err,
    )


def test_an_error_that_no_verb_expects_is_a_sentence_with_its_line(store, monkeypatch, capsys):
    def broken(root):
        raise KeyError("seq")

    monkeypatch.setattr(cli.catalog, "run", broken)
    line = ["methods", "--json", "--runs", str(store.root)]
    with pytest.raises(KeyError):
        cli.main(line)
    capsys.readouterr()
    monkeypatch.delenv("RDH_TRACEBACK")
    assert cli.main(line) == 1
    said = capsys.readouterr()
    assert said.err.startswith("This can't be done: cli.py, line ") and said.err.count("\n") == 1
    assert ": KeyError: 'seq'. Was a file of a run changed by hand? RDH_TRACEBACK=1" in said.err
    assert json.loads(said.out)["error"] == said.err.strip()


def test_with_json_an_error_is_a_line_too(store, capsys):
    assert cli.main(["runs", "show", "nothing-here", "--json", "--runs", str(store.root)]) == 2
    said = capsys.readouterr()
    assert json.loads(said.out)["error"] + "\n" == said.err


# Help


def test_without_a_verb_the_overview_is_shown_and_the_exit_code_says_that_nothing_was_done(capsys):
    assert cli.main([]) == 2
    said = capsys.readouterr()
    assert (
        said.out == "" and said.err.startswith("usage: python -m rdh") and "supervisor" in said.err
    )


VERBS = (
    "demo",
    "train",
    "sweep",
    "study",
    "study list",
    "study show",
    "study run",
    "study report",
    "runs",
    "dashboard",
    "supervisor",
    "methods",
    "data",
    "bench",
    "runs show",
    "runs clone",
    "data prepare",
)


def options(parser: argparse.ArgumentParser, words: tuple[str, ...]) -> Iterator[list[str]]:
    """The words of a verb before each of its options that take a value, that option last."""
    needed = [
        str(action.metavar or next(iter(action.choices or ())))
        for action in parser._actions
        if not action.option_strings and action.nargs is None
    ]
    for action in parser._actions:
        if isinstance(action, argparse._SubParsersAction):
            for name, verb in action.choices.items():
                yield from options(verb, (*words, name))
        elif action.option_strings and action.nargs != 0:
            yield [*words, *needed, action.option_strings[-1]]


ANYTHING = {"--name", "--runs", "--data-root"}  # texts, and what tests of their own try


def test_every_option_refuses_a_value_that_is_empty_or_endless(store, capsys, monkeypatch):
    monkeypatch.setenv("RDH_RUNS", str(store.root))
    tried = set()
    for words in options(cli.build_parser(), ()):
        *verb, option = words
        if not verb or option in ANYTHING:
            continue
        for value in ("", "x" * 5000):
            line = [*verb, f"{option}={value}"] if option.startswith("--") else [*words, value]
            try:
                code = cli.main(line)
            except SystemExit as exit_:
                code = exit_.code
            said = capsys.readouterr().err
            assert code == 2 and 0 < len(said) < 1500, (line, code, said)
            tried.add((*verb, option))
    assert len(tried) > 50


@pytest.mark.parametrize("verb", VERBS)
def test_every_verb_explains_itself(verb, capsys):
    with pytest.raises(SystemExit) as exit_:
        cli.main([*verb.split(), "--help"])
    text = capsys.readouterr().out
    assert exit_.value.code == 0 and text.startswith(f"usage: python -m rdh {verb} ")
    description = text.split("\n\n")[1]
    assert description[0].isupper() and description.rstrip().endswith(".") and "--json" in text


def test_the_help_of_train_lists_every_setting_with_what_it_takes(capsys):
    with pytest.raises(SystemExit):
        cli.main(["train", "--help"])
    text = capsys.readouterr().out
    for name, field in RunConfig.model_fields.items():
        assert re.search(rf"^  {name} .*{re.escape(field.description[:20])}", text, re.MULTILINE)
    assert re.search(r"^  tau +in \[0, 1\): saturation threshold", text, re.MULTILINE)


def test_the_version_is_printed(capsys):
    with pytest.raises(SystemExit) as exit_:
        cli.main(["--version"])
    assert exit_.value.code == 0 and re.fullmatch(r"\d+\.\d+\.\d+\n", capsys.readouterr().out)


def test_the_options_of_all_verbs_stand_before_the_verb_or_after_it(store, capsys):
    for line in (
        ["--json", "--runs", str(store.root), "runs"],
        ["runs", "--json", "--runs", str(store.root)],
    ):
        assert cli.main(line) == 0
        assert json.loads(capsys.readouterr().out) == {"runs": []}


# Verbs that train nothing


def test_methods_lists_cards_and_shows_one(capsys):
    assert cli.main(["methods"]) == 0
    text = capsys.readouterr().out
    assert re.search(r"^dpsh +DPSH: Deep Pairwise-Supervised Hashing", text, re.MULTILINE)
    assert all(line in text.splitlines() for line in catalog.left_out())
    assert cli.main(["methods", "dpsh"]) == 0
    assert "--set method_options.pairs=stored (one of stored, in_batch)" in capsys.readouterr().out
    assert cli.main(["methods", "dpsh", "--json"]) == 0
    (card,) = json.loads(capsys.readouterr().out)["methods"]
    assert card["name"] == "dpsh" and card["switches"][0]["choices"] == ["stored", "in_batch"]


def test_data_says_what_is_ready_and_what_the_others_need(tmp_path, capsys):
    assert cli.main(["data", "--data-root", str(tmp_path)]) == 0
    text = capsys.readouterr().out
    assert re.search(r"^digits +ready: 1 797 images, 10 classes$", text, re.MULTILINE)
    assert re.search(
        r"^cifar10 +not ready: No CIFAR-10 in .*: run `python -m rdh data prepare cifar10",
        text,
        re.MULTILINE,
    )
    assert cli.main(["data", "list", "--root", str(tmp_path), "--json"]) == 0
    rows = {row["name"]: row for row in json.loads(capsys.readouterr().out)["datasets"]}
    assert rows["digits"]["ready"] and not rows["cifar10"]["ready"]
    assert cli.main(["data", "prepare", "digits", "--root", str(tmp_path)]) == 0


def test_an_empty_folder_names_the_next_step(store, capsys):
    assert cli.main(["runs", "--runs", str(store.root)]) == 0
    assert (
        f"`python -m rdh demo --runs {store.root}` makes the first two" in capsys.readouterr().err
    )


# The queue, with pretended training


def test_a_sweep_asked_for_again_adds_only_what_is_missing(store, toy):
    first = rdh(
        store, toy, "sweep", "--methods", "hashnet,dpsh", "--bits", "8", "--seeds", "0,1", "--json"
    )
    assert (
        first.returncode == 0 and "8 runs in " in first.stderr and "8 of them new" in first.stderr
    )
    assert (
        first.stderr.count(": finished in ") == 8
        and last_json(first)["runs"][0]["method"] == "hashnet"
    )
    again = rdh(store, toy, "sweep", "--methods", "hashnet,dpsh", "--bits", "8", "--seeds", "0-2")
    assert (
        again.returncode == 0 and "12 runs in " in again.stderr and "4 of them new" in again.stderr
    )
    assert (
        len(store.run_ids()) == 12
        and len({store.config(run_id).hash for run_id in store.run_ids()}) == 12
    )
    detached = rdh(
        store,
        toy,
        "sweep",
        "--methods",
        "hashnet,dpsh",
        "--bits",
        "8",
        "--seeds",
        "0-2",
        "--detach",
        "--json",
    )
    assert (last_json(detached)["n_new"], len(last_json(detached)["run_ids"])) == (0, 12)
    assert sorted(last_json(detached)["run_ids"]) == sorted(store.run_ids())


def test_settings_that_no_option_names_are_taken(store, toy):
    options = ("--set", "method=dpsh", "--set", "n_bits=16", "--set", "seed=5", "--set", "eta=0.4")
    (train,) = last_json(rdh(store, toy, "train", *options, "--detach", "--json"))["run_ids"]
    expected = make_config(method="dpsh", n_bits=16, seed=5, eta=0.4)
    assert store.config(train) == expected
    pair = last_json(rdh(store, toy, "sweep", *options, "--detach", "--json"))["run_ids"]
    arms = [with_plug_ins(expected, rdh=is_rdh) for is_rdh in (False, True)]
    assert [store.config(run_id) for run_id in pair] == arms
    amplified = ("--set", "amplifier=true", "--bits", "8,16", "--name", "amplified")
    runs = last_json(rdh(store, toy, "sweep", *amplified, "--detach", "--json"))["run_ids"]
    assert [(store.config(one).n_bits, store.config(one).arm) for one in runs] == [
        (8, "ga"),
        (16, "ga"),
    ]


def test_arms_tau_and_eta_are_axes_of_a_sweep(store, toy):
    options = ("--arms", "baseline,ga,eaq,rdh", "--tau", "0.9,0.99", "--eta", "0.1,1")
    answer = rdh(store, toy, "sweep", "--methods", "dpsh", "--bits", "8", *options, "--detach")
    assert answer.returncode == 0 and "16 runs in " in answer.stderr
    configs = [store.config(run_id) for run_id in store.run_ids()]
    assert {(one.arm, one.tau, one.eta) for one in configs} == {
        (arm, tau, eta)
        for arm in ("", "ga", "eaq", "rdh")
        for tau in (0.9, 0.99)
        for eta in (0.1, 1.0)
    }


STUDY = ("study", "run", "table2", "--preset", "quick", "--bits", "8", "--seeds", "0-1")


def test_a_study_trains_what_is_missing_and_nothing_twice(store, toy):
    swept = rdh(store, toy, "sweep", "--preset", "quick", "--bits", "8", "--rdh", "off")
    assert swept.returncode == 0
    first = rdh(store, toy, *STUDY)
    assert first.returncode == 0, first.stderr
    assert "8 runs in " in first.stderr and "1 have finished, 0 are under way, 7 to train" in (
        first.stderr
    )
    assert len(store.run_ids()) == 8
    gone = store.run_ids()[3]
    execution.delete(store, gone)
    again = rdh(store, toy, *STUDY, "--json")
    assert "7 have finished, 0 are under way, 1 to train" in again.stderr
    assert last_json(again)["n_finished"] == 8 and len(store.run_ids()) == 8
    third = rdh(store, toy, *STUDY)
    assert "8 have finished, 0 are under way, 0 to train." in third.stderr
    assert "8 of 8 runs have finished." in third.stdout and len(store.run_ids()) == 8


def test_two_people_who_run_a_study_at_once_share_its_runs(store, toy):
    command = [sys.executable, "-m", "rdh", *STUDY, "--runs", str(store.root)]
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    people = [subprocess.Popen(command, env=toy, cwd=HOUSE, **pipes) for _ in range(2)]
    answers = [one.communicate(timeout=WITHIN) for one in people]
    assert [one.returncode for one in people] == [0, 0], answers
    assert len(store.run_ids()) == 8
    assert all("8 of 8 runs have finished." in out for out, _ in answers)


def test_a_study_that_was_interrupted_goes_on_and_tries_again_what_failed(store, toy):
    plan = [{"do": "exit", "says": "no such GPU"}, {"do": "finish"}]
    from rdh import studies

    study = studies.study("table2").with_options(preset="quick", bits=(8,), seeds=(0, 1))
    configs = [one.config for one in studies.expand(study.grids)]
    failed = store.create(
        configs[0], sweep=studies.SWEEP, prepare=lambda folder: write_plan(folder, *plan)
    )
    wait_for(lambda: execution.states(store)[failed].state == "failed", "the run fails")
    shown = rdh(store, toy, "study", "show", "table2", *STUDY[3:])
    assert f"{failed}: failed: " in shown.stdout and "no such GPU" in shown.stdout
    cancelled = execution.submit(store, [configs[1]], sweep=studies.SWEEP)[0]
    with contextlib.suppress(UserError):  # it may have finished by now
        execution.cancel(store, cancelled)
    answer = rdh(store, toy, *STUDY)
    assert answer.returncode == 0, answer.stderr
    assert "8 of 8 runs have finished." in answer.stdout and len(store.run_ids()) == 8
    assert execution.states(store)[failed].attempt == 2


def test_an_aim_of_a_sweep_is_for_the_runs_with_the_amplifier(store, toy):
    options = ["--methods", "hashnet,itq", "--bits", "8", "--set", "amplifier_aim=labels"]
    runs = last_json(rdh(store, toy, "sweep", *options, "--detach", "--json"))["run_ids"]
    found = {store.config(run).label: store.config(run).amplifier_aim for run in runs}
    assert found == {
        "HashNet": "gradient",
        "HashNet + RDH, aimed by labels": "labels",
        "ITQ": "gradient",
    }


def test_a_method_without_an_activation_sweeps_without_rdh_only(store, toy):
    answer = rdh(
        store, toy, "sweep", "--methods", "hashnet,itq", "--bits", "8", "--detach", "--json"
    )
    assert answer.returncode == 0 and "itq has no activation that saturates" in answer.stderr
    assert sorted(run_id.rpartition("-")[0] for run_id in last_json(answer)["run_ids"]) == [
        "hashnet-8-s0",
        "hashnet-rdh-8-s0",
        "itq-8-s0",
    ]


def test_the_verbs_of_a_run(store, toy):
    """One run through its whole life: failed, shown, resumed, cloned, deleted."""
    plan = [{"do": "exit", "says": "no such GPU"}, {"do": "finish"}]
    run_id = store.create(make_config(n_bits=8), prepare=lambda folder: write_plan(folder, *plan))
    wait_for(lambda: execution.states(store)[run_id].state == "failed", "the run fails")
    shown = rdh(store, toy, "runs", "show", run_id)
    assert (
        shown.returncode == 0
        and "HashNet, failed" in shown.stdout
        and "no such GPU" in shown.stdout
    )
    listed = rdh(store, toy, "runs")
    assert re.search(rf"^{run_id} +HashNet +failed .*no such GPU", listed.stdout, re.MULTILINE), (
        listed.stdout
    )
    assert rdh(store, toy, "runs", "resume", run_id).stdout == f"{run_id}: queued again\n"
    wait_for(
        lambda: execution.states(store)[run_id].state == "finished", "the second attempt finishes"
    )
    refused = rdh(store, toy, "runs", "cancel", run_id)
    assert (
        refused.returncode == 2 and "is finished, so there is nothing to cancel" in refused.stderr
    )
    clone = last_json(rdh(store, toy, "runs", "clone", run_id, "--set", "seed=7", "--json"))[
        "run_id"
    ]
    assert store.config(clone) == make_config(n_bits=8, seed=7)
    wait_for(lambda: execution.states(store)[clone].state == "finished", "the clone finishes")
    assert last_json(rdh(store, toy, "runs", "delete", run_id, "--json")) == {
        "run_id": run_id,
        "done": "deleted",
    }
    assert store.run_ids() == [clone] and list(execution.states(store)) == [clone]


def test_an_eta_that_was_asked_for_reaches_the_runs_with_rdh(store, toy):
    rdh(store, toy, "sweep", "--bits", "8", "--set", "eta=0.4", "--detach")
    rdh(store, toy, "train", "--rdh", "--bits", "8", "--set", "eta=0.2", "--detach")
    etas = [(config.has_rdh, config.eta) for config in map(store.config, store.run_ids())]
    assert etas == [(False, None), (True, 0.4), (True, 0.2)]


def test_a_clone_with_another_method_drops_the_switches_of_the_old_one(store, toy):
    run_id = store.create(make_config(method="dpsh", method_options={"pairs": "batch"}, n_bits=8))
    answer = rdh(store, toy, "runs", "clone", run_id, "--set", "method=hashnet")
    assert answer.returncode == 0, answer.stderr
    assert store.config(answer.stdout.strip()) == make_config(n_bits=8)


def test_the_supervisor_can_be_asked_and_stopped(store, env):
    assert "No supervisor runs" in rdh(store, env, "supervisor").stdout
    started = rdh(store, env, "supervisor", "start")
    assert re.search(r"A supervisor runs for .*: pid \d+ on .*, since \d{4}-", started.stdout), (
        started.stdout
    )
    status = last_json(rdh(store, env, "supervisor", "status", "--json"))
    assert status["alive"] and str(status["pid"]) in started.stdout
    stopped = rdh(store, env, "supervisor", "stop").stdout
    assert stopped == f"The supervisor of {store.root} has stopped; the next launch starts one.\n"
    assert "No supervisor runs" in rdh(store, env, "supervisor", "stop").stdout


def test_a_failed_run_exits_1_with_its_reason(store, env, tmp_path):
    script = tmp_path / "failing.py"
    script.write_text("import sys; sys.exit('the data are not there')")
    start_supervisor(store, env, [sys.executable, str(script)])
    answer = rdh(store, env, "train", "--json")
    assert answer.returncode == 1 and "Traceback" not in answer.stderr
    assert re.search(
        r": failed: .*the data are not there.* `python -m rdh runs resume \S+ .*` tries it again",
        answer.stderr,
    )
    assert last_json(answer) == {"runs": [], "pairs": []}


class Terminal:
    """`python -m rdh` on a real terminal of its own."""

    def __init__(self, store: RunStore, env: dict[str, str], *arguments: str) -> None:
        self.pid, self._fd = pty.fork()
        if self.pid == 0:
            command = [sys.executable, "-m", "rdh", *arguments, "--runs", str(store.root)]
            os.execve(sys.executable, command, env)
        self.text = ""

    def read_until(self, words: str) -> None:
        while words not in self.text:
            self.text += self._read()

    def press(self, keys: str) -> None:
        os.write(self._fd, keys.encode())

    def end(self) -> int:
        """Reads to the end; the exit code."""
        with contextlib.suppress(EOFError):
            while True:
                self.text += self._read()
        os.close(self._fd)
        return os.waitstatus_to_exitcode(os.waitpid(self.pid, 0)[1])

    def _read(self) -> str:
        assert select.select([self._fd], [], [], WITHIN)[0], f"silent after: {self.text}"
        try:
            data = os.read(self._fd, 65536)
        except OSError:  # how Linux ends a terminal
            data = b""
        if not data:
            raise EOFError(self.text)
        return data.decode(errors="replace")


CTRL_C, CTRL_D = "\x03", "\x04"


def going_on(store: RunStore, env: dict[str, str]) -> Terminal:
    """A terminal that follows a run which ends only when it is asked to."""
    run_id = store.create(
        make_config(n_bits=8), sweep="forever", prepare=lambda folder: write_plan(folder)
    )
    terminal = Terminal(store, env, "sweep", "--name", "forever", "--bits", "8", "--rdh", "off")
    terminal.read_until(f"{run_id}: ")
    wait_for(lambda: execution.states(store)[run_id].state == "running", "the run runs")
    return terminal


def write_plan(folder: Path, *attempts: dict) -> None:
    (folder / "toy.json").write_text(json.dumps(attempts or {"do": "forever"}))


@pytest.mark.parametrize("second", [CTRL_C, CTRL_D, "\n"], ids=["ctrl-c", "ctrl-d", "enter"])
def test_ctrl_c_asks_and_a_second_one_leaves_the_runs_running(second, store, toy):
    terminal = going_on(store, toy)
    terminal.press(CTRL_C)
    terminal.read_until("Cancel these runs (c), or leave them running (Enter)? ")
    terminal.press(second)
    assert terminal.end() == 130
    way_out = f"The runs go on; `python -m rdh runs --runs {store.root}` shows them."
    assert way_out in terminal.text.replace("\r\n", "")
    assert "Traceback" not in terminal.text and "KeyboardInterrupt" not in terminal.text
    (state,) = execution.states(store).values()
    assert (state.state, state.request) == ("running", None)


def test_ctrl_c_and_c_cancels_the_runs_and_waits_for_their_end(store, toy):
    terminal = going_on(store, toy)
    terminal.press(CTRL_C)
    terminal.read_until("(Enter)? ")
    terminal.press("c\n")
    assert terminal.end() == 1
    (state,) = execution.states(store).values()
    assert state.state == "cancelled" and f"{state.run_id}: cancelled" in terminal.text
    assert "goes on from its last checkpoint" in terminal.text and "Traceback" not in terminal.text


# Real training


def test_train_here_finishes_in_this_process_and_the_queue_knows_of_it(store, env):
    answer = rdh(store, env, "train", "--here", "--rdh", *TINY, "--json")
    assert answer.returncode == 0, answer.stderr
    (row,) = last_json(answer)["runs"]
    (run_id,) = store.run_ids()
    assert answer.stdout.count("\n") == 1 and "Traceback" not in answer.stderr
    assert (
        row["run_id"] == run_id
        and row["map"] == store.read_json(run_id, "result.json")["metrics"]["map"]
    )
    assert execution.states(store)[run_id].state == "finished"
    assert store.config(run_id).has_rdh and (store.run_dir(run_id) / "codes" / "final.npz").exists()


def test_a_run_whose_worker_and_supervisor_were_killed_is_found_dead_and_resumed(store, toy):
    run_id = store.create(make_config(n_bits=8, epochs=1), prepare=write_plan)
    wait_for(lambda: execution.states(store)[run_id].state == "running", "the run trains")
    wait_for(lambda: "pid" in (store.read_json(run_id, "hb.json") or {}), "its heart beats")
    for pid in (
        execution.supervisor_status(store)["pid"],
        store.read_json(run_id, "hb.json")["pid"],
    ):
        os.kill(pid, signal.SIGKILL)
    wait_for(lambda: not execution.supervisor_status(store)["alive"], "the supervisor is dead")
    assert execution.states(store)[run_id].state == "running"
    answer = rdh(store, toy, "runs", "resume", run_id)  # starts a supervisor with real workers
    assert answer.stdout == f"{run_id}: queued again\n", answer.stderr
    wait_for(
        lambda: execution.states(store)[run_id].state == "finished", "the second attempt finishes"
    )


@pytest.mark.parametrize(
    ("weight", "eta", "words"),
    [
        (math.nan, 1.0, "at the method's own 0.1 against eta 1 (--set eta=1 weighs both alike)"),
        (math.nan, 0.1, ""),
        (1.0, 1.0, "plain quantization weighed 1"),
    ],
)
def test_unequal_weights_of_a_pair_are_said(weight, eta, words):
    row = {
        "method": "dpsh",
        "n_bits": 8,
        "lr": 0.1,
        "setting": "",
        "seed": 0,
        "split_seed": 0,
        "group": "g",
        "differs": "eta differs" if "against" in words else "",
        "collapsed": "",
        "map_baseline": 0.5,
        "map_rdh": 0.6,
        "map_gain": 0.1,
        "eta": eta,
    }
    names = ("map_low", "map_high", "n_distinct_codes", "dead_at_end", "flagged_at_end", "cost")
    row |= {f"{name}_{arm}": math.nan for name in names for arm in ("baseline", "rdh")}
    row["eta_baseline"] = weight
    (line,) = paired_lines(pd.DataFrame([row]))
    assert words in line and ("quantization" in line) == bool(words)
    assert line.endswith("No fair pair: eta differs.") == ("against" in words)


def test_a_collapsed_pair_is_counted_and_in_no_mean():
    row = {"method": "dch", "n_bits": 16, "lr": 0.3, "setting": "", "seed": 1, "group": "g"}
    row |= {"split_seed": 0, "differs": "", "collapsed": "rdh"}
    row |= {"map_baseline": 0.8, "map_rdh": 0.1, "map_gain": -0.7, "eta": 1.0, "eta_baseline": 1.0}
    for arm, n_codes in (("baseline", 300), ("rdh", 1)):
        row |= {f"map_low_{arm}": 0.1, f"map_high_{arm}": 1.0, f"n_distinct_codes_{arm}": n_codes}
        row |= {f"{name}_{arm}": math.nan for name in ("dead_at_end", "flagged_at_end", "cost")}
    (line,) = paired_lines(pd.DataFrame([row]))
    assert "seed 1: 1 of 1 pair is left out, because training collapsed to one code (with" in line
    assert "tie band" not in line and "-0.7" not in line
    whole = row | {"seed": 2, "map_baseline": 0.5, "map_rdh": 0.75, "map_gain": 0.25}
    whole |= {"collapsed": "", "n_distinct_codes_rdh": 300}
    (line,) = paired_lines(pd.DataFrame([row, whole]))
    assert "MAP by +0.2500" in line and "1 of 2 pairs is left out" in line


def test_ctrl_c_during_train_here_leaves_a_whole_run_that_can_be_resumed(store, env):
    command = [
        sys.executable,
        "-m",
        "rdh",
        "train",
        "--here",
        "--preset",
        "demo",
        "--set",
        "epochs=5000",
        "--bits",
        "8",
    ]
    with subprocess.Popen(
        [*command, "--runs", str(store.root)],
        env=env,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        wait_for(
            lambda: store.run_ids() and store.reader(store.run_ids()[0]).version()[1] > 3,
            "the first records",
        )
        process.send_signal(signal.SIGINT)
        process.send_signal(signal.SIGINT)
        errors = process.communicate(timeout=WITHIN)[1]
    (run_id,) = store.run_ids()
    assert (
        process.returncode == 130
        and "Traceback" not in errors
        and f"runs resume {run_id} --runs {store.root}` takes it up again" in errors
    )
    assert store.read_json(run_id, "result.json")["state"] == "cancelled"
    assert store.resume_step(run_id)
    assert execution.states(store)[run_id].state == "cancelled"
    assert not [
        entry.name for entry in store.root.iterdir() if entry.name.startswith((".new-", ".del-"))
    ]
    execution.resume(store, run_id)


def test_an_interrupt_before_the_training_listens_leaves_no_run(store, monkeypatch):
    from rdh import worker
    from rdh.commands._here import train_here

    def interrupted(arguments: list[str]) -> int:
        raise KeyboardInterrupt

    monkeypatch.setattr(worker, "main", interrupted)
    with pytest.raises(KeyboardInterrupt):
        train_here(store, make_config())
    assert store.run_ids() == [] and execution.states(store) == {}


def test_a_supervisor_does_not_start_what_trains_here(store, toy, monkeypatch):
    """It sees the new folder within a fraction of a second; the lock tells it to keep off."""
    from rdh import worker
    from rdh.commands._here import train_here

    def pretend(arguments: list[str]) -> int:
        run_dir = Path(arguments[0])
        wait_for(lambda: execution.states(store).get(run_dir.name), "the supervisor sees the run")
        reason = "an earlier process"
        wait_for(
            lambda: reason in (execution.states(store)[run_dir.name].reason or ""),
            "the supervisor was kept off",
        )
        store.write_json(
            run_dir.name, "result.json", {"attempt": 1, "state": "finished", "message": None}
        )
        return 0

    monkeypatch.setattr(worker, "main", pretend)
    run_id, state = train_here(store, make_config())
    wait_for(
        lambda: execution.states(store)[run_id].state == "finished",
        "the supervisor believes the result",
    )
    assert state == "finished" and not (store.run_dir(run_id) / "begun.json").exists()


def test_the_demo_prints_what_was_stored(store, env):
    answer = rdh(store, env, "demo")
    assert answer.returncode == 0 and "Traceback" not in answer.stderr, answer.stderr
    table = analysis.run_table(store, store.run_ids())
    assert table["arm"].tolist() == ["", "rdh"]
    for row in table.itertuples():
        numbers = rf"{row.map:.4f} +{row.dead_at_end:.2%} +{row.dead_peak:.2%} +"
        numbers += rf"{re.escape(analysis.map_points(row.cost))} +{row.flagged_at_end:.2%}"
        assert re.search(
            rf"^{re.escape(row.label)} +16 +1 +{numbers}$", answer.stdout, re.MULTILINE
        ), answer.stdout
        assert f"{row.run_id}: finished in " in answer.stderr
        cost = analysis.map_points(row.cost)
        assert f"{row.dead_at_end:.2%} dead at a cost of {cost} MAP" in answer.stderr
    (pair,) = analysis.pairs(table).itertuples()
    within = analysis.is_within_ties(*(row for _, row in table.iterrows()))
    change = analysis.shown_change(pair.map_baseline, pair.map_rdh)
    assert (
        f"RDH changes MAP by {change:+.4f} ({'within' if within else 'outside'} the tie "
        f"band) and dead entries at the "
        f"end from {pair.dead_at_end_baseline:.2%} to {pair.dead_at_end_rdh:.2%} (their cost in "
        f"MAP from {pair.cost_baseline:+.4f} to {pair.cost_rdh:+.4f})." in answer.stdout
    )
    assert "Shares are of the training items x bits (16 000)" in answer.stdout
    assert "Dead: A dead entry is saturated and wrong" in answer.stdout


# Small parts


def test_the_progress_of_an_extraction_has_rate_and_time_left(store):
    run_id = store.create(make_config())
    beat = {
        "attempt": 1,
        "seq": 1,
        "pid": 1,
        "step": 0,
        "total_steps": None,
        "phase": "extracting features",
        "of": 60_000,
    }
    store.write_json(run_id, "hb.json", beat | {"done": 470, "at": 100.0})
    watch = Watch(store, [run_id])
    assert watch.look() == [] and watch.line().endswith(
        f"0/1 runs done | {run_id}: extracting features 470/60 000"
    )
    store.write_json(run_id, "hb.json", beat | {"done": 1250, "at": 110.0})
    assert watch.line().endswith("extracting features 1 250/60 000, 78/s, 12 min 33 s left")


def test_the_progress_of_training_adds_up_over_the_runs(store):
    ids = [store.create(make_config(seed=seed)) for seed in range(2)]
    store.write_json(
        ids[0],
        "result.json",
        {"attempt": 1, "state": "finished", "seconds": 3.2, "metrics": {"map": 0.5}},
    )
    beat = {"attempt": 1, "seq": 1, "pid": 1, "phase": "training", "total_steps": 1000, "at": 100.0}
    store.write_json(ids[1], "hb.json", beat | {"step": 500})
    watch = Watch(store, ids)
    assert watch.look() == [], "what had finished before is no news"
    assert watch.line() == f"[############....]  75 %, 1/2 runs done | {ids[1]}: step 500/1 000"
    store.write_json(ids[1], "hb.json", beat | {"step": 620, "at": 102.0})
    assert "step 620/1 000, 60 steps/s" in watch.line()
    store.delete(ids[1])
    execution.states(store)


def test_a_pace_forgets_what_is_long_past_and_what_began_anew():
    pace = Pace()
    assert pace.words(0, 100, 0.0) == "0/100"
    assert pace.words(50, 100, 10.0) == "50/100, 5.0/s, 10 s left"
    assert pace.words(52, 100, 40.0).startswith("52/100, 0.1/s"), (
        "the last seconds count, not the first"
    )
    assert pace.words(3, 100, 41.0) == "3/100"
    assert pace.words(5, 0, 42.0) == "5, 2.0/s"


def test_a_bar_is_full_at_the_end():
    assert bar(0.0) == "[................]   0 %" and bar(1.0) == "[################] 100 %"


@pytest.mark.parametrize(
    ("seconds", "words"),
    [(0, "0 s"), (59.6, "1 min 0 s"), (200, "3 min 20 s"), (7500, "2 h 5 min")],
)
def test_a_duration_is_in_words(seconds, words):
    assert analysis.duration(seconds) == words
    assert analysis.about(seconds) == (f"about {words}" if seconds else "under a second")


def test_settings_are_read_as_the_values_that_they_look_like():
    pairs = [
        "lr=0.1",
        "epochs = 3",
        "amplifier=on",
        "eta=None",
        "quantization=none",
        "method_options.pairs=batch",
    ]
    assert _common.parse_settings(pairs) == {
        "lr": 0.1,
        "epochs": 3,
        "amplifier": True,
        "eta": None,
        "quantization": "none",
        "method_options": {"pairs": "batch"},
    }
    assert _common.parse_settings(["a=b=c", "x=((((" * 3]) == {"a": "b=c", "x": "((((x=((((x=(((("}


def test_lists_and_ranges_are_read_once_each_in_order():
    assert parse_numbers("--bits", "48, 24,24") == [48, 24]
    assert parse_numbers("--seeds", "0-2,7,1-3") == [0, 1, 2, 7, 3]
    assert parse_names(" dpsh ,hashnet,dpsh") == ["dpsh", "hashnet"]
    for text in ("-1", "1-", "--2", "1.5", "0x3", "²", "1-2-3", "9" * 5000):
        with pytest.raises(UserError, match=r"^Seeds takes whole numbers"):
            parse_numbers("Seeds", text)
    with pytest.raises(UserError, match="at most 10000 numbers"):
        parse_numbers("Seeds", "0-99999999999")
    assert parse_numbers("Seeds", "9" * 20) == [10**20 - 1], (
        "its own range says that it is too large"
    )


def test_what_a_list_names_twice_is_said(capsys):
    _common.say_repeated({"--bits": "8,16", "--seeds": None, "--methods": "dhn, dpsh", "--tau": ""})
    assert capsys.readouterr().err == ""
    _common.say_repeated({"--bits": "8,8", "--seeds": "0-2,1", "--methods": "dhn,lsh, dhn"})
    assert capsys.readouterr().err == (
        "--bits names a value more than once (8,8); it counts once.\n"
        "--seeds names a value more than once (0-2,1); it counts once.\n"
        "--methods names a value more than once (dhn,lsh, dhn); it counts once.\n"
    )


def test_a_table_leaves_out_empty_columns_and_aligns_numbers(capsys):
    _common.print_table(
        [{"run": "a", "MAP": "0.5", "reason": ""}, {"run": "bcd", "MAP": "", "reason": ""}]
    )
    assert capsys.readouterr().out == "run  MAP\na    0.5\nbcd    -\n"


def test_the_report_of_a_sweep_sums_up_the_seeds_of_each_pair(store, capsys):
    from rdh.commands._report import report

    for seed, scores in enumerate([(0.5, 0.6), (0.7, 0.9), (0.6, 0.5)]):
        for is_rdh, score in zip((False, True), scores, strict=True):
            run_id = store.create(with_plug_ins(make_config(seed=seed), rdh=is_rdh))
            store.write_json(
                run_id,
                "result.json",
                {"attempt": 1, "state": "finished", "metrics": {"map": score}},
            )
    report(store, store.run_ids(), as_json=False)
    text = capsys.readouterr().out
    assert re.search(r"^method +bits +seeds +MAP +MAP std$", text, re.MULTILINE)
    assert re.search(r"^HashNet \+ RDH +32 +3 +0.6667 +0.2082$", text, re.MULTILINE)
    assert (
        "HashNet, 32 bits, 3 seeds: RDH changes MAP by +0.0667 (std 0.1528, higher in 2 of 3)."
        in text
    )
    report(store, store.run_ids(), as_json=True)
    assert len(json.loads(capsys.readouterr().out)["pairs"]) == 3


def test_the_output_of_a_run_here_goes_to_its_log_and_a_traceback_goes_nowhere_else(
    tmp_path, capsys
):
    from rdh.commands._here import Echo

    text = (
        "08:00:01 training on cpu\n08:00:02 Traceback (most recent call last):\n  File "
        '"x"\nOSError: no\n08:00:02 failed: No.\n'
    )
    with (tmp_path / "log.txt").open("w") as log:
        echo = Echo(log)
        for part in (text[:20], text[20:60], text[60:]):
            echo.write(part)
    assert (tmp_path / "log.txt").read_text() == text
    assert capsys.readouterr().err == "08:00:01 training on cpu\n08:00:02 failed: No.\n"
