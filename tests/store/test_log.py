"""Logs: lines that may hold anything, the end of a log, and one that grew too long."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from rdh.files import atomic, read_json, write_json
from rdh.locks import holding_lock, is_locked, take_lock
from rdh.store.log import last_line, say, shorten, tail


def test_a_line_about_a_strange_file_name_does_not_end_a_run(capsys):
    say(b"\xff.png".decode(errors="surrogateescape"))
    assert capsys.readouterr().out.endswith("\\udcff.png\n")


def test_the_end_of_a_log(tmp_path):
    path = tmp_path / "log.txt"
    assert (tail(path), last_line(path)) == ("", None)
    path.write_bytes(b"one\ntwo\xff\nthree \n\n")
    assert (tail(path, 9), last_line(path)) == ("three", "three")
    assert tail(path) == "one\ntwo\N{REPLACEMENT CHARACTER}\nthree"


def test_a_pipe_in_place_of_a_log_or_a_file_is_not_waited_for(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    assert (tail(tmp_path / "pipe"), read_json(tmp_path / "pipe")) == ("", None)


def test_a_log_is_cut_in_place_while_somebody_appends(tmp_path):
    path = tmp_path / "log.txt"
    with path.open("ab", buffering=0) as log:
        log.write(b"x" * 1000)
        assert not shorten(path, most=1000, kept=10)
        log.write(b"y" * 20)
        assert shorten(path, most=1000, kept=10)
        log.write(b"z")
    first, second = path.read_text().splitlines()
    assert first == "--- 1010 bytes were cut here: this log grew too long ---"
    assert second == "y" * 10 + "z"


def test_a_file_is_written_whole_or_not_at_all(tmp_path):
    path = tmp_path / "result.json"
    write_json(path, {"a": 1})
    with pytest.raises(RuntimeError), atomic(path) as draft:
        draft.write_text("half")
        raise RuntimeError
    with pytest.raises(ValueError):
        write_json(path, {"a": float("nan")})
    assert read_json(path) == {"a": 1}
    assert [one.name for one in tmp_path.iterdir()] == ["result.json"]


def test_a_name_of_full_length_can_be_written(tmp_path):
    path = tmp_path / ("x" * 255)
    with atomic(path) as draft:
        draft.write_text("whole")
    assert path.read_text() == "whole"


@pytest.mark.process
def test_a_lock_is_waited_for_and_free_when_its_holder_is_killed(tmp_path):
    path = tmp_path / "lock"
    code = "import sys, time; from rdh.locks import *; take_lock(Path(sys.argv[1])); "
    code += "print(1, flush=True); time.sleep(600)"
    holder = subprocess.Popen(
        [sys.executable, "-c", code, str(path)],
        stdout=subprocess.PIPE,
        cwd=Path(__file__).parents[2],
    )
    holder.stdout.readline()
    assert is_locked(path) and take_lock(path) is None
    waits = []

    def wait() -> None:
        waits.append(1)
        holder.kill()

    with holding_lock(path, wait, period=0.01):
        assert is_locked(path) and waits
    assert not is_locked(path)
    holder.wait()
