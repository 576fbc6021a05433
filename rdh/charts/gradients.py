"""The gradient measured in training, beside Eq. (2)."""

import math
from typing import Any

import numpy as np
import plotly.graph_objects as go
from plotly.subplots import make_subplots

from rdh.charts import palette
from rdh.charts._layout import add_legend_below
from rdh.charts.histograms import OF_F, h_axis

LINES = {
    "without amplifier": {"color": palette.NEUTRAL, "width": 2.5, "dash": "6px,4px"},
    "with amplifier": {"color": palette.GRADIENT, "width": 2.5, "dash": "solid"},
}


def measured_gradient(
    edges: np.ndarray,
    sums: np.ndarray,
    counts: np.ndarray,
    theory_h: np.ndarray,
    theory: dict[str, np.ndarray],
    tau: float,
    *,
    title: str,
    least: int = 5,
) -> go.Figure:
    """The measured mean gradient by bin of F (left), and Eq. (2) for one pair (right).

    Both have the orientation of Figure 3: they are mirrored so that the similarity loss asks every
    entry to move towards +1. A negative gradient moves it there, a positive one moves it away. Bins
    with fewer than `least` entries are left out.

    Args:
        edges: of the bins of F, (65,).
        sums: of dL/dF before and after the amplifier, (2, 64).
        counts: entries of each bin, (64,).
        theory_h: the values of h for `theory`, (n,).
        theory: label -> dL/dF at theory_h, of the pair that the page has chosen.
        tau: saturation threshold.
        title: of the chart.
        least: entries that a bin needs.
    """
    titles = ("measured: mean over the entries of a bin", "Eq. (2): one pair of bits")
    figure = palette.bare_figure(title, height=390)
    figure = make_subplots(figure=figure, cols=2, subplot_titles=titles, horizontal_spacing=0.1)
    centers, shown = ((edges[1:] + edges[:-1]) / 2)[counts >= least], counts >= least
    measured = _measured(sums, counts)
    for label, values in measured.items():
        facts = np.stack([np.tanh(centers), counts[shown]], 1).astype(np.float32)
        hover = "h %{customdata[0]:.4f}: %{y:.3g} (%{customdata[1]:,.0f} entries)"
        line = _line(label, centers, values[shown], customdata=facts, hovertemplate=hover)
        line["meta"] = {"customdata": ["h", "entries"]}
        figure.add_scatter(**line, mode="lines+markers", marker_size=5, col=1, row=1)
    for label, values in theory.items():
        line = _line(
            label,
            np.arctanh(theory_h),
            values,
            showlegend=label not in measured,
            customdata=theory_h.astype(np.float32),
            meta={"customdata": ["h"]},
            hovertemplate="h %{customdata:.4f}: %{y:.3g}",
        )
        figure.add_scatter(**line, mode="lines", col=2, row=1)
    figure.update_xaxes(**h_axis(edges), title_text="h, mirrored so that +1 is the side asked for")
    figure.update_yaxes(title_text="dL/dF", col=1, row=1)
    for side in (-math.atanh(tau), math.atanh(tau)):
        figure.add_vline(x=side, line={"width": 1, "dash": "dash", "color": palette.NEUTRAL})
    figure.add_hline(y=0, line={"width": 1, "color": palette.NEUTRAL})
    figure.update_annotations(font_size=13)
    figure.update_layout(meta={"columns": {"x": OF_F}}, margin_t=figure.layout.margin.t + 24)
    add_legend_below(figure)  # above the plots stand the titles of the two
    return figure


def _line(label: str, x: np.ndarray, y: np.ndarray, **more: Any) -> dict[str, Any]:
    """What the lines on both sides share; the legend switches them together."""
    line = LINES.get(label, {"color": palette.NEUTRAL, "width": 2.5})
    place = {"x": x.astype(np.float32), "y": y.astype(np.float32)}
    return place | {"name": label, "legendgroup": label, "line": line} | more


def _measured(sums: np.ndarray, counts: np.ndarray) -> dict[str, np.ndarray]:
    """Means (64,) by label. Only one curve if the amplifier changed nothing."""
    before, after = sums / np.maximum(counts, 1)
    if np.allclose(before, after, rtol=1e-6, atol=0):
        return {"without amplifier": before}
    return {"without amplifier": before, "with amplifier": after}
