"""registry.db: who waits, who runs, who has ended. An index of the run folders; thrown away, it is
rebuilt when opened.

Supervisor, pages and command line write it a few times a second. Rollback journal, not WAL (SQLite
before 3.51.3 can corrupt a WAL database that several processes write), and every write in BEGIN
IMMEDIATE (a transaction that reads first and writes later fails at once with "database is locked",
whatever the timeout). A connection lives for one operation, so that a registry deleted under a
long-lived process is missed at once and made anew.
"""

import contextlib
import sqlite3
import time
from collections.abc import Collection, Iterator

from rdh.execution.queue.rows import (
    SCHEMA_VERSION,
    RunState,
    fill,
    move,
    rebuild,
    select,
    update,
    version,
)
from rdh.execution.queue.states import from_result
from rdh.store.run_store import RunStore

BUSY_SECONDS = 10.0


class Registry:
    """The queue of one runs root. Cheap to make: nothing stays open between calls."""

    def __init__(self, store: RunStore) -> None:
        self.store = store
        self.path = store.root / "registry.db"

    def rows(self) -> dict[str, RunState]:
        """All runs, oldest submission first."""
        with self._open() as db:
            return {run.run_id: run for run in select(db)}

    def active(self) -> list[RunState]:
        with self._open() as db:
            return select(db, "WHERE state IN ('starting', 'running')")

    def transitions(self, run_id: str) -> list[tuple[int, str, str | None]]:
        """(attempt, state, reason) of everything that happened to the run, in order."""
        with self._open() as db:
            rows = db.execute(
                "SELECT attempt, state, reason FROM transitions WHERE run_id = ? ORDER BY seq",
                (run_id,),
            )
            return [tuple(row) for row in rows]

    def claim(self, skip: Collection[str] = ()) -> RunState | None:
        """Takes the oldest waiting run that is not in `skip`: it is `starting` from now on.

        None: nothing waits.
        """
        with self._open() as db:
            if all(run.run_id in skip for run in select(db, "WHERE state = 'queued'")):
                return None  # the usual answer, given without the write lock
        with self.write() as db:
            for run in select(db, "WHERE state = 'queued'"):
                if run.run_id not in skip:
                    move(db, run, "starting", started_at=time.time(), ended_at=None, handle=None)
                    return select(db, "WHERE run_id = ?", run.run_id)[0]
        return None

    def move(self, run: RunState, state: str, reason: str | None = None, **columns: object) -> bool:
        """Compare-and-set from the state and attempt that the caller saw.

        False where somebody else was faster.
        """
        with self.write() as db:
            return move(db, run, state, reason, **columns)

    def note(self, run: RunState, **columns: object) -> bool:
        """Changes columns but not the state, as long as the run is still where the caller saw it."""
        with self.write() as db:
            return update(db, run, **columns)

    def forget(self, run_id: str) -> None:
        with self.write() as db:
            db.execute("DELETE FROM runs WHERE run_id = ?", (run_id,))

    def sync(self) -> list[str]:
        """Brings rows and folders in line: a new folder gets a row, and a row whose folder is gone
        goes too, unless
        it is active (its process has to be ended first). Returns one sentence for each folder that
        can't be read.
        """
        with self._open() as db:
            if {run.run_id for run in select(db)} == set(self.store.run_ids()):
                return []
        with (
            self.write() as db
        ):  # looked at again under the lock: a submission may have been half way
            found = self.store.run_ids()
            for run in select(db):
                if run.run_id not in found and not run.is_active:
                    db.execute("DELETE FROM runs WHERE run_id = ?", (run.run_id,))
            return fill(db, self.store, found)

    def settle(self, run_id: str) -> None:
        """Believes the result.json of a run that ended outside the queue, where no supervisor may
        be there to read it.
        """
        with self.write() as db:
            for run in select(db, "WHERE run_id = ? AND state IN ('starting', 'running')", run_id):
                verdict = from_result(self.store.read_json(run_id, "result.json"), run.attempt)
                if verdict:
                    move(db, run, *verdict, ended_at=time.time())

    @contextlib.contextmanager
    def write(self) -> Iterator[sqlite3.Connection]:
        """A write transaction: commits at the end, rolls back on any exception.

        Waits up to 10 s for other writers.
        """
        with self._open() as db:
            db.execute("BEGIN IMMEDIATE")
            try:
                yield db
                db.execute("COMMIT")
            except BaseException:
                if db.in_transaction:  # SQLite has rolled back by itself where the disk is full
                    db.execute("ROLLBACK")
                raise

    @contextlib.contextmanager
    def _open(self) -> Iterator[sqlite3.Connection]:
        try:
            db = self._connect()
        except sqlite3.DatabaseError as error:
            if not self._set_aside_if_broken(error):
                raise
            db = self._connect()
        try:
            yield db
        except sqlite3.DatabaseError as error:
            self._set_aside_if_broken(error)
            raise
        finally:
            db.close()

    def _connect(self) -> sqlite3.Connection:
        db = sqlite3.connect(self.path, timeout=BUSY_SECONDS, isolation_level=None)
        try:
            db.execute("PRAGMA journal_mode = TRUNCATE")
            db.execute("PRAGMA synchronous = FULL")
            db.execute("PRAGMA foreign_keys = ON")
            if version(db) != SCHEMA_VERSION:
                rebuild(db, self.store)
        except BaseException:
            db.close()
            raise
        return db

    def _set_aside_if_broken(self, error: sqlite3.DatabaseError) -> bool:
        """The folders hold the truth: a damaged registry is put away and made anew by whoever asks
        next.
        """
        is_broken = getattr(error, "sqlite_errorname", "") in ("SQLITE_NOTADB", "SQLITE_CORRUPT")
        if is_broken:
            self.path.replace(self.path.with_name(f"registry.db.broken-{time.time():.0f}"))
        return is_broken
