"""A short job that needs torch, for a page that must not import it: `python -m rdh ... --json`, outside the queue.

`run_command` is the one thing to call. One command at a time a runs root, with a time limit; what it raises, or its
callback, ends the command.
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
from rdh.execution._locks import take_lock
from rdh.execution._processes import PACKAGE_PARENT, child_environment

LOCK = "command.lock"
PROGRAM = (sys.executable, "-m", "rdh")
KEPT_ERROR_LINES = 20
Line = tuple[str, str] | None  # (stream, text); None: a stream has ended


def run_command(
    root: Path,
    arguments: Sequence[str],
    *,
    time_limit: float = 600.0,
    on_progress: Callable[[str], None] | None = None,
    program: Sequence[str] = PROGRAM,
) -> dict[str, Any]:
    """Runs `python -m rdh ARGUMENTS --json` and returns the object of its last output line.

    on_progress is called in the calling thread with every other line; what it raises ends the command. time_limit in
    seconds. UserError: the command's own sentence where it refuses, and where it is busy, slow, killed or silent.
    """
    deadline = time.monotonic() + time_limit
    last_output, errors = "", []
    with _only_one(Path(root), arguments) as lock, _started([*program, *arguments, "--json"], lock) as process:
        for stream, text in _lines(process, deadline):
            if stream == "out" and text.startswith("{"):
                last_output = text
                continue
            if stream == "err":
                errors = [*errors, text][-KEPT_ERROR_LINES:]
            if on_progress is not None:
                on_progress(text)
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(max(0.0, deadline - time.monotonic()))
        return _answer(process.poll(), last_output, errors, arguments, time_limit)


def _answer(
    code: int | None, output: str, errors: list[str], arguments: Sequence[str], time_limit: float
) -> dict[str, Any]:
    name = f"`rdh {arguments[0] if arguments else ''}`"
    if code is None:
        raise UserError(
            f"{name} took longer than {time_limit:.0f} s and was stopped; use fewer items, or the command line."
        )
    if code < 0:
        raise UserError(f"{name} was killed (signal {-code}); the machine may be short of memory.")
    if code:
        raise UserError(errors[-1] if errors else f"{name} failed with exit code {code} and said nothing.")
    try:
        answer = json.loads(output)
    except ValueError:
        raise UserError(f"{name} ended without an answer; run it on the command line to see what it says.") from None
    return answer


def _lines(process: subprocess.Popen, deadline: float) -> Iterator[tuple[str, str]]:
    """Lines of both streams as they come, until both end or time is up. "\\r" ends a line too: progress bars."""
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
    with contextlib.suppress(ValueError, OSError):  # closed under us: the command was stopped
        for text in stream:
            lines.put((name, text.strip()))
    lines.put(None)


@contextlib.contextmanager
def _started(command: list[str], lock: int) -> Iterator[subprocess.Popen]:
    """The child, in a session of its own; whatever happens, nothing of it is left at the end."""
    try:
        process = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            cwd=PACKAGE_PARENT,
            env=child_environment(),
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
def _only_one(root: Path, arguments: Sequence[str]) -> Iterator[int]:
    """The lock is handed down as well: a command whose caller was killed still counts."""
    path = root / LOCK
    try:
        lock = take_lock(path)
    except OSError as error:
        raise UserError(f"The command could not be started: {error.strerror} ({path}).") from error
    if lock is None:
        raise UserError(f"Another command runs already ({_running(path)}); wait until it has ended and try again.")
    try:
        os.ftruncate(lock, 0)
        os.pwrite(lock, f"rdh {' '.join(arguments)}"[:200].encode(), 0)
        yield lock
    finally:
        os.close(lock)


def _running(path: Path) -> str:
    with contextlib.suppress(OSError):
        return path.read_text(encoding="utf-8", errors="replace") or "starting"
    return "unknown"
