"""Short jobs of a page: answer, progress, refusal, time limit, one at a time."""

import os
import signal
import sys

import pytest

from rdh.errors import UserError
from rdh.execution.command import run_command
from rdh.locks import holding_lock, is_locked
from rdh.store.run_store import RunStore
from tests.execution.conftest import is_alive, wait_for

SLEEP = "import os, time; print(os.getpid(), flush=True); time.sleep(600)"

pytestmark = pytest.mark.process


def run(store: RunStore, code: str, *arguments: str, **options) -> dict:
    program = (sys.executable, "-c", code)
    return run_command(store.root, arguments or ("encode",), program=program, **options)


def test_the_answer_is_the_last_line_and_all_others_are_progress(store):
    code = (
        "import json, sys\n"
        "print('10 %\\r20 %', file=sys.stderr)\n"
        "print('a word on the way')\n"
        "print(json.dumps({'arguments': sys.argv[1:]}))"
    )
    lines: list[str] = []
    answer = run(store, code, "encode", "a b; $(rm)", on_progress=lines.append)
    assert answer == {"arguments": ["encode", "a b; $(rm)", "--json"]}
    assert sorted(lines) == ["10 %", "20 %", "a word on the way"]


@pytest.mark.parametrize(
    ("code", "words"),
    [
        ("import sys; sys.exit('weights must be a file')", r"^weights must be a file$"),
        ("import sys; sys.exit(4)", "failed with exit code 4 and said nothing"),
        ("import os; os.kill(os.getpid(), 9)", r"was killed \(signal 9\)"),
        ("print('done')", "ended without an answer"),
    ],
)
def test_an_end_without_an_answer_is_one_sentence(store, code, words):
    with pytest.raises(UserError, match=words):
        run(store, code)


def test_a_command_that_takes_too_long_is_ended_with_its_children(store):
    pids: list[str] = []
    code = (
        "import os, subprocess, sys, time\n"
        "child = subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(600)'])\n"
        "print(os.getpid(), child.pid, flush=True)\n"
        "time.sleep(600)"
    )
    with pytest.raises(UserError, match="`rdh encode` took longer than 2 s and was stopped"):
        run(store, code, time_limit=2.0, on_progress=pids.append)
    wait_for(lambda: not any(is_alive(int(pid)) for pid in "".join(pids).split()), "end of both")


def test_a_callback_that_raises_ends_the_command(store):
    pids: list[int] = []

    def stop(line: str) -> None:
        pids.append(int(line))
        raise RuntimeError("the page was left")

    with pytest.raises(RuntimeError, match="the page was left"):
        run(store, SLEEP, on_progress=stop)
    assert not is_alive(pids[0])


def test_a_command_ends_with_a_caller_that_is_killed(store):
    """It would go on beyond its time limit, and keep all others waiting."""
    hears, says = os.pipe()
    if not (caller := os.fork()):
        run(store, SLEEP, on_progress=lambda line: os.write(says, f"{line}\n".encode()))
        os._exit(0)
    with os.fdopen(hears) as pipe:
        command = int(pipe.readline())
    assert is_alive(command) and is_locked(store.root / "command.lock")
    os.kill(caller, signal.SIGKILL)
    os.waitpid(caller, 0)
    os.close(says)
    wait_for(lambda: not is_alive(command), "the end of the command")
    wait_for(lambda: not is_locked(store.root / "command.lock"), "room for the next")


def test_a_second_command_of_a_runs_folder_is_refused_until_the_first_has_ended(store):
    with (
        holding_lock(store.root / "command.lock"),
        pytest.raises(UserError, match="has to wait for another command"),
    ):
        run(store, "print('{}')")
    assert run(store, "print('{}')") == {}


def test_a_program_that_is_missing_is_one_sentence(store):
    with pytest.raises(UserError, match="could not be started: No such file"):
        run_command(store.root, ["encode"], program=["/no/such/program"])
