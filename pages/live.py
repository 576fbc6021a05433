"""Live: is training healthy right now, and which bits are dying?"""

from collections.abc import Mapping

import numpy as np
import streamlit as st

from pages.common.launching import arrived, draw_notes
from pages.common.live_plot import live_plotly
from pages.common.readers import PAPER_TAU, RunSeries, dead_series, read_series
from pages.common.run_numbers import draw_numbers
from pages.common.run_picker import is_pair, pick_two
from pages.common.run_status import Status, draw_status, read_status
from pages.common.shell import carried, end_page, error_card, known_runs, start_page, store
from rdh import execution
from rdh.charts.dead_bits import dead_bits_over_time, event_flow
from rdh.charts.gradients import measured_gradient
from rdh.charts.histograms import activation_histogram, histogram_over_time
from rdh.charts.losses import loss_split
from rdh.charts.saturation import by_onset, saturation_map
from rdh.config.run_config import RunConfig
from rdh.landscape import Pair, PairForm, gradient_terms
from rdh.store.levels import TAU_LEVELS
from rdh.store.run_store import RunStore

THEORY_H = np.tanh(np.linspace(-4.5, 4.5, 361))
TICK_SECONDS = 1.0


def draw_map(run: RunSeries, what: str, level: float, ordered: bool, key: str) -> None:
    steps, values = run.shares(what, level)
    order = by_onset(values) if ordered else None
    share = values[-1].mean() if len(values) else 0
    takeaway = (
        f"{(values[-1] > 0.1).sum() if len(values) else 0} of {values.shape[1]} bits "
        f"are {what} for more than a tenth of the items"
    )
    figure = saturation_map(
        steps,
        values,
        title=f"{takeaway}; {share:.1%} of the last record's entries",
        what=f"{what} share",
        order=order,
    )

    def open_bit(click: dict) -> None:
        st.session_state["go_to_bit"] = int(click["y"])  # rows are named by their bit, in any order

    live_plotly(figure, key=key, on_click=open_bit)


def draw_dead_curve(
    store: RunStore, run: RunSeries, config: RunConfig, run_id: str, other: str | None
) -> None:
    curves = [dead_series(run, config)]
    if other is not None:
        with error_card():
            curves.append(dead_series(read_series(store, other), store.config(other)))
    series = [one for one in curves if one is not None]
    if not series:
        return
    title = (
        f"{series[0].counts[-1]:,.0f} dead entries now, {series[0].counts.max():,.0f} at the peak"
    )
    live_plotly(dead_bits_over_time(series, title=title), key=f"live-dead-{run_id}")


def draw_distribution(run: RunSeries, config: RunConfig, run_id: str) -> None:
    steps, histograms = run.series("pooled_histogram")
    dead = run.series("dead_histogram")[1]
    edges = np.array(run.meta()["logit_edges"])
    share = dead[-1].sum() / max(1, histograms[-1].sum())
    left, right = st.columns(2)
    with left:
        title = (
            f"Figure 1, measured: at step {steps[-1]:,} the dead are {share:.1%} of the "
            f"record's entries"
        )
        live_plotly(
            activation_histogram(edges, histograms[-1], dead[-1], config.tau, title=title),
            key=f"live-figure1-{run_id}",
        )
    with right:
        outer = np.abs((edges[1:] + edges[:-1]) / 2) >= np.arctanh(config.tau)
        first, last = (
            row[outer].sum() / max(1, row.sum()) for row in (histograms[0], histograms[-1])
        )
        title = f"All bits over time: {first:.0%} saturated at first, {last:.0%} now"
        live_plotly(
            histogram_over_time(edges, steps, histograms, config.tau, title=title),
            key=f"live-drift-{run_id}",
        )


def draw_gradient(run: RunSeries, config: RunConfig, run_id: str) -> None:
    steps, sums = run.series("gradient_sum")
    counts = run.series("gradient_count")[1]
    window = slice(-min(len(steps), 10), None)
    edges = np.array(run.meta()["logit_edges"])
    theory = eq_2(config)
    title = (
        "How strongly a bit is pulled, by its position F: measured over the last records, "
        "beside Eq. (2)"
    )
    figure = measured_gradient(
        edges, sums[window].sum(0), counts[window].sum(0), THEORY_H, theory, config.tau, title=title
    )
    live_plotly(figure, key=f"live-gradient-{run_id}")
    st.caption(
        "Measured: mean over (training item, bit) of the last 10 records, mirrored so "
        "that the similarity loss asks for +1. "
        f"Right: Eq. (2) in this run's form for one pair, h_j = 0.9, S = 1, η = "
        f"{config.eta if config.eta is not None else 1:g}. "
        "The scales differ: a measured gradient is a mean over pairs, Eq. (2) is one pair."
    )


def eq_2(config: RunConfig) -> dict[str, np.ndarray]:
    """dL/dF at THEORY_H for one pair in this method's form: {arm in words: values}."""
    card = config.method_card.landscape
    weight = (
        {"quantization_weight": config.eta}
        if card and config.eta is not None and card["quantization"] != "none"
        else {}
    )
    form = PairForm.from_card(card | weight, config.n_bits) if card else PairForm()
    pair = Pair(0.9, 1, config.eta if config.eta is not None else 1.0, config.tau)
    amplifiers = {"without amplifier": False} | (
        {"with amplifier": True} if config.amplifier else {}
    )
    return {
        label: gradient_terms(
            THEORY_H, pair, form, amplifier=on, quantization=config.quantization
        ).gradient
        for label, on in amplifiers.items()
    }


def draw_events(run: RunSeries, config: RunConfig, run_id: str) -> None:
    frame = run.scalars()
    left, right = st.columns(2)
    with left:
        term = (
            "error-aware quantization"
            if config.quantization == "error_aware"
            else "plain quantization"
        )
        live_plotly(
            loss_split(frame, title="The loss, term by term", quantization=term),
            key=f"live-loss-{run_id}",
        )
    with right:
        columns = ["deaths", "rescues", "relapses", "releases"]
        if set(columns) <= set(frame):
            flow = frame[columns].dropna()
            *values, releases = (flow[name].to_numpy() for name in columns)
            deaths, rescues, _, let_go = (flow[name].sum() for name in columns)
            title = f"{deaths:,.0f} deaths, {rescues:,.0f} rescues, {let_go:,.0f} releases so far"
            figure = event_flow(flow.index.to_numpy(), *values, title=title, releases=releases)
            live_plotly(figure, key=f"live-events-{run_id}")


def draw_no_data(status: Status) -> None:
    if status.word == "finished":
        st.error(
            "metrics.db of this run is empty: its records are lost; launch the run again.",
            icon=":material/error:",
        )
    elif not status.is_final:
        st.info(
            "The first data are on their way: the worker loads torch and the images.",
            icon=":material/hourglass_top:",
        )


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
controls = st.columns([2, 3, 2, 2], vertical_alignment="bottom")
what = controls[0].segmented_control(
    "Map of", ["dead", "saturated"], default="dead", required=True, key="map", bind="query-params"
)
level = controls[1].select_slider(
    "τ of the map",
    TAU_LEVELS,
    PAPER_TAU,
    key="tau",
    bind="query-params",
    help="Counted at these five levels while training.",
)
ordered = controls[2].toggle("Sort bits by onset", key="onset", bind="query-params")
paused = controls[3].toggle("Pause", key="paused", bind="query-params")


def draw() -> None:
    """Draws everything that changes, again every second while the run goes on."""
    with error_card():
        states = execution.states(runs)
        status = read_status(runs, run_id, states)
        run, config = read_series(runs, run_id), runs.config(run_id)
        draw_status(runs, status, run)
        if not len(run.scalars()):
            draw_no_data(status)
        else:
            draw_numbers(run, config, status.is_final)
            if len(run.series("dead_levels")[0]):
                draw_map(run, what, level, ordered, f"live-map-{run_id}")
                draw_dead_curve(runs, run, config, run_id, other)
                draw_distribution(run, config, run_id)
                draw_gradient(run, config, run_id)
            draw_events(run, config, run_id)
        if (bit := st.session_state.pop("go_to_bit", None)) is not None:
            st.switch_page("pages/bits.py", query_params=carried() | {"bit": str(bit)})
        if ticking and not still_going(states):
            st.rerun()


def still_going(states: Mapping[str, execution.RunState]) -> bool:
    """Whether one of the runs drawn here may still change.

    Raises:
        UserError: a run is no longer there.
    """
    return not all(read_status(runs, one, states).is_final for one in (run_id, other) if one)


ticking = False
with error_card():
    ticking = not paused and still_going(known)
    if other and not is_pair(runs, run_id, other):
        st.caption(
            "⚠ The two runs differ in more than the plug-ins, so their dead bits don't "
            "compare RDH with its baseline."
        )
st.fragment(draw, run_every=TICK_SECONDS if ticking else None)()
end_page()
