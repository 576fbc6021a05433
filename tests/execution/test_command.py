"""Short jobs of a page: answer, progress, refusal, time limit, one at a time."""

import sys
import threading

import pytest

from rdh.errors import UserError
from rdh.execution.command import run_command
from tests.execution.conftest import is_alive, wait_for


def run(store, code: str, *arguments: str, **options) -> dict:
    return run_command(store.root, arguments or ("encode",), program=(sys.executable, "-c", code), **options)


def test_the_answer_is_the_last_line_and_all_others_are_progress(store):
    code = """
import json, sys
print("10 %\\r20 %", file=sys.stderr)
print("a word on the way")
print(json.dumps({"arguments": sys.argv[1:]}))
"""
    lines: list[str] = []
    answer = run(store, code, "encode", "a b; $(rm)", on_progress=lines.append)
    assert answer == {"arguments": ["encode", "a b; $(rm)", "--json"]}
    assert sorted(lines) == ["10 %", "20 %", "a word on the way"]


@pytest.mark.parametrize("code", [1, 2])
def test_a_refusal_is_the_last_line_of_its_errors(store, code):
    with pytest.raises(UserError, match=r"^weights must be a file, got a folder$"):
        run(
            store,
            f"import sys; sys.stderr.write('a warning\\nweights must be a file, got a folder\\n'); sys.exit({code})",
        )


@pytest.mark.parametrize(
    ("code", "words"),
    [
        ("import sys; sys.exit(4)", "failed with exit code 4 and said nothing"),
        ("import os; os.kill(os.getpid(), 9)", r"was killed \(signal 9\)"),
        ("print('done')", "ended without an answer"),
    ],
)
def test_other_ends_are_one_sentence(store, code, words):
    with pytest.raises(UserError, match=words):
        run(store, code)


def test_a_command_that_takes_too_long_is_ended_with_its_children(store):
    pids: list[str] = []
    code = """
import os, subprocess, sys, time
print(os.getpid(), subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"]).pid, flush=True)
time.sleep(600)
"""
    with pytest.raises(UserError, match="`rdh encode` took longer than 2 s and was stopped"):
        run(store, code, time_limit=2.0, on_progress=pids.append)
    wait_for(lambda: not any(is_alive(int(pid)) for pid in pids[0].split()), "end of both")


def test_one_command_at_a_time(store):
    begun = threading.Event()
    code = "import time; print('begun', flush=True); time.sleep(600)"

    def long() -> None:
        with pytest.raises(KeyboardInterrupt):
            run(store, code, "encode", "slow", on_progress=note)

    def note(line: str) -> None:
        begun.set()
        wait_for(lambda: (store.root / "enough").exists(), "enough")
        raise KeyboardInterrupt

    thread = threading.Thread(target=long)
    thread.start()
    assert begun.wait(20)
    with pytest.raises(UserError, match=r"Another command runs already \(rdh encode slow\)"):
        run(store, code)
    (store.root / "enough").touch()
    thread.join(20)
    assert run(store, "print('{}')") == {}


def test_a_callback_that_raises_ends_the_command(store):
    pids: list[int] = []

    def stop(line: str) -> None:
        pids.append(int(line))
        raise RuntimeError("the page was left")

    with pytest.raises(RuntimeError, match="the page was left"):
        run(store, "import os, time; print(os.getpid(), flush=True); time.sleep(600)", on_progress=stop)
    assert not is_alive(pids[0])


def test_a_large_answer_arrives_whole(store):
    assert len(run(store, "import json; print(json.dumps({'codes': [1] * 300_000}))")["codes"]) == 300_000


def test_a_program_that_is_missing_is_one_sentence(store):
    with pytest.raises(UserError, match="could not be started: No such file"):
        run_command(store.root, ["encode"], program=["/no/such/program"])
