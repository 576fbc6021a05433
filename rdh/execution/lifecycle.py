"""Finds, starts and stops the one supervisor of a runs root.

The process that holds the kernel lock of `supervisor.lock` is the supervisor. The text in that file
only describes it.
"""

import contextlib
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

from rdh.errors import UserError
from rdh.execution.again import wants_resumes
from rdh.execution.engine import kinds, processes
from rdh.execution.engine.devices import find_devices
from rdh.execution.place import least_free
from rdh.execution.queue.registry import Registry
from rdh.execution.queue.requests import states
from rdh.execution.queue.run_folder import LOCK
from rdh.execution.queue.trouble import plain_errors
from rdh.execution.queue.watched import is_watched
from rdh.locks import is_locked, take_lock
from rdh.store.lines import has_lines
from rdh.store.log import last_line
from rdh.store.run_store import RunStore

LOG = "supervisor.log"
SECONDS_TO_STOP = 10.0


def ensure_supervisor(store: RunStore, *options: str) -> None:
    """Starts the supervisor of this root unless one lives, and returns at once.

    It outlives the calling process. The lock is taken here and handed down, so that two pages that
    load at the same moment start one supervisor.

    Args:
        store: The runs.
        options: Of `python -m rdh.execution.supervisor_process`.

    Raises:
        UserError: It can't be started.
    """
    kinds.chosen(os.environ)
    least_free(os.environ)
    wants_resumes(os.environ)
    with plain_errors(store, "The supervisor was not started"):
        lock = claim_lock(store)
        if lock is None:
            _check_engine(store)
            return
        try:
            command = [
                sys.executable,
                "-m",
                "rdh.execution.supervisor_process",
                str(store.root),
                "--lock",
                str(lock),
                *options,
            ]
            with (store.root / LOG).open("ab") as log:
                subprocess.Popen(
                    command,
                    stdin=subprocess.DEVNULL,
                    stdout=log,
                    stderr=subprocess.STDOUT,
                    cwd=processes.PACKAGE_PARENT,
                    env=processes.child_environment(),
                    start_new_session=True,
                    pass_fds=(lock,),
                )
        finally:
            os.close(lock)


def _check_engine(store: RunStore) -> None:
    """Raises UserError if the living supervisor uses another engine than is asked for here."""
    said, asked = read_lock(store.root / LOCK).get("engine"), kinds.name_in(os.environ)
    used = said.get("name") if isinstance(said, dict) else None
    if os.environ.get("RDH_ENGINE") and used not in (None, asked):
        raise UserError(
            f"The supervisor of {store.root} gives its runs to engine {used}, and RDH_ENGINE asks "
            f"for {asked}; stop it first (`python -m rdh supervisor stop`), or unset RDH_ENGINE."
        )


def revive(store: RunStore, *options: str) -> str | None:
    """Starts a supervisor if none lives although some run needs one. Watched ones need none.

    Args:
        store: The runs.
        options: As of `ensure_supervisor`.

    Returns:
        None, or a sentence that says why the runs do not go on.
    """
    try:
        if not is_locked(store.root / LOCK):
            known = states(store)
            waiting = [one for one, run in known.items() if not run.is_final]
            for run in Registry(store).active():
                # What a shutdown has ended, without a supervisor that saw it, may go on. And the
                # last records of a cluster's run may wait to be taken in.
                if run.run_id in known and (
                    known[run.run_id].state in ("lost", "paused")
                    or has_lines(store.root / run.run_id)
                ):
                    waiting.append(run.run_id)
            if not all(is_watched(store, run_id) for run_id in waiting):
                ensure_supervisor(store, *options)
    except UserError as error:
        return f"Runs wait, and the background process that goes on with them is not there. {error}"
    return None


def registry_news(store: RunStore) -> str | None:
    """A sentence if the registry was found damaged within the last hour and was made anew."""
    return Registry(store).news()


def supervisor_status(store: RunStore) -> dict[str, Any]:
    """What is known of the supervisor.

    Returns:
        alive (bool), pid, host, version, started_at (Unix seconds), seconds_since_tick, engine
        ({name, says}: a sentence about a cluster), devices (a list of {label, slots}), warm
        (`WarmParent.status`, None if every run starts cold) and last_log_line. All but the first
        and the last are None while none lives, or while it has not introduced itself.
    """
    path = store.root / LOCK
    is_alive = is_locked(path)
    facts = read_lock(path) if is_alive else {}
    names = ("pid", "host", "version", "started_at", "engine", "devices", "warm")
    status = {
        "alive": is_alive,
        **{name: facts.get(name) for name in names},
        "seconds_since_tick": None,
    }
    with contextlib.suppress(FileNotFoundError):
        if facts:
            status["seconds_since_tick"] = max(0.0, time.time() - path.stat().st_mtime)
    status["last_log_line"] = last_line(store.root / LOG)
    return status


def engine_asked() -> str:
    """The engine that a supervisor which is started here gives its runs to.

    Raises:
        UserError: RDH_ENGINE names none.
    """
    return kinds.name_in(os.environ)


def slots_here() -> int:
    """How many runs a supervisor that is started here lets train at once.

    Only the supervisor asks a cluster: until it has, one.

    Raises:
        UserError: RDH_ENGINE names no engine, or RDH_SLOTS is not a whole number of at least 1.
    """
    if engine_asked() != kinds.LOCAL:
        return 1
    return sum(device.slots for device in find_devices(os.environ))


def stop_supervisor(store: RunStore) -> None:
    """Asks the supervisor to end, if one lives, and waits for it.

    Its workers live on. The next supervisor adopts them.

    Raises:
        UserError: The supervisor runs on another machine.
    """
    path = store.root / LOCK
    deadline = time.monotonic() + SECONDS_TO_STOP
    while is_locked(path):
        facts = read_lock(path)  # empty for a moment if its text was damaged
        is_late = time.monotonic() > deadline
        asked = processes.send(
            facts.get("pid", 0),
            facts.get("start_time"),
            signal.SIGKILL if is_late else signal.SIGTERM,
        )
        if is_late and not asked:
            host = f" It runs on host {facts['host']}." if facts.get("host") else ""
            raise UserError(
                f"The supervisor of {store.root} can't be stopped from this machine.{host}"
            )
        time.sleep(0.05)


def claim_lock(store: RunStore) -> int | None:
    """Takes the supervisor's lock. None if another supervisor holds it.

    The description that the last holder left is wiped out.
    """
    lock = take_lock(store.root / LOCK)
    if lock is not None:
        os.ftruncate(lock, 0)
    return lock


def write_lock(lock: int, facts: dict[str, Any]) -> None:
    """Describes the holder of the lock in the lock's own file.

    It is called again and again, so that a damaged text mends itself. A sound one is only touched.
    """
    text = json.dumps(facts).encode()
    if os.pread(lock, len(text) + 1, 0) == text:
        os.utime(lock)
    else:
        os.pwrite(lock, text, 0)
        os.ftruncate(lock, len(text))


def read_lock(path: Path) -> dict[str, Any]:
    """The description of the holder. Empty if it is missing or incomplete."""
    try:
        facts = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return facts if isinstance(facts, dict) and _is_pid(facts.get("pid")) else {}


def _is_pid(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and 0 < value < 2**31
