"""The supervisor's process: `python -m rdh.execution.supervisor_process ROOT`. One a runs root,
detached from who started it.

It turns `Supervisor.tick` until it is asked to stop. Killed and restarted, it goes on with the
workers that lived on; trouble with one run never stops the loop, it goes to ROOT/supervisor.log.
"""

import argparse
import json
import logging
import logging.handlers
import os
import signal
import socket
import sys
import time
from collections.abc import Sequence

import rdh
from rdh.errors import UserError
from rdh.execution.engine.devices import Device, find_devices
from rdh.execution.engine.local import LocalEngine
from rdh.execution.engine.processes import start_time
from rdh.execution.evidence import Limits
from rdh.execution.lifecycle import LOCK, LOG, claim_lock, read_lock, write_lock
from rdh.execution.supervisor import WORKER, Supervisor
from rdh.store.run_store import RunStore

SECONDS_BETWEEN_SIGNS = 2.0  # how often the lock file is touched, to show that the loop turns


def main(arguments: Sequence[str] | None = None) -> int:
    """0 after a stop, 1 where another supervisor lives, 2 for bad settings.

    RDH_WORKER_ARGV: another worker command, a JSON list, to which RUN_DIR --attempt N is added.
    """
    parser = argparse.ArgumentParser(prog="python -m rdh.execution.supervisor_process")
    parser.add_argument("root")
    parser.add_argument("--lock", type=int, help="descriptor that holds the lock already")
    parser.add_argument(
        "--grace", type=float, default=Limits.grace, help="seconds from a polite stop to the kill"
    )
    parser.add_argument("--period", type=float, default=0.2, help="seconds between two ticks")
    options = parser.parse_args(arguments)
    try:
        store = RunStore(options.root)
        devices = find_devices(os.environ)
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
    argv = tuple(json.loads(os.environ.get("RDH_WORKER_ARGV") or "[]")) or WORKER
    engine = LocalEngine(store.root, devices)
    supervisor = Supervisor(
        store, engine, argv=argv, limits=Limits(grace=options.grace), log=_open_log(store)
    )
    _introduce(lock, devices)
    _serve(supervisor, lock, options.period)
    return 0


def _serve(supervisor: Supervisor, lock: int, period: float) -> None:
    stopping: list[int] = []
    for signum in (signal.SIGTERM, signal.SIGINT):
        signal.signal(signum, lambda number, _: stopping.append(number))
    path = supervisor.store.root / LOCK
    next_sign = 0.0
    supervisor.log.info("supervisor %s: up, pid %d", rdh.__version__, os.getpid())
    while not stopping:
        if not supervisor.store.root.is_dir():
            supervisor.end_everything()
            return
        if not path.exists() or path.stat().st_ino != os.fstat(lock).st_ino:
            supervisor.log.warning(
                "supervisor.lock was replaced, so another supervisor may live: this one ends"
            )
            return
        supervisor.tick()
        if time.monotonic() >= next_sign:
            os.utime(lock)
            next_sign = time.monotonic() + SECONDS_BETWEEN_SIGNS
        time.sleep(period)
    supervisor.log.info("supervisor: ends as asked; workers live on")


def _introduce(lock: int, devices: Sequence[Device]) -> None:
    write_lock(
        lock,
        {
            "pid": os.getpid(),
            "start_time": start_time(os.getpid()),
            "host": socket.gethostname(),
            "version": rdh.__version__,
            "started_at": time.time(),
            "devices": [{"label": device.label, "slots": device.slots} for device in devices],
        },
    )


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
