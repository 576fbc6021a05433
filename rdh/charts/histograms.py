"""Distributions of the pre-activation F = atanh(h): all bits at one moment (Figure 1), all bits over time, one bit over time."""

import math

import numpy as np
import plotly.graph_objects as go

from rdh.analysis import buckets
from rdh.charts import palette

H_TICKS = (-0.999, -0.99, -0.9, -0.5, 0.0, 0.5, 0.9, 0.99, 0.999)


def activation_histogram(
    edges: np.ndarray, counts: np.ndarray, dead: np.ndarray | None, tau: float, *, title: str
) -> go.Figure:
    """Figure 1 at one record: bars over F, the dead part in vermillion. edges (65,), counts (64,), dead (64,), or None."""
    centers, total = (edges[1:] + edges[:-1]) / 2, max(1.0, float(counts.sum()))
    figure = palette.bare_figure(title, height=340)
    bars = {"x": centers.astype(np.float32), "width": np.float64(edges[1] - edges[0]) * 0.96}
    alive = counts if dead is None else counts - dead
    figure.add_bar(**bars, y=alive / total, name="■ alive", marker_color=palette.translucent(palette.NEUTRAL, 0.75))
    if dead is not None:
        figure.add_bar(**bars, y=dead / total, name="✖ dead", marker_color=palette.DEAD)
    figure.update_layout(barmode="stack", showlegend=dead is not None)
    figure.update_yaxes(title_text="share of entries", tickformat=".0%")
    _logit_axis(figure, edges, tau)
    return figure


def histogram_over_time(
    edges: np.ndarray, steps: np.ndarray, histograms: np.ndarray, tau: float, *, title: str
) -> go.Figure:
    """Heat map F x step; colour: share of the record's entries, square root so that thin tails show. histograms (n, 64)."""
    starts, size = buckets(steps)
    summed = np.add.reduceat(histograms.astype(np.float64), starts, axis=0) if len(steps) else histograms
    shares = summed / np.maximum(summed.sum(1, keepdims=True), 1)
    centers = (edges[1:] + edges[:-1]) / 2
    z = np.round(np.sqrt(shares / max(shares.max(initial=0), 1e-9)) * 250).astype(np.uint8)
    figure = palette.bare_figure(title, height=340)
    top = float(shares.max(initial=0))
    ticks = np.linspace(0, 250, 5)
    figure.add_heatmap(
        z=z.T,
        x=steps[starts],
        y=centers.astype(np.float32),
        zmin=0,
        zmax=250,
        colorscale=palette.colorscale(palette.SEQUENTIAL),
        colorbar={
            "title": {"text": "share"},
            "tickvals": ticks,
            "ticktext": [f"{(tick / 250) ** 2 * top:.1%}" for tick in ticks],
        },
        hovertemplate="step %{x}<br>F %{y:.2f}<extra></extra>",
    )
    threshold = math.atanh(tau)
    for side in (-threshold, threshold):
        figure.add_hline(y=side, line={"width": 1.2, "dash": "dash", "color": "#FFFFFF"})
    labels = [h for h in H_TICKS if edges[0] < math.atanh(h) < edges[-1]]
    figure.update_yaxes(
        title_text="h = tanh F",
        tickvals=[math.atanh(h) for h in labels],
        ticktext=[f"{h:g}" for h in labels],
        showgrid=False,
    )
    figure.update_xaxes(title_text="optimiser step" + (f" (each column: {size} records)" if size > 1 else ""))
    return figure


def _logit_axis(figure: go.Figure, edges: np.ndarray, tau: float) -> None:
    threshold = math.atanh(tau)
    for side, anchor in ((-threshold, "left"), (threshold, "right")):
        figure.add_vline(
            x=side,
            line={"width": 1.2, "dash": "dash", "color": palette.NEUTRAL},
            annotation={"text": f"h = {'−' if side < 0 else ''}{tau:g}", "xanchor": anchor, "font": {"size": 11}},
        )
    labels = [h for h in H_TICKS if edges[0] < math.atanh(h) < edges[-1]]
    figure.update_xaxes(
        title_text="h = tanh F (axis even in F; outer bars hold everything beyond)",
        range=[edges[0], edges[-1]],
        tickvals=[math.atanh(h) for h in labels],
        ticktext=[f"{h:g}" for h in labels],
    )
