"""A short job that needs torch, for a page that must not import it.

`run_command` runs `python -m rdh VERB ... --json` outside the queue, one at a time for a runs
folder, with a time limit.
"""

import contextlib
import json
import os
import queue
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import IO, Any

from rdh.errors import UserError
from rdh.execution.engine import processes
from rdh.locks import take_lock

LOCK = "command.lock"
PROGRAM = (sys.executable, "-m", "rdh")
# Becomes the program; the kernel kills it when its caller is killed, who can't stop it any more.
LEASH = """
import ctypes, os, signal, sys
try:
    ctypes.CDLL(None).prctl(1, signal.SIGKILL)
except (OSError, AttributeError):  # not Linux
    pass
if os.getppid() != int(sys.argv[1]):
    sys.exit("its caller was killed")
try:
    os.execvp(sys.argv[2], sys.argv[2:])
except OSError as error:
    sys.exit(f"The command could not be started: {error.strerror}.")
"""
KEPT_ERROR_LINES = 20
Line = tuple[str, str] | None  # (stream, text); None: a stream has ended


def run_command(
    root: Path,
    arguments: Sequence[str],
    *,
    time_limit: float = 600.0,
    on_progress: Callable[[str], None] = lambda line: None,
    program: Sequence[str] = PROGRAM,
) -> dict[str, Any]:
    """Runs a verb and returns what it prints as its last line with --json.

    Args:
        root: the runs folder, whose lock allows one command at a time.
        arguments: the verb and its arguments.
        time_limit: in seconds; then the command is ended.
        on_progress: called with every other line, in the calling thread. What it raises ends the
            command.
        program: what is started.

    Raises:
        UserError: The command's own sentence, or one that says that another is running, that this
            one was slow or killed, or that it gave no answer.
    """
    deadline, answer, errors = time.monotonic() + time_limit, "", [""]
    name = f"`rdh {arguments[0] if arguments else ''}`"
    with _only_one(root, name) as lock, _started([*program, *arguments, "--json"], lock) as process:
        for stream, text in _lines(process, deadline):
            if stream == "out" and text.startswith("{"):
                answer = text
                continue
            if stream == "err":
                errors = [*errors, text][-KEPT_ERROR_LINES:]
            on_progress(text)
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(max(0.0, deadline - time.monotonic()))
        code = process.poll()
    if code is None:
        raise UserError(f"{name} took longer than {time_limit:.0f} s and was stopped; try again.")
    if code < 0:
        raise UserError(f"{name} was killed (signal {-code}); the machine may be short of memory.")
    if code:
        raise UserError(errors[-1] or f"{name} failed with exit code {code} and said nothing.")
    with contextlib.suppress(ValueError):
        return json.loads(answer)
    raise UserError(f"{name} ended without an answer; run it on the command line to see why.")


def _lines(process: subprocess.Popen, deadline: float) -> Iterator[tuple[str, str]]:
    """Lines of both streams as they come, until both end or time is up.

    "\\r" ends a line too: progress lines.
    """
    lines: queue.Queue[Line] = queue.Queue()
    for name, stream in (("out", process.stdout), ("err", process.stderr)):
        threading.Thread(target=_pump, args=(name, stream, lines), daemon=True).start()
    n_open = 2
    while n_open:
        try:
            line = lines.get(timeout=max(0.0, deadline - time.monotonic()))
        except queue.Empty:
            return
        if line is None:
            n_open -= 1
        elif line[1]:
            yield line


def _pump(name: str, stream: IO[str], lines: "queue.Queue[Line]") -> None:
    with contextlib.suppress(ValueError, OSError):  # closed meanwhile: the command was stopped
        for text in stream:
            lines.put((name, text.strip()))
    lines.put(None)


@contextlib.contextmanager
def _started(command: list[str], lock: int) -> Iterator[subprocess.Popen]:
    """The child, in a session of its own. Nothing of it is left at the end."""
    try:
        process = subprocess.Popen(
            [sys.executable, "-I", "-S", "-c", LEASH, str(os.getpid()), *command],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            cwd=processes.PACKAGE_PARENT,
            env=processes.child_environment(),
            text=True,
            errors="replace",
            start_new_session=True,
            pass_fds=(lock,),
        )
    except OSError as error:
        raise UserError(f"The command could not be started: {error.strerror}.") from error
    try:
        yield process
    finally:
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()


@contextlib.contextmanager
def _only_one(root: Path, name: str) -> Iterator[int]:
    """The lock is handed down too: a command whose caller was killed still counts."""
    path = root / LOCK
    try:
        lock = take_lock(path)
    except OSError as error:
        raise UserError(f"The command could not be started: {error.strerror} ({path}).") from error
    if lock is None:
        raise UserError(f"{name} has to wait for another command here; try again in a moment.")
    try:
        yield lock
    finally:
        os.close(lock)
