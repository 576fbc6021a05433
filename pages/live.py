"""Live: is training healthy right now, and which bits are dying?"""

from collections.abc import Mapping
from contextlib import suppress

import numpy as np
import pandas as pd
import streamlit as st

from pages.common import follow
from pages.common.address import took
from pages.common.amplifier_charts import draw_amplifier, draw_gradient, draw_norms
from pages.common.device_load import load_said
from pages.common.findings import diagnose, draw_findings
from pages.common.launch_start import changed_copy, changes_said
from pages.common.launching import arrived, draw_notes
from pages.common.live_plot import live_plotly
from pages.common.readers import RunSeries, dead_series, read_series
from pages.common.report_button import draw_report_button
from pages.common.run_numbers import draw_numbers
from pages.common.run_picker import how_they_differ, is_pair, is_watched, labels_of, pick_two
from pages.common.run_status import Status, draw_status, read_status
from pages.common.shell import actions, carried, end_page, error_card, known_runs, start_page, store
from pages.common.sidebar import draw_link
from pages.common.text import as_text
from pages.common.time_view import TimeView, draw_view
from pages.common.words import help_of, last_records, legend, percent
from rdh import analysis, execution
from rdh.analysis import NOT_COUNTED, WORDS, has_collapsed
from rdh.charts.dead_bits import dead_bits_over_time, event_flow
from rdh.charts.histograms import activation_histogram, histogram_over_time
from rdh.charts.losses import loss_split
from rdh.charts.saturation import by_onset, saturation_map
from rdh.config.run_config import RunConfig
from rdh.diagnosis import Diagnosis
from rdh.errors import UserError, counted
from rdh.store.levels import TAU_LEVELS
from rdh.store.metrics_reader import LostRecords

TICK_SECONDS = 1.0
ANSWERS = (
    ("pages/compare.py", "What did RDH change?", ":material/compare_arrows:"),
    ("pages/bits.py", "Which bits died, and for which images?", ":material/grid_on:"),
)
NOTHING = analysis.says_nothing("dead")
NO_RECORD = "The loop ended before its first record, so there is nothing to draw."
ENDED = {
    "cancelled": "was cancelled",
    "paused": "was paused",
    "lost": "was lost",
    "failed": "failed",
}
FLOWS: dict[str, dict[str, str | None]] = {  # scalars of the events -> their words in a title
    "dead": {"deaths": "deaths", "rescues": "rescues", "relapses": None, "releases": "releases"},
    "flagged": {
        "flags_raised": "flags raised",
        "flags_answered": "answered",
        "flags_raised_again": None,
        "flags_dropped": "dropped",
    },
}


def draw_map(
    view: TimeView, run: RunSeries, what: str, level: float, ordered: bool, key: str
) -> None:
    what = run.counted() if what == "dead" else what
    steps, values = run.shares(what, level)
    if not len(steps):
        st.info(f"Nothing was counted at τ = {level:g}; choose another τ of the map.")
        return
    order = by_onset(values) if ordered else None
    is_own = level == run.meta()["tau"]
    at_level = "" if is_own else f" at τ = {level:g}"
    share = run.share(what) if is_own else float(values[-1].mean())
    is_fallen = what == "dead" and has_collapsed(run.last())
    takeaway = (
        f"{run.counted().capitalize()}: {NOTHING}"
        if is_fallen
        else (
            f"{what.capitalize()}{at_level}: {percent(share)} of the entries; in "
            f"{(values[-1] > 0.1).sum()} of {values.shape[1]} bits more than a tenth of the items"
        )
    )
    rows = view.rows(steps)
    figure = saturation_map(
        steps[rows], values[rows], title=takeaway, what=f"{what} share", order=order
    )

    def open_bit(click: dict) -> None:
        bit = str(int(click["y"]))  # rows are named by their bit, in any order
        query = carried() | {"bit": bit}
        follow.ask(follow.Way("pages/bits.py", query, f"Bit {bit} on the page Bits"))

    view.draw(figure, key=key, on_click=open_bit)
    legend(what)


def draw_curve(
    view: TimeView,
    pair: dict[str, RunSeries],
    run_id: str,
    what: str,
    *,
    is_wide: bool,
    when: str,
) -> None:
    """Dead (or flagged) entries over time: Figure 5 of the paper, with its denominator."""
    labels = labels_of(runs, pair)
    curves = {
        one: dead_series(run, runs.config(one), what, labels[one]) for one, run in pair.items()
    }
    series = [one for one in curves.values() if one is not None]
    mine = curves[run_id]
    if mine is None:
        return
    is_fallen = what == "dead" and has_collapsed(pair[run_id].last())
    title = (
        f"{mine.label}: {NOTHING}"
        if is_fallen
        else (
            f"{mine.label}: {counted(mine.counts[-1], f'{what} entry')} {when}, "
            f"{mine.counts.max():,.0f} at the peak"
        )
    )
    figure = dead_bits_over_time(
        [view.series(one) for one in series],
        title=title,
        what=what,
        is_wide=is_wide,
        smoothing=view.smoothing,
    )
    view.draw(figure, key=f"live-{what}-{run_id}", is_curve=True)
    if None in curves.values():
        other_run = next(run for one, run in pair.items() if one != run_id)
        why = NOT_COUNTED.partition(";")[0] if other_run.step else "it has no record"
        st.caption(f"The other run is not drawn: {why}.")
    legend(what)


def draw_distribution(
    view: TimeView, run: RunSeries, config: RunConfig, run_id: str, when: str
) -> None:
    what = run.counted()
    steps, histograms = run.running("pooled_histogram")
    marked = run.running(f"{what}_histogram")[1]
    edges = np.array(run.meta()["logit_edges"])
    share = percent(marked[-1].sum() / max(1, histograms[-1].sum()))
    left, right = st.columns(2)
    with left:
        title = (
            f"Figure 1, measured at step {steps[-1]:,}: {share} of "
            f"{run.entries_of(f'{what}_histogram')} are {what}"
        )
        if has_collapsed(run.last()):
            title = f"Figure 1, measured at step {steps[-1]:,}: {NOTHING}"
        figure = activation_histogram(
            edges, histograms[-1], marked[-1], config.tau, title=title, what=what
        )
        live_plotly(figure, key=f"live-figure1-{run_id}")
    with right:
        first, last = (percent(run.share("saturated", step)) for step in (int(steps[0]), None))
        title = f"All bits over time: {first} saturated at first, {last} {when}"
        rows = view.rows(steps)
        figure = histogram_over_time(edges, steps[rows], histograms[rows], config.tau, title=title)
        view.draw(figure, key=f"live-drift-{run_id}")
    legend(what, "saturated")


def draw_events(
    view: TimeView, run: RunSeries, config: RunConfig, run_id: str, status: Status
) -> None:
    frame = run.scalars()
    left, right = st.columns(2)
    with left:
        term = (
            "error-aware quantization"
            if config.quantization == "error_aware"
            else "plain quantization"
        )
        figure = loss_split(
            view.frame(frame),
            title="The loss, term by term",
            quantization=term,
            smoothing=view.smoothing,
        )
        view.draw(figure, key=f"live-loss-{run_id}", is_curve=True)
        st.caption(pace(frame, config.batch_size))
        if said := load_said(status):
            st.caption(as_text(said))
        legend("loss", "pace")
    with right:
        draw_flow(view, run, run_id, "dead", status.is_final)


def pace(frame: pd.DataFrame, batch_size: int | None) -> str:
    """The learning rate at the last record, and how fast the last 20 records went."""
    told = []
    if "lr" in frame and len(rates := frame["lr"].dropna()):
        told.append(f"Learning rate {rates.iloc[-1]:.3g} at the last record")
    if "steps_per_second" in frame and len(speeds := frame["steps_per_second"].dropna()):
        speed = speeds.tail(20).median()
        pace = f"{speed * batch_size:,.0f} items" if batch_size else f"{speed:.3g} steps"
        told.append(f"{pace} a second {last_records(min(20, len(speeds)))}")
    return "; ".join(told) + "." if told else ""


def draw_flow(view: TimeView, run: RunSeries, run_id: str, what: str, is_final: bool) -> None:
    """Which entries became dead (or flagged), and which no longer are, record by record."""
    frame, columns = run.scalars(), list(FLOWS[what])
    if not set(columns) <= set(frame):
        return
    flow = frame[columns].dropna()
    shown = view.frame(flow)
    *values, releases = (shown[name].to_numpy() for name in columns)
    told = [
        f"{flow[name].sum():,.0f} {word}" for name, word in FLOWS[what].items() if word is not None
    ]
    title = ", ".join(told) + ("" if is_final else " so far")
    figure = event_flow(shown.index.to_numpy(), *values, title=title, releases=releases, what=what)
    view.draw(figure, key=f"live-events-{what}-{run_id}")
    legend(*(("death", "rescue", "release", "relapse") if what == "dead" else ("flags",)))


def draw_flags(view: TimeView, pair: dict[str, RunSeries], run_id: str, status: Status) -> None:
    """Flagged entries over time and their events, with a line of explanation."""
    left, right = st.columns(2)
    with left:
        draw_curve(view, pair, run_id, "flagged", is_wide=False, when=status.when)
    with right:
        draw_flow(view, pair[run_id], run_id, "flagged", status.is_final)
    st.caption(WORDS["flagged"].meaning)


def draw_no_data(status: Status) -> None:
    """Why there is no chart, and what to do."""
    if is_watched(runs, status.run_id) or status.word == "finished":
        said = "The first record comes once the loop has called recorder.step() often enough."
        st.info(NO_RECORD if status.is_final else said, icon=":material/hourglass_top:")
        return
    if status.word in ENDED:
        above = status.state.reason if status.state else None  # what the line above says
        is_said = status.word == "lost" or "resume" in (above or "").lower()
        is_vain = execution.would_repeat(runs, status.run_id)
        resume = "" if is_said or is_vain else f"{execution.resume_said(runs, status.run_id)} "
        st.info(
            f"This run {ENDED[status.word]} before its first record, so there is nothing to draw. "
            f"{resume}Launch makes a changed copy of it.",
            icon=":material/block:",
        )
        # Of one that diverged the line above has the link, with a remedy.
        if status.result.get("kind") != execution.DIVERGED:
            changes = changes_said(str(status.result.get("message") or ""))
            query = changed_copy(status.run_id, changes)
            draw_link("pages/launch.py", "Change and launch again", ":material/edit:", query)
    elif not status.is_final:
        waits = status.word == "queued" and status.n_training
        st.info(
            "There is nothing to draw before the run has its turn."
            if waits
            else f"The first data are on their way: {what_comes_first(status)}",
            icon=":material/hourglass_top:",
        )


def what_comes_first(status: Status) -> str:
    """What a run without a record still does, by its last sign of life."""
    beat = status.beat
    if not beat:
        return "torch is loaded once, then the run's images."
    if beat.get("phase") == "training":
        return "the run trains, and its first record comes after a few steps."
    if beat.get("done", 0) < beat.get("of", 0):
        return "the run's images are read, then it trains."
    return "the run loads what it needs, then it trains."


def pick_level() -> float | None:
    """The tau of the map. None: the run's own, at which tiles and curves count too."""
    level = st.select_slider(
        "τ of the map",
        [None, *TAU_LEVELS],
        key="tau",
        bind="query-params",
        format_func=lambda level: "the run's" if level is None else f"{level:g}",
        help="Counted at these five levels while training, and at the run's own τ.",
        width=160,
    )
    if level is None:
        took("tau", "the run's own")
    return level


def still_going(states: Mapping[str, execution.RunState]) -> bool:
    """Whether one of the runs drawn here may still change.

    Raises:
        UserError: a run is no longer there.
    """
    return not all(read_status(runs, one, states).is_final for one in (run_id, other) if one)


start_page(
    "Live",
    ":material/monitoring:",
    "Is training healthy right now, and which bits are dying?",
    section="Watch",
    place=110,
)
arrived()
runs = store()
known = known_runs(runs)
run_id, other = pick_two(runs, known)
draw_notes(run_id)
draw_report_button(runs, [run_id])
if other is not None:
    draw_report_button(runs, [run_id, other])
going, has_map = False, True
with suppress(UserError):  # `draw` says it
    going, records = still_going(known), read_series(runs, run_id)
    may_come = not known[run_id].is_final and not len(records.scalars())
    has_map = may_come or bool(len(records.running("saturated")[0]))
what, level, ordered, with_flags, paused = "dead", None, False, False, False
with st.container(horizontal=True, vertical_alignment="bottom", gap="medium"):
    if has_map:
        what = st.segmented_control(
            "Map of",
            ["dead", "flagged", "saturated"],
            default="dead",
            required=True,
            key="map",
            bind="query-params",
        )
        level = pick_level()
        ordered = st.toggle("Sort bits by onset", key="onset", bind="query-params")
        with_flags = st.toggle(
            "Show flagged", key="flags", bind="query-params", help=help_of("flagged")
        )
    if going:
        paused = st.toggle(
            "Hold the charts",
            key="paused",
            bind="query-params",
            help="The page stands still; the run goes on. Pause run stops the run itself.",
        )


def draw() -> None:
    """Draws everything that changes, again every second while the run goes on."""
    with error_card():
        states = execution.states(runs)
        status = read_status(runs, run_id, states)
        try:
            run, config = read_series(runs, run_id), runs.config(run_id)
        except LostRecords:
            draw_status(runs, status)
            raise
        found: dict[str, Diagnosis] | None = None
        if len(run.scalars()):
            # Before the first tile is drawn, since it takes a while: tiles and findings of two
            # moments would stand on one screen as long.
            with suppress(UserError):  # `draw_findings` says it
                found = diagnose(runs, {run_id: run}, other)
        # Each part has a container of its own. A line that comes or goes in one does not move the
        # charts below: Streamlit builds a chart that moves anew.
        with st.container():
            draw_status(runs, status, run)
        if not len(run.scalars()):
            draw_no_data(status)
        else:
            with st.container():
                draw_numbers(run, config, status.is_final)
            draw_findings(runs, {run_id: run}, other, found)
            with st.container(key="charts-live"):
                draw_charts(run, config, status)
        follow.draw()
        if ticking and not still_going(states):
            st.rerun()


def draw_charts(run: RunSeries, config: RunConfig, status: Status) -> None:
    """Everything below the tiles; a run without probes has its loss alone."""
    pair = {run_id: run}
    if other:
        with error_card():
            runs.config(other)  # before its records: a run that can't be read is left out whole
            pair[other] = read_series(runs, other)
    view = draw_view(max(one.total_steps for one in pair.values()))
    if len(run.running("saturated")[0]):
        st.header("Which bits die, and when", anchor="dead")
        if run.counted() == "dead":
            with st.container():  # the line on the other run goes with its first record
                draw_curve(view, pair, run_id, "dead", is_wide=True, when=status.when)
        if with_flags or run.counted() == "flagged":
            draw_flags(view, pair, run_id, status)
        draw_map(view, run, what, level or config.tau, ordered, f"live-map-{run_id}")
        st.header("Where the entries stand", anchor="distribution")
        draw_distribution(view, run, config, run_id, status.when)
        st.header("What pulls them, and what the amplifier does", anchor="amplifier")
        with st.container():  # it comes with the first records of the amplifier
            draw_amplifier(run, config, run_id)
        draw_gradient(run, config, run_id)
        draw_norms(view, run, config, run_id)
    st.header("Loss and events", anchor="loss")
    draw_events(view, run, config, run_id, status)


ticking = going and not paused
with error_card():
    if other and not is_pair(runs, run_id, other):
        said = as_text(how_they_differ(runs, run_id, other))
        st.caption(
            f"⚠ The two runs differ in {said}, so their dead bits don't compare RDH with its "
            "baseline."
        )
    elif other and not going:  # the run has ended: what is the answer?
        with actions():
            for page, label, icon in ANSWERS:
                draw_link(page, label, icon, carried())
st.fragment(draw, run_every=TICK_SECONDS if ticking else None)()
end_page()
