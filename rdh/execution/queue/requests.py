"""What a person may ask of the queue: submit, cancel, resume, delete, and the states of all runs.

Every function is one transaction, returns at once and needs no living supervisor. A UserError says
in one sentence what is not possible. If the registry is damaged, the function sets it aside and
goes on with a new one.
"""

import contextlib
import errno
import functools
import sqlite3
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import ParamSpec, TypeVar

from rdh.config.run_config import RunConfig
from rdh.errors import UserError, encodable
from rdh.execution.queue.possible import check_possible
from rdh.execution.queue.registry import Registry, RegistryDamaged
from rdh.execution.queue.rows import RunState, insert, move, select, update
from rdh.execution.queue.run_folder import row_from_folder
from rdh.execution.queue.states import RESUMABLE, is_result, result_record
from rdh.execution.queue.watched import check_ours, is_watched
from rdh.folders import named_cache_root, named_data_root
from rdh.locks import is_locked
from rdh.store.run_store import RunStore

P = ParamSpec("P")
T = TypeVar("T")

MOST_AT_ONCE = 1000  # runs of one submission
MOST_WAITING = 10_000
SECONDS_TO_END = 3.0  # a worker that has written its result needs a moment to leave


def _healing(call: Callable[P, T]) -> Callable[P, T]:
    """Calls again if the registry was damaged: the first call has set it aside."""

    @functools.wraps(call)
    def twice(*arguments: P.args, **named: P.kwargs) -> T:
        try:
            return call(*arguments, **named)
        except RegistryDamaged:
            return call(*arguments, **named)

    return twice


def submit(
    store: RunStore,
    configs: Sequence[RunConfig],
    *,
    sweep: str | None = None,
    token: str | None = None,
    data_root: Path | str | None = None,
) -> list[str]:
    """Queues one run for each config, all or none.

    Args:
        store: The runs root.
        configs: One config for each run.
        sweep: The name of a sweep. If it already holds a run of a config that can be read, that run
            is taken, so that a half-done grid gets only what is missing.
        token: A mark of the form. The same token gives the same run ids again, so that a double
            click launches only once.
        data_root: The data folder of the runs. None means RDH_DATA, or else the default.

    Returns:
        The run ids, in the order of `configs`.

    Raises:
        UserError: This machine lacks something that a config needs, or a limit is passed, or the
            disk is full. No run folder and no row is left behind.
    """
    if len(configs) > MOST_AT_ONCE:
        raise UserError(
            f"At most {MOST_AT_ONCE} runs can be launched at once, got {len(configs)}; ask for "
            f"fewer seeds or code lengths."
        )
    sweep, token = (None if text is None else encodable(text) for text in (sweep, token))
    with plain_errors(store, "Nothing was submitted"):
        return _submit(store, configs, sweep, token, data_root)


@_healing
def _submit(
    store: RunStore,
    configs: Sequence[RunConfig],
    sweep: str | None,
    token: str | None,
    data_root: Path | str | None,
) -> list[str]:
    registry = Registry(store)
    with registry.read() as db:
        known = {one.hash: _run_of_sweep(store, db, sweep, one.hash) for one in configs}
        if before := _runs_of_token(db, token):
            return before
    for config in configs:  # outside the transaction: a path may be slow, or block
        if known[config.hash] is None:
            check_possible(config)
    data, cache = named_data_root(data_root), named_cache_root()
    made: list[str] = []
    with _taking_back(store, made), registry.write() as db:
        if before := _runs_of_token(db, token):
            return before
        _check_room(db, len(configs))
        run_ids = []
        for config in configs:
            run_id = _run_of_sweep(store, db, sweep, config.hash)
            if run_id is None:
                for unreadable in _of_sweep(db, sweep, config.hash):
                    update(db, unreadable, sweep=None)  # a sweep has one run of each config
                run_id = store.create(config, sweep=sweep, data_root=data, cache_root=cache)
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
    """Every run of the root as its folder says, oldest submission first.

    Raises:
        UserError: The registry can't be read or written.
    """
    with plain_errors(store, "The queue can't be read"):
        return _healing(Registry(store).look)()


def cancel(store: RunStore, run_id: str) -> None:
    """Cancels a waiting run at once, or asks a live one to save its state and end.

    Asking again changes nothing.

    Raises:
        UserError: There is no such run, or it has ended.
    """
    with plain_errors(store, f"Run {run_id} was not cancelled"):
        _cancel(store, run_id)


@_healing
def _cancel(store: RunStore, run_id: str) -> None:
    registry = Registry(store)
    with registry.write() as db:
        run = registry.find(db, run_id)
        check_ours(store, run_id, "cancelled")
        if run.is_final:
            raise UserError(
                f"Run {run_id} is {run.state}, so there is nothing to cancel; {_way_out(run)}."
            )
        if run.is_active:
            update(db, run, request="cancel")
            return
        reason = "Cancelled before it started."
        move(db, run, "cancelled", reason, ended_at=time.time())
        store.write_json(
            run_id, "result.json", result_record(run.attempt, "cancelled", "cancel", reason)
        )


def resume(store: RunStore, run_id: str) -> None:
    """Queues another attempt of a lost, failed or cancelled run.

    It goes on from its last checkpoint, if it has one.

    Raises:
        UserError: There is no such run, it is in another state, or its config.json can't be used.
    """
    with plain_errors(store, f"Run {run_id} was not resumed"):
        _resume(store, run_id)


@_healing
def _resume(store: RunStore, run_id: str) -> None:
    registry = Registry(store)
    with registry.write() as db:
        run = registry.find(db, run_id)
        if run.state == "unreadable":
            raise UserError(f"Run {run_id} can't be resumed: {run.reason}")
        check_ours(store, run_id, "resumed")
        if run.state not in RESUMABLE:
            way_out = _way_out(run) if run.is_final else "it goes on by itself"
            raise UserError(f"Run {run_id} is {run.state}, so it can't be resumed; {way_out}.")
        attempt = run.attempt + 1
        nothing_yet = dict.fromkeys(("request", "started_at", "ended_at", "device", "handle"))
        move(db, run, "queued", None, attempt=attempt, **nothing_yet)
        if not is_result(store.read_json(run_id, "result.json")):
            with contextlib.suppress(FileNotFoundError):  # a damaged one would end every attempt
                result = store.run_dir(run_id) / "result.json"
                result.replace(result.with_name("result.json.damaged"))
        # The folder has to know it too: an old process that sees it gives up, and a rebuild finds
        # the attempt waiting.
        store.write_json(run_id, "control.json", {"attempt": attempt, "request": None})


def resume_all(store: RunStore, *, sweep: str | None = None) -> tuple[list[str], dict[str, str]]:
    """Queues another attempt of every lost, failed or cancelled run.

    Args:
        store: Where the runs lie.
        sweep: Only the runs of this sweep.

    Returns:
        The ids of the runs that wait again, and run_id -> reason of those that can't be resumed.

    Raises:
        UserError: There is no such sweep.
    """
    runs = [run for run in states(store).values() if sweep is None or run.sweep == sweep]
    if sweep is not None and not runs:
        raise UserError(
            f"There is no sweep {sweep!r} in {store.root}; `python -m rdh runs` lists the runs."
        )
    resumed, refused = [], {}
    for run in runs:
        if run.state in RESUMABLE:
            if is_watched(store, run.run_id):
                continue  # nobody can mean these
            try:
                resume(store, run.run_id)
                resumed.append(run.run_id)
            except UserError as error:
                refused[run.run_id] = str(error)
    return resumed, refused


def delete(store: RunStore, run_id: str) -> None:
    """Removes a run that has no process, readable or not: its folder and its row.

    Raises:
        UserError: There is no such run, it has not ended, or its process is still ending.
    """
    deadline = time.monotonic() + SECONDS_TO_END
    lock = store.root / run_id / "alive.lock"
    with plain_errors(store, f"Run {run_id} was not deleted"):
        while not _delete(store, run_id, is_last=time.monotonic() > deadline):
            while is_locked(lock) and time.monotonic() <= deadline:
                time.sleep(0.05)


@_healing
def _delete(store: RunStore, run_id: str, *, is_last: bool) -> bool:
    """Deletes the run. False if its process is still ending and `is_last` is not set."""
    registry = Registry(store)
    with registry.write() as db:
        run = registry.find(db, run_id)
        if run.is_active:
            first = "end the process that trains it" if is_watched(store, run_id) else "cancel it"
            raise UserError(f"Run {run_id} is {run.state}; {first} first, then delete it.")
        if is_locked(store.root / run_id / "alive.lock"):
            if is_last:
                raise UserError(
                    f"Run {run_id} is {run.state}, but its process is still ending; the supervisor "
                    f"ends it within a minute, so delete the run then."
                )
            return False
        db.execute("DELETE FROM runs WHERE run_id = ?", (run_id,))
        if (store.root / run_id).exists():
            store.delete(run_id)
        return True


@contextlib.contextmanager
def plain_errors(store: RunStore, what: str) -> Iterator[None]:
    """Turns errors of the disk and the database into one sentence that begins with `what`."""
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
    """Removes the folders in `made` if anything fails, even the commit of their rows."""
    try:
        yield
    except BaseException:
        for run_id in made:
            with contextlib.suppress(Exception):
                store.delete(run_id)
        raise


def _run_of_sweep(
    store: RunStore, db: sqlite3.Connection, sweep: str | None, config_hash: str
) -> str | None:
    """The run of the sweep with this config. One that can't be read serves nobody."""
    for run in _of_sweep(db, sweep, config_hash):
        with contextlib.suppress(UserError):
            store.submission(run.run_id)
            return run.run_id
    return None


def _of_sweep(db: sqlite3.Connection, sweep: str | None, config_hash: str) -> list[RunState]:
    return select(db, "WHERE sweep = ? AND config_hash = ?", sweep, config_hash) if sweep else []


def _runs_of_token(db: sqlite3.Connection, token: str | None) -> list[str]:
    found = db.execute("SELECT run_id FROM tokens WHERE token = ? ORDER BY position", (token,))
    return [run_id for (run_id,) in found]


def _check_room(db: sqlite3.Connection, n_new: int) -> None:
    n_waiting = db.execute("SELECT COUNT(*) FROM runs WHERE state = 'queued'").fetchone()[0]
    if n_waiting + n_new > MOST_WAITING:
        raise UserError(
            f"At most {MOST_WAITING} runs can wait in the queue, which holds {n_waiting} now, got "
            f"{n_new} more; cancel some, or wait until they have run."
        )


def _way_out(run: RunState) -> str:
    if run.state == "unreadable":
        return "delete it"
    if run.state == "finished":
        return "clone it to train it once more, or delete it"
    return "resume it or delete it"
