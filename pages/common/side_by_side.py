"""The two runs of a pair at the same steps, in one colour range and on one scale."""

from collections.abc import Callable, Mapping

import numpy as np
import streamlit as st

from pages.common.live_plot import live_plotly
from pages.common.moments import pick_step
from pages.common.readers import PAPER_TAU, RunSeries, read_series
from pages.common.run_picker import labels_of, read_config
from pages.common.shell import status_chip
from pages.common.text import as_text
from pages.common.time_view import WHOLE, TimeView
from pages.common.words import link, percent
from rdh import analysis, execution
from rdh.analysis import NOT_COUNTED, difference_title, has_collapsed, share_title
from rdh.charts.histograms import activation_histogram
from rdh.charts.saturation import difference_map, saturation_map
from rdh.execution import RunState
from rdh.store.run_store import RunStore


def read_pair(runs: RunStore, pair: list[str]) -> dict[str, RunSeries]:
    """Both runs up to their newest records. Call it once per tick."""
    return {one: read_series(runs, one) for one in pair}


def counted(pair: dict[str, RunSeries]) -> str:
    """ "dead"; "flagged" if one of the runs did not count its dead entries."""
    return "dead" if all(run.counted() == "dead" for run in pair.values()) else "flagged"


def has_counts(run: RunSeries) -> bool:
    """Whether a run has counted its entries."""
    return run.counts() is not None


def ended_without(
    runs: RunStore, pair: dict[str, RunSeries], has: Callable[[RunSeries], bool], what: str
) -> str:
    """A sentence on the runs that have ended and lack something; "" if it can still come.

    Args:
        runs: the runs root.
        pair: both runs.
        has: whether a run has it.
        what: it in words.
    """
    states = {one: runs.result(one).get("state") for one, run in pair.items() if not has(run)}
    ended = [one for one, state in states.items() if state]
    if not ended:
        return ""
    labels = labels_of(runs, pair)
    names = " and ".join(as_text(labels[one]) for one in ended)
    said = f"{names} ended without {what}, so there is nothing to set side by side"
    if all(states[one] == "finished" for one in ended):
        return f"{said}."
    can = [one for one in ended if states[one] != "finished"]
    if all(execution.would_repeat(runs, one) for one in can):
        return f"{said}: launch the pair again with other settings; Live has what to try."
    return (
        f"{said}: resume {'it' if len(ended) == 1 else 'them'} on Runs, or launch the pair again."
    )


def why_not_rdh(runs: RunStore, pair: list[str]) -> tuple[str, str]:
    """Why two runs don't show what RDH does: a warning, and the start of a verdict on MAP.

    Both are "" if they differ in what RDH is made of alone.
    """
    first, second = (read_config(runs, one) for one in pair)
    weights = analysis.quantization_weight(first), analysis.quantization_weight(second)
    why = analysis.why_unfair(weights, (first.tau, second.tau))
    if first.pair_hash != second.pair_hash:
        said = analysis.difference(first, second, with_plug_ins=False)
        return (
            f"These two runs differ in more than the plug-ins: in {said}. So their difference is "
            "not RDH's doing."
        ), f"This is not RDH's doing, since the runs differ in {said} too."
    if "eta" in why:
        return (
            f"{why[0].upper()}{why[1:]}: the quantization term weighs {weights[0]:g} in "
            f"{first.label} and {weights[1]:g} in {second.label}, so their difference is not "
            "RDH's alone."
        ), f"This is not RDH's doing alone, since {why}."
    if why:
        return (
            f"Tau differs ({first.tau:g} and {second.tau:g}): the dead entries of the two are "
            "counted by other thresholds, so compare their MAP only."
        ), ""
    return "", ""


def progress_said(
    runs: RunStore, pair: dict[str, RunSeries], states: Mapping[str, RunState]
) -> str:
    """How far the runs of a pair are; "" if both have finished."""
    if all(states[one].state == "finished" for one in pair):
        return ""
    parts, labels = [], labels_of(runs, pair)
    for one, run in pair.items():
        total = run.meta().get("total_steps", 0)
        broke_off = states[one].is_final and states[one].state != "finished"
        where = "last record at " * broke_off + f"step {run.step:,}"
        where += f" of {total:,}" if total else ""
        parts.append(f"{labels[one]} {status_chip(states[one])}, {where}")
    end = (
        "These numbers still change: what RDH does is said once both have finished"
        if any(not states[one].is_final for one in pair)
        else "Not both have finished, so this is how far they came, and no verdict"
    )
    return f"**So far.** {as_text('; '.join(parts))}. {end}."


def draw_maps(
    runs: RunStore, pair: dict[str, RunSeries], *, key: str, view: TimeView = WHOLE
) -> bool:
    """Both maps up to the last step that both runs have.

    Returns:
        False if there is nothing to draw yet; a sentence says so.
    """
    loaded, what = common_steps(pair), counted(pair)
    if loaded is None:
        gone = ended_without(runs, pair, has_counts, "counts of dead bits")
        st.info(gone or "Both runs need records of the probes; they come with the first steps.")
        return False
    if what == "flagged":
        st.info(f"In one of these runs, or in both, {NOT_COUNTED}.", icon=":material/history:")
    top = max(float(values.max(initial=0)) for _, values in loaded)
    labels = labels_of(runs, pair)
    for column, (one, run), (steps, values) in zip(
        st.columns(2), pair.items(), loaded, strict=True
    ):
        with column:
            row, step = run.last() | {"label": labels[one]}, int(steps[-1])
            title = share_title(row, what, run.share(what, step), step)
            rows = view.rows(steps)
            figure = saturation_map(
                steps[rows], values[rows], title=title, what=f"{what} share", top=top
            )
            view.draw(figure, key=f"{key}-map-{one}")
    st.caption(
        f"Each row is a bit, each column a moment; bright: {link(what, what)} for many training "
        "images. One colour range for both."
    )
    return True


def draw_difference(runs: RunStore, view: TimeView, pair: dict[str, RunSeries]) -> None:
    """The first map minus the second one, if both have the same bits."""
    loaded, what = common_steps(pair), counted(pair)
    if loaded is None:
        return
    (steps, without), (other_steps, with_rdh) = loaded
    common, here, there = np.intersect1d(steps, other_steps, return_indices=True)
    if without.shape[1] == with_rdh.shape[1] and len(common):
        difference = without[here] - with_rdh[there]
        step, labels = int(common[-1]), labels_of(runs, pair)
        shares = [run.share(what, step) for run in pair.values()]
        lasts = [run.last() | {"label": labels[one]} for one, run in pair.items()]
        title = difference_title(lasts, what, shares, step)
        if any(map(has_collapsed, lasts)):
            st.caption(f"Not drawn. {as_text(title)}.")
            return
        rows = view.rows(common)
        figure = difference_map(common[rows], difference[rows], title=title, what=f"{what} share")
        view.draw(figure, key=f"difference-{'-'.join(pair)}")


def common_steps(pair: dict[str, RunSeries]) -> list[tuple[np.ndarray, np.ndarray]] | None:
    """Dead shares of both runs at their own tau, cut at the last step that both have.

    Returns:
        steps (n,) and shares (n, n_bits) of each run; None if one has no records there.
    """
    what = counted(pair)
    loaded = [run.shares(what, run.meta().get("tau", PAPER_TAU)) for run in pair.values()]
    if not all(len(steps) for steps, _ in loaded):
        return None
    last = min(steps[-1] for steps, _ in loaded)
    shown = [(steps[steps <= last], values[steps <= last]) for steps, values in loaded]
    return shown if all(len(steps) for steps, _ in shown) else None


def draw_moment(runs: RunStore, pair: dict[str, RunSeries]) -> None:
    """Figure 1 of both runs at the same step, on one y-range; the step is in the URL."""
    what = counted(pair)
    loaded = [
        (run.running("pooled_histogram"), run.running(f"{what}_histogram")[1])
        for run in pair.values()
    ]
    common = sorted(set(loaded[0][0][0].tolist()) & set(loaded[1][0][0].tolist()))
    if len(common) < 2:
        return
    help_text = "The distribution of F over all bits, at the same step."
    step = pick_step("Both runs at step", common, key="at", help_text=help_text)
    figures, top, labels = {}, 0.0, labels_of(runs, pair)
    for (one, run), ((steps, histograms), marked) in zip(pair.items(), loaded, strict=True):
        row, config = int(np.flatnonzero(steps == step)[-1]), runs.config(one)
        counts, n = histograms[row], max(1, histograms[row].sum())
        share, entries = percent(marked[row].sum() / n), run.entries_of(f"{what}_histogram")
        title = f"{labels[one]}: {share} of {entries} {what} at step {step:,}"
        if has_collapsed(run.last()):
            title = share_title(run.last() | {"label": labels[one]}, what, 0.0, step)
        edges = np.array(run.meta()["logit_edges"])
        figures[one] = activation_histogram(
            edges, counts, marked[row], config.tau, title=title, what=what
        )
        top = max(top, float(counts.max() / n))
    for column, (one, figure) in zip(st.columns(2), figures.items(), strict=True):
        with column:
            figure.update_yaxes(range=[0, 1.08 * top])
            live_plotly(figure, key=f"compare-moment-{one}")
