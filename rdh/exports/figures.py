"""The figures of one run, or of two that are compared, from their records."""

from collections.abc import Sequence

import numpy as np

from rdh.analysis import difference_title, has_collapsed, map_points, percent, share_title
from rdh.analysis.run_series import RunSeries
from rdh.charts.bit_worth import cost_of_bits
from rdh.charts.comparison import Curve, map_over_time, precision_recall, tie_bands
from rdh.charts.dead_bits import Series, dead_bits_over_time
from rdh.charts.figure import Figure
from rdh.charts.histograms import activation_histogram
from rdh.charts.losses import loss_split
from rdh.charts.saturation import difference_map, saturation_map
from rdh.config.run_config import RunConfig
from rdh.exports.moment import Moment

Figures = dict[str, Figure]
TERMS = {"error_aware": "error-aware quantization", "plain": "plain quantization"}
COSTS = {  # the first that all runs have is drawn
    "cost_by_bit_gallery": "in the gallery",
    "cost_by_bit_train": "inside the training set",
}


def figures(moments: Sequence[Moment]) -> Figures:
    """Every figure that the records of these runs allow, by its name.

    Args:
        moments: one run, or two: the one without RDH first.
    """
    what = counted(moments)
    found = dead_over_time(moments, what) | maps(moments, what)
    for makers in (distributions, losses, curves, scores, costs):
        found |= makers(moments)
    return found


def counted(moments: Sequence[Moment]) -> str:
    """ "dead"; "flagged" if one of the runs did not count its dead entries."""
    return "dead" if all(one.series.counted() == "dead" for one in moments) else "flagged"


def dead_series(
    run: RunSeries, config: RunConfig, what: str = "dead", label: str = ""
) -> Series | None:
    """Dead (or flagged) entries over time for `dead_bits_over_time`; None if not counted.

    Args:
        run: its records.
        config: its settings.
        what: "dead" or "flagged".
        label: of the curve, if another run has the label of the settings too.
    """
    frame, meta = run.scalars(), run.meta()
    if what not in frame:
        return None
    dead = frame[what].dropna()
    denominator = meta["n_train"] * meta["n_bits"]
    return Series(
        label or config.label,
        config.method,
        config.has_rdh,
        dead.index.to_numpy(),
        dead.to_numpy(),
        denominator,
    )


def pr_curve(run: RunSeries, config: RunConfig, label: str = "") -> Curve | None:
    """Precision and recall by Hamming radius at the last evaluation; None before the first.

    label: of the curve, if another run has the label of the settings too.
    """
    precision, recall = (run.series(f"{name}_by_radius")[1] for name in ("precision", "recall"))
    if not len(precision):
        return None
    return Curve(label or config.label, config.method, config.has_rdh, recall[-1], precision[-1])


def dead_over_time(moments: Sequence[Moment], what: str) -> Figures:
    """Figure 5 of the paper, with its denominator."""
    series = [dead_series(one.series, one.config, what) for one in moments]
    drawn = [one for one in series if one is not None and len(one.counts)]
    if not drawn:
        return {}
    fallen = {one.config.label for one in moments if has_collapsed(one.row)}
    ends = "; ".join(
        f"{one.label} collapsed, so its {what} say nothing"
        if one.label in fallen
        else f"{one.label} {one.counts[-1]:,.0f} at the last record, "
        f"{one.counts.max():,.0f} at the peak"
        for one in drawn
    )
    title = f"{what.capitalize()} entries: {ends}"
    return {"dead-over-time": dead_bits_over_time(drawn, title=title, what=what, is_wide=True)}


def maps(moments: Sequence[Moment], what: str) -> Figures:
    """The map of bit and step of each run in one colour range, and the difference of two."""
    loaded = [one.series.shares(what, one.config.tau) for one in moments]
    if not all(len(steps) for steps, _ in loaded):
        return {}
    top = max(0.01, *(float(values.max(initial=0)) for _, values in loaded))
    found = {}
    for one, (steps, values) in zip(moments, loaded, strict=True):
        title = share_title(one.row, what, one.series.share(what), int(steps[-1]))
        found[f"map-{one.run_id}"] = saturation_map(
            steps, values, title=title, what=f"{what} share", top=top, narrow=False
        )
    if len(moments) == 2 and loaded[0][1].shape[1] == loaded[1][1].shape[1]:
        common, here, there = np.intersect1d(loaded[0][0], loaded[1][0], return_indices=True)
        if len(common):
            step = int(common[-1])
            shares = [one.series.share(what, step) for one in moments]
            title = difference_title([one.row for one in moments], what, shares, step)
            found["difference"] = difference_map(
                common,
                loaded[0][1][here] - loaded[1][1][there],
                title=title,
                what=f"{what} share",
            )
    return found


def distributions(moments: Sequence[Moment]) -> Figures:
    """Figure 1 of the paper at the last record of each run."""
    found = {}
    for one in moments:
        run, what = one.series, one.series.counted()
        steps, histograms = run.running("pooled_histogram")
        marked = run.running(f"{what}_histogram")[1]
        if not len(steps) or not len(marked):
            continue
        share = percent(marked[-1].sum() / max(1, histograms[-1].sum()))
        title = f"{one.config.label}, F of all bits at step {steps[-1]:,}: {share} {what}"
        edges = np.array(run.meta()["logit_edges"])
        found[f"distribution-{one.run_id}"] = activation_histogram(
            edges, histograms[-1], marked[-1], one.config.tau, title=title, what=what
        )
    return found


def losses(moments: Sequence[Moment]) -> Figures:
    """The loss of each run, term by term."""
    found = {}
    for one in moments:
        frame = one.series.scalars()
        if "loss" in frame:
            found[f"loss-{one.run_id}"] = loss_split(
                frame,
                title=f"{one.config.label}: the loss, term by term",
                quantization=TERMS.get(one.config.quantization, "quantization"),
            )
    return found


def curves(moments: Sequence[Moment]) -> Figures:
    """Precision and recall by Hamming radius, and MAP over the evaluations."""
    found, drawn, evaluated = {}, [], []
    for one in moments:
        config, frame = one.config, one.series.scalars()
        curve = pr_curve(one.series, config)
        if curve is not None:
            drawn.append(curve)
        if "map" in frame:
            values = frame["map"].dropna()
            arm = config.label, config.method, config.has_rdh
            evaluated.append((*arm, values.index.to_numpy(), values.to_numpy()))
    if drawn:
        title = "Precision and recall by Hamming radius, last evaluation"
        found["precision-recall"] = precision_recall(drawn, title=title)
    if any(len(one[4]) > 1 for one in evaluated):
        ends = ", ".join(f"{one[0]} {one[4][-1]:.4f}" for one in evaluated)
        title = f"MAP at the last evaluation: {ends}"
        found["map-over-time"] = map_over_time(evaluated, title=title)
    return found


def scores(moments: Sequence[Moment]) -> Figures:
    """MAP with the band that the order of ties allows."""
    arms = [
        (one.config.label, one.config.method, one.config.has_rdh, one.series.last())
        for one in moments
    ]
    needed = {"map", "map_tie", "map_low", "map_high"}
    arms = [arm for arm in arms if needed <= set(arm[3])]
    if not arms:
        return {}
    title = "MAP, and what the order of ties could make of it"
    return {"ties": tie_bands(arms, title=title)}


def costs(moments: Sequence[Moment]) -> Figures:
    """What the dead entries of each bit cost at the last evaluation."""
    for name, place in COSTS.items():
        found = [one.series.series(name)[1] for one in moments]
        if all(map(len, found)):
            arms = [
                (one.config.label, one.config.method, one.config.has_rdh, values[-1])
                for one, values in zip(moments, found, strict=True)
            ]
            worst = "; ".join(
                f"{label}: bit {int(cost.argmax())} costs most, {map_points(float(cost.max()))}"
                for label, *_, cost in arms
            )
            title = f"What the dead entries of each bit cost in MAP, {place}. {worst}"
            return {"cost": cost_of_bits(arms, title=title)}
    return {}
