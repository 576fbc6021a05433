"""The gradient measured in training: beside Eq. (2), and its norm over time."""

import math
from typing import Any

import numpy as np

from rdh.charts import palette
from rdh.charts._layout import add_curve, add_legend_below
from rdh.charts.figure import Figure
from rdh.charts.histograms import OF_F, h_axis

LINES = {
    "without amplifier": {"color": palette.NEUTRAL, "width": 2.5, "dash": "6px,4px"},
    "with amplifier": {"color": palette.GRADIENT, "width": 2.5, "dash": "solid"},
}


def measured_gradient(
    edges: np.ndarray,
    sums: np.ndarray,
    counts: np.ndarray,
    tau: float,
    *,
    title: str,
    least: int = 5,
) -> Figure:
    """The measured mean gradient by bin of F.

    It has the orientation of Figure 3: mirrored so that the similarity loss asks every entry to
    move towards +1. A negative gradient moves it there, a positive one moves it away. Bins with
    fewer than `least` entries are left out.

    Args:
        edges: of the bins of F, (65,).
        sums: of dL/dF before and after the amplifier, (2, 64).
        counts: entries of each bin, (64,).
        tau: saturation threshold.
        title: of the chart.
        least: entries that a bin needs.
    """
    figure = palette.bare_figure(title, height=360)
    centers, shown = ((edges[1:] + edges[:-1]) / 2)[counts >= least], counts >= least
    facts = np.stack([np.tanh(centers), counts[shown]], 1).astype(np.float32)
    hover = "h %{customdata[0]:.4f}: %{y:.3g} (%{customdata[1]:,.0f} entries)"
    for label, values in _measured(sums, counts).items():
        line = _line(label, centers, values[shown], customdata=facts, hovertemplate=hover)
        line["meta"] = {"customdata": ["h", "entries"]}
        figure.add_scatter(**line, mode="lines+markers", marker_size=5)
    return _framed(figure, edges, tau)


def gradient_of_one_pair(
    edges: np.ndarray, h: np.ndarray, gradients: dict[str, np.ndarray], tau: float, *, title: str
) -> Figure:
    """Eq. (2) of one pair, on the axis of `measured_gradient`.

    Args:
        edges: of the bins of F, (65,).
        h: where the gradients are taken, (n,).
        gradients: label -> dL/dF at h, (n,).
        tau: saturation threshold.
        title: of the chart.
    """
    figure = palette.bare_figure(title, height=360)
    hover = "h %{customdata:.4f}: %{y:.3g}"
    for label, values in gradients.items():
        facts = h.astype(np.float32)
        line = _line(label, np.arctanh(h), values, customdata=facts, hovertemplate=hover)
        line["meta"] = {"customdata": ["h"]}
        figure.add_scatter(**line, mode="lines")
    return _framed(figure, edges, tau)


def gradient_norms(
    steps: np.ndarray,
    before: np.ndarray,
    after: np.ndarray,
    *,
    title: str,
    smoothing: float = 0.0,
) -> Figure:
    """The norm of a batch's dL/dF over time, before and after the amplifier.

    One curve alone if the amplifier changed nothing.

    Args:
        steps: of the records, (n,).
        before: norms, (n,).
        after: norms, (n,).
        title: of the chart.
        smoothing: weight of what was before; the raw curves stay faint behind.
    """
    figure = palette.bare_figure(title, height=300)
    curves = {"without amplifier": before, "with amplifier": after}
    if np.allclose(before, after, rtol=1e-6, atol=0):
        del curves["with amplifier"]
    for label, values in curves.items():
        hover = {"hovertemplate": "step %{x:,}: %{y:.4g}", "mode": "lines"}
        add_curve(figure, steps, values, smoothing, name=label, line=LINES[label], **hover)
    figure.update_xaxes(title_text="optimiser step")
    title = "norm of dL/dF of a batch"
    figure.update_yaxes(title_text=title, rangemode="tozero", exponentformat="power")
    add_legend_below(figure)
    return figure


def _framed(figure: Figure, edges: np.ndarray, tau: float) -> Figure:
    figure.update_xaxes(**h_axis(edges), title_text="h, mirrored so that +1 is the side asked for")
    figure.update_yaxes(title_text="dL/dF", exponentformat="power")
    for side in (-math.atanh(tau), math.atanh(tau)):
        figure.add_vline(x=side, line={"width": 1, "dash": "dash", "color": palette.NEUTRAL})
    figure.add_hline(y=0, line={"width": 1, "color": palette.NEUTRAL})
    figure.update_layout(margin_l=78, meta={"columns": {"x": OF_F}})
    add_legend_below(figure)
    return figure


def _line(label: str, x: np.ndarray, y: np.ndarray, **more: Any) -> dict[str, Any]:
    """What the lines of both charts share."""
    line = LINES.get(label, {"color": palette.NEUTRAL, "width": 2.5})
    place = {"x": x.astype(np.float32), "y": y.astype(np.float32)}
    return place | {"name": label, "showlegend": True, "line": line} | more


def _measured(sums: np.ndarray, counts: np.ndarray) -> dict[str, np.ndarray]:
    """Means (64,) by label. Only one curve if the amplifier changed nothing."""
    before, after = sums / np.maximum(counts, 1)
    if np.allclose(before, after, rtol=1e-6, atol=0):
        return {"without amplifier": before}
    return {"without amplifier": before, "with amplifier": after}
