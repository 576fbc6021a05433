"""The two runs of a pair at the same steps, in one colour range and on one scale."""

import numpy as np
import streamlit as st

from pages.common.live_plot import live_plotly
from pages.common.readers import PAPER_TAU, RunSeries, read_series
from rdh.charts.histograms import activation_histogram
from rdh.charts.saturation import difference_map, saturation_map
from rdh.store.run_store import RunStore


def read_pair(runs: RunStore, pair: list[str]) -> dict[str, RunSeries]:
    """Both runs up to their newest records. Call it once per tick."""
    return {one: read_series(runs, one) for one in pair}


def draw_maps(runs: RunStore, pair: dict[str, RunSeries], *, key: str) -> bool:
    """Both maps up to the last step that both runs have.

    Returns:
        False if there is nothing to draw yet; a sentence says so.
    """
    loaded = common_steps(pair)
    if loaded is None:
        st.info("Both runs need records of the probes; they come with the first steps.")
        return False
    top = max(0.01, *(float(values.max(initial=0)) for _, values in loaded))
    for column, one, (steps, values) in zip(st.columns(2), pair, loaded, strict=True):
        with column:
            title = (
                f"{runs.config(one).label}: {values[-1].mean():.1%} dead in the record of "
                f"step {steps[-1]:,}"
            )
            live_plotly(
                saturation_map(steps, values, title=title, what="dead share", top=top),
                key=f"{key}-map-{one}",
            )
    return True


def draw_difference(pair: dict[str, RunSeries]) -> None:
    """The left map minus the right one, if both have the same bits."""
    loaded = common_steps(pair)
    if loaded is None:
        return
    (steps, without), (other_steps, with_rdh) = loaded
    common, here, there = np.intersect1d(steps, other_steps, return_indices=True)
    if without.shape[1] == with_rdh.shape[1] and len(common):
        difference = without[here] - with_rdh[there]
        title = (
            f"Difference: {difference[-1].mean():+.1%} of the record (orange: fewer dead "
            f"in the right map)"
        )
        live_plotly(
            difference_map(common, difference, title=title), key=f"difference-{'-'.join(pair)}"
        )


def common_steps(pair: dict[str, RunSeries]) -> list[tuple[np.ndarray, np.ndarray]] | None:
    """Dead shares of both runs, cut at the last step that both have.

    Returns:
        steps (n,) and shares (n, n_bits) of each run; None if one has no records there.
    """
    loaded = [run.shares("dead", PAPER_TAU) for run in pair.values()]
    if not all(len(steps) for steps, _ in loaded):
        return None
    last = min(steps[-1] for steps, _ in loaded)
    shown = [(steps[steps <= last], values[steps <= last]) for steps, values in loaded]
    return shown if all(len(steps) for steps, _ in shown) else None


def draw_moment(runs: RunStore, pair: dict[str, RunSeries]) -> None:
    """Figure 1 of both runs at the same step, on one y-range; the step is in the URL."""
    loaded = [
        (run.series("pooled_histogram"), run.series("dead_histogram")[1]) for run in pair.values()
    ]
    common = sorted(set(loaded[0][0][0].tolist()) & set(loaded[1][0][0].tolist()))
    if len(common) < 2:
        return
    wanted = st.session_state.get("at")
    if wanted not in common:
        st.session_state["at"] = min(
            common, key=lambda step: abs(step - (common[-1] if wanted is None else wanted))
        )
    step = st.select_slider(
        "Both runs at step",
        common,
        key="at",
        help="The distribution of F over all bits, at the same step.",
    )
    figures, top = {}, 0.0
    for (one, run), ((steps, histograms), dead) in zip(pair.items(), loaded, strict=True):
        row, config = int(np.flatnonzero(steps == step)[-1]), runs.config(one)
        counts, n = histograms[row], max(1, histograms[row].sum())
        title = f"{config.label}: {dead[row].sum() / n:.1%} dead in the record of step {step:,}"
        edges = np.array(run.meta()["logit_edges"])
        figures[one] = activation_histogram(edges, counts, dead[row], config.tau, title=title)
        top = max(top, float(counts.max() / n))
    for column, (one, figure) in zip(st.columns(2), figures.items(), strict=True):
        with column:
            figure.update_yaxes(range=[0, 1.08 * top])
            live_plotly(figure, key=f"compare-moment-{one}")
