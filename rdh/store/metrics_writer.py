"""The writing side of a run's metrics.db: SQLite in WAL mode, with the worker as its one writer.

Each logging step writes one *record* in one transaction, so that all panels of a step agree.
Readers ask for the records with `seq > last`. See `rdh.store.schema` for the tables.
"""

import contextlib
import errno
import functools
import json
import math
import sqlite3
import struct
import time
import zlib
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from rdh.errors import UserError, encodable
from rdh.store.mounts import is_on_network
from rdh.store.schema import RENAMED, SCHEMA_VERSION, TABLES, TOGETHER

SMALL, MOST_STORED = 600, 2**16  # bytes of an array


@dataclass(frozen=True)
class Record:
    """One logging step: scalars and arrays by name; events as (type, text)."""

    step: int
    epoch: int
    scalars: dict[str, float] = field(default_factory=dict)
    arrays: dict[str, np.ndarray] = field(default_factory=dict)
    events: list[tuple[str, str]] = field(default_factory=list)


class MetricsWriter:
    """The one writer of a run.

    Errors of the database never reach training: they are counted in `n_dropped`.

    Args:
        path: The file, made if it is missing.
        attempt: The run's attempt.
        resume_from: The step of the checkpoint that training goes on from.
        last_seq: The last record before that checkpoint was saved. Later records (without
            last_seq: those of later steps) are deleted in the transaction that records the resume,
            so that no chart shows a step twice. That transaction also renames what version 1 of the
            file called otherwise.
        begins: Whether the attempt begins now. False: `begin` is called later.

    Raises:
        UserError: The file can't be opened or is damaged.
        OSError: The disk is full.
    """

    def __init__(
        self,
        path: Path,
        *,
        attempt: int,
        resume_from: int | None = None,
        last_seq: int | None = None,
        begins: bool = True,
    ) -> None:
        self.n_dropped = 0
        self.last_seq: int | None = 0
        self._path = path
        self.last_error: str | None = None
        try:
            self._connection = sqlite3.connect(
                path, isolation_level=None, timeout=10, check_same_thread=False
            )
            # WAL needs memory that all readers share, which a network file system does not give
            self._connection.execute(
                f"PRAGMA journal_mode = {'DELETE' if is_on_network(path) else 'WAL'}"
            )
            self._connection.execute("PRAGMA synchronous = NORMAL")
            self._connection.execute("PRAGMA journal_size_limit = 4000000")
            if begins:
                with self.transaction():
                    self.begin(attempt, resume_from, last_seq)
            self._opened = self._inode()
        except (sqlite3.Error, UnicodeDecodeError) as error:  # a damaged name in SQLite's message
            if getattr(error, "sqlite_errorname", "").startswith(("SQLITE_FULL", "SQLITE_IOERR_W")):
                raise OSError(
                    errno.ENOSPC, f"metrics.db: {error}"
                ) from None  # the disk's fault: a resume will do
            raise UserError(
                f"metrics.db of run {path.parent.name} can't be written ({error}); "
                f"launch the run again."
            ) from None

    def log(self, record: Record) -> None:
        """Writes the record completely or not at all. NaN and infinite scalars become NULL."""
        with self._counting_errors(), self.transaction():
            self.insert(record)
        if self._inode() != self._opened:  # SQLite writes on, into a file that has no name any more
            self.n_dropped += 1
            self.last_error = "metrics.db was removed or replaced while the run wrote it"

    def put_meta(self, **values: Any) -> None:
        """Facts of the run that do not change with the step (JSON values)."""
        with self._counting_errors(), self.transaction():
            self.put(values)

    def sync(self) -> None:
        """Makes what was logged so far survive a power cut. Call it before saving a checkpoint."""
        with self._counting_errors():
            self._connection.execute("PRAGMA wal_checkpoint(PASSIVE)")

    def close(self) -> None:
        """Closes the file and leaves it portable: the WAL is emptied and no longer used."""
        try:
            self._connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
            self._connection.execute("PRAGMA journal_mode = DELETE")
        except sqlite3.Error as error:
            self.last_error = str(
                error
            )  # a reader holds the file: it stays in WAL mode, and complete
        self._connection.close()

    def _inode(self) -> int | None:
        try:
            return self._path.stat().st_ino
        except OSError:
            return None

    @contextlib.contextmanager
    def _counting_errors(self) -> Iterator[None]:
        try:
            yield
        except sqlite3.Error as error:
            self.n_dropped += 1
            self.last_error = str(error)

    @contextlib.contextmanager
    def transaction(self) -> Iterator[None]:
        """All that is written in the block, or nothing."""
        self._connection.execute("BEGIN IMMEDIATE")
        try:
            yield
            self._connection.execute("COMMIT")
        except BaseException:
            if self._connection.in_transaction:  # SQLite rolls back by itself if the disk is full
                self._connection.execute("ROLLBACK")
            raise

    def begin(
        self,
        attempt: int,
        resume_from: int | None,
        last_seq: int | None,
        seq: int | None = None,
    ) -> None:
        """The first part of an attempt, in a transaction: what it replaces is deleted.

        Args:
            attempt: As of the class.
            resume_from: As of the class.
            last_seq: As of the class.
            seq: The number of the record of the resume; None for the next one.
        """
        execute = self._connection.execute
        is_new = not execute("SELECT 1 FROM sqlite_master WHERE name = 'meta'").fetchone()
        if is_new:
            for statement in TABLES:
                execute(statement)
        column = "step" if last_seq is None else "seq"
        last = last_seq if last_seq is not None else -1 if resume_from is None else resume_from
        for table in ("scalars", "arrays", "events"):
            execute(
                f"DELETE FROM {table} WHERE seq IN (SELECT seq FROM records WHERE {column} > ?)",
                (last,),
            )
        execute(f"DELETE FROM records WHERE {column} > ?", (last,))
        self._rename()
        self.put({"schema_version": SCHEMA_VERSION, "attempt": attempt})
        if resume_from is not None:
            text = f"attempt {attempt} goes on from step {resume_from}"
            text += "; the records before it are missing" if is_new else ""
            self.insert(Record(resume_from, -1, events=[("resume", text)]), seq)

    def _rename(self) -> None:
        """Gives records of version 1 the present names, since some names changed their meaning."""
        found = self._connection.execute("SELECT value FROM meta WHERE key = 'schema_version'")
        if found.fetchone() == ("1",):
            for table in ("scalars", "arrays"):
                self._connection.executemany(
                    f"UPDATE {table} SET name = ? WHERE name = ?",
                    [(now, before) for before, now in RENAMED.items()],
                )

    def insert(self, record: Record, seq: int | None = None, at: float | None = None) -> None:
        """Writes a record in a transaction.

        Args:
            record: What was logged.
            seq: Its number; None for the next one.
            at: When it was logged, in Unix seconds; None for now.
        """
        execute, many = self._connection.execute, self._connection.executemany
        row = (seq, record.step, record.epoch, time.time() if at is None else at)
        seq = execute("INSERT INTO records VALUES (?, ?, ?, ?)", row).lastrowid
        finite = (
            (seq, name, float(value) if math.isfinite(value) else None)
            for name, value in record.scalars.items()
        )
        many("INSERT INTO scalars VALUES (?, ?, ?)", finite)
        packed = ((seq, *row) for row in _rows(record.arrays))
        many("INSERT INTO arrays (seq, name, dtype, shape, data) VALUES (?, ?, ?, ?, ?)", packed)
        many(
            "INSERT INTO events VALUES (?, ?, ?)",
            ((seq, _text(kind), _text(text)) for kind, text in record.events),
        )
        self.last_seq = seq

    def put(self, values: dict[str, Any]) -> None:
        """Writes facts of the run in a transaction."""
        rows = ((key, json.dumps(value)) for key, value in values.items())
        self._connection.executemany("INSERT OR REPLACE INTO meta VALUES (?, ?)", rows)


def _text(value: object) -> object:
    """A text that SQLite takes: it refuses the surrogates of file names that are not UTF-8."""
    return encodable(value) if isinstance(value, str) else value


def _rows(arrays: dict[str, np.ndarray]) -> Iterator[tuple[str, str, str, bytes]]:
    """Name, type, shape and bytes of each row of `arrays`: one row takes all that are small."""
    small: list[tuple[str, np.dtype, tuple[int, ...]]] = []
    data = []
    for name, array in arrays.items():
        if array.nbytes < SMALL:
            small.append((name, array.dtype, array.shape))
            data.append(array)
        else:
            yield name, *pack(array)
    if small:
        dtypes, layout = _layout(tuple(small))
        parts = (one.astype(dtype, copy=False) for one, dtype in zip(data, dtypes, strict=True))
        yield TOGETHER, "", layout, b"".join(part.tobytes() for part in parts)


@functools.lru_cache(maxsize=16)
def _layout(small: tuple[tuple[str, np.dtype, tuple[int, ...]], ...]) -> tuple[list[np.dtype], str]:
    """Types with the low byte first, and what the file says of small arrays that stand together."""
    described = {name: _described(dtype, shape or (1,)) for name, dtype, shape in small}
    layout = {name: [kind, json.loads(shape)] for name, (_, kind, shape) in described.items()}
    return [low for low, _, _ in described.values()], json.dumps(layout)


def pack(array: np.ndarray) -> tuple[str, str, bytes]:
    """Type, shape and bytes of an array in the form of zlib, as the file holds them.

    A compressor is set up in the time that a small array takes in all, so small arrays are stored
    as they are. So are digits of a mean, which leave nothing to compress.
    """
    dtype, kind, shape = _described(array.dtype, array.shape or (1,))
    data = array.astype(dtype, copy=False).tobytes()
    is_stored = len(data) < (MOST_STORED if dtype == np.float32 else SMALL)
    return kind, shape, _stored(data) if is_stored else zlib.compress(data, 1)


@functools.lru_cache(maxsize=256)
def _described(dtype: np.dtype, shape: tuple[int, ...]) -> tuple[np.dtype, str, str]:
    """A type with its low byte first, what the file calls it, and a shape."""
    low = dtype.newbyteorder("<")
    return low, low.str, json.dumps(shape)


def _stored(data: bytes) -> bytes:
    """What `zlib.compress(data, 0)` says of less than 64 KiB, in a tenth of the time."""
    ends = struct.pack("<HH", len(data), len(data) ^ 0xFFFF), struct.pack(">I", zlib.adler32(data))
    return b"\x78\x01\x01" + ends[0] + data + ends[1]
