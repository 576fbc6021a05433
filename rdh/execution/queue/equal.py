"""Which runs have exactly these settings, and which have failed: one question to the registry."""

from collections.abc import Iterable

from rdh.execution.queue.registry import Registry, RegistryDamaged
from rdh.execution.queue.trouble import plain_errors
from rdh.store.run_store import RunStore

AT_ONCE = 500  # places of one statement; SQLite has a limit
NEWEST = 30  # failed runs that are asked for


def equal_runs(store: RunStore, config_hashes: Iterable[str]) -> dict[str, list[str]]:
    """The runs with the settings of these hashes, seed included.

    Args:
        store: The runs root.
        config_hashes: `RunConfig.hash` of each config.

    Returns:
        Hash -> ids of its runs, oldest submission first; only hashes that have a run.

    Raises:
        UserError: The queue can't be read.
    """
    wanted = list(dict.fromkeys(config_hashes))
    with plain_errors(store, "Nobody knows which runs have these settings"):
        try:
            return _ask(store, wanted)
        except RegistryDamaged:  # it has been set aside; the next call makes a new one
            return _ask(store, wanted)


def finished_runs(store: RunStore, config_hashes: Iterable[str]) -> dict[str, list[str]]:
    """Those of `equal_runs` that have finished: only they say what to expect.

    Raises:
        UserError: As `equal_runs`.
    """
    found = {}
    for one, run_ids in equal_runs(store, config_hashes).items():
        if done := [run for run in run_ids if store.result(run).get("state") == "finished"]:
            found[one] = done
    return found


def failed_runs(store: RunStore) -> list[str]:
    """Runs that failed, the newest 30, newest first.

    Raises:
        UserError: The queue can't be read.
    """
    registry = Registry(store)
    if not registry.path.exists():  # of a folder that is only read: nothing is made in it
        return []
    asked = (
        "SELECT run_id FROM runs WHERE state = 'failed' "
        f"ORDER BY submitted_at DESC, rowid DESC LIMIT {NEWEST}"
    )
    with plain_errors(store, "Nobody knows which runs have failed"):
        try:
            with registry.read() as db:
                return [run_id for (run_id,) in db.execute(asked)]
        except RegistryDamaged:  # it has been set aside; the next call makes a new one
            return []


def _ask(store: RunStore, wanted: list[str]) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    with Registry(store).read() as db:
        for first in range(0, len(wanted), AT_ONCE):
            some = wanted[first : first + AT_ONCE]
            places = ", ".join("?" * len(some))
            asked = (
                f"SELECT config_hash, run_id FROM runs WHERE config_hash IN ({places}) "
                "ORDER BY submitted_at, rowid"
            )
            for config_hash, run_id in db.execute(asked, some):
                found.setdefault(config_hash, []).append(run_id)
    return found
