"""A run's metrics.db: one SQLite file in WAL mode, one writing connection (the worker's), readers that tail by `seq > last`.

One *record* a logging step, in one transaction, so that all panels of a step agree. A record holds scalars by name, NumPy arrays
by name (little-endian, zlib) and events. `step` counts optimiser steps completed.
"""

import json
import sqlite3
import time
import zlib
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from rdh.errors import UserError

SCHEMA_VERSION = 1
SCHEMA = """
CREATE TABLE meta (key TEXT PRIMARY KEY, value TEXT NOT NULL);
CREATE TABLE records (seq INTEGER PRIMARY KEY AUTOINCREMENT, step INTEGER NOT NULL, epoch INTEGER NOT NULL, at REAL NOT NULL);
CREATE TABLE scalars (seq INTEGER NOT NULL, name TEXT NOT NULL, value REAL, PRIMARY KEY (seq, name)) WITHOUT ROWID;
CREATE TABLE arrays (id INTEGER PRIMARY KEY, seq INTEGER NOT NULL, name TEXT NOT NULL, dtype TEXT NOT NULL, shape TEXT NOT NULL,
                     data BLOB NOT NULL, UNIQUE (name, seq));
CREATE TABLE events (seq INTEGER NOT NULL, type TEXT NOT NULL, text TEXT NOT NULL);
"""


@dataclass(frozen=True)
class Record:
    """One logging step: scalars and arrays by name; events as (type, text)."""

    step: int
    epoch: int
    scalars: dict[str, float] = field(default_factory=dict)
    arrays: dict[str, np.ndarray] = field(default_factory=dict)
    events: list[tuple[str, str]] = field(default_factory=list)


class MetricsWriter:
    """The one writer of a run. Errors of the database never reach training: they are counted in `n_dropped`.

    `resume_from`: the step of the checkpoint that training goes on from; rows of later steps are deleted in the transaction
    that records the resume, so that no chart shows a step twice.
    """

    def __init__(self, path: Path, *, attempt: int, resume_from: int | None = None) -> None:
        self.n_dropped = 0
        self.last_error: str | None = None
        self._connection = sqlite3.connect(path, isolation_level=None, timeout=10, check_same_thread=False)
        execute = self._connection.execute
        execute("PRAGMA journal_mode = WAL")
        execute("PRAGMA synchronous = NORMAL")
        execute("PRAGMA journal_size_limit = 4000000")
        execute("BEGIN IMMEDIATE")
        if not execute("SELECT 1 FROM sqlite_master WHERE name = 'meta'").fetchone():
            for statement in SCHEMA.split(";"):
                execute(statement)
        self._forget_after(-1 if resume_from is None else resume_from)
        self._put_meta({"schema_version": SCHEMA_VERSION, "attempt": attempt})
        if resume_from is not None:
            seq = execute(
                "INSERT INTO records (step, epoch, at) VALUES (?, -1, ?)", (resume_from, time.time())
            ).lastrowid
            execute(
                "INSERT INTO events VALUES (?, 'resume', ?)",
                (seq, f"attempt {attempt} goes on from step {resume_from}"),
            )
        execute("COMMIT")

    def log(self, record: Record) -> None:
        """Writes the record, whole or not at all. NaN and infinite scalars are stored as NULL."""
        try:
            self._connection.execute("BEGIN IMMEDIATE")
            try:
                self._insert(record)
                self._connection.execute("COMMIT")
            except BaseException:
                self._connection.execute("ROLLBACK")
                raise
        except sqlite3.Error as error:
            self.n_dropped += 1
            self.last_error = str(error)

    def put_meta(self, **values: Any) -> None:
        """Facts of the run that do not change with the step (JSON values)."""
        try:
            self._put_meta(values)
        except sqlite3.Error as error:
            self.n_dropped += 1
            self.last_error = str(error)

    def close(self) -> None:
        """Leaves one portable file: WAL emptied, rollback journal again."""
        try:
            self._connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
            self._connection.execute("PRAGMA journal_mode = DELETE")
        except sqlite3.Error as error:
            self.last_error = str(error)  # a reader holds the file: it stays in WAL mode, and complete
        self._connection.close()

    def _insert(self, record: Record) -> None:
        execute, many = self._connection.execute, self._connection.executemany
        seq = execute(
            "INSERT INTO records (step, epoch, at) VALUES (?, ?, ?)", (record.step, record.epoch, time.time())
        ).lastrowid
        finite = ((seq, name, float(value) if np.isfinite(value) else None) for name, value in record.scalars.items())
        many("INSERT INTO scalars VALUES (?, ?, ?)", finite)
        many(
            "INSERT INTO arrays (seq, name, dtype, shape, data) VALUES (?, ?, ?, ?, ?)",
            ((seq, name, *_pack(array)) for name, array in record.arrays.items()),
        )
        many("INSERT INTO events VALUES (?, ?, ?)", ((seq, kind, text) for kind, text in record.events))

    def _put_meta(self, values: dict[str, Any]) -> None:
        rows = ((key, json.dumps(value)) for key, value in values.items())
        self._connection.executemany("INSERT OR REPLACE INTO meta VALUES (?, ?)", rows)

    def _forget_after(self, step: int) -> None:
        for table in ("scalars", "arrays", "events"):
            self._connection.execute(
                f"DELETE FROM {table} WHERE seq IN (SELECT seq FROM records WHERE step > ?)", (step,)
            )
        self._connection.execute("DELETE FROM records WHERE step > ?", (step,))


class MetricsReader:
    """Reads with short, read-only connections. Everything is empty before the worker's first record.

    UserError with one sentence where the file is damaged; the other runs are not touched by that.
    """

    def __init__(self, path: Path) -> None:
        self.path = path

    def meta(self) -> dict[str, Any]:
        """attempt, schema_version and what the training put there (n_bits, logit_edges, tau, n_train, total_steps, ...)."""
        return {key: json.loads(value) for key, value in self._query("SELECT key, value FROM meta")}

    def version(self) -> tuple[int, int]:
        """(attempt, last seq): changes exactly when there is something new; the key of every cache. (0, 0) before the first record."""
        rows = self._query("SELECT (SELECT value FROM meta WHERE key = 'attempt'), (SELECT MAX(seq) FROM records)")
        return (int(rows[0][0] or 0), int(rows[0][1] or 0)) if rows else (0, 0)

    def scalars(self, after: int = 0) -> list[tuple[int, int, int, str, float | None]]:
        """(seq, step, epoch, name, value) of the records with seq > after, in order."""
        return self._query(
            "SELECT r.seq, r.step, r.epoch, s.name, s.value FROM scalars s JOIN records r USING (seq) WHERE seq > ? ORDER BY seq",
            (after,),
        )

    def arrays(self, name: str, after: int = 0) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """(seqs (n,), steps (n,), values (n, ...)) of the records with seq > after that hold this array; values is read-only."""
        rows = self._query(
            "SELECT a.seq, r.step, a.dtype, a.shape, a.data FROM arrays a JOIN records r USING (seq) "
            "WHERE a.name = ? AND a.seq > ? ORDER BY a.seq",
            (name, after),
        )
        values = np.stack([_unpack(*row[2:]) for row in rows]) if rows else np.empty((0,))
        values.flags.writeable = False
        return (
            np.array([row[0] for row in rows], dtype=np.int64),
            np.array([row[1] for row in rows], dtype=np.int64),
            values,
        )

    def latest(self, name: str, step: int | None = None) -> tuple[int, np.ndarray] | None:
        """(step, values) of the newest record that holds this array, at or before `step` where one is given."""
        rows = self._query(
            "SELECT r.step, a.dtype, a.shape, a.data FROM arrays a JOIN records r USING (seq) "
            "WHERE a.name = ? AND r.step <= ? ORDER BY a.seq DESC LIMIT 1",
            (name, 2**62 if step is None else step),
        )
        return (rows[0][0], _unpack(*rows[0][1:])) if rows else None

    def events(self, after: int = 0) -> list[tuple[int, int, float, str, str]]:
        """(seq, step, Unix time, type, text) of the events with seq > after, in order."""
        return self._query(
            "SELECT r.seq, r.step, r.at, e.type, e.text FROM events e JOIN records r USING (seq) WHERE seq > ? ORDER BY seq",
            (after,),
        )

    def _query(self, sql: str, parameters: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
        if not self.path.exists():
            return []
        try:
            connection = sqlite3.connect(f"{self.path.absolute().as_uri()}?mode=ro", uri=True, timeout=10)
            try:
                return connection.execute(sql, parameters).fetchall()
            finally:
                connection.close()
        except sqlite3.Error as error:
            if "no such table" in str(error):
                return []  # the worker is making the file right now
            raise UserError(
                f"metrics.db of run {self.path.parent.name} can't be read ({error}); the run's other files and all other runs are "
                "untouched: delete this run or launch it again."
            ) from None


def _pack(array: np.ndarray) -> tuple[str, str, bytes]:
    array = np.ascontiguousarray(array)
    array = array.astype(array.dtype.newbyteorder("<"), copy=False)
    return array.dtype.str, json.dumps(array.shape), zlib.compress(array.tobytes(), 1)


def _unpack(dtype: str, shape: str, data: bytes) -> np.ndarray:
    return np.frombuffer(zlib.decompress(data), dtype=np.dtype(dtype)).reshape(json.loads(shape))
