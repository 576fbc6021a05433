"""The supervisor's process: `python -m rdh.execution.supervisor_process ROOT`.

Each runs root has at most one supervisor, detached from whoever started it. It repeats
`Supervisor.tick` until it is asked to stop, or until nothing has waited or run for ten minutes.
Workers survive a supervisor that is killed; the next one takes them over. Trouble with one run
never stops the loop; it is logged in ROOT/supervisor.log.
"""

import argparse
import functools
import json
import logging
import logging.handlers
import os
import signal
import socket
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import rdh
from rdh.errors import UserError
from rdh.execution.again import wants_resumes
from rdh.execution.engine import kinds
from rdh.execution.engine.base import WORKER, Engine
from rdh.execution.engine.processes import start_time
from rdh.execution.evidence import Limits
from rdh.execution.lifecycle import LOG, claim_lock, read_lock, write_lock
from rdh.execution.place import least_free
from rdh.execution.queue.run_folder import LOCK
from rdh.execution.supervisor import Supervisor
from rdh.store.run_store import RunStore

SECONDS_BETWEEN_SIGNS = 2.0  # how often the lock file is touched, to show that the loop turns
SECONDS_IDLE = 600.0  # it ends after this long without a waiting or running run


def main(arguments: Sequence[str] | None = None) -> int:
    """Serves one root.

    Returns:
        The exit code: 0 after a stop, 1 if another supervisor lives, 2 for bad settings.
    """
    options = _parser().parse_args(arguments)
    try:
        store = RunStore(options.root)
        engine = kinds.chosen(os.environ).make(store.root, os.environ, options.worker)
        limits = _limits(options.grace)
    except UserError as error:
        print(error, file=sys.stderr)
        return 2
    lock = options.lock if options.lock is not None else claim_lock(store)
    if lock is None:
        print(
            f"A supervisor of {store.root} lives already (pid "
            f"{read_lock(store.root / LOCK).get('pid')}).",
            file=sys.stderr,
        )
        return 1
    log = _open_log(store)
    supervisor = Supervisor(store, engine, argv=options.worker, limits=limits, log=log)
    stopping: list[int] = []
    for signum in (signal.SIGTERM, signal.SIGINT):
        signal.signal(signum, lambda number, _: stopping.append(number))
    supervisor.log.info("supervisor %s: up, pid %d", rdh.__version__, os.getpid())
    supervisor.guarded("check", supervisor.registry.check)
    supervisor.guarded("lines", supervisor.take_in_rest)
    about = functools.partial(_introduction, engine, time.time())
    while lock is not None:
        has_idled = _serve(supervisor, lock, stopping, options, about)
        os.close(lock)
        # Whoever submitted a run while the lock was still held has found a supervisor: look again.
        lock = claim_lock(store) if has_idled and not supervisor.is_idle() else None
    engine.close()
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m rdh.execution.supervisor_process")
    parser.add_argument("root")
    parser.add_argument("--lock", type=int, help="descriptor that holds the lock already")
    parser.add_argument(
        "--grace", type=float, default=Limits.grace, help="seconds from a polite stop to the kill"
    )
    parser.add_argument("--period", type=float, default=0.2, help="seconds between two ticks")
    parser.add_argument(
        "--idle", type=float, default=SECONDS_IDLE, help="seconds without any work until it ends"
    )
    parser.add_argument(
        "--worker",
        type=json.loads,
        default=WORKER,
        help="another worker command, a JSON list, to which RUN_DIR --attempt N is added",
    )
    return parser


def _limits(grace: float) -> Limits:
    """Raises UserError for a setting that can't be."""
    resumes = Limits.resumes if wants_resumes(os.environ) else 0
    return Limits(grace=grace, resumes=resumes, free=least_free(os.environ))


def _serve(
    supervisor: Supervisor,
    lock: int,
    stopping: Sequence[int],
    options: argparse.Namespace,
    about: Callable[[], dict[str, Any]],
) -> bool:
    """Ticks until it has to end. Returns whether it ended for lack of work."""
    path = supervisor.store.root / LOCK
    next_sign, busy_at = 0.0, time.monotonic()
    while not stopping:
        if not supervisor.store.root.is_dir():
            supervisor.end_everything()
            return False
        if not Path(rdh.__file__).exists():
            supervisor.log.warning("supervisor: ends, because its program was removed")
            return False
        if not path.exists() or path.stat().st_ino != os.fstat(lock).st_ino:
            supervisor.log.warning(
                "supervisor.lock was replaced, so another supervisor may live: this one ends"
            )
            return False
        now = time.monotonic()
        if now >= next_sign:
            supervisor.guarded("lock", lambda: write_lock(lock, about()))
            next_sign = now + min(SECONDS_BETWEEN_SIGNS, options.idle)
            if not supervisor.is_idle():
                busy_at = now
            elif now - busy_at >= options.idle:
                supervisor.log.info("supervisor: ends, nothing waits and nothing runs")
                return True
        supervisor.tick()
        time.sleep(options.period)
    supervisor.log.info("supervisor: ends as asked; workers live on")
    return False


def _introduction(engine: Engine, started_at: float) -> dict[str, Any]:
    about = engine.about()
    return {
        "pid": os.getpid(),
        "start_time": start_time(os.getpid()),
        "host": socket.gethostname(),
        "version": rdh.__version__,
        "started_at": started_at,
        "engine": {"name": kinds.name_in(os.environ), "says": about.says},
        "devices": list(about.places),
        "warm": about.warm,
    }


def _open_log(store: RunStore) -> logging.Logger:
    logging.raiseExceptions = False  # a full disk must not fill stderr as well
    handler = logging.handlers.RotatingFileHandler(
        store.root / LOG, maxBytes=1_000_000, backupCount=1, delay=True
    )
    handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(message)s"))
    log = logging.getLogger("rdh.execution")
    log.setLevel(logging.INFO)
    log.addHandler(handler)
    return log


if __name__ == "__main__":
    sys.exit(main())
