"""Submissions to the queue, and the states of all runs. `acts` holds what is asked of one run.

Every function is one transaction, returns at once and needs no living supervisor. A UserError says
in one sentence what is not possible. If the registry is damaged, the function sets it aside and
goes on with a new one.
"""

import contextlib
import sqlite3
from collections.abc import Iterator, Sequence
from pathlib import Path

from rdh.config.run_config import RunConfig
from rdh.errors import UserError, encodable
from rdh.execution.queue.possible import check_possible
from rdh.execution.queue.registry import Registry
from rdh.execution.queue.rows import RunState, insert, select, update
from rdh.execution.queue.run_folder import row_from_folder
from rdh.execution.queue.trouble import healing, plain_errors
from rdh.folders import named_cache_root, named_data_root
from rdh.store.run_store import RunStore

MOST_AT_ONCE = 1000  # runs of one submission
MOST_WAITING = 10_000


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


@healing
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
        return healing(Registry(store).look)()


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
