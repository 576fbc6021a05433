"""Runs that go on by themselves: lost ones from their checkpoint, and those that the disk paused.

A failed run never does: it would fail again. RDH_AUTO_RESUME=0 leaves lost runs to people.
"""

from collections.abc import Mapping
from dataclasses import replace

from rdh.execution.engine.devices import is_on
from rdh.execution.queue.acts import queue_again
from rdh.execution.queue.registry import Registry
from rdh.execution.queue.rows import RunState, move
from rdh.execution.queue.run_folder import DISK
from rdh.execution.queue.states import Decision, attempt_in
from rdh.files import is_number, read_json

FOR_SPACE = "Paused, because the disk is nearly full; it goes on by itself once there is room."


def wants_resumes(env: Mapping[str, str]) -> bool:
    """Whether lost runs are resumed by themselves: unless RDH_AUTO_RESUME is 0.

    Raises:
        UserError: RDH_AUTO_RESUME is neither 0 nor 1.
    """
    return is_on(env, "RDH_AUTO_RESUME")


def resumes_so_far(registry: Registry, run: RunState) -> int:
    """How many times in a row the queue has resumed a run by itself.

    An attempt that has saved a newer checkpoint than it began from ends the row.
    """
    said = read_json(registry.store.root / run.run_id / "control.json") or {}
    before, from_step = said.get("automatic"), said.get("from_step")
    if not is_number(before) or not is_number(from_step):
        return 0
    is_counted = attempt_in(said) == run.attempt + 1  # written by a supervisor that died then
    if registry.store.resume_step(run.run_id) > from_step:
        return 0
    return int(before) - is_counted


def goes_on(registry: Registry, run: RunState, decision: Decision, most: int) -> int | None:
    """Whether a live run whose attempt is over goes on by itself.

    Args:
        registry: The queue.
        run: Its row.
        decision: How the attempt ended.
        most: Resumes of a lost run in a row.

    Returns:
        How many times in a row it has been resumed then, 0 after a pause for the disk. None if it
        does not go on.
    """
    store = registry.store
    if run.request is not None or registry.facts(run.run_id).problem is not None:
        return None
    if decision.state == "paused":
        said = read_json(store.root / run.run_id / "control.json") or {}
        return 0 if said.get("request") == DISK else None
    if decision.state != "lost" or not store.resume_step(run.run_id):
        return None
    so_far = resumes_so_far(registry, run)
    return so_far + 1 if so_far < most else None


def go_on(
    registry: Registry, run: RunState, decision: Decision, times: int, most: int, **columns: object
) -> bool:
    """Records how the attempt ended and queues the next one, in one transaction.

    Returns:
        False if somebody else was faster.
    """
    store = registry.store
    again = f"Resumed by itself, {times} of at most {most} times in a row"
    reason = f"{again}: {decision.reason}" if times else FOR_SPACE
    with registry.write() as db:
        if not move(db, run, decision.state, decision.reason, **columns):
            return False
        ended = replace(run, state=decision.state, reason=decision.reason)
        return queue_again(store, db, ended, reason, automatic=times)
