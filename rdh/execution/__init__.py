"""Background runs: what pages and command line call.

A supervisor process does the work. Each of these functions returns at once:

    run_ids = submit(store, configs, token=form_token)
    ensure_supervisor(store)
    states(store)[run_ids[0]].state   # queued, starting, running, then finished | failed | ...
    cancel(store, run_id)
    resume(store, run_id)
    delete(store, run_id)

If something is not possible, they raise a UserError with one sentence about it.
"""

from rdh.execution.engine.devices import gpu_loads
from rdh.execution.lifecycle import (
    ensure_supervisor,
    registry_news,
    revive,
    slots_here,
    stop_supervisor,
    supervisor_status,
)
from rdh.execution.queue.equal import equal_runs
from rdh.execution.queue.possible import check_data
from rdh.execution.queue.requests import cancel, delete, resume, resume_all, states, submit
from rdh.execution.queue.rows import RunState
from rdh.execution.queue.watched import check_ours, is_watched

__all__ = [
    "RunState",
    "cancel",
    "check_data",
    "check_ours",
    "delete",
    "ensure_supervisor",
    "equal_runs",
    "gpu_loads",
    "is_watched",
    "registry_news",
    "resume",
    "resume_all",
    "revive",
    "slots_here",
    "states",
    "stop_supervisor",
    "submit",
    "supervisor_status",
]
