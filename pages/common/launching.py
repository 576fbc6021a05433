"""Launches runs once, no matter how often the button is pressed."""

import hashlib
import secrets
import time
from collections.abc import Sequence
from contextlib import suppress
from typing import NoReturn

import streamlit as st

from pages.common.text import as_text
from rdh import execution
from rdh.config.run_config import RunConfig
from rdh.errors import UserError
from rdh.store.run_store import SUBMISSION, RunStore

TOKEN, NOTES, ON_ITS_WAY = "launch_token", "launch_notes", "launch_on_its_way"
SECONDS_ON_ITS_WAY = 30.0


def launch(
    runs: RunStore, configs: Sequence[RunConfig], *, shown: int = -1, notes: Sequence[str] = ()
) -> NoReturn:
    """Submits the runs and goes to the live page.

    While the page switches, further presses of the same button may arrive. They bring the same
    token, so that the queue answers with the runs that it has made, until `wait_for_press` sees a
    page that was drawn without a press.

    Args:
        runs: the runs root.
        configs: the runs; if they differ from those of the last press, it is another launch.
        shown: which of them the live page shows; the first of the others stands beside it.
        notes: sentences for the live page.

    Raises:
        UserError: nothing was launched.
    """
    asked = hashlib.sha256("".join(config.hash for config in configs).encode()).hexdigest()[:16]
    token = st.session_state.setdefault(TOKEN, secrets.token_hex(8))
    notes = [*notes, *_said_of_equal_runs(runs, configs)]
    run_ids = execution.submit(runs, configs, token=f"{token}-{asked}")
    execution.ensure_supervisor(runs)
    run_id = run_ids[shown]
    others = [other for other in run_ids if other != run_id]
    st.session_state.setdefault(NOTES, {}).setdefault(run_id, notes)
    query = {"run": run_id} | ({"vs": others[0]} if others else {})
    st.session_state[ON_ITS_WAY] = time.monotonic(), query
    st.switch_page("pages/live.py", query_params=query)


def draw_notes(run_id: str) -> None:
    """Shows the notes that this session kept when it launched the run."""
    for note in st.session_state.get(NOTES, {}).get(run_id, ()):
        st.info(as_text(note), icon=":material/info:")


def _said_of_equal_runs(runs: RunStore, configs: Sequence[RunConfig]) -> list[str]:
    hashes, equal = {config.hash for config in configs}, []
    for run_id in runs.run_ids():
        with suppress(UserError):  # deleted at this moment
            if (runs.read_json(run_id, SUBMISSION) or {}).get("config_hash") in hashes:
                equal.append(run_id)
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
