"""`train --here`: a run in this process. The queue learns of it when it ends."""

import contextlib
import io
import os
import re
import sys
from pathlib import Path
from typing import TextIO

from rdh.config.run_config import RunConfig
from rdh.execution.queue.possible import check_possible
from rdh.execution.queue.registry import Registry
from rdh.folders import named_cache_root, named_data_root
from rdh.locks import take_lock
from rdh.store.run_store import RunStore


class Echo(io.TextIOBase):
    """The output of a worker. All of it goes to the log, and lines of its own also to stderr.

    Its own lines begin with the time. So a traceback goes only to the log.
    """

    def __init__(self, log: TextIO) -> None:
        self._log, self._line = log, ""

    def write(self, text: str) -> int:
        """Whole lines are passed on as they are completed."""
        self._log.write(text)
        self._log.flush()
        *lines, self._line = (self._line + text).split("\n")
        for line in lines:
            if re.match(r"\d\d:\d\d:\d\d (?!Traceback)", line):
                print(line.partition(": {")[0], file=sys.stderr, flush=True)
        return len(text)


def train_here(
    store: RunStore, config: RunConfig, data_root: Path | str | None = None
) -> tuple[str, str]:
    """Trains a run in this process. Ctrl-C saves a checkpoint and cancels it.

    Returns:
        The run_id, and "finished", "failed", "cancelled", or "lost" if the system ended it.
    """
    from rdh import worker

    check_possible(config, is_queued=False)
    locks: list[int] = []

    def hold(folder: Path) -> None:
        """Holds alive.lock, so that no supervisor starts the run as well."""
        lock = take_lock(folder / "alive.lock")
        assert lock is not None, "nobody else has seen the folder yet"
        locks.append(lock)

    run_id = store.create(
        config,
        data_root=named_data_root(data_root),
        cache_root=named_cache_root(),
        prepare=hold,
    )
    print(run_id, file=sys.stderr)
    try:
        run_dir = store.run_dir(run_id)
        with (
            (run_dir / "log.txt").open("a", encoding="utf-8") as log,
            contextlib.redirect_stdout(Echo(log)),
        ):
            worker.main([str(run_dir)])
        return run_id, store.result(run_id).get("state", "failed")
    except BaseException:  # Ctrl-C before the worker listens: nothing has begun
        store.delete(run_id)
        raise
    finally:
        for lock in locks:
            os.close(lock)
        Registry(store).settle(run_id)  # a look at the queue during training has made its row
