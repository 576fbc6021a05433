"""The verb export: what it writes, by --to or by the ending of -o, and what it refuses."""

import json
import tarfile
from pathlib import Path

import pandas as pd
import pytest

from rdh import cli

DATA = Path(__file__).parents[1] / "data"
BASELINE, RDH, QUEUED = "hashnet-8-s0-cda631", "hashnet-rdh-8-s0-e44703", "csq-8-s4-04c8d4"
GOES_ON = "dpsh-8-s3-d0d8e0"


@pytest.fixture(scope="module")
def root(tmp_path_factory) -> Path:
    root = tmp_path_factory.mktemp("export") / "runs"
    with tarfile.open(DATA / "old_runs.tar.xz") as archive:
        archive.extractall(root, filter="data")
    return root


@pytest.fixture
def export(root, tmp_path, monkeypatch, capsys):
    """Runs the verb in an empty folder; returns its exit code and what it said."""
    monkeypatch.chdir(tmp_path)

    def call(*words: str) -> tuple[int, str]:
        code = cli.main(["export", "--runs", str(root), *words])
        said = capsys.readouterr()
        return code, (said.out if code == 0 else said.err).strip()

    return call


@pytest.mark.parametrize(
    ("words", "names"),
    [
        ((BASELINE, "--to", "html"), {f"{BASELINE}.html"}),
        ((BASELINE, "--vs", RDH, "--to", "html"), {f"{BASELINE}-vs-{RDH}.html"}),
        ((BASELINE, "-o", "mine.HTM"), {"mine.HTM"}),
        ((BASELINE, "--to", "csv"), {f"{BASELINE}.csv", f"{BASELINE}-bits.csv"}),
        ((BASELINE, "-o", "mine.parquet"), {"mine.parquet", "mine-bits.parquet"}),
    ],
)
def test_the_form_is_named_or_is_that_of_the_ending(export, tmp_path, words, names):
    code, said = export(*words)
    assert code == 0 and "has finished at step 24." in said and "\n" not in said
    assert {path.name for path in tmp_path.iterdir()} == names
    assert all(path.stat().st_size for path in tmp_path.iterdir())


def test_event_files_of_several_runs_go_into_one_folder(export, tmp_path):
    pytest.importorskip("tensorboard")
    for run_id in (BASELINE, RDH):
        code, said = export(run_id, "--to", "tensorboard", "-o", "events")
        assert code == 0 and "tensorboard --logdir" in said
    assert {path.name for path in (tmp_path / "events").iterdir()} == {BASELINE, RDH}


def test_a_run_that_goes_on_gives_what_there_is_and_says_so(export, tmp_path):
    code, said = export(GOES_ON, "-o", "part.csv", "--json")
    answer = json.loads(said)
    assert code == 0 and "has not ended" in answer["text"] and "up to step 8" in answer["text"]
    assert pd.read_csv(answer["output"])["step"].tolist() == [0, 4, 8]


def test_the_same_command_writes_the_same_bytes(export, tmp_path):
    contents = []
    for _ in range(2):
        for words in (("-o", "a.csv"), ("-o", "a.parquet")):
            assert export(BASELINE, *words)[0] == 0
        contents.append({path.name: path.read_bytes() for path in tmp_path.iterdir()})
    assert contents[0] == contents[1] and len(contents[0]) == 4


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        ((BASELINE,), "-o must end in one of .html, .htm, .csv, .parquet, .pt2, .onnx, or --to"),
        ((BASELINE, "-o", "x.txt"), "got x.txt."),
        ((BASELINE, "-o", ""), "-o must end in one of"),
        ((BASELINE, "--to", "html", "-o", "x.csv"), "-o must end in .html or .htm with --to html"),
        ((BASELINE, "--to", "network"), "-o must name a file that ends in .pt2 or .onnx"),
        (("nobody-8-s0-aaaaaa", "--to", "csv"), "There is no run nobody-8-s0-aaaaaa"),
        (("../x", "--to", "csv"), "run must be an id like"),
        ((BASELINE, "--vs", "../x", "--to", "html"), "run must be an id like"),
        ((BASELINE, "--vs", BASELINE, "--to", "html"), "A run can't be compared with itself"),
        ((BASELINE, "--vs", RDH, "--to", "csv"), "--vs belongs to --to html, got --to csv"),
        ((QUEUED, "--to", "html"), f"The run {QUEUED} has no records"),
        ((QUEUED, "--to", "csv"), f"The run {QUEUED} has no records"),
        ((BASELINE, "-o", "folder.csv"), "folder.csv is a folder: name one in it"),
        ((BASELINE, "-o", "no/x.csv"), "no/x.csv, there is no folder"),
        ((BASELINE, "-o", "taken.csv"), "taken-bits.csv is a folder: name one in it"),
        ((BASELINE, "--to", "tensorboard", "-o", "file"), "-o must be a folder with --to tensor"),
        ((BASELINE, "--to", "tensorboard", "-o", "no/x"), "-o must be in a folder that is there"),
    ],
)
def test_what_can_not_be_done_is_one_sentence_and_writes_nothing(export, tmp_path, words, sentence):
    for name in ("folder.csv", "taken-bits.csv"):
        (tmp_path / name).mkdir()
    (tmp_path / "file").write_text("mine")
    code, said = export(*words)
    assert code == 2 and sentence in said and said.count("\n") == 0
    assert {path.name for path in tmp_path.iterdir()} == {"folder.csv", "taken-bits.csv", "file"}
    assert (tmp_path / "file").read_text() == "mine"


def test_a_folder_that_allows_no_writing_is_one_sentence(export, tmp_path, monkeypatch):
    monkeypatch.setattr("os.access", lambda path, mode: Path(path) != tmp_path / "locked")
    (tmp_path / "locked").mkdir()
    code, said = export(BASELINE, "-o", "locked/x.csv")
    assert code == 2 and "locked/x.csv, its folder allows no writing" in said
