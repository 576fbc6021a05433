"""Launches runs once, no matter how often the button is pressed."""

import hashlib
import secrets
import time
from collections.abc import Mapping, Sequence
from typing import NoReturn

import streamlit as st

from pages.common.guard import check_may_change
from pages.common.run_picker import is_watched, read_config
from pages.common.sidebar import draw_link
from pages.common.text import as_text
from rdh import analysis, execution
from rdh.config.run_config import RunConfig
from rdh.execution import RunState
from rdh.store.run_store import RunStore

TOKEN, NOTES, ON_ITS_WAY = "launch_token", "launch_notes", "launch_on_its_way"
SECONDS_ON_ITS_WAY = 30.0
SECONDS_RECENT = 120.0  # a launch is new for so long
SECONDS_OF_A_LAUNCH = 2.0  # between its first and its last run
MOST_SELECTED = 40  # runs that a link selects


def launch(
    runs: RunStore,
    configs: Sequence[RunConfig],
    *,
    notes: Sequence[str] = (),
    beside: str | None = None,
) -> NoReturn:
    """Submits the runs and goes to the live page, which shows their `first_pair`.

    While the page switches, further presses of the same button may arrive. They bring the same
    token, so that the queue answers with the runs that it has made, until `wait_for_press` sees a
    page that was drawn without a press.

    Args:
        runs: the runs root.
        configs: the runs; if they differ from those of the last press, it is another launch.
        notes: sentences for the live page.
        beside: an older run that stands beside it if its pair is not among these.

    Raises:
        UserError: nothing was launched.
    """
    check_may_change()
    asked = hashlib.sha256("".join(config.hash for config in configs).encode()).hexdigest()[:16]
    token = st.session_state.setdefault(TOKEN, secrets.token_hex(8))
    notes = [*_said_of_count(configs), *notes, *_said_of_equal_runs(runs, configs)]
    run_ids = execution.submit(runs, configs, token=f"{token}-{asked}")
    execution.ensure_supervisor(runs)
    place, other = first_pair(configs)
    query = {"run": run_ids[min(place, len(run_ids) - 1)]}
    if other is not None and other < len(run_ids):
        query["vs"] = run_ids[other]
    elif beside is not None:
        query["vs"] = beside
    told = notes, run_ids if len(run_ids) > 2 else []
    st.session_state.setdefault(NOTES, {}).setdefault(query["run"], told)
    st.session_state[ON_ITS_WAY] = time.monotonic(), query
    st.switch_page("pages/live.py", query_params=query)


def first_pair(configs: Sequence[RunConfig]) -> tuple[int, int | None]:
    """The place of the run to show, and of the other run of its pair (None: there is none).

    The run without RDH comes first, as on Compare and Start; if there is none, the first run does.

    Args:
        configs: of a launch.
    """
    shown = next((place for place, one in enumerate(configs) if not one.arm), 0)
    mine = configs[shown]
    others = [
        place
        for place, one in enumerate(configs)
        if one.pair_hash == mine.pair_hash and one.arm != mine.arm
    ]
    arm = "" if mine.has_rdh else "rdh"
    best = [place for place in others if configs[place].arm == arm] or others
    return shown, best[0] if best else None


def draw_notes(run_id: str) -> None:
    """Shows what this session kept when it launched the run, and the way to all runs of it."""
    notes, run_ids = st.session_state.get(NOTES, {}).get(run_id, ((), ()))
    for note in notes:
        st.info(as_text(note), icon=":material/info:")
    if run_ids:
        few = {"select": ",".join(run_ids)} if len(run_ids) <= MOST_SELECTED else {}
        draw_link("pages/runs.py", f"All {len(run_ids)} in Runs", ":material/list_alt:", few)


def draw_last_launch(runs: RunStore, states: Mapping[str, RunState]) -> None:
    """A launch of the last two minutes, with the way to its runs.

    A page that is loaded anew right after a launch does not know of it: the form is as at the
    start, and the press would seem lost.
    """
    ours = [
        one
        for one in states.values()
        if one.state != "unreadable" and not is_watched(runs, one.run_id)
    ]
    newest = max((one.submitted_at for one in ours), default=0.0)
    age = time.time() - newest
    if not 0 <= age < SECONDS_RECENT:
        return
    run_ids = [one.run_id for one in ours if newest - one.submitted_at < SECONDS_OF_A_LAUNCH]
    query = {"select": ",".join(run_ids)} if len(run_ids) <= MOST_SELECTED else {}
    page, icon = "pages/runs.py", ":material/list_alt:"
    if len(run_ids) <= 2:
        place, other = first_pair([read_config(runs, one) for one in run_ids])
        query = {"run": run_ids[place]} | ({} if other is None else {"vs": run_ids[other]})
        page, icon = "pages/live.py", ":material/monitoring:"
    n = len(run_ids)
    which = f"{n} run{'s were' if n > 1 else ' was'} launched here"
    st.markdown(f"**{which} {analysis.duration(age)} ago.**")
    draw_link(page, "Open them" if n > 1 else "Open it", icon, query)


def _said_of_count(configs: Sequence[RunConfig]) -> list[str]:
    if len(configs) <= 2:
        return []
    return [f"{len(configs)} runs were launched. This is the first pair; the others wait or train."]


def _said_of_equal_runs(runs: RunStore, configs: Sequence[RunConfig]) -> list[str]:
    found = execution.finished_runs(runs, [config.hash for config in configs])
    equal = [run_id for run_ids in found.values() for run_id in run_ids]
    if not equal:
        return []
    more = f" and {len(equal) - 1} more" if len(equal) > 1 else ""
    return [
        f"The same settings with the same seed ran here before: {equal[-1]}{more}. "
        f"Expect the same result; another seed shows how much it varies."
    ]


def wait_for_press() -> None:
    """Makes the next press another launch. Call it if the page is drawn without a press.

    If the live page of the last launch was never drawn, this switches to it once more, because a
    late press can make the browser ask for the present page again.
    """
    began, query = st.session_state.get(ON_ITS_WAY, (-SECONDS_ON_ITS_WAY, {}))
    if time.monotonic() - began < SECONDS_ON_ITS_WAY:
        st.switch_page("pages/live.py", query_params=query)
    st.session_state.pop(TOKEN, None)


def arrived() -> None:
    """Notes that the live page is drawn. The page that a launch leads to calls it."""
    st.session_state.pop(ON_ITS_WAY, None)
