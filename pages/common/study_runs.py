"""The runs of a study on a page: how far they are, what is missing, and the button that runs it."""

import streamlit as st

from pages.common.shell import error_card, show_error
from pages.common.study_view import NEVER, View
from pages.common.text import as_text
from rdh import studies
from rdh.analysis import about
from rdh.errors import UserError
from rdh.store.run_store import RunStore
from rdh.studies import Findings

SENT = "study-sent"  # the press that this session has answered
REFUSED = "study-refused"  # why runs of the last press can't go on


def draw_progress(store: RunStore, view: View) -> None:
    """How many runs have finished, are under way and are missing, and the time left."""
    findings, n_missing = view.findings, len(view.missing)
    n, waiting = len(findings.configs), findings.under_way
    words = [f"**{findings.n_finished:,} of {n:,} runs have finished**"]
    n_queued = sum(one.state == "queued" for one in findings.runs.values())
    done = sum(_share(store, run_id) for run_id in waiting)
    if waiting:
        left = _time_left(store, view, done)
        words.append(f"{len(waiting) - n_queued} training, {n_queued} waiting: {left}")
    if n_missing:
        words.append(f"{n_missing} missing{_ended(view)}")
    if waiting or n_missing:
        st.progress((findings.n_finished + done) / n, text=" · ".join(words))
    else:
        st.markdown(" · ".join(words))


def draw_button(store: RunStore, view: View) -> None:
    """The button that runs exactly what is missing; what there is and the time, in words."""
    n = len(view.missing)
    for sentence in st.session_state.get(REFUSED, ()):
        show_error(sentence)
    if not n:
        st.session_state.pop(SENT, None)
        return
    with st.container(border=True):
        label, icon = f"Run what is missing: {n} run{'s' * (n != 1)}", ":material/play_arrow:"
        pressed = st.button(label, type="primary", icon=icon, key="study-run")
        st.caption(as_text(_plan(view.findings, view.key)))
        if not pressed:
            st.session_state.pop(SENT, None)
        elif SENT not in st.session_state:  # else a second click on the same button
            with error_card():
                submit(store, view.findings)
                st.rerun()


def submit(store: RunStore, findings: Findings) -> None:
    """Queues what is missing, once for each drawn button.

    Raises:
        UserError: A data set is missing, or the queue takes no more. Nothing was queued.
    """
    studies.check_data(findings, with_torch=False)
    st.session_state[SENT] = True
    try:
        _, st.session_state[REFUSED] = studies.submit_runs(store, findings.missing)
    except UserError:
        del st.session_state[SENT]
        raise


def draw_missing(view: View) -> None:
    """Every run without a result that nobody trains, with the reason why it ended."""
    table, ended = view.missing, _ended(view)
    if table.empty:
        return
    title = f"Runs that are missing: {len(table)}{ended}"
    with st.expander(title, expanded=bool(ended), icon=":material/rule:"):
        if not ended:
            table = table.drop(columns=["run", "reason"])
        link = st.column_config.LinkColumn("run", display_text=r"run=(.*)")
        st.dataframe(table, hide_index=True, column_config={"run": link})


def _ended(view: View) -> str:
    """ " (2 failed, 1 lost)": of the missing runs; "" if none was ever begun."""
    if view.missing.empty:
        return ""
    states = view.missing["state"].value_counts().drop(NEVER, errors="ignore")
    words = ", ".join(f"{n} {state}" for state, n in states.items())
    return f" ({words})" if words else ""


def _share(store: RunStore, run_id: str) -> float:
    """How much of a run is done, 0 to 1, by its last sign of life."""
    try:
        beat = store.heartbeat(run_id)
    except UserError:  # deleted at this moment
        return 0.0
    total = beat.get("total_steps") or 0
    return min(1.0, beat.get("step", 0) / total) if total else 0.0


@st.cache_data(max_entries=32, ttl=60, show_spinner=False)
def _plan(_findings: Findings, key: str) -> str:
    return studies.plan_in_words(_findings, len(_findings.missing))


def _time_left(store: RunStore, view: View, done: float) -> str:
    """Of the runs under way, by the same estimate as the plan below it."""
    seconds = _expected(store, view.findings, view.key)
    if seconds is None:
        return "time left unknown until the first has finished"
    share = max(0.0, 1 - done / len(view.findings.under_way))
    return f"{about(seconds * share)} left"


@st.cache_data(max_entries=32, ttl=120, show_spinner=False)
def _expected(_store: RunStore, _findings: Findings, key: str) -> float | None:
    """Seconds of all runs under way, on as many slots as there are."""
    waiting = set(_findings.under_way)
    configs = [
        config.model_dump()
        for config_hash, config in _findings.by_hash.items()
        if config_hash in _findings.runs and _findings.runs[config_hash].run_id in waiting
    ]
    return studies.seconds_to_train(_store, configs) if configs else None
