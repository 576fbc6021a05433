"""The gradient that training really had, beside Eq. (2): mean dL/dF per bin of F, before and after the amplifier."""

import math

import numpy as np
import plotly.graph_objects as go
from plotly.subplots import make_subplots

from rdh.charts import palette


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
    """Left: measured mean (edges (65,), sums (2, 64) before and after the amplifier, counts (64,)). Right: Eq. (2) for one pair.

    Both in the orientation of Figure 3: mirrored so that the similarity loss asks every entry to move towards +1; a negative
    gradient moves it there, a positive one moves it away. Bins with fewer than `least` entries are left out.
    theory: label -> dL/dF at theory_h, of the pair that the page has chosen.
    """
    centers = (edges[1:] + edges[:-1]) / 2
    shown = counts >= least
    before, after = np.where(shown, sums / np.maximum(counts, 1), np.nan)
    figure = make_subplots(
        cols=2,
        subplot_titles=("measured: mean over the entries of a bin", "Eq. (2): one pair of bits"),
        horizontal_spacing=0.09,
    )
    figure.layout.template = None
    colors = {"without amplifier": palette.GRADIENT, "with amplifier": palette.DEAD}
    measured = {"without amplifier": before}
    if not np.allclose(np.nan_to_num(before), np.nan_to_num(after), rtol=1e-6, atol=0):
        measured["with amplifier"] = after
    for label, values in measured.items():
        figure.add_scatter(
            x=centers[shown],
            y=values[shown].astype(np.float32),
            name=label,
            mode="lines+markers",
            marker_size=5,
            col=1,
            row=1,
            line={"color": colors[label], "width": 2.5},
            customdata=counts[shown],
            legendgroup=label,
            hovertemplate="F %{x:.2f}: %{y:.3g} (%{customdata:,.0f} entries)<extra></extra>",
        )
    for label, values in theory.items():
        color = colors.get(label, palette.NEUTRAL)
        figure.add_scatter(
            x=np.arctanh(theory_h),
            y=values.astype(np.float32),
            name=label,
            mode="lines",
            col=2,
            row=1,
            legendgroup=label,
            line={"color": color, "width": 2.5},
            showlegend=label not in measured,
        )
    ticks = [h for h in (-0.999, -0.99, -0.9, -0.5, 0, 0.5, 0.9, 0.99, 0.999) if edges[0] < math.atanh(h) < edges[-1]]
    figure.update_xaxes(
        title_text="h, mirrored so that +1 is the side asked for",
        tickvals=[math.atanh(h) for h in ticks],
        ticktext=[f"{h:g}" for h in ticks],
        range=[edges[0], edges[-1]],
    )
    figure.update_yaxes(title_text="dL/dF", col=1, row=1)
    for side in (-math.atanh(tau), math.atanh(tau)):
        figure.add_vline(x=side, line={"width": 1, "dash": "dash", "color": palette.NEUTRAL})
    figure.add_hline(y=0, line={"width": 1, "color": palette.NEUTRAL})
    figure.update_layout(
        title={"text": palette.wrapped(title), "x": 0, "xanchor": "left", "yref": "container", "automargin": True},
        height=380,
    )
    figure.update_layout(legend={"orientation": "h", "x": 0, "y": -0.25, "yanchor": "top"})
    return figure
