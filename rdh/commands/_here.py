"""`train --here`: a run in this process, outside the queue, which learns of it when it ends."""

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
from rdh.locks import take_lock
from rdh.store.run_store import RunStore


class Echo(io.TextIOBase):
    """A worker's output: all of it to its log, its own lines (which begin with the time) to stderr
    as well; no traceback.
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


def train_here(store: RunStore, config: RunConfig) -> tuple[str, str]:
    """(run_id, "finished" | "failed" | "cancelled").

    Ctrl-C: a checkpoint is saved and the run is cancelled.
    """
    from rdh import worker

    check_possible(config, is_queued=False)
    locks: list[int] = []

    def hold(folder: Path) -> None:
        """A supervisor that sees the run must not start it as well: whoever holds alive.lock is its
        process.
        """
        locks.append(take_lock(folder / "alive.lock"))

    run_id = store.create(config, prepare=hold)
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
        os.close(locks[0])
        registry = Registry(store)
        registry.sync()
        registry.settle(run_id)  # whoever looked while it trained has made its row
