"""Runs: what is running, waiting, done?"""

from datetime import datetime
from typing import Any

import pandas as pd
import streamlit as st

from pages.common.run_picker import pick_run
from pages.common.run_status import draw_status, log_tail, read_status
from pages.common.shell import (
    end_page,
    error_card,
    known_runs,
    show_error,
    start_page,
    status_chip,
    store,
)
from pages.common.words import help_of
from rdh import analysis, execution
from rdh.errors import UserError
from rdh.store.run_store import RunStore

GROUPS = {
    "all": None,
    "going on": ("queued", "starting", "running"),
    "finished": ("finished",),
    "broken": ("failed", "lost", "cancelled"),
}
PAGE_SIZE = 50


def row(runs: RunStore, state: Any) -> dict[str, Any]:
    """One line of the table. If a run's files can't be read, the line shows the reason."""
    line = {
        "open": f"/live?run={state.run_id}",
        "run": state.run_id,
        "state": status_chip(state),
        "reason": state.reason or "",
    }
    try:
        config = runs.config(state.run_id)
        beat, result = runs.heartbeat(state.run_id), runs.result(state.run_id)
    except UserError as error:
        return line | {"reason": str(error)}
    metrics = result.get("metrics", {})
    total = beat.get("total_steps")
    return line | {
        "method": config.label,
        "bits": config.n_bits,
        "data": config.dataset,
        "seed": config.seed,
        "progress": beat.get("step", 0) / total
        if total
        else (1.0 if state.state == "finished" else 0.0),
        "MAP": metrics.get("map"),
        "launched": datetime.fromtimestamp(state.submitted_at)
        if state.submitted_at
        else None,  # the machine's own time
    }


def numbers(runs: RunStore, run_ids: list[str]) -> dict[str, dict[str, float]]:
    """Dead share in percent and its cost of the finished runs, as all other pages have them."""
    table = analysis.run_table(runs, run_ids)
    return {
        one["run_id"]: {"dead": 100 * one["dead_at_end"], "cost of the dead": one["cost"]}
        for one in table.to_dict("records")
    }


def draw_table(runs: RunStore) -> None:
    """The table, newest first. The order depends on the launch time alone, so no row moves."""
    states = execution.states(runs)
    wanted = GROUPS[group]
    chosen = [state for state in states.values() if wanted is None or state.state in wanted]
    chosen.sort(key=lambda state: state.submitted_at or 0, reverse=True)
    if not chosen:
        st.info(
            "No runs here yet. Launch a pair: it takes seconds."
            if not states
            else f"No run is {group}.",
            icon=":material/info:",
        )
        return
    n_pages = -(-len(chosen) // PAGE_SIZE)
    page = st.pagination(n_pages, key="page") if n_pages > 1 else 1
    shown = chosen[(page - 1) * PAGE_SIZE : page * PAGE_SIZE]
    measured = numbers(runs, [state.run_id for state in shown])
    lines = [row(runs, state) | measured.get(state.run_id, {}) for state in shown]
    columns = [
        "open",
        "state",
        "method",
        "bits",
        "data",
        "seed",
        "progress",
        "dead",
        "cost of the dead",
        "MAP",
        "launched",
        "run",
        "reason",
    ]
    st.dataframe(
        pd.DataFrame(lines, columns=columns),
        hide_index=True,
        key="runs-table",
        height=min(560, 38 + 35 * len(lines)),
        column_config={
            "open": st.column_config.LinkColumn("", display_text="open", width="small"),
            "progress": st.column_config.ProgressColumn(
                "progress", min_value=0, max_value=1, format="percent"
            ),
            "dead": st.column_config.NumberColumn(format="%.2f%%", help=help_of("dead")),
            "cost of the dead": st.column_config.NumberColumn(format="%+.4f", help=help_of("cost")),
            "MAP": st.column_config.NumberColumn(format="%.4f"),
            "launched": st.column_config.DatetimeColumn(format="YYYY-MM-DD HH:mm"),
            "reason": st.column_config.TextColumn(width="medium"),
        },
    )
    going_on = sum(not state.is_final for state in states.values())
    st.caption(f"{len(states)} runs in {runs.root}, {going_on} going on.")


@st.dialog("Delete this run?", on_dismiss="rerun")
def confirm_delete(runs: RunStore, run_id: str) -> None:
    if not known_runs(runs)[run_id].is_final:
        show_error(f"Run {run_id} has not ended; cancel it first, then delete it.")
        return
    st.write(
        "Its folder, metrics, codes and checkpoints are removed. Type the run's name to confirm:"
    )
    st.code(run_id, language=None)
    # A form, and a button that is never disabled: leaving the line would enable it under the click.
    with st.form("delete", border=False):
        typed = st.text_input("Run", label_visibility="collapsed")
        pressed = st.form_submit_button("Delete", type="primary")
    if not pressed:
        return
    if typed.strip() != run_id:
        show_error(f"The name must be {run_id}, got {typed[:80]!r}; nothing was deleted.")
        return
    with error_card():
        execution.delete(runs, run_id)
        st.query_params.clear()
        st.rerun()


start_page(
    "Runs",
    ":material/list_alt:",
    "What is running, waiting, done?",
    section="Experiment",
    place=30,
)
runs = store()
group = st.segmented_control(
    "Show",
    list(GROUPS),
    default="all",
    required=True,
    key="show",
    bind="query-params",
    label_visibility="collapsed",
)
known = known_runs(runs)
is_moving = any(not state.is_final for state in known.values())


@error_card()
def draw_run(run_id: str) -> None:
    """The state of one run and the actions on it, as fresh as the table above."""
    status = read_status(runs, run_id)
    with st.container(border=True):
        draw_status(runs, status)
        with st.container(horizontal=True, vertical_alignment="center"):
            st.page_link(
                "pages/live.py",
                label="Live",
                icon=":material/monitoring:",
                query_params={"run": run_id},
            )
            st.page_link(
                "pages/launch.py",
                label="Clone",
                icon=":material/content_copy:",
                query_params={"clone": run_id},
            )
        with st.expander("Config"):
            st.json(runs.submission(run_id))
        with st.expander("Log"):
            st.code(log_tail(runs, run_id) or "nothing yet", language=None)


# Nothing ticks while the dialog is open: a tick could come between its line and its button.
is_deleting = bool(st.session_state.get("delete-run"))
tick = None if is_deleting else 2.0 if is_moving else 5.0
st.fragment(error_card()(draw_table), run_every=tick)(runs)
if known:
    st.subheader("One run", anchor=False)
    chosen_run = pick_run(runs, known)
    st.fragment(draw_run, run_every=None if is_deleting else 2.0)(chosen_run)
    if st.button("Delete this run", icon=":material/delete:", key="delete-run"):
        confirm_delete(runs, chosen_run)
end_page()
