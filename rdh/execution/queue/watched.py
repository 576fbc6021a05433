"""Watched runs in the queue: it shows them, and does nothing to them.

A loop that is not ours trains such a run and records it by `rdh.recorder`.
"""

from rdh.errors import UserError, printable
from rdh.execution.queue.registry import Registry
from rdh.files import well_typed
from rdh.store.run_store import RunStore


def is_watched(store: RunStore, run_id: str) -> bool:
    """Whether a run was watched."""
    return Registry(store).facts(run_id).is_watched


def check_ours(store: RunStore, run_id: str, what: str) -> None:
    """Refuses what only runs of the queue can do.

    Args:
        store: Where the runs lie.
        run_id: The run.
        what: A participle, for the sentence: "cloned".

    Raises:
        UserError: The run was watched.
    """
    if is_watched(store, run_id):
        beat = well_typed(store.read_json(run_id, "hb.json") or {})
        where = f"process {beat.get('pid', '?')} on {beat.get('host', 'an unknown host')}"
        raise UserError(
            f"Run {run_id} was watched in a training of its own ({printable(where)}), so it can't "
            f"be {what} from here; do that where it trains."
        )
