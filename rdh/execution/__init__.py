"""Background runs: what pages and command line call.

A supervisor process does the work. Each of these functions returns at once:

    run_ids = submit(store, configs, token=form_token)
    ensure_supervisor(store)
    states(store)[run_ids[0]].state   # queued, starting, running, then finished | failed | ...
    cancel(store, run_id)
    resume(store, run_id)
    pause(store, run_id)
    delete(store, run_id)

If something is not possible, they raise a UserError with one sentence about it.
"""

from rdh.execution.engine.devices import gpu_loads, slots_taken
from rdh.execution.lifecycle import (
    engine_asked,
    ensure_supervisor,
    registry_news,
    revive,
    slots_here,
    stop_supervisor,
    supervisor_status,
)
from rdh.execution.place import notices
from rdh.execution.queue.acts import (
    cancel,
    delete,
    pause,
    resume,
    resume_all,
    set_priority,
    start_over,
    would_repeat,
)
from rdh.execution.queue.equal import equal_runs, failed_runs, finished_runs
from rdh.execution.queue.possible import check_data
from rdh.execution.queue.requests import states, submit
from rdh.execution.queue.rows import RunState, doing, in_turn
from rdh.execution.queue.run_folder import (
    SECONDS_STALLED,
    last_step,
    loss_before,
    progress,
    stalled_for,
)
from rdh.execution.queue.states import DIVERGED, MEANINGS, RESUMABLE
from rdh.execution.queue.story import loss_said, reason_said, resume_said
from rdh.execution.queue.watched import check_ours, is_watched

__all__ = [
    "DIVERGED",
    "MEANINGS",
    "RESUMABLE",
    "SECONDS_STALLED",
    "RunState",
    "cancel",
    "check_data",
    "check_ours",
    "delete",
    "doing",
    "engine_asked",
    "ensure_supervisor",
    "equal_runs",
    "failed_runs",
    "finished_runs",
    "gpu_loads",
    "in_turn",
    "is_watched",
    "last_step",
    "loss_before",
    "loss_said",
    "notices",
    "pause",
    "progress",
    "reason_said",
    "registry_news",
    "resume",
    "resume_all",
    "resume_said",
    "revive",
    "set_priority",
    "slots_here",
    "slots_taken",
    "stalled_for",
    "start_over",
    "states",
    "stop_supervisor",
    "submit",
    "supervisor_status",
    "would_repeat",
]
