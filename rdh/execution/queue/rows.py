"""The tables of registry.db and the few statements that touch them, each within a transaction of
its caller.
"""

import sqlite3
import time
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field, fields
from typing import Any

from rdh.errors import UserError
from rdh.execution.queue.run_folder import row_from_folder
from rdh.execution.queue.states import ACTIVE, FINAL, STATES
from rdh.store.run_store import RunStore

SCHEMA_VERSION = 1
# A token names one submission of one or more runs. It is free again when all of them are deleted.
SCHEMA = f"""
DROP TABLE IF EXISTS tokens;
DROP TABLE IF EXISTS transitions;
DROP TABLE IF EXISTS runs;
CREATE TABLE runs (
    run_id TEXT PRIMARY KEY, state TEXT NOT NULL CHECK (state IN {STATES}),
    attempt INTEGER NOT NULL CHECK (attempt >= 1), request TEXT CHECK (request = 'cancel'), reason TEXT,
    submitted_at REAL NOT NULL, started_at REAL, ended_at REAL, device TEXT, sweep TEXT, handle TEXT,
    config_hash TEXT NOT NULL, UNIQUE (sweep, config_hash));
CREATE TABLE transitions (
    seq INTEGER PRIMARY KEY AUTOINCREMENT, run_id TEXT NOT NULL REFERENCES runs ON DELETE CASCADE,
    attempt INTEGER NOT NULL, state TEXT NOT NULL, reason TEXT, at REAL NOT NULL);
CREATE INDEX transitions_of_run ON transitions (run_id);
CREATE TABLE tokens (
    token TEXT NOT NULL, position INTEGER NOT NULL, run_id TEXT NOT NULL REFERENCES runs ON DELETE CASCADE,
    PRIMARY KEY (token, position)) WITHOUT ROWID;
CREATE INDEX tokens_of_run ON tokens (run_id);
"""


@dataclass(frozen=True)
class RunState:
    """What the queue knows of a run. Times are Unix seconds. handle is the engine's own."""

    run_id: str
    state: str
    attempt: int
    request: str | None
    reason: str | None
    submitted_at: float
    started_at: float | None
    ended_at: float | None
    device: str | None
    sweep: str | None
    handle: str | None = field(default=None, repr=False)

    @property
    def is_active(self) -> bool:
        return self.state in ACTIVE

    @property
    def is_final(self) -> bool:
        return self.state in FINAL


COLUMNS = ", ".join(column.name for column in fields(RunState))


def select(db: sqlite3.Connection, where: str = "", *values: object) -> list[RunState]:
    """Rows that match, oldest submission first."""
    rows = db.execute(f"SELECT {COLUMNS} FROM runs {where} ORDER BY submitted_at, rowid", values)
    return [RunState(*row) for row in rows]


def find(db: sqlite3.Connection, store: RunStore, run_id: str) -> RunState:
    """The run's row, made from its folder where it is missing.

    UserError where there is no such run.
    """
    found = select(db, "WHERE run_id = ?", run_id)
    if not found:
        store.run_dir(run_id)
        insert(db, row_from_folder(store, run_id))
        found = select(db, "WHERE run_id = ?", run_id)
    return found[0]


def insert(db: sqlite3.Connection, row: Mapping[str, Any]) -> None:
    """Adds a row; columns that are not named take their defaults."""
    statement = "INSERT INTO runs ({}) VALUES ({})".format(
        ", ".join(row), ", ".join("?" * len(row))
    )
    try:
        db.execute(statement, tuple(row.values()))
    except sqlite3.IntegrityError:
        if row.get("sweep") is None:
            raise
        db.execute(
            statement, tuple((row | {"sweep": None}).values())
        )  # a copy of a run of the sweep: it stands apart
    _record(db, row["run_id"], row["attempt"], row["state"], row.get("reason"))


def fill(db: sqlite3.Connection, store: RunStore, run_ids: Collection[str]) -> list[str]:
    """Inserts a row for every folder that has none.

    Returns one sentence for each folder that can't be read.
    """
    complaints = []
    known = {run_id for (run_id,) in db.execute("SELECT run_id FROM runs")}
    for run_id in run_ids:
        if run_id not in known:
            try:
                insert(db, row_from_folder(store, run_id))
            except UserError as error:
                complaints.append(str(error))
    return complaints


def update(db: sqlite3.Connection, run: RunState, **columns: object) -> bool:
    """Changes columns if the run still has the state and attempt that the caller saw."""
    assignments = ", ".join(f"{name} = ?" for name in columns)
    changed = db.execute(
        f"UPDATE runs SET {assignments} WHERE run_id = ? AND attempt = ? AND state = ?",
        (*columns.values(), run.run_id, run.attempt, run.state),
    )
    return changed.rowcount == 1


def move(
    db: sqlite3.Connection, run: RunState, state: str, reason: str | None = None, **columns: object
) -> bool:
    """Compare-and-set into another state, with its line of history.

    False where somebody else was faster.
    """
    is_ours = update(db, run, state=state, reason=reason, **columns)
    if is_ours:
        _record(db, run.run_id, columns.get("attempt", run.attempt), state, reason)
    return is_ours


def version(db: sqlite3.Connection) -> int:
    """The schema version that the file says it has; 0 for a new file."""
    return db.execute("PRAGMA user_version").fetchone()[0]


def rebuild(db: sqlite3.Connection, store: RunStore) -> None:
    """Fresh tables, filled from the run folders, in one transaction."""
    db.execute("BEGIN IMMEDIATE")
    if version(db) != SCHEMA_VERSION:  # two processes may have found the registry missing
        for statement in SCHEMA.split(";"):
            db.execute(statement)
        fill(db, store, store.run_ids())
        db.execute(f"PRAGMA user_version = {SCHEMA_VERSION}")
    db.execute("COMMIT")


def _record(
    db: sqlite3.Connection, run_id: str, attempt: object, state: str, reason: str | None
) -> None:
    db.execute(
        "INSERT INTO transitions (run_id, attempt, state, reason, at) VALUES (?, ?, ?, ?, ?)",
        (run_id, attempt, state, reason, time.time()),
    )
