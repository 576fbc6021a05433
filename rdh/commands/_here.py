"""`train --here`: a run in this process, outside the queue, which learns of it when it ends."""

import fcntl
import sys
from pathlib import Path

from rdh.config import RunConfig
from rdh.execution.registry import Registry
from rdh.store import RunStore


def train_here(store: RunStore, config: RunConfig) -> tuple[str, str]:
    """(run_id, "finished" | "failed" | "cancelled"). Ctrl-C: a checkpoint is saved and the run is cancelled."""
    from rdh import worker

    locks = []

    def hold(folder: Path) -> None:
        """A supervisor that sees the run must not start it as well: whoever holds alive.lock is its process."""
        lock = (folder / "alive.lock").open("w")
        fcntl.flock(lock, fcntl.LOCK_EX)
        locks.append(lock)

    run_id = store.create(config, prepare=hold)
    print(run_id, file=sys.stderr)
    try:
        worker.main([str(store.run_dir(run_id))])
    finally:
        result = store.read_json(run_id, "result.json")
        if result is None:  # interrupted before it began
            store.delete(run_id)
        locks[0].close()
        Registry(store).sync()
    return run_id, result["state"] if result else "failed"
