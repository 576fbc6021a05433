"""A run as an export finds it: its config, its records up to now, and in which state it is."""

from dataclasses import dataclass
from typing import Any

from rdh.analysis.run_series import RunCache, RunSeries
from rdh.config.run_config import RunConfig
from rdh.errors import UserError
from rdh.store.run_store import RunStore


@dataclass(frozen=True)
class Moment:
    """A run up to one record.

    Attributes:
        run_id: of the run.
        config: of the run.
        series: its records.
        state: in words, with the step.
    """

    run_id: str
    config: RunConfig
    series: RunSeries
    state: str

    @property
    def row(self) -> dict[str, Any]:
        """The newest value of each scalar, and "label"."""
        return self.series.last() | {"label": self.config.label}


def read_moment(store: RunStore, run_id: str) -> Moment:
    """The run up to its newest record.

    Raises:
        UserError: There is no such run, it can't be read, or it has no records.
    """
    config = store.config(run_id)
    series = RunCache(store.reader(run_id)).newest()
    if not series.last_seq:
        raise UserError(
            f"The run {run_id} has no records, so there is nothing to export; wait until it has "
            f"trained for a moment, or choose another of `python -m rdh runs`."
        )
    return Moment(run_id, config, series, state_in_words(store, run_id, series.step))


def state_in_words(store: RunStore, run_id: str, step: int) -> str:
    """How a run ended, or that it has not.

    Args:
        store: the run store.
        run_id: the run.
        step: of its newest record.

    Raises:
        UserError: There is no such run.
    """
    state = store.result(run_id).get("state")
    if state == "finished":
        return f"{run_id} has finished at step {step:,}."
    if state:
        return f"{run_id} has ended early ({state}): this is what it recorded up to step {step:,}."
    return (
        f"{run_id} has not ended (it goes on, or was lost): this is what it recorded up to step "
        f"{step:,}."
    )
