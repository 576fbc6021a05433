"""The runs of a study on a page: how far they are, what is missing, and the button that runs it."""

from collections import Counter

import pandas as pd
import streamlit as st

from pages.common.shell import error_card, show_error
from pages.common.text import as_text
from rdh import studies
from rdh.analysis import duration
from rdh.analysis.estimates import expected_seconds
from rdh.errors import UserError
from rdh.store.run_store import RunStore
from rdh.studies import Findings

SENT = "study-sent"  # the press that this session has answered


def draw_progress(store: RunStore, findings: Findings) -> None:
    """How many runs have finished, are under way and are missing, and the time left."""
    n, waiting = len(findings.configs), findings.under_way
    states = [one.state for one in findings.runs.values() if one.run_id in waiting]
    shares = [_share(store, run_id) for run_id in waiting]
    words = [f"**{findings.n_finished:,} of {n:,} runs have finished**"]
    n_training = sum(state != "queued" for state in states)
    if waiting:
        words.append(f"{n_training} training, {len(waiting) - n_training} waiting")
    if findings.missing:
        words.append(f"{len(findings.missing)} missing{_ended(findings)}")
    if waiting:
        words.append(_time_left(store, findings, sum(shares)))
    if waiting or findings.missing:
        st.progress((findings.n_finished + sum(shares)) / n, text=" · ".join(words))
    else:
        st.markdown(" · ".join(words))


def draw_button(store: RunStore, findings: Findings) -> None:
    """What is missing in words, and the button that runs exactly this."""
    if not findings.missing:
        st.session_state.pop(SENT, None)
        return
    n = len(findings.missing)
    label = f"Run what is missing: {n} run{'s' * (n != 1)}"
    with st.container(border=True):
        icon = ":material/play_arrow:"
        pressed = st.button(label, type="primary", icon=icon, key="study-run")
        st.caption(as_text(plan(store, findings)))
        if not pressed:
            st.session_state.pop(SENT, None)
        elif SENT not in st.session_state:  # else a second click on the same button
            with error_card():
                submit(store, findings)
                st.rerun()


def submit(store: RunStore, findings: Findings) -> None:
    """Queues what is missing, once for each drawn button.

    Raises:
        UserError: A data set is missing, or the queue takes no more. Nothing was queued.
    """
    studies.check_data(findings, with_torch=False)
    st.session_state[SENT] = True
    try:
        _, refused = studies.submit_runs(store, findings.missing)
    except UserError:
        del st.session_state[SENT]
        raise
    for sentence in refused:
        show_error(sentence)


def plan(store: RunStore, findings: Findings) -> str:
    """`studies.plan_in_words`, made anew only if runs have finished."""
    key = tuple(config.hash for config in findings.missing)
    return _plan(findings, str(store.root), findings.n_finished, len(findings.under_way), key)


@st.cache_data(max_entries=32, ttl=60, show_spinner=False)
def _plan(
    _findings: Findings, root: str, n_finished: int, n_under_way: int, missing: tuple[str, ...]
) -> str:
    return studies.plan_in_words(_findings, len(missing))


def draw_missing(findings: Findings) -> None:
    """Every run without a result that nobody trains, with the reason why it ended."""
    rows = []
    for config in findings.missing:
        found = findings.runs.get(config.hash)
        rows.append(
            {
                "method": config.label,
                "bits": config.n_bits,
                "seed": config.seed,
                "split": config.split_seed,
                "state": found.state if found else "never run",
                "run": f"live?run={found.run_id}" if found else None,
                "reason": (found.reason or "no reason was recorded") if found else "",
            }
        )
    if not rows:
        return
    table = pd.DataFrame(rows).sort_values("state", key=lambda one: one == "never run")
    ended = _ended(findings)
    title = f"Runs that are missing: {len(rows)}{ended}"
    with st.expander(title, expanded=bool(ended), icon=":material/rule:"):
        if not ended:
            table = table.drop(columns=["run", "reason"])
        link = st.column_config.LinkColumn("run", display_text=r"run=(.*)")
        st.dataframe(table, hide_index=True, column_config={"run": link})


def _ended(findings: Findings) -> str:
    """ " (2 failed, 1 lost)": of the missing runs; "" if none was ever begun."""
    states = Counter(
        findings.runs[one.hash].state for one in findings.missing if one.hash in findings.runs
    )
    words = ", ".join(f"{n} {state}" for state, n in sorted(states.items()))
    return f" ({words})" if words else ""


def _share(store: RunStore, run_id: str) -> float:
    """How much of a run is done, 0 to 1, by its last sign of life."""
    try:
        beat = store.heartbeat(run_id)
    except UserError:  # deleted at this moment
        return 0.0
    total = beat.get("total_steps") or 0
    return min(1.0, beat.get("step", 0) / total) if total else 0.0


def _time_left(store: RunStore, findings: Findings, done: float) -> str:
    waiting = set(findings.under_way)
    hashes = tuple(
        config.hash
        for config in findings.configs
        if config.hash in findings.runs and findings.runs[config.hash].run_id in waiting
    )
    seconds = _expected(store, findings, hashes, findings.n_finished)
    if seconds is None:
        return "time left unknown until the first has finished"
    share = max(0.0, 1 - done / len(hashes))
    return f"about {duration(seconds * share)} left"


@st.cache_data(max_entries=64, ttl=120, show_spinner=False)
def _expected(
    _store: RunStore, _findings: Findings, hashes: tuple[str, ...], n_finished: int
) -> float | None:
    """Seconds of all these runs on as many slots as there are."""
    configs = [one.model_dump() for one in _findings.configs if one.hash in set(hashes)]
    seconds = expected_seconds(_store, configs)
    if seconds is None:
        return None
    return seconds / min(studies.slots(_store), len(configs))
