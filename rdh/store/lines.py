"""Metrics of a run that trains on another machine: lines in a file, taken into metrics.db later.

SQLite is no good between machines. So the worker only appends to `metrics-aN.jsonl`, where N is
its attempt, and the supervisor takes what is new into metrics.db on its own machine. How far it has
come stands in that file, written in the same transaction: a line is taken in once, whatever is
killed. A line that is still being written is left for the next time.
"""

import base64
import contextlib
import json
import os
import time
import zlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from rdh.errors import encodable
from rdh.store.metrics_reader import MetricsReader
from rdh.store.metrics_writer import MetricsWriter, Record, pack
from rdh.store.schema import LINES

AS_LINES = {"RDH_METRICS": "lines"}  # the environment of a worker that appends lines
SEQ_OF_ATTEMPT = 10**9  # numbers of records grow from attempt to attempt
PLACE = "lines"  # in the table meta: {"attempt": N, "offset": bytes taken in}
MOST_BYTES = 4_000_000  # that are taken in at a time


def writes_lines(env: Mapping[str, str]) -> bool:
    """Whether a worker with this environment appends lines."""
    return all(env.get(name) == value for name, value in AS_LINES.items())


def path_of(run_dir: Path, attempt: int) -> Path:
    """The lines of an attempt."""
    return run_dir / f"metrics-a{attempt}.jsonl"


class LinesWriter:
    """Appends lines in the place of a `MetricsWriter`, whose arguments and methods it has.

    Errors of the disk never reach training: they are counted in `n_dropped`.
    """

    def __init__(
        self,
        run_dir: Path,
        *,
        attempt: int,
        resume_from: int | None = None,
        last_seq: int | None = None,
    ) -> None:
        self.n_dropped = 0
        self.last_error: str | None = None
        self.last_seq: int | None = attempt * SEQ_OF_ATTEMPT + (resume_from is not None)
        self._is_cut = False
        self._file = os.open(
            path_of(run_dir, attempt), os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o600
        )
        begin = {"attempt": attempt, "resume_from": resume_from, "last_seq": last_seq}
        self._append({"begin": begin, "seq": self.last_seq})

    def log(self, record: Record) -> None:
        """Appends a record."""
        self.last_seq = (self.last_seq or 0) + 1
        arrays = {
            name: [kind, shape, base64.b64encode(data).decode()]
            for name, (kind, shape, data) in (
                (name, pack(array)) for name, array in record.arrays.items()
            )
        }
        scalars = {
            name: float(value) if np.isfinite(value) else None
            for name, value in record.scalars.items()
        }
        events = [[encodable(kind), encodable(text)] for kind, text in record.events]
        where = {"seq": self.last_seq, "at": time.time(), "step": record.step}
        self._append(
            where | {"epoch": record.epoch, "scalars": scalars, "arrays": arrays, "events": events}
        )

    def put_meta(self, **values: Any) -> None:
        """Facts of the run that do not change with the step (JSON values)."""
        self._append({"meta": values})

    def sync(self) -> None:
        """Makes what was logged so far survive a power cut."""
        with contextlib.suppress(OSError):
            os.fsync(self._file)

    def close(self) -> None:
        """Closes the file; everything is in it."""
        self.sync()
        os.close(self._file)

    def _append(self, line: dict[str, Any]) -> None:
        """One write for one line, so that what a reader sees last may be cut, but never mixed."""
        text = "\n" * self._is_cut + json.dumps(line) + "\n"
        data = text.encode()
        try:
            self._is_cut = os.write(self._file, data) < len(data)
            error = "the disk is full" if self._is_cut else None
        except OSError as problem:
            error = problem.strerror or str(problem)
        if error is not None:
            self.n_dropped, self.last_error = self.n_dropped + 1, error


def has_lines(run_dir: Path) -> bool:
    """Whether some lines of a run were never taken in to their end."""
    return any(run_dir.glob(LINES))


def take_in(run_dir: Path, attempt: int, *, is_over: bool = False) -> int:
    """Takes new lines of an attempt into metrics.db.

    Args:
        run_dir: The folder of the run.
        attempt: The attempt, whose worker may be writing.
        is_over: Whether it has ended: then all that is left is taken in and the file removed.

    Returns:
        How many lines could not be understood; they are left out.

    Raises:
        UserError: metrics.db is damaged.
        OSError: The file can't be read, or the disk is full.
        sqlite3.Error: metrics.db can't be written; nothing was taken in.
    """
    path, n_bad = path_of(run_dir, attempt), 0
    database = run_dir / "metrics.db"
    while path.exists() and (offset := _offset(database, attempt, path)) < path.stat().st_size:
        taken, bad = _take_some(path, database, attempt, offset, is_over=is_over)
        n_bad += bad
        if not taken or not is_over:
            break
    if is_over:  # those of attempts before were replaced by this one's
        for old in run_dir.glob(LINES):
            old.unlink()
    return n_bad


def _offset(database: Path, attempt: int, path: Path) -> int:
    """Bytes of the file that metrics.db has. 0 for a file that was made anew."""
    place = MetricsReader(database).meta().get(PLACE) or {}
    offset = int(place.get("offset", 0)) if place.get("attempt") == attempt else 0
    return offset if offset <= path.stat().st_size else 0


def _take_some(
    path: Path, database: Path, attempt: int, offset: int, *, is_over: bool
) -> tuple[int, int]:
    """Takes in whole lines from an offset on. Returns bytes taken and lines not understood."""
    with path.open("rb") as file:
        file.seek(offset)
        data = file.read(MOST_BYTES)
        if b"\n" not in data:
            data += file.read()
    whole = len(data) if is_over and len(data) < MOST_BYTES else data.rfind(b"\n") + 1
    if not whole:
        return 0, 0
    n_bad, writer = 0, MetricsWriter(database, attempt=attempt, begins=False)
    try:
        with writer.transaction():
            for line in data[:whole].splitlines():
                n_bad += not _take_line(writer, line)
            writer.put({PLACE: {"attempt": attempt, "offset": offset + whole}})
    finally:
        writer.close()
    return whole, n_bad


def _take_line(writer: MetricsWriter, line: bytes) -> bool:
    """Writes what a line says, in a transaction. False if it says nothing that is known."""
    if not line.strip():
        return True
    try:
        said = json.loads(line)
        if "begin" in said:
            begin = [said["begin"][name] for name in ("attempt", "resume_from", "last_seq")]
            begin.append(said["seq"])
        elif "meta" in said:
            values = dict(said["meta"])
        else:
            record, seq, at = _record(said), int(said["seq"]), float(said["at"])
    except (ValueError, KeyError, TypeError, AttributeError, zlib.error):
        return False
    if "begin" in said:
        writer.begin(*begin)
    elif "meta" in said:
        writer.put(values)
    else:
        writer.insert(record, seq, at)
    return True


def _record(said: dict[str, Any]) -> Record:
    arrays = {
        name: np.frombuffer(zlib.decompress(base64.b64decode(data)), dtype=np.dtype(kind)).reshape(
            json.loads(shape)
        )
        for name, (kind, shape, data) in said["arrays"].items()
    }
    scalars = {
        name: float("nan") if value is None else float(value)
        for name, value in said["scalars"].items()
    }
    events = [(str(kind), str(text)) for kind, text in said["events"]]
    return Record(int(said["step"]), int(said["epoch"]), scalars, arrays, events)
