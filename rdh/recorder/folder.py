"""The folder of a watched run: made, kept alive, and ended."""

import contextlib
import os
import socket
import time
from pathlib import Path
from typing import Any, TextIO

from rdh.config.watched import WatchedConfig
from rdh.errors import UserError, encodable, printable
from rdh.execution.heartbeat import Heart
from rdh.files import write_arrays, write_json
from rdh.locks import take_lock
from rdh.store.log import LOG_HEADER
from rdh.store.metrics_writer import MetricsWriter
from rdh.store.run_store import RunStore

ATTEMPT = 1  # a watched run has no other


class Pulse(Heart):
    """The heartbeat of a training that is not ours: whatever happens, it ends no process.

    Attributes:
        trouble: Why the last heartbeat could not be written.
    """

    trouble: str | None = None

    def check(self) -> None:
        """Nobody takes over a watched run."""

    def tell(self, text: str) -> None:
        """Kept for the end: a foreign program's output is its own."""
        self.trouble = text


class WatchedFolder:
    """A run's folder, from its first file to result.json.

    Args:
        store: Where it is made.
        config: What is known of the run.
        run_id: The name of the folder; None: one that is free.
        total_steps: Steps that the training will take; None: unknown.

    Raises:
        UserError: The folder can't be made, or there is one of this name.

    Attributes:
        run_id, run_dir: Of the run.
        writer: Of its metrics.db.
    """

    def __init__(
        self, store: RunStore, config: WatchedConfig, run_id: str | None, total_steps: int | None
    ) -> None:
        self._lock: int | None = None
        self._began = time.time()
        try:
            self.run_id = store.create(config, run_id=run_id, prepare=self._prepare)
            self.run_dir = store.root / self.run_id
            self.writer = MetricsWriter(self.run_dir / "metrics.db", attempt=ATTEMPT)
        except OSError as error:
            self.let_go()
            raise UserError(
                f"The run can't be recorded in {store.root}: {error.strerror}; free some space."
            ) from None
        except BaseException:
            self.let_go()
            raise
        self.pulse = Pulse(self.run_dir, ATTEMPT)
        self.pulse.facts = {"phase": "training", "step": 0, "total_steps": total_steps}
        self.pulse.start()
        self.log(f"watched in process {os.getpid()} on {socket.gethostname()}")

    def _prepare(self, draft: Path) -> None:
        """Alive before anybody sees the folder: a run without a sign of life would wait."""
        self._lock = take_lock(draft / "alive.lock")
        beat = {"attempt": ATTEMPT, "host": socket.gethostname(), "pid": os.getpid(), "seq": 0}
        write_json(draft / "hb.json", beat | {"phase": "training", "step": 0, "at": time.time()})
        (draft / "log.txt").write_text(f"{LOG_HEADER}{ATTEMPT} ---\n", encoding="utf-8")

    def log(self, text: str) -> None:
        """Adds a line to log.txt. A full disk is ignored: a run can do without its log."""
        with contextlib.suppress(OSError), self._open_log() as log:
            log.write(f"{time.strftime('%H:%M:%S')} {encodable(text)}\n")

    def _open_log(self) -> TextIO:
        return (self.run_dir / "log.txt").open("a", encoding="utf-8")

    def save(self, name: str, arrays: dict[str, Any]) -> None:
        """Writes an .npz of the folder.

        Raises:
            OSError: It can't be written.
        """
        write_arrays(self.run_dir / name, arrays)

    def end(self, state: str, message: str | None, step: int, metrics: dict[str, float]) -> None:
        """Writes result.json and lets go. An error is told in the log, if there is room for it."""
        with contextlib.suppress(Exception):
            self.writer.close()
        with contextlib.suppress(Exception):
            self.pulse.stop()
        result = {
            "attempt": ATTEMPT,
            "state": state,
            "kind": None if state == "finished" else "crash",
            "message": None if message is None else printable(message),
            "traceback": None,
            "step": step,
            "metrics": metrics,
            "dropped_records": self.writer.n_dropped,
            "seconds": round(time.time() - self._began, 3),
            "ended_at": time.time(),
        }
        self.log(f"{state}: {message or f'{step} steps'}")
        try:
            write_json(self.run_dir / "result.json", result)
        except OSError as error:
            self.log(f"result.json can't be written ({error.strerror})")
        self.let_go()

    def let_go(self) -> None:
        """Frees the lock. In a forked child: of the child alone, the parent keeps it."""
        if self._lock is not None:
            with contextlib.suppress(OSError):
                os.close(self._lock)
            self._lock = None
