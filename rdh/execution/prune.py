"""What can be deleted of old runs to make room, and its deletion.

Nothing that an unfinished run goes on from is ever touched, and nothing of a run that has a
process. RDH_KEEP_DAYS is how old a run must be, in days, unless the caller says so.
"""

import contextlib
import time
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from rdh.errors import UserError
from rdh.execution.queue.requests import states
from rdh.execution.queue.rows import RunState
from rdh.locks import is_locked
from rdh.store.run_store import RunStore

# what -> what it means to lose it
KINDS = {
    "spare": "files of no more use: all but the newest checkpoint of a finished run, and what "
    "damage or a kill left behind; nothing is lost",
    "checkpoints": "the newest checkpoint of a finished run; it can't encode new images any more",
    "probes": "codes that a finished run kept while it trained; Bits shows no moments of it then",
    "codes": "codes that a finished run ended with; Retrieval and search have nothing of it then",
}
LEFT_BEHIND = ("checkpoints/.draft-*", "checkpoints/*.damaged", ".draft-*", "result.json.damaged")
SECONDS_A_DAY = 86_400.0


@dataclass(frozen=True)
class Prunable:
    """A file that can be deleted.

    Attributes:
        run_id: its run.
        kind: of KINDS.
        path: the file.
        n_bytes: its size.
    """

    run_id: str
    kind: str
    path: Path
    n_bytes: int


def keep_days(env: Mapping[str, str]) -> float:
    """Days that a run is kept whole.

    Raises:
        UserError: RDH_KEEP_DAYS is not a number of at least 0.
    """
    return days_of(env.get("RDH_KEEP_DAYS") or "0")


def days_of(value: str) -> float:
    """A number of days as somebody typed it.

    Raises:
        UserError: It is not a number of at least 0.
    """
    with contextlib.suppress(ValueError):
        if 0 <= float(value) < float("inf"):
            return float(value)
    raise UserError(
        f"RDH_KEEP_DAYS or --older must be a number of days, at least 0, got {value!r}; correct or "
        "omit it."
    )


def prunable(store: RunStore, kinds: Collection[str], days: float) -> list[Prunable]:
    """What can be deleted.

    Args:
        store: The runs.
        kinds: Of KINDS.
        days: How long a run must have ended.

    Raises:
        UserError: A kind is unknown, or the queue can't be read.
    """
    for kind in kinds or [""]:
        if kind not in KINDS:
            raise UserError(f"What to prune must be one of {', '.join(KINDS)}, got {kind!r}.")
    found = []
    for run in states(store).values():
        if _is_old(store, run, days):
            found += list(_of_run(store, run, kinds))
    return found


def prune(store: RunStore, found: Collection[Prunable]) -> int:
    """Deletes files that `prunable` has found, unless their run has a process again.

    Returns:
        The bytes that were freed.
    """
    freed, now = 0, states(store)
    for one in found:
        run = now.get(one.run_id)
        if run is None or not _is_at_rest(store, run):
            continue
        if one.kind in _allowed(run):
            with contextlib.suppress(OSError):
                one.path.unlink()
                freed += one.n_bytes
    return freed


def _is_old(store: RunStore, run: RunState, days: float) -> bool:
    if not _is_at_rest(store, run):
        return False
    ended = run.ended_at or run.submitted_at
    return time.time() - ended >= days * SECONDS_A_DAY


def _is_at_rest(store: RunStore, run: RunState) -> bool:
    is_held = is_locked(store.root / run.run_id / "alive.lock")
    return run.is_final and run.state != "unreadable" and not is_held


def _allowed(run: RunState) -> tuple[str, ...]:
    return tuple(KINDS) if run.state == "finished" else ("spare",)


def _of_run(store: RunStore, run: RunState, kinds: Collection[str]) -> Iterator[Prunable]:
    folder = store.root / run.run_id
    files = {"spare": [path for name in LEFT_BEHIND for path in folder.glob(name)]}
    if run.state == "finished":
        saved = sorted((folder / "checkpoints").glob("[0-9]*.pt"))
        notes = [path.with_suffix(".sha256") for path in saved]
        files["spare"] += [*saved[:-1], *notes[:-1]]
        files["checkpoints"] = [*saved[-1:], *notes[-1:]]
        files["probes"] = sorted((folder / "codes").glob("probe-*.npz"))
        files["codes"] = sorted((folder / "codes").glob("final*.npz"))
    for kind in kinds:
        for path in files.get(kind, ()):
            with contextlib.suppress(OSError):
                yield Prunable(run.run_id, kind, path, path.stat().st_size)
