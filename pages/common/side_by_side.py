"""The two runs of a pair at the same steps, in one colour range and on one scale."""

import numpy as np
import streamlit as st

from pages.common.live_plot import live_plotly
from pages.common.readers import view
from rdh.charts.histograms import activation_histogram
from rdh.charts.saturation import difference_map, saturation_map
from rdh.store.run_store import RunStore

TAU = 0.99  # of the maps: the paper's


def draw_maps(runs: RunStore, pair: list[str], *, key: str) -> bool:
    """Both maps up to the last step that both have; False, and a sentence, where there is nothing
    to draw yet.
    """
    loaded = common_steps(runs, pair)
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


def draw_difference(runs: RunStore, pair: list[str]) -> None:
    """The left map minus the right one, where both have the same bits."""
    (steps, without), (other_steps, with_rdh) = common_steps(runs, pair)
    common, here, there = np.intersect1d(steps, other_steps, return_indices=True)
    if without.shape[1] == with_rdh.shape[1] and len(common):
        difference = without[here] - with_rdh[there]
        title = (
            f"Difference: {difference[-1].mean():+.1%} of the record (orange: fewer dead "
            f"in the right map)"
        )
        live_plotly(
            difference_map(common, difference, title=title), key=f"difference-{pair[0]}-{pair[1]}"
        )


def common_steps(runs: RunStore, pair: list[str]) -> list[tuple[np.ndarray, np.ndarray]] | None:
    """Dead shares of both runs, (steps (n,), shares (n, n_bits)) each, cut at the last step that
    both have.
    """
    loaded = [view(runs, one).shares("dead", TAU) for one in pair]
    if not all(len(steps) for steps, _ in loaded):
        return None
    last = min(steps[-1] for steps, _ in loaded)
    shown = [(steps[steps <= last], values[steps <= last]) for steps, values in loaded]
    return shown if all(len(steps) for steps, _ in shown) else None


def draw_moment(runs: RunStore, pair: list[str]) -> None:
    """Figure 1 of both runs at the same step, on one y-range; the step is in the URL."""
    loaded = [
        (view(runs, one).series("pooled_histogram"), view(runs, one).series("dead_histogram")[1])
        for one in pair
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
    figures = []
    for one, ((steps, histograms), dead) in zip(pair, loaded, strict=True):
        row, run, config = int(np.flatnonzero(steps == step)[-1]), view(runs, one), runs.config(one)
        share = dead[row].sum() / max(1, histograms[row].sum())
        title = f"{config.label}: {share:.1%} dead in the record of step {step:,}"
        edges = np.array(run.meta()["logit_edges"])
        figures.append(
            (
                one,
                activation_histogram(edges, histograms[row], dead[row], config.tau, title=title),
                histograms[row],
            )
        )
    top = max(float(counts.max() / max(1, counts.sum())) for _, _, counts in figures) * 1.08
    for column, (one, figure, _) in zip(st.columns(2), figures, strict=True):
        with column:
            figure.update_yaxes(range=[0, top])
            live_plotly(figure, key=f"compare-moment-{one}")
