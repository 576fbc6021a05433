"""Runs: what is running, waiting, done? And a workbench for the selected ones."""

import streamlit as st

from pages.common import follow, selection
from pages.common.runs_actions import draw_actions, draw_dialog, is_dialog_open
from pages.common.runs_filter import draw_filters, read_cards
from pages.common.runs_table import draw_table
from pages.common.runs_views import draw_views
from pages.common.shell import carried, end_page, error_card, known_runs, start_page, store
from pages.common.sidebar import draw_link
from rdh.errors import UserError

start_page(
    "Runs",
    ":material/list_alt:",
    "What is running, waiting, done? Tick runs to compare, overlay, tag or end them.",
    section="Experiment",
    place=30,
)
runs = store()
known = known_runs(runs)


@error_card()
def draw_workbench() -> None:
    """Table, buttons and what is selected, all of one moment; again with each tick."""
    if is_dialog_open() and tick is not None:
        st.rerun()  # the whole page, which stops the ticks and opens the dialog
    states = known_runs(runs)
    cards = read_cards(runs, states)
    found = [card for card in cards if wanted.takes(card)]
    draw_actions(runs, states)
    if found:
        draw_table(runs, found)
    else:
        st.info("No run is like that. Clear the filters to see all.", icon=":material/filter_alt:")
    n_archived = sum(card.notes.archived for card in cards)
    hidden = f", {n_archived} archived" if n_archived else ""
    going_on = f"{sum(not state.is_final for state in states.values()):,} going on{hidden}"
    st.caption(f"{len(found):,} of {len(states):,} runs in {runs.root} shown; {going_on}.")
    chosen = [run_id for run_id in selection.chosen() if run_id in states]
    if chosen:
        try:
            draw_views(runs, states, chosen)
        except UserError as error:  # deleted at this moment
            st.info(str(error))
    follow.draw()


if not known:
    st.info(
        "No runs here yet. Launch a pair: it takes seconds, and each shows here at once.",
        icon=":material/info:",
    )
    draw_link("pages/launch.py", "Launch a pair", ":material/rocket_launch:", carried())
else:
    selection.arrive(known)
    wanted = draw_filters(read_cards(runs, known))
    is_moving = any(not state.is_final for state in known.values())
    tick = None if is_dialog_open() else 2.0 if is_moving else 5.0
    st.fragment(draw_workbench, run_every=tick)()
    draw_dialog(runs)
end_page()
