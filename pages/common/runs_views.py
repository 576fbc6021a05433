"""What the page Runs shows of the selected runs: curves, settings that differ, and the log."""

from collections.abc import Mapping, Sequence
from dataclasses import replace

import pandas as pd
import streamlit as st

from pages.common.live_plot import live_plotly
from pages.common.readers import read_series
from pages.common.run_picker import read_config, run_label
from pages.common.run_status import draw_status, read_status
from pages.common.shell import error_card
from pages.common.text import as_text
from pages.common.words import legend
from rdh.analysis import has_collapsed
from rdh.analysis.overlay import Recorded, differing, overlay
from rdh.charts.overlay import overlaid
from rdh.errors import UserError
from rdh.execution import RunState
from rdh.store.log import tail
from rdh.store.notes import read_notes
from rdh.store.run_store import RunStore

VIEWS = ("curves", "settings", "log")
MOST_LOG_BYTES = 2_000_000
MOST_LINES = 400
MOST_COLUMNS = 4  # runs side by side in the table of settings; more stand below each other


def draw_views(store: RunStore, states: Mapping[str, RunState], chosen: Sequence[str]) -> None:
    """The part that the reader chose; it stays in the URL as ?view=."""
    if len(chosen) == 1:
        with st.container(border=True):
            st.markdown(f"**{as_text(run_label(store, chosen[0]))}**")
            draw_status(store, read_status(store, chosen[0], states), with_log=False)
            if tags := read_notes(store, chosen[0]).tags:
                st.caption(f"Tags: {as_text(' · '.join(tags))}")
            with error_card():  # of several the reasons below the table say it
                read_series(store, chosen[0])
    view = st.segmented_control(
        "Of the selected runs",
        VIEWS,
        default="curves",
        required=True,
        key="view",
        bind="query-params",
        label_visibility="collapsed",
    )
    if view == "curves":
        draw_curves(store, chosen, may_come=any(not states[one].is_final for one in chosen))
    else:
        {"settings": draw_settings, "log": draw_log}[view](store, chosen)


def draw_curves(store: RunStore, chosen: Sequence[str], *, may_come: bool) -> None:
    """MAP and dead entries over the steps, a line a setting, with the range over its seeds.

    may_come: whether one of the runs goes on.
    """
    found: dict[str, list[Recorded]] = {"map": [], "dead": []}
    without: list[str] = []
    fallen: list[str] = []
    named: dict[tuple[str, ...], str] = {}
    for run_id in chosen:
        try:
            config, run = read_config(store, run_id), read_series(store, run_id)
        except UserError:
            without.append(run_label(store, run_id))
            continue
        frame, counts = run.scalars(), run.counts()
        is_fallen = has_collapsed(run.last()) and counts is not None
        fallen += [f"{config.label} ({run_id[-6:]})"] * is_fallen
        entries = counts.entries if counts and not is_fallen else 0.0
        for name, of in (("map", 1.0), ("dead", entries)):
            values = frame[name].dropna() if name in frame and of else None
            if values is not None and len(values):
                steps = values.index.to_numpy()
                found[name].append(Recorded(run_id, config, steps, values.to_numpy() / of))
        if not run.last_seq:
            without.append(run_label(store, run_id))
    with st.container(key="charts-overlay"):
        for place, (name, title, is_share) in zip(
            st.columns(2),
            (("map", "MAP", False), ("dead", "Dead entries", True)),
            strict=True,
        ):
            lines = overlay(found[name])
            # A chart without the collapsed runs names the others as the one beside it does.
            named |= {line.run_ids: line.label for line in lines if name == "map"}
            lines = [replace(line, label=named.get(line.run_ids, line.label)) for line in lines]
            with place:
                if lines:
                    figure = overlaid(lines, title=_title(title, lines), y_title=title,
                                      is_share=is_share)  # fmt: skip
                    live_plotly(figure, key=f"runs-{name}")
                else:
                    yet = " yet" if may_come else ""
                    st.info(f"None of the selected runs has recorded {title}{yet}.")
    legend("map", "dead")
    if fallen:
        said = "Dead entries of collapsed runs say nothing, so they are not drawn: "
        st.caption(as_text(f"{said}{', '.join(fallen)}."))
    if without:
        st.caption(as_text(f"Without records: {', '.join(without)}."))


def _title(what: str, lines: Sequence) -> str:
    seeds = sum(len(line.run_ids) for line in lines)
    n = len(lines)
    return f"{what} of {seeds} run{'s' * (seeds != 1)} in {n} setting{'s' * (n != 1)}" + (
        "; a band spans the seeds" if any(line.low is not None for line in lines) else ""
    )


def draw_settings(store: RunStore, chosen: Sequence[str]) -> None:
    """Only what differs between the selected runs; of a single run, everything."""
    configs = {}
    for run_id in chosen:
        try:
            configs[run_id] = read_config(store, run_id)
        except UserError as error:
            st.warning(as_text(str(error)), icon=":material/warning:")
    if len(chosen) == 1:
        st.json(store.submission(chosen[0]))
        return
    table = differing(configs)
    if not table:
        st.info("These runs have the same settings, seed included.")
        return
    names = {run_id: f"{config.label} ({run_id[-6:]})" for run_id, config in configs.items()}
    frame = pd.DataFrame(table, index=[names[run_id] for run_id in configs])
    frame = frame.T if len(configs) <= MOST_COLUMNS else frame
    st.dataframe(frame, height="content", placeholder="–")
    st.caption("Everything that is not in the table is equal in all of them.")


def draw_log(store: RunStore, chosen: Sequence[str]) -> None:
    """The log of one run, and a line to search it with."""
    left, right = st.columns([3, 2])
    options = list(chosen)
    run_id = left.selectbox(
        "Log of",
        options,
        format_func=lambda one: run_label(store, one),
        key="log-of",
        label_visibility="collapsed",
    )
    asked = right.text_input(
        "Search the log",
        key="log-search",
        type="search",
        icon=":material/search:",
        placeholder="Search the log",
        label_visibility="collapsed",
        live=True,
    )
    lines = log_lines(store, run_id)
    found = [one for one in lines if (asked or "").casefold() in one.casefold()]
    if not lines:
        st.info("This run has not written a log yet.")
        return
    of = f"{len(found):,} of {len(lines):,} lines hold “{as_text(asked)}”" if asked else (
        f"{len(lines):,} lines")  # fmt: skip
    st.caption(f"{of}{f'; the last {MOST_LINES} are shown' if len(found) > MOST_LINES else ''}.")
    if found:
        with st.container(height=360, border=True):
            st.text("\n".join(found[-MOST_LINES:]))


def log_lines(store: RunStore, run_id: str) -> list[str]:
    """The lines of log.txt; of a very long one the last 2 MB."""
    return tail(store.run_dir(run_id) / "log.txt", MOST_LOG_BYTES).splitlines()
