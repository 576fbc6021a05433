"""The recorded demo pair on pages, and the reader's own last demo pair."""

from collections.abc import Mapping

from pages.common.run_picker import read_config
from rdh import lessons
from rdh.config.presets import demo_pair
from rdh.errors import UserError
from rdh.execution import RunState
from rdh.lessons import Demo
from rdh.store.run_store import RunStore


def recorded_demo() -> Demo:
    """`rdh.lessons.recorded_demo`, at hand for all pages."""
    return lessons.recorded_demo()


def own_demo(runs: RunStore, known: Mapping[str, RunState]) -> Demo | None:
    """The reader's last demo pair of which both runs have finished; None if there is none.

    Args:
        runs: the run store.
        known: what `rdh.execution.states` returned.
    """
    wanted = demo_pair()
    newest: dict[bool, str] = {}
    for run_id in sorted(known, key=lambda one: known[one].submitted_at or 0):
        if known[run_id].state != "finished":
            continue
        try:
            config = read_config(runs, run_id)
        except UserError:
            continue
        if config in wanted:
            newest[config.has_rdh] = run_id
    if len(newest) < 2:
        return None
    return Demo(runs, (newest[False], newest[True]), recorded_demo().seeds)
