"""What became of a run, in words: one story for pages and command line."""

from rdh.execution.queue.rows import RunState
from rdh.execution.queue.run_folder import loss_before
from rdh.execution.queue.watched import is_watched
from rdh.store.run_store import RunStore


def reason_said(store: RunStore, state: RunState) -> str:
    """Why a run waits, goes on or ended, what Resume would do, and how an attempt before was lost.

    "" if there is nothing to say.
    """
    can_resume = state.state == "lost" and not is_watched(store, state.run_id)
    resume = resume_said(store, state.run_id) if can_resume else ""
    return " ".join(filter(None, [state.reason, resume, loss_said(store, state)]))


def loss_said(store: RunStore, state: RunState | None) -> str:
    """How the attempt before was lost, and from where this one goes on.

    "" if it was not, or if the reason of the state says it: of a run that waits or is lost again.
    """
    if state is None or state.attempt == 1 or state.state in ("queued", "lost"):
        return ""
    loss = loss_before(store, state.run_id, state.attempt)
    if loss is None:
        return ""
    came = f" It had come to step {loss.step:,}." if loss.step else ""
    on = f"{'went' if state.is_final else 'goes'} on from step {loss.from_step:,}"
    if not loss.from_step:
        on = f"{'began' if state.is_final else 'begins'} again at step 0"
    when = "Earlier: " if state.is_final else ""
    return f"{when}{loss.reason.rstrip('.')}.{came} It {on}, attempt {state.attempt}."


def resume_said(store: RunStore, run_id: str) -> str:
    """What Resume would do: it promises no checkpoint that is not there."""
    step = store.resume_step(run_id)
    if not step:
        return "Resume starts the run from step 0: it has kept no checkpoint."
    return f"Resume goes on from step {step:,}, its last checkpoint."
