"""What a person may ask of the queue: submit, cancel, resume, delete, and how things stand.

Every function is one transaction, answers at once and needs no living supervisor. UserError says in
one sentence what is not possible.
"""

import contextlib
import errno
import sqlite3
import time
from collections.abc import Iterator, Sequence

from rdh.config.run_config import RunConfig
from rdh.errors import UserError
from rdh.execution.queue.possible import check_possible
from rdh.execution.queue.registry import Registry
from rdh.execution.queue.rows import RunState, find, insert, move, select, update
from rdh.execution.queue.run_folder import row_from_folder
from rdh.execution.queue.states import RESUMABLE, result_record
from rdh.locks import is_locked
from rdh.store.run_store import RunStore


def submit(
    store: RunStore,
    configs: Sequence[RunConfig],
    *,
    sweep: str | None = None,
    token: str | None = None,
) -> list[str]:
    """Queues one run a config and returns their ids, in the order of `configs`.

    token: a form's own mark; the same token again gives the ids it gave before, so that a double
    click is one launch.
    sweep: a name; a config that the sweep already holds gives the run it has, so that a half-done
    grid gets only what is missing.
    All or nothing: on any failure no run folder and no row is left behind. UserError too for what
    this machine lacks.
    """
    made: list[str] = []
    with (
        plain_errors(store, "Nothing was submitted"),
        _taking_back(store, made),
        Registry(store).write() as db,
    ):
        if token is not None:
            before = db.execute(
                "SELECT run_id FROM tokens WHERE token = ? ORDER BY position", (token,)
            ).fetchall()
            if before:
                return [run_id for (run_id,) in before]
        run_ids = []
        for config in configs:
            run_id = _run_of_sweep(db, sweep, config.hash)
            if run_id is None:
                check_possible(config)
                run_id = store.create(config, sweep=sweep)
                made.append(run_id)
                insert(db, row_from_folder(store, run_id))
            run_ids.append(run_id)
        if token is not None:
            db.executemany(
                "INSERT INTO tokens VALUES (?, ?, ?)",
                [(token, n, run_id) for n, run_id in enumerate(run_ids)],
            )
        return run_ids


def states(store: RunStore) -> dict[str, RunState]:
    """Every run of the root, oldest submission first."""
    with plain_errors(store, "The queue can't be read"):
        return Registry(store).rows()


def cancel(store: RunStore, run_id: str) -> None:
    """A waiting run is cancelled at once; a live one is asked to save its state and end.

    Asking twice is once.
    """
    with plain_errors(store, f"Run {run_id} was not cancelled"), Registry(store).write() as db:
        run = find(db, store, run_id)
        if run.is_final:
            raise UserError(
                f"Run {run_id} is {run.state}, so there is nothing to cancel; {_way_out(run)}."
            )
        if run.is_active:
            update(db, run, request="cancel")
            return
        reason = "Cancelled before it started."
        store.write_json(
            run_id, "result.json", result_record(run.attempt, "cancelled", "cancel", reason)
        )
        move(db, run, "cancelled", reason, ended_at=time.time())


def resume(store: RunStore, run_id: str) -> None:
    """Queues another attempt of a lost, failed or cancelled run; it goes on from its last
    checkpoint, if any.
    """
    with plain_errors(store, f"Run {run_id} was not resumed"), Registry(store).write() as db:
        run = find(db, store, run_id)
        if run.state not in RESUMABLE:
            way_out = _way_out(run) if run.is_final else "it goes on by itself"
            raise UserError(f"Run {run_id} is {run.state}, so it can't be resumed; {way_out}.")
        attempt = run.attempt + 1
        # The folder has to know it too: an old process that sees it gives up, and a rebuild finds
        # the attempt waiting.
        store.write_json(run_id, "control.json", {"attempt": attempt, "request": None})
        nothing_yet = {
            "request": None,
            "started_at": None,
            "ended_at": None,
            "device": None,
            "handle": None,
        }
        move(db, run, "queued", None, attempt=attempt, **nothing_yet)


def delete(store: RunStore, run_id: str) -> None:
    """Removes a run that has no process: its folder and its row."""
    with plain_errors(store, f"Run {run_id} was not deleted"), Registry(store).write() as db:
        run = find(db, store, run_id)
        if run.is_active:
            raise UserError(f"Run {run_id} is {run.state}; cancel it first, then delete it.")
        if is_locked(store.root / run_id / "alive.lock"):
            raise UserError(
                f"Run {run_id} is {run.state}, but its process is still ending; delete "
                f"it in a few seconds."
            )
        if (store.root / run_id).exists():
            store.delete(run_id)
        db.execute("DELETE FROM runs WHERE run_id = ?", (run_id,))


@contextlib.contextmanager
def plain_errors(store: RunStore, what: str) -> Iterator[None]:
    """Turns what disk and database throw into one sentence that begins with `what` did not happen."""
    try:
        yield
    except sqlite3.Error as error:
        name = getattr(error, "sqlite_errorname", "")
        if name == "SQLITE_FULL":
            raise UserError(
                f"{what}: the disk of {store.root} is full. Free some space and try again."
            ) from error
        if name.startswith("SQLITE_BUSY"):
            raise UserError(
                f"{what}: another process keeps the queue of {store.root} busy. Try "
                f"again in a moment."
            ) from error
        raise UserError(
            f"{what}: the queue {store.root / 'registry.db'} can't be used ({error})."
        ) from error
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            raise UserError(
                f"{what}: the disk of {store.root} is full. Free some space and try again."
            ) from error
        raise UserError(
            f"{what}: {error.strerror or error} ({error.filename or store.root})."
        ) from error


@contextlib.contextmanager
def _taking_back(store: RunStore, made: list[str]) -> Iterator[None]:
    """Removes the folders in `made` if anything fails, the commit of their rows included."""
    try:
        yield
    except BaseException:
        for run_id in made:
            with contextlib.suppress(Exception):
                store.delete(run_id)
        raise


def _run_of_sweep(db: sqlite3.Connection, sweep: str | None, config_hash: str) -> str | None:
    if sweep is None:
        return None
    found = select(db, "WHERE sweep = ? AND config_hash = ?", sweep, config_hash)
    return found[0].run_id if found else None


def _way_out(run: RunState) -> str:
    if run.state == "finished":
        return "clone it to train it once more, or delete it"
    return "resume it or delete it"
