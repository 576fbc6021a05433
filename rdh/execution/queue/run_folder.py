"""What a run folder says about its run, without any registry. The list of runs is made of this."""

import contextlib
import os
import socket
import time
from collections.abc import Container, Mapping
from dataclasses import dataclass, replace
from functools import cached_property, lru_cache
from pathlib import Path
from typing import Any, NamedTuple

import rdh
from rdh.config.watched import WATCHED
from rdh.errors import UserError, printable
from rdh.execution.engine import kinds
from rdh.execution.engine.base import attempt_of
from rdh.execution.queue.rows import RunState
from rdh.execution.queue.states import (
    REQUESTS,
    Decision,
    as_asked,
    attempt_in,
    from_result,
    is_result,
)
from rdh.files import is_number, read_json, read_regular, well_typed
from rdh.locks import is_locked
from rdh.store.log import LOG_HEADER, tail
from rdh.store.notes import read_notes
from rdh.store.run_store import RunStore, Stamp

LONGEST_LINE = 300
NO_RESULT = Decision("lost", "Its result.json can't be read, so nobody knows how it ended.")
GONE = Decision("lost", "Its process is gone, and the disk is too full to note how it ended.")
NOT_BEGUN = Decision("queued", "Its start was interrupted, so it waits again.")
LOCK = "supervisor.lock"  # of the runs root; the supervisor says there what it is
PLUG_INS = ("methods", "datasets", "backbones")
DISK = "disk"  # the supervisor's own request: pause, since the disk is nearly full
SECONDS_STALLED = 60.0  # without a step
SECONDS_ELSEWHERE = 600.0  # without a heartbeat, for a watched run of another machine

Stamps = tuple[Stamp, ...]


class Loss(NamedTuple):
    """How the attempt before the present one was lost.

    Args:
        reason: A sentence.
        step: That it had come to, `last_step`.
        from_step: What the present attempt goes on from.
    """

    reason: str
    step: int
    from_step: int


@dataclass(frozen=True)
class Facts:
    """What config.json, result.json and control.json of a folder say.

    Args:
        submission: config.json; None if it is damaged.
        damage: A sentence if config.json is missing, cut or was edited.
        refusal: A sentence if this version does not take the config. It may take it later: a
            plug-in file can be mended.
        attempt: The latest attempt that a file names.
        verdict: How that attempt ended, by result.json.
        is_result_damaged: There is a result.json that says nothing.
        has_control: There is a control.json that names an attempt.
        submitted_at: Unix seconds; the time of a file if config.json does not say.
        ended_at: When result.json was written, in Unix seconds.
    """

    submission: dict[str, Any] | None
    damage: str | None
    refusal: str | None
    attempt: int
    verdict: Decision | None
    is_result_damaged: bool
    has_control: bool
    submitted_at: float
    ended_at: float | None

    @property
    def problem(self) -> str | None:
        return self.damage or self.refusal

    @cached_property
    def is_watched(self) -> bool:
        """Whether a loop that is not ours trains the run: the queue only looks on."""
        return self.submission is not None and self.submission.get("kind") == WATCHED


def facts(store: RunStore, run_id: str, stamps: Stamps, plug_ins: int) -> Facts:
    """What a folder says. Read once per version of its files, so that a list of many is cheap.

    Args:
        store: Where the run lies.
        run_id: The run.
        stamps: Of its files, from `RunStore.folders`.
        plug_ins: From `plug_in_stamps`: whether a config is taken depends on those files too.
    """
    return _facts(store, run_id, stamps, plug_ins)


@lru_cache(maxsize=20_000)
def _facts(store: RunStore, run_id: str, stamps: Stamps, plug_ins: int) -> Facts:
    run_dir = store.root / run_id
    submission = damage = refusal = None
    try:
        submission = store.submission(run_id)
        store.config(run_id)
    except UserError as error:
        damage, refusal = (str(error), None) if submission is None else (None, str(error))
    result, control = (read_json(run_dir / f"{name}.json") for name in ("result", "control"))
    attempt = max(1, attempt_in(result) or 1, attempt_in(control) or 1)
    changed = next((stamp[2] / 1e9 for stamp in stamps if stamp), 0.0)
    return Facts(
        submission=submission,
        damage=damage,
        refusal=refusal,
        attempt=attempt,
        verdict=from_result(result, attempt),
        is_result_damaged=stamps[1] is not None and not is_result(result),
        has_control=attempt_in(control) is not None,
        submitted_at=submission["submitted_at"] if submission else changed,
        ended_at=stamps[1][2] / 1e9 if stamps[1] else None,
    )


def plug_in_stamps() -> int:
    """A number that changes with any file of a method, data set or backbone."""
    stamps = []
    for name in PLUG_INS:
        with os.scandir(Path(rdh.__file__).parent / name) as entries:
            for entry in entries:
                if entry.name.endswith(".py"):
                    with contextlib.suppress(OSError):  # a link that leads nowhere, a file removed
                        status = entry.stat()
                        stamps.append((entry.path, status.st_size, status.st_mtime_ns))
    return hash(tuple(sorted(stamps)))


def verdict(store: RunStore, run_id: str, said: Facts) -> Decision | None:
    """How the run's latest attempt ended; None if the folder does not say.

    A damaged result.json counts as `lost`, unless a process still lives that may write a new one.
    So does a watched run without a result whose process is gone.
    """
    if said.is_watched and said.verdict is None:
        return watched_end(store, run_id)
    if said.is_result_damaged and not is_locked(store.root / run_id / "alive.lock"):
        return NO_RESULT
    return said.verdict


def watched_end(store: RunStore, run_id: str) -> Decision | None:
    """How a watched run without a result ended: lost if its process is gone, None if it lives.

    Its process holds alive.lock as long as it lives. The lock of another machine may not be seen
    here, so such a run counts by its heartbeat.
    """
    run_dir = store.root / run_id
    if is_locked(run_dir / "alive.lock"):
        return None
    beat = well_typed(read_json(run_dir / "hb.json") or {})
    if beat.get("host") not in (None, socket.gethostname()):
        age = time.time() - (_changed_at(run_dir / "hb.json") or 0.0)
        if age < SECONDS_ELSEWHERE:
            return None
    step = last_step(store, run_id, 1)
    said = f"{step:,}" if step or "step" in beat else "an unknown one"
    return Decision("lost", f"The process that trained it is gone; its last step was {said}.")


def unless_gone(store: RunStore, run: RunState) -> RunState:
    """The run, as lost if its row says that it lives and its process on this machine is gone.

    A run whose start was interrupted waits again. For a full disk, where neither its result nor its
    row can be written. Otherwise the supervisor judges, a moment later.
    """
    if not run.is_active or is_locked(store.root / run.run_id / "alive.lock"):
        return run
    handle = run.handle or read_handle(store.root / run.run_id)
    ended = None
    if attempt_of(handle, run.run_id) == run.attempt:
        if handle.partition(":")[2].partition(":")[0].isdecimal():  # a process, no cluster's job
            ended = GONE
    elif run.state == "starting" and _starts_here(store):
        ended = GONE if run.request else NOT_BEGUN  # a start here takes the lock first
    if ended is None:
        return run
    state, reason = as_asked(ended, run.request)
    return replace(run, state=state, reason=reason, request=None)


def _starts_here(store: RunStore) -> bool:
    """Whether the supervisor starts its runs on this machine; as it does if it says nothing."""
    said = (read_json(store.root / LOCK) or {}).get("engine")
    return not isinstance(said, dict) or said.get("name") == kinds.LOCAL


def row_from_folder(store: RunStore, run_id: str) -> dict[str, Any]:
    """The columns of the run's row.

    A run with a handle or a heartbeat of its latest attempt but without a result counts as
    running. The supervisor finds out whether its process still lives, as for any other run.

    Raises:
        UserError: config.json can't be read.
    """
    submission = store.submission(run_id)
    run_dir = store.run_dir(run_id)
    result, beat, control = (
        read_json(run_dir / f"{name}.json") for name in ("result", "hb", "control")
    )
    handle = read_handle(run_dir)
    named = [attempt_in(record) for record in (result, beat, control)]
    attempt = max(1, *(number or 1 for number in [*named, attempt_of(handle, run_id)]))
    row = {
        "run_id": run_id,
        "state": "queued",
        "attempt": attempt,
        "request": None,
        "reason": None,
        "submitted_at": float(submission["submitted_at"]),
        "started_at": None,
        "ended_at": None,
        "sweep": submission["sweep"],
        "handle": None,
        "config_hash": submission["config_hash"],
        "priority": read_notes(store, run_id).priority,
    }
    has_handle = attempt_of(handle, run_id) == attempt
    if has_handle:
        row |= {"handle": handle, "started_at": _changed_at(run_dir / "handle")}
    ended = from_result(result, attempt)
    if ended is None and (run_dir / "result.json").exists() and not is_result(result):
        ended = None if is_locked(run_dir / "alive.lock") else NO_RESULT
    is_watched = submission.get("kind") == WATCHED
    if ended is None and is_watched:
        ended = watched_end(store, run_id)
    if ended is not None:
        row |= {
            "state": ended.state,
            "reason": ended.reason,
            "ended_at": _changed_at(run_dir / "result.json"),
        }
    elif is_watched:  # it never waits, so nothing starts it
        row |= {"state": "running", "started_at": row["submitted_at"]}
    elif has_handle or attempt_in(beat) == attempt:
        row |= {"state": "running", "request": request_in(control, attempt)}
    return row


def stalled_for(state: RunState, beat: dict[str, Any]) -> float | None:
    """Seconds since a run last did a step, if they are many. Nobody ends a run for that.

    Args:
        state: Its row.
        beat: Its hb.json, `well_typed`.

    Returns:
        None for a run that goes on, or that does not train yet.
    """
    seconds = beat.get("seconds_since_step", 0.0)
    is_training = state.is_active and beat.get("phase") == "training"
    is_stalled = is_training and beat.get("attempt") == state.attempt and seconds >= SECONDS_STALLED
    return seconds if is_stalled else None


def control_record(
    attempt: int,
    request: str | None = None,
    *,
    automatic: int = 0,
    from_step: int = 0,
    lost: Mapping[str, Any] | None = None,
) -> dict[str, Any]:
    """The content of control.json.

    Args:
        attempt: The latest one; processes of older ones give up.
        request: What is asked of it: of REQUESTS, or DISK.
        automatic: How many times in a row, up to this attempt, the queue resumed the run by itself.
        from_step: The step that this attempt goes on from.
        lost: How the attempt before was lost, {reason, step}; None if it was not.
    """
    record = {"attempt": attempt, "request": request}
    record |= {"automatic": automatic} if automatic else {}
    record |= {"from_step": from_step} if automatic or lost else {}
    return record | ({"lost": dict(lost)} if lost else {})


def loss_before(store: RunStore, run_id: str, attempt: int) -> Loss | None:
    """How the attempt before this one was lost; None if it was not, or nobody wrote it down."""
    said = store.read_json(run_id, "control.json") or {}
    lost = said.get("lost")
    if attempt_in(said) != attempt or not isinstance(lost, dict):
        return None
    reason, step, from_step = lost.get("reason"), lost.get("step"), said.get("from_step")
    if not isinstance(reason, str) or not is_number(step) or not is_number(from_step):
        return None
    return Loss(printable(reason), int(step), int(from_step))


def last_step(store: RunStore, run_id: str, attempt: int) -> int:
    """The last step that a run has come to, as every page and verb says it; 0 if nothing tells.

    The newest record counts, whichever attempt wrote it: a resume removes those after its
    checkpoint. Of the attempt itself count its result, and its heartbeat until it ends. A run that
    failed has often beaten after the step that broke it; one that was killed has no other word.

    Args:
        store: Where the run lies.
        run_id: The run.
        attempt: The attempt whose result and heartbeat count.
    """
    steps: list[Any] = [0]
    with contextlib.suppress(UserError):  # records that can't be read
        steps.append(store.reader(run_id).last_step())
    result, beat = (
        said if attempt_in(said) == attempt else {}
        for said in (store.result(run_id), store.heartbeat(run_id))
    )
    steps.append(result.get("step"))
    if result.get("state", "lost") == "lost":
        steps.append(beat.get("step"))
    return int(max(step for step in steps if is_number(step)))


def progress(store: RunStore, run: RunState) -> tuple[int, int | None]:
    """(`last_step` of a run, all its steps); None: nobody knows yet how many these are."""
    total = store.heartbeat(run.run_id).get("total_steps")
    if total is None:  # its newest attempt has not trained yet, or ended before
        with contextlib.suppress(UserError):  # records that can't be read
            total = store.reader(run.run_id).meta().get("total_steps")
    return last_step(store, run.run_id, run.attempt), total


def request_in(
    control: dict[str, Any] | None, attempt: int, *, known: Container[object] = REQUESTS
) -> str | None:
    """What is asked of this attempt, by control.json; None if nothing that is known.

    Without `known`: what a person asks.
    """
    asked = (control or {}).get("request")
    is_ours = attempt_in(control) == attempt and isinstance(asked, str) and asked in known
    return asked if is_ours else None


def read_handle(run_dir: Path) -> str:
    """The handle that the engine left in the folder; empty if there is none."""
    try:
        return read_regular(run_dir / "handle").decode("utf-8").strip()
    except (OSError, ValueError):
        return ""


def last_log_line(run_dir: Path) -> str | None:
    """The last line that this attempt wrote to log.txt; None if it wrote nothing."""
    # splitlines also cuts at the "\r" of a progress bar
    lines = [line.strip() for line in tail(run_dir / "log.txt").splitlines() if line.strip()]
    if not lines or lines[-1].startswith(LOG_HEADER):
        return None
    return lines[-1][:LONGEST_LINE]


def _changed_at(path: Path) -> float | None:
    try:
        return path.stat().st_mtime
    except OSError:
        return None
