"""Charts with and without RDH: MAP of pairs, precision-recall, and MAP over time."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from rdh import catalog
from rdh.charts import palette
from rdh.charts._layout import add_curve, add_legend, add_legend_below, map_range
from rdh.charts.figure import Figure

MOST_MARKS = 60  # evaluations; the marks of more would hide the line
ORDERS = {"map_low": "worst order of ties", "map_high": "best order of ties"}


@dataclass(frozen=True)
class Curve:
    """Recall and precision, (n_bits + 1,) each, by Hamming radius 0 to n_bits."""

    label: str
    method: str
    has_rdh: bool
    recall: np.ndarray
    precision: np.ndarray


def precision_recall(curves: Sequence[Curve], *, title: str) -> Figure:
    """Precision-recall curves with a marker for each radius, so that few points look like few."""
    figure = palette.bare_figure(title, height=380, title_width=palette.NARROW)
    for curve in curves:
        color = palette.method_color(curve.method)
        figure.add_scatter(
            x=curve.recall,
            y=curve.precision,
            name=palette.escape(curve.label),
            mode="lines+markers",
            line=palette.arm_line(color, curve.has_rdh),
            marker=palette.arm_marker(color, curve.has_rdh, 5),
            customdata=np.arange(len(curve.recall)),
            meta={"customdata": ["radius"]},
            hovertemplate="radius %{customdata}: recall %{x:.3f}, precision %{y:.3f}"
            "<extra></extra>",
        )
    figure.update_xaxes(title_text="recall", range=[0, 1.01])
    figure.update_yaxes(title_text="precision", range=[0, 1.02])
    add_legend_below(figure)
    return figure


def paired_maps(pairs: pd.DataFrame, *, title: str) -> Figure:
    """A line from baseline to +RDH for each pair of `analysis.pairs`.

    Each method and code length has a column.
    """
    figure = palette.bare_figure(title, height=380)
    grouped = pairs.groupby(["method", "n_bits"], sort=True)
    groups = [(str(key[0]), key[1], group) for key, group in grouped]
    for place, (method, n_bits, group) in enumerate(groups):
        color, n = palette.method_color(method), len(group)
        gap = np.full(n, np.nan)  # ends the line of one pair
        figure.add_scatter(
            x=np.stack([np.full(n, place - 0.18), np.full(n, place + 0.18), gap], 1).ravel(),
            y=np.stack([group["map_baseline"], group["map_rdh"], gap], 1).ravel(),
            mode="lines+markers",
            showlegend=False,
            line={"color": color, "width": 1.5},
            marker={"symbol": ["circle-open", "circle", "circle"] * n, "size": 9, "color": color},
            customdata=np.stack([group["seed"].repeat(3), group["map_gain"].repeat(3)], 1),
            meta={"customdata": ["seed", "difference in MAP"]},
            text=["without RDH", "with RDH", None] * n,
            name=f"{_title(method)}, {n_bits} bits",
            hovertemplate=f"{_title(method)}, {n_bits} bits, seed %{{customdata[0]:d}}: %{{y:.4f}} "
            "(RDH: %{customdata[1]:+.4f})<extra></extra>",
        )
    figure.update_xaxes(
        tickvals=list(range(len(groups))),
        ticktext=[f"{_title(method)}<br>{n_bits} bits" for method, n_bits, _ in groups],
        range=[-0.6, len(groups) - 0.4],
    )
    figure.update_layout(meta={"columns": {"x": None}})  # places beside each other, no numbers
    ends = map_range(pairs["map_baseline"].to_numpy(), pairs["map_rdh"].to_numpy())
    figure.update_yaxes(title_text="MAP   (○ without, ● with RDH)", range=ends)
    return figure


def tie_bands(arms: Sequence[tuple[str, str, bool, dict[str, float]]], *, title: str) -> Figure:
    """MAP of runs with the band that the order of ties allows.

    Args:
        arms: (label, method, has_rdh, scores), scores with map, map_tie, map_low and map_high.
        title: of the chart.
    """
    figure = palette.bare_figure(title, height=130 + 44 * len(arms))
    for place, (label, method, has_rdh, scores) in enumerate(arms):
        color = palette.method_color(method)
        mark = {"symbol": "line-ns-open", "size": 18, "color": color, "line": {"width": 2}}
        parts: dict[str, tuple[list[str], str, dict]] = {
            "worst to best order of ties": (["map_low", "map_high"], "lines", {}),
            "expected over ties": (["map_tie"], "markers", mark),
            "MAP": (["map"], "markers", palette.arm_marker(color, has_rdh, 12)),
        }
        for what, (fields, mode, marker) in parts.items():
            figure.add_scatter(
                x=[scores[name] for name in fields],
                y=[place] * len(fields),
                text=[ORDERS.get(name, what) for name in fields],
                mode=mode,
                name=what,
                legendgroup=what,
                showlegend=not place,
                line={"color": palette.translucent(color, 0.45), "width": 12},
                marker=marker or None,
                hovertemplate=f"{palette.escape(label)}, {what}: %{{x:.4f}}<extra></extra>",
            )
    figure.update_yaxes(
        tickvals=list(range(len(arms))),
        ticktext=[palette.escape(label, 24) for label, *_ in arms],
        range=[len(arms) - 0.5, -0.5],
        showgrid=False,
    )
    every = [scores[name] for *_, scores in arms for name in ("map", "map_low", "map_high")]
    figure.update_xaxes(title_text="MAP", tickformat=".3f", range=map_range(np.array(every)))
    figure.update_layout(margin_l=78)
    add_legend_below(figure)
    return figure


def map_over_time(
    runs: Sequence[tuple[str, str, bool, np.ndarray, np.ndarray]],
    *,
    title: str,
    smoothing: float = 0.0,
) -> Figure:
    """MAP of runs over their steps. runs: (label, method, has_rdh, steps, MAP)."""
    figure = palette.bare_figure(title, height=320)
    for label, method, has_rdh, steps, values in runs:
        color = palette.method_color(method)
        add_curve(
            figure,
            steps,
            values,
            smoothing,
            name=palette.escape(label),
            mode="lines+markers" if len(steps) <= MOST_MARKS else "lines",
            line=palette.arm_line(color, has_rdh),
            marker=palette.arm_marker(color, has_rdh, 6),
            hovertemplate="step %{x:,}: MAP %{y:.4f}<extra></extra>",
        )
    figure.update_xaxes(title_text="optimiser step")
    figure.update_yaxes(title_text="MAP", range=map_range(*(values for *_, values in runs)))
    add_legend(figure)
    return figure


def _title(method: str) -> str:
    card = catalog.methods().get(method)
    return palette.escape(card.title if card else method)
