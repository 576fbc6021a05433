"""The tables of registry.db, and the few statements that touch them.

Each function works within a transaction of its caller.
"""

import sqlite3
import time
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, fields
from typing import Any

from rdh.errors import encodable
from rdh.execution.queue.states import ACTIVE, FINAL, REQUESTS, STATES

SCHEMA_VERSION = 2  # of 1: without pause and priority
TABLES = (
    "DROP TABLE IF EXISTS tokens",
    "DROP TABLE IF EXISTS transitions",
    "DROP TABLE IF EXISTS runs",
    f"""CREATE TABLE runs (
        run_id TEXT PRIMARY KEY, state TEXT NOT NULL CHECK (state IN {STATES}),
        attempt INTEGER NOT NULL CHECK (attempt >= 1),
        request TEXT CHECK (request IN {tuple(REQUESTS)}), reason TEXT,
        submitted_at REAL NOT NULL, started_at REAL, ended_at REAL, device TEXT, sweep TEXT,
        handle TEXT, config_hash TEXT NOT NULL,
        priority INTEGER NOT NULL DEFAULT 0, UNIQUE (sweep, config_hash))""",
    """CREATE TABLE transitions (
        seq INTEGER PRIMARY KEY AUTOINCREMENT,
        run_id TEXT NOT NULL REFERENCES runs ON DELETE CASCADE, attempt INTEGER NOT NULL,
        state TEXT NOT NULL, reason TEXT, at REAL NOT NULL)""",
    "CREATE INDEX transitions_of_run ON transitions (run_id)",
    # A token names one submission of one or more runs. It is free again when all are deleted.
    """CREATE TABLE tokens (
        token TEXT NOT NULL, position INTEGER NOT NULL,
        run_id TEXT NOT NULL REFERENCES runs ON DELETE CASCADE,
        PRIMARY KEY (token, position)) WITHOUT ROWID""",
    "CREATE INDEX tokens_of_run ON tokens (run_id)",
)
NAMES = {"runs", "transitions", "tokens", "transitions_of_run", "tokens_of_run"}


ASKED = {"cancel": "cancelling", "pause": "pausing"}


class WrongContent(sqlite3.DatabaseError):
    """The registry is damaged: it holds a value that it never writes."""


@dataclass(frozen=True)
class RunState:
    """What the queue knows of a run. Times are Unix seconds. handle is the engine's own.

    Of the waiting runs, the one with the greatest priority starts first; among equals, the oldest.
    """

    run_id: str
    state: str
    attempt: int
    submitted_at: float
    request: str | None = None
    reason: str | None = None
    started_at: float | None = None
    ended_at: float | None = None
    device: str | None = None
    sweep: str | None = None
    handle: str | None = field(default=None, repr=False)
    priority: int = 0

    @property
    def is_active(self) -> bool:
        return self.state in ACTIVE

    @property
    def is_final(self) -> bool:
        return self.state in FINAL


def in_turn(runs: Iterable[RunState]) -> list[RunState]:
    """The waiting ones of these runs, in the order in which they start."""
    waiting = [run for run in runs if run.state == "queued"]
    return sorted(waiting, key=lambda run: (-run.priority, run.submitted_at))


def doing(run: RunState) -> str:
    """The state of a run in one word, or what it is about to be: "cancelling", "pausing"."""
    return ASKED.get(run.request or "", run.state) if run.is_active else run.state


COLUMNS = tuple(column.name for column in fields(RunState))
NUMBER, MAYBE_TEXT = (int, float), (str, type(None))
TYPES: dict[str, tuple[type, ...]] = dict.fromkeys(("run_id", "state"), (str,))
TYPES |= dict.fromkeys(("attempt", "submitted_at", "priority"), NUMBER)
TYPES |= dict.fromkeys(("started_at", "ended_at"), (*NUMBER, type(None)))
IN_TURN = "ORDER BY priority DESC, submitted_at, rowid"  # how waiting runs start


def select(
    db: sqlite3.Connection,
    where: str = "",
    *values: object,
    order: str = "ORDER BY submitted_at, rowid",
) -> list[RunState]:
    """Rows that match, oldest submission first.

    Raises:
        WrongContent: A value has a type that is never written.
    """
    try:
        rows = db.execute(
            f"SELECT {', '.join(COLUMNS)} FROM runs {where} {order}",
            tuple(map(_value, values)),
        ).fetchall()
    except UnicodeDecodeError as error:
        raise WrongContent(str(error)) from error
    for types in {tuple(map(type, row)) for row in rows}:  # few differ
        _check_types(types)
    return [RunState(*row) for row in rows]


def _check_types(types: tuple[type, ...]) -> None:
    for name, kind in zip(COLUMNS, types, strict=True):
        if not issubclass(kind, TYPES.get(name, MAYBE_TEXT)):
            raise WrongContent(f"{name} of a run is of type {kind.__name__}")


def insert(db: sqlite3.Connection, row: Mapping[str, Any]) -> None:
    """Adds a row. Columns that are not named take their defaults."""
    sweep = row.get("sweep")
    if sweep is not None and select(
        db, "WHERE sweep = ? AND config_hash = ?", sweep, row["config_hash"]
    ):
        row = {**row, "sweep": None}  # a copy of a run of the sweep: it stands apart
    db.execute(
        f"INSERT INTO runs ({', '.join(row)}) VALUES ({', '.join('?' * len(row))})",
        tuple(map(_value, row.values())),
    )
    _record(db, row["run_id"], row["attempt"], row["state"], row.get("reason"))


def replace(db: sqlite3.Connection, run: RunState, row: Mapping[str, Any]) -> None:
    """Replaces a row by what its folder says, if they differ.

    A folder may not know when an attempt was started: the row's own time stays then.
    """
    stale = {name: row[name] for name in COLUMNS if name in row and name != "sweep"}
    if stale.get("started_at") is None and stale.get("attempt") == run.attempt:
        stale.pop("started_at", None)
    stale = {name: value for name, value in stale.items() if getattr(run, name) != value}
    if stale.keys() & {"state", "attempt", "reason", "submitted_at"}:
        update(db, run, **stale)
        _record(db, run.run_id, row["attempt"], row["state"], row["reason"])


AS_SEEN = "WHERE run_id = ? AND attempt = ? AND state = ? AND request IS ?"


def is_as_seen(db: sqlite3.Connection, run: RunState) -> bool:
    """Whether the run still has state, attempt and request that the caller saw."""
    seen = run.run_id, run.attempt, run.state, run.request
    return db.execute(f"SELECT 1 FROM runs {AS_SEEN}", seen).fetchone() is not None


def update(db: sqlite3.Connection, run: RunState, **columns: object) -> bool:
    """Changes columns if the run still has state, attempt and request that the caller saw."""
    assignments = ", ".join(f"{name} = ?" for name in columns)
    values = (*columns.values(), run.run_id, run.attempt, run.state, run.request)
    changed = db.execute(f"UPDATE runs SET {assignments} {AS_SEEN}", tuple(map(_value, values)))
    return changed.rowcount == 1


def move(
    db: sqlite3.Connection, run: RunState, state: str, reason: str | None = None, **columns: object
) -> bool:
    """Moves a run into another state, with its line of history.

    Returns:
        False if the run no longer has the state, attempt and request that the caller saw.
    """
    is_ours = update(db, run, state=state, reason=reason, **columns)
    if is_ours:
        _record(db, run.run_id, columns.get("attempt", run.attempt), state, reason)
    return is_ours


def version(db: sqlite3.Connection) -> int:
    """The schema version that the file says it has; 0 for a new file."""
    return db.execute("PRAGMA user_version").fetchone()[0]


def make_tables(db: sqlite3.Connection) -> None:
    """Creates empty tables, in place of those that the file holds."""
    for statement in TABLES:
        db.execute(statement)
    db.execute(f"PRAGMA user_version = {SCHEMA_VERSION}")


def upgrade(db: sqlite3.Connection) -> bool:
    """Makes the tables of version 1 those of today, with all that they hold.

    Returns:
        False if they hold what can't be kept; the tables are empty then.
    """
    if version(db) != 1:
        return False
    try:
        held = {}
        for table in ("runs", "transitions", "tokens"):
            found = db.execute(f"SELECT * FROM {table}")
            held[table] = [name for name, *_ in found.description], found.fetchall()
        make_tables(db)
        for table, (names, lines) in held.items():
            places = ", ".join("?" * len(names))
            db.executemany(f"INSERT INTO {table} ({', '.join(names)}) VALUES ({places})", lines)
    except (sqlite3.Error, UnicodeDecodeError):
        make_tables(db)
        return False
    return True


def complaints(db: sqlite3.Connection) -> Iterator[str]:
    """What is wrong with the file, its tables and its indexes. Nothing for a sound file."""
    found = {name for (name,) in db.execute("SELECT name FROM sqlite_master")}
    if missing := NAMES - found:
        yield f"{', '.join(sorted(missing))} is missing"
    for (line,) in db.execute("PRAGMA integrity_check(5)"):
        if line != "ok":
            yield line


def _record(
    db: sqlite3.Connection, run_id: str, attempt: object, state: str, reason: str | None
) -> None:
    db.execute(
        "INSERT INTO transitions (run_id, attempt, state, reason, at) VALUES (?, ?, ?, ?, ?)",
        (run_id, attempt, state, _value(reason), time.time()),
    )


def _value(value: object) -> object:
    """A value that SQLite takes: it refuses the surrogates of file names that are not UTF-8."""
    return encodable(value) if isinstance(value, str) else value
