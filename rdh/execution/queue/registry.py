"""registry.db, an index of the run folders: which runs wait, run or have ended.

The folders are the truth. Every look brings the index in line with them. A damaged index is set
aside and made anew.

* It uses a rollback journal instead of WAL, because SQLite before 3.51.3 can corrupt a WAL database
  that several processes write.
* Every write is in BEGIN IMMEDIATE. A transaction that reads first and writes later would fail at
  once with "database is locked", no matter how long the timeout is.
* A connection lives for one operation. So a long-lived process notices a deleted registry and makes
  a new one.
"""

import contextlib
import os
import sqlite3
import time
from collections.abc import Callable, Iterator
from dataclasses import replace as with_changes
from pathlib import Path

from rdh.errors import UserError
from rdh.execution.place import free_bytes
from rdh.execution.queue import rows
from rdh.execution.queue.rows import RunState, WrongContent, insert, move, select, update
from rdh.execution.queue.run_folder import (
    Facts,
    facts,
    plug_in_stamps,
    row_from_folder,
    unless_gone,
    verdict,
)
from rdh.execution.queue.states import Decision, as_asked
from rdh.store.run_store import RunStore

BUSY_SECONDS = 10.0
SECONDS_OF_NEWS = 3600.0  # how long pages say that a damaged registry was set aside
SECONDS_OF_A_STAMP = 0.1  # two changes within one tick of the file system's clock look like one
SECONDS_TO_JUDGE = 3.0  # a supervisor looks several times a second
FULL = 100_000  # bytes: with less room on the disk, a row can't be changed
MOST_SET_ASIDE = 5  # older ones are removed
# Troubles of the disk or of the moment. Every other error of SQLite means damage.
PASSING = (
    "SQLITE_BUSY",
    "SQLITE_LOCKED",
    "SQLITE_FULL",
    "SQLITE_IOERR",
    "SQLITE_CANTOPEN",
    "SQLITE_READONLY",
    "SQLITE_PERM",
    "SQLITE_NOMEM",
    "SQLITE_INTERRUPT",
    "SQLITE_PROTOCOL",
    "SQLITE_CONSTRAINT",  # a statement of ours is wrong; damage is found by the check
)
_sound: dict[Path, tuple[int, int, int]] = {}  # registry -> its stamp when it was found sound


class RegistryDamaged(sqlite3.DatabaseError):
    """The registry was damaged and has been set aside. The next call makes a new one."""


class Registry:
    """The queue of one runs root. Cheap to make: nothing stays open between calls."""

    def __init__(self, store: RunStore) -> None:
        self.store = store
        self.path = store.root / "registry.db"

    def look(self) -> dict[str, RunState]:
        """All runs as their folders say, oldest submission first. Rows that differ are put right.

        Only names and times of files are compared; a folder is read if they are new.
        """
        said = self.folders()
        with self.read() as db:
            known = {run.run_id: run for run in select(db)}
        if any(
            self._differs(known.get(run_id), said.get(run_id))
            for run_id in known.keys() | said.keys()
        ):
            try:
                self.sync()
                said = self.folders()
                with self.read() as db:
                    known = {run.run_id: run for run in select(db)}
            except sqlite3.OperationalError as error:
                if not _is_passing(error):
                    raise  # a full disk or a busy queue: what the folders say can still be shown
        seen = [self._seen(run_id, known.get(run_id), said[run_id]) for run_id in said]
        left = free_bytes(self.store.root)
        if left is not None and left < FULL:  # nobody can note that a process has ended
            seen = [unless_gone(self.store, run) for run in seen]
        place = {run_id: number for number, run_id in enumerate(known)}
        seen.sort(key=lambda run: (run.submitted_at, place.get(run.run_id, len(place)), run.run_id))
        return {run.run_id: run for run in seen}

    def active(self) -> list[RunState]:
        """The rows of runs that have a process, or are about to have one."""
        with self.read() as db:
            return select(db, "WHERE state IN ('starting', 'running')")

    def transitions(self, run_id: str) -> list[tuple[int, str, str | None]]:
        """(attempt, state, reason) of everything that happened to the run, in order."""
        with self.read() as db:
            lines = db.execute(
                "SELECT attempt, state, reason FROM transitions WHERE run_id = ? ORDER BY seq",
                (run_id,),
            )
            return [tuple(line) for line in lines]

    def claim(self, is_ready: Callable[[str], bool] = lambda run_id: True) -> RunState | None:
        """Takes the first waiting run that is ready, by priority and age: it is `starting` then.

        Args:
            is_ready: Whether a run_id may be started now. It is asked outside the transaction.

        Returns:
            The run, or None if no waiting run is ready.
        """
        with self.read() as db:
            waiting = select(db, "WHERE state = 'queued'", order=rows.IN_TURN)
        for run in waiting:
            if is_ready(run.run_id):
                now = time.time()
                if self.move(run, "starting", started_at=now, ended_at=None, handle=None):
                    return with_changes(
                        run,
                        state="starting",
                        reason=None,
                        started_at=now,
                        ended_at=None,
                        handle=None,
                    )
        return None

    def move(self, run: RunState, state: str, reason: str | None = None, **columns: object) -> bool:
        """Compare-and-set from the state and attempt that the caller saw.

        Returns:
            False if somebody else was faster.
        """
        with self.write() as db:
            return move(db, run, state, reason, **columns)

    def note(self, run: RunState, **columns: object) -> bool:
        """Changes columns but not the state, if the run is still where the caller saw it."""
        with self.write() as db:
            return update(db, run, **columns)

    def forget(self, run_id: str) -> None:
        """Removes the row."""
        with self.write() as db:
            db.execute("DELETE FROM runs WHERE run_id = ?", (run_id,))

    def sync(self) -> None:
        """Makes the rows what the folders say.

        The row of a live run is the supervisor's business: its process has to be ended first.
        """
        with self.write() as db:
            said = self.folders()  # read under the lock: no submission is half way
            known = {run.run_id: run for run in select(db)}
            for run_id in known.keys() | said.keys():
                if self._differs(known.get(run_id), said.get(run_id)):
                    self._put_right(db, run_id, known.get(run_id), said.get(run_id))

    def find(self, db: sqlite3.Connection, run_id: str) -> RunState:
        """The run as its folder says, within a transaction of the caller.

        Raises:
            UserError: There is no such run.
        """
        run = _row(db, run_id)
        if run is None:
            self.store.run_dir(run_id)
        stamps = self.store.stamps(run_id)
        if run is not None and not self.store.is_run(run_id):
            return run
        said = facts(self.store, run_id, stamps, plug_in_stamps())
        ended = verdict(self.store, run_id, said)
        if run is not None and run.is_active and ended and said.attempt == run.attempt:
            asked = as_asked(ended, run.request)
            if asked != ended:  # the folder has to say the same, or a new registry would not
                result = self.store.read_json(run_id, "result.json") or {"attempt": run.attempt}
                result |= {"state": asked.state, "message": asked.reason}
                self.store.write_json(run_id, "result.json", result)
                said = self.facts(run_id)
            move(db, run, *asked, ended_at=time.time())
        elif self._differs(run, said):
            self._put_right(db, run_id, run, said)
        return self._seen(run_id, _row(db, run_id), said)

    def settle(self, run_id: str) -> None:
        """Takes over the result.json of a run, for a run that no supervisor watches."""
        with contextlib.suppress(UserError), self.write() as db:
            self.find(db, run_id)

    def folders(self) -> dict[str, Facts]:
        """What every run folder says."""
        plug_ins = plug_in_stamps()
        return {
            run_id: facts(self.store, run_id, stamps, plug_ins)
            for run_id, stamps in self.store.folders().items()
        }

    def facts(self, run_id: str) -> Facts:
        """What one run folder says."""
        return facts(self.store, run_id, self.store.stamps(run_id), plug_in_stamps())

    def check(self) -> None:
        """Looks through the whole file; a damaged one is set aside and made anew."""
        _sound.pop(self.path, None)
        with contextlib.suppress(RegistryDamaged), self.read():
            pass

    def news(self) -> str | None:
        """A sentence if a damaged registry was set aside within the last hour."""
        for path in sorted(self.path.parent.glob("registry.db.broken-*"), reverse=True):
            when = path.name.rpartition("-")[2]
            if when.isdecimal() and 0 <= time.time() - int(when) < SECONDS_OF_NEWS:
                return (
                    f"The list of runs was damaged and has been built again from the run folders; "
                    f"the damaged file is {path.name}, which can be deleted."
                )
        return None

    @contextlib.contextmanager
    def write(self) -> Iterator[sqlite3.Connection]:
        """A write transaction: commits at the end, rolls back on any exception.

        Waits up to 10 s for other writers.
        """
        with self.read() as db:
            db.execute("BEGIN IMMEDIATE")
            try:
                yield db
                db.execute("COMMIT")
            except BaseException:
                if db.in_transaction:  # SQLite rolls back by itself if the disk is full
                    db.execute("ROLLBACK")
                raise

    def _differs(self, run: RunState | None, said: Facts | None) -> bool:
        """Whether a row contradicts its folder. Always False for a run that has a process."""
        if run is None:
            return said is not None and said.damage is None
        if run.is_active:
            return False
        if said is None:
            return True
        ended = verdict(self.store, run.run_id, said)
        if said.submission is not None and run.submitted_at != said.submitted_at:
            return True
        if run.attempt != said.attempt:
            # Whoever resumed it wrote control.json too; damage to that does not take it back.
            is_resumed = run.state == "queued" and run.attempt == said.attempt + 1
            return said.has_control or not is_resumed
        if ended is None:
            # Without a result a run has not finished. But it may have failed in a folder that
            # can't be written. Old registries also hold lost runs whose folders do not say so.
            is_kept = run.state in ("failed", "cancelled", "paused") and not os.access(
                self.store.root / run.run_id, os.W_OK
            )
            return run.state not in ("queued", "lost") and not is_kept
        return (run.state, run.reason) != ended

    def _put_right(
        self, db: sqlite3.Connection, run_id: str, run: RunState | None, said: Facts | None
    ) -> None:
        if said is None:
            db.execute("DELETE FROM runs WHERE run_id = ?", (run_id,))
        elif said.damage is None:
            try:
                row = row_from_folder(self.store, run_id)
            except UserError:
                return  # it was edited or removed this very moment
            if run is None:
                insert(db, row)
            else:
                rows.replace(db, run, row)

    def _seen(self, run_id: str, run: RunState | None, said: Facts) -> RunState:
        """A run as a list shows it: what its folder says, completed from its row."""
        ended = verdict(self.store, run_id, said)
        if run is None:
            run = RunState(
                run_id=run_id,
                state="running" if said.is_watched else "queued",
                attempt=said.attempt,
                submitted_at=said.submitted_at,
            )
        if ended and run.is_active:
            ended = as_asked(ended, run.request)
        is_news = ended and said.attempt == run.attempt and run.state != ended.state
        if ended and is_news and not _may_go_on(run, ended, said):
            run = with_changes(run, state=ended.state, reason=ended.reason, request=None)
        if run.is_active or said.problem is None:
            return run
        if run.state == "queued" and said.damage is None:
            return with_changes(run, reason=f"It waits: {said.refusal}")
        return with_changes(run, state="unreadable", reason=said.problem)

    @contextlib.contextmanager
    def read(self) -> Iterator[sqlite3.Connection]:
        """A connection for one operation.

        Raises:
            RegistryDamaged: The file was damaged and has been set aside.
        """
        try:
            db = self._connect()
        except (sqlite3.DatabaseError, UnicodeDecodeError) as error:  # a damaged name in a message
            if not self._set_aside(error):
                raise
            db = self._connect()
        inode = self._inode()
        try:
            yield db
        except sqlite3.DatabaseError as error:
            if self._set_aside(error, inode):
                raise RegistryDamaged(str(error)) from error
            raise
        finally:
            db.close()

    def _connect(self) -> sqlite3.Connection:
        db = sqlite3.connect(self.path, timeout=BUSY_SECONDS, isolation_level=None)
        try:
            db.execute("PRAGMA journal_mode = TRUNCATE")
            db.execute("PRAGMA synchronous = FULL")
            db.execute("PRAGMA foreign_keys = ON")
            if rows.version(db) != rows.SCHEMA_VERSION:
                self._rebuild(db)
            self._check(db)
        except BaseException:
            db.close()
            raise
        return db

    def _rebuild(self, db: sqlite3.Connection) -> None:
        """Tables of today, in one transaction: those of version 1, or made from the folders."""
        db.execute("BEGIN IMMEDIATE")
        # two processes may have found it missing
        if rows.version(db) != rows.SCHEMA_VERSION and not rows.upgrade(db):
            rows.make_tables(db)
            said = self.folders()
            for run_id in sorted(said, key=lambda run_id: said[run_id].submitted_at):
                self._put_right(db, run_id, None, said[run_id])
        db.execute("COMMIT")

    def _check(self, db: sqlite3.Connection) -> None:
        """Raises WrongContent for a file that SQLite finds fault with, if it has changed."""
        status = self.path.stat()
        stamp = (status.st_ino, status.st_size, status.st_mtime_ns)
        if _sound.get(self.path) != stamp:
            for complaint in rows.complaints(db):
                raise WrongContent(complaint)
            if time.time() - status.st_mtime > SECONDS_OF_A_STAMP:
                _sound[self.path] = stamp

    def _inode(self) -> int | None:
        try:
            return self.path.stat().st_ino
        except OSError:
            return None

    def _set_aside(self, error: Exception, inode: int | None = None) -> bool:
        """Puts a damaged registry away, so that whoever asks next makes a new one.

        Args:
            error: What SQLite said.
            inode: Of the file that was open. Another process may have made a new one already.

        Returns:
            Whether the error means damage.
        """
        if isinstance(error, RegistryDamaged) or _is_passing(error):
            return False
        if inode is None or inode == self._inode():
            journal = self.path.with_name("registry.db-journal")
            with contextlib.suppress(FileNotFoundError):
                journal.unlink()  # it would be played back into the new one
            with contextlib.suppress(FileNotFoundError):
                self.path.replace(self.path.with_name(f"registry.db.broken-{int(time.time())}"))
            for old in sorted(self.path.parent.glob("registry.db.broken-*"))[:-MOST_SET_ASIDE]:
                old.unlink(missing_ok=True)
        return True


def _may_go_on(run: RunState, ended: Decision, said: Facts) -> bool:
    """Whether an attempt has ended so recently that the supervisor may still queue the next one."""
    if not run.is_active or ended.state not in ("lost", "paused") or said.ended_at is None:
        return False
    return said.verdict is not None and 0 <= time.time() - said.ended_at < SECONDS_TO_JUDGE


def _row(db: sqlite3.Connection, run_id: str) -> RunState | None:
    found = select(db, "WHERE run_id = ?", run_id)
    return found[0] if found else None


def _is_passing(error: Exception) -> bool:
    return getattr(error, "sqlite_errorname", "").startswith(PASSING)
