"""The one supervisor of a runs root, from outside: is there one, start one, stop it.

Whoever holds the kernel lock of `supervisor.lock` is the supervisor; the text in that file only
describes it.
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
from rdh.execution.engine import processes
from rdh.execution.engine.devices import check_settings
from rdh.execution.queue.requests import plain_errors
from rdh.locks import is_locked, take_lock
from rdh.store.run_store import RunStore

LOCK, LOG = "supervisor.lock", "supervisor.log"
SECONDS_TO_STOP = 10.0


def ensure_supervisor(store: RunStore, *options: str) -> None:
    """Starts the supervisor of this root unless one lives, and returns at once. It outlives the
    calling process.

    The lock is taken here and handed down, so that two pages that load at the same moment start one
    supervisor.
    options: of `python -m rdh.execution.supervisor_process`. UserError where it can't be started.
    """
    check_settings(os.environ)
    with plain_errors(store, "The supervisor was not started"):
        lock = claim_lock(store)
        if lock is None:
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


def supervisor_status(store: RunStore) -> dict[str, Any]:
    """alive (bool), pid, host, version, started_at (Unix seconds), seconds_since_tick, devices
    (list of {label, slots})
    and last_log_line; all but the first and the last are None while none lives or has introduced
    itself.
    """
    path = store.root / LOCK
    is_alive = is_locked(path)
    facts = read_lock(path) if is_alive else {}
    names = ("pid", "host", "version", "started_at", "devices")
    status = {
        "alive": is_alive,
        **{name: facts.get(name) for name in names},
        "seconds_since_tick": None,
    }
    with contextlib.suppress(FileNotFoundError):
        if facts:
            status["seconds_since_tick"] = max(0.0, time.time() - path.stat().st_mtime)
    status["last_log_line"] = _last_line(store.root / LOG)
    return status


def stop_supervisor(store: RunStore) -> None:
    """Asks the supervisor to end, if one lives, and waits for it.

    Workers live on; the next one adopts them.
    """
    path = store.root / LOCK
    deadline = time.monotonic() + SECONDS_TO_STOP
    while is_locked(path):
        facts = read_lock(path)
        is_late = time.monotonic() > deadline
        asked = processes.send(
            facts.get("pid", 0),
            facts.get("start_time"),
            signal.SIGKILL if is_late else signal.SIGTERM,
        )
        if is_late and not asked:
            raise UserError(
                f"The supervisor of {store.root} on host {facts.get('host')} can't be "
                f"stopped from this machine."
            )
        time.sleep(0.05)


def claim_lock(store: RunStore) -> int | None:
    """The supervisor's lock, or None where one lives.

    What the last holder said of itself is wiped out.
    """
    lock = take_lock(store.root / LOCK)
    if lock is not None:
        os.ftruncate(lock, 0)
    return lock


def write_lock(lock: int, facts: dict[str, Any]) -> None:
    """Describes the holder of the lock in the lock's own file."""
    os.pwrite(lock, json.dumps(facts).encode(), 0)


def read_lock(path: Path) -> dict[str, Any]:
    """The description; empty where there is none yet, or half of one."""
    try:
        facts = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return facts if isinstance(facts, dict) and isinstance(facts.get("pid"), int) else {}


def _last_line(path: Path) -> str | None:
    try:
        with path.open("rb") as log:
            log.seek(max(0, log.seek(0, os.SEEK_END) - 4096))
            lines = log.read().decode("utf-8", errors="replace").split("\n")
    except OSError:
        return None
    return next((line.strip() for line in reversed(lines) if line.strip()), None)
