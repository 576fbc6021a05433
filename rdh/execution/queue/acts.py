"""What a person may ask of a run in the queue: cancel, pause, resume, start over, priority, delete.

Every function is one transaction, returns at once and needs no living supervisor. A UserError says
in one sentence what is not possible.
"""

import contextlib
import sqlite3
import time

from rdh.errors import UserError
from rdh.execution.queue.registry import Registry
from rdh.execution.queue.requests import states
from rdh.execution.queue.rows import RunState, move, update
from rdh.execution.queue.run_folder import control_record, last_step
from rdh.execution.queue.states import (
    DIVERGED,
    REQUESTS,
    RESUMABLE,
    is_result,
    result_record,
)
from rdh.execution.queue.trouble import healing, plain_errors
from rdh.execution.queue.watched import check_ours, is_watched
from rdh.locks import is_locked
from rdh.store.notes import change_notes, is_priority, no_priority
from rdh.store.run_store import RunStore

SECONDS_TO_END = 3.0  # a worker that has written its result needs a moment to leave


def cancel(store: RunStore, run_id: str) -> None:
    """Cancels a waiting run at once, or asks a live one to save its state and end.

    Asking again changes nothing. A pause that is under way becomes a cancel.

    Raises:
        UserError: There is no such run, or it has ended.
    """
    with plain_errors(store, f"Run {run_id} was not cancelled"):
        _ask(store, run_id, "cancel")


def pause(store: RunStore, run_id: str) -> None:
    """Pauses a waiting run at once, or asks a live one to save its state and free its device.

    A paused run waits for `resume`. Asking again changes nothing.

    Raises:
        UserError: There is no such run, it has ended, or it is being cancelled.
    """
    with plain_errors(store, f"Run {run_id} was not paused"):
        _ask(store, run_id, "pause")


@healing
def _ask(store: RunStore, run_id: str, request: str) -> None:
    registry, state = Registry(store), REQUESTS[request]
    with registry.write() as db:
        run = registry.find(db, run_id)
        check_ours(store, run_id, state)
        if run.is_final:
            raise UserError(
                f"Run {run_id} is {run.state}, so there is nothing to {request}; {_way_out(run)}."
            )
        if run.is_active:
            if (run.request, request) == ("cancel", "pause"):
                raise UserError(
                    f"Run {run_id} is being cancelled, so it can't be paused; resume it once it "
                    f"has ended."
                )
            update(db, run, request=request)
            return
        reason = f"{state.capitalize()} before it started."
        move(db, run, state, reason, ended_at=time.time())
        step = store.resume_step(run_id)  # of an attempt before
        record = result_record(run.attempt, state, request, reason, step=step)
        store.write_json(run_id, "result.json", record)


def resume(store: RunStore, run_id: str) -> None:
    """Queues another attempt of a lost, failed, cancelled or paused run.

    It goes on from its last checkpoint, if it has one.

    Raises:
        UserError: There is no such run, it is in another state, or its config.json can't be used.
    """
    with plain_errors(store, f"Run {run_id} was not resumed"):
        _resume(store, run_id, keeps=True)


def start_over(store: RunStore, run_id: str) -> None:
    """Queues another attempt of a run, from step 0. What the attempts before recorded is removed.

    Raises:
        UserError: As `resume`, or its last process is still ending.
    """
    with plain_errors(store, f"Run {run_id} was not started over"):
        _resume(store, run_id, keeps=False)


@healing
def _resume(store: RunStore, run_id: str, *, keeps: bool) -> None:
    registry, done = Registry(store), "resumed" if keeps else "started over"
    with registry.write() as db:
        run = registry.find(db, run_id)
        if run.state == "unreadable":
            raise UserError(f"Run {run_id} can't be {done}: {run.reason}")
        check_ours(store, run_id, done)
        if run.state not in RESUMABLE:
            goes_on = "it goes on by itself" if keeps else "pause or cancel it first"
            way_out = _way_out(run) if run.is_final else goes_on
            raise UserError(f"Run {run_id} is {run.state}, so it can't be {done}; {way_out}.")
        if not keeps:
            if is_locked(store.root / run_id / "alive.lock"):
                raise UserError(
                    f"Run {run_id} can't be started over yet, because its last process is still "
                    f"ending; try again in a moment."
                )
            store.forget(run_id)  # numbers of a run that has not started are of no use
        queue_again(store, db, run)


def queue_again(
    store: RunStore,
    db: sqlite3.Connection,
    run: RunState,
    reason: str | None = None,
    *,
    automatic: int = 0,
) -> bool:
    """Moves a run back into the queue with its next attempt, within the caller's transaction.

    Args:
        store: Where the runs lie.
        db: The registry.
        run: Its row.
        reason: What the list of runs says about it.
        automatic: How many times in a row the queue has resumed it by itself.

    Returns:
        False if somebody else was faster.
    """
    attempt = run.attempt + 1
    nothing_yet = dict.fromkeys(("request", "started_at", "ended_at", "device", "handle"))
    if not move(db, run, "queued", reason, attempt=attempt, **nothing_yet):
        return False
    if not is_result(store.read_json(run.run_id, "result.json")):
        with contextlib.suppress(FileNotFoundError):  # a damaged one would end every attempt
            result = store.run_dir(run.run_id) / "result.json"
            result.replace(result.with_name("result.json.damaged"))
    # The folder has to know it too: an old process that sees it gives up, and a rebuild finds the
    # attempt waiting.
    lost = None
    if run.state == "lost":
        step = last_step(store, run.run_id, run.attempt)
        lost = {"reason": run.reason or "Its process ended.", "step": step}
    from_step = store.resume_step(run.run_id)
    record = control_record(attempt, automatic=automatic, from_step=from_step, lost=lost)
    store.write_json(run.run_id, "control.json", record)
    return True


def resume_all(store: RunStore, *, sweep: str | None = None) -> tuple[list[str], dict[str, str]]:
    """Queues another attempt of every lost, failed or cancelled run. Paused ones stay paused.

    So do those that would only fail again; `resume` takes one of these all the same.

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
        if run.state in RESUMABLE and run.state != "paused":
            if is_watched(store, run.run_id):
                continue  # nobody can mean these
            if would_repeat(store, run.run_id):
                refused[run.run_id] = (
                    f"Run {run.run_id} was not resumed, because it would fail again at the same "
                    f"step; `python -m rdh runs resume {run.run_id}` resumes it anyway."
                )
                continue
            try:
                resume(store, run.run_id)
                resumed.append(run.run_id)
            except UserError as error:
                refused[run.run_id] = str(error)
    return resumed, refused


def would_repeat(store: RunStore, run_id: str) -> bool:
    """Whether Resume would only fail again: the numbers broke, and no checkpoint was before it."""
    result = store.result(run_id)
    has_broken = (result.get("state"), result.get("kind")) == ("failed", DIVERGED)
    return has_broken and not store.resume_step(run_id)


def set_priority(store: RunStore, run_id: str, priority: int) -> None:
    """Sets the place of a run in the queue: greater numbers start first. 0 is the usual one.

    It stands in notes.json too, so that a new registry knows it. It says nothing about runs that
    train already.

    Raises:
        UserError: There is no such run, it is finished, or the number is out of range.
    """
    if not is_priority(priority):
        raise UserError(no_priority(priority))
    with plain_errors(store, f"The priority of run {run_id} was not changed"):
        _set_priority(store, run_id, priority)


@healing
def _set_priority(store: RunStore, run_id: str, priority: int) -> None:
    registry = Registry(store)
    with registry.write() as db:
        run = registry.find(db, run_id)
        check_ours(store, run_id, "moved in the queue")
        if run.state == "finished":
            raise UserError(f"Run {run_id} is finished, so it has no place in the queue.")
        change_notes(store, run_id, priority=priority)
        db.execute("UPDATE runs SET priority = ? WHERE run_id = ?", (priority, run_id))


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


@healing
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


def _way_out(run: RunState) -> str:
    if run.state == "unreadable":
        return "delete it"
    if run.state == "finished":
        return "clone it to train it once more, or delete it"
    return "resume it or delete it"
