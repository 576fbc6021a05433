"""The map of bits over time: which bits die, when, and whether they come back."""

import numpy as np
import plotly.graph_objects as go

from rdh.analysis import bucket_max, buckets
from rdh.charts import palette


def saturation_map(
    steps: np.ndarray,
    shares: np.ndarray,
    *,
    title: str,
    what: str,
    order: np.ndarray | None = None,
    top: float | None = None,
) -> go.Figure:
    """Heat map bit x step of a share in [0, 1].

    steps (n,), shares (n, n_bits): one row a record. order: bits from bottom to top (default: by index). top: end of the
    colour scale (default: the largest share, at least 1 %), so that two maps can share one. Thinned to 600 columns by the
    maximum of each bucket, so that short deaths survive.
    """
    starts, size = buckets(steps)
    shares = bucket_max(shares, starts)
    n_bits = shares.shape[1] if shares.ndim == 2 else 0
    order = np.arange(n_bits) if order is None else order
    top = max(0.01, float(shares.max(initial=0))) if top is None else top
    values = np.round(np.clip(shares[:, order].T / top, 0, 1) * 250).astype(
        np.uint8
    )  # 0..250: 1 byte a cell on the wire
    figure = palette.bare_figure(title, height=max(260, min(560, 90 + 8 * n_bits)))
    ticks = np.linspace(0, 250, 6)
    figure.add_heatmap(
        z=values,
        x=steps[starts],
        y=np.arange(n_bits),
        zmin=0,
        zmax=250,
        colorscale=palette.colorscale(palette.SEQUENTIAL),
        hovertemplate="step %{x}, row %{y}<extra></extra>",
        colorbar={
            "title": {"text": what},
            "tickvals": ticks,
            "ticktext": [f"{tick / 250 * top:.1%}" for tick in ticks],
        },
    )
    figure.update_xaxes(
        title_text="optimiser step" + (f" (each column: maximum over {size} records)" if size > 1 else "")
    )
    labels = _sparse(order)
    figure.update_yaxes(title_text="bit", tickvals=labels, ticktext=[str(order[row]) for row in labels], showgrid=False)
    return figure


def difference_map(steps: np.ndarray, difference: np.ndarray, *, title: str) -> go.Figure:
    """Heat map bit x step of (without RDH - with RDH) in dead share, -1..1: orange where RDH has fewer dead bits, blue where more."""
    starts, _ = buckets(steps)
    thinned = difference[starts]
    top = max(0.01, float(np.abs(thinned).max(initial=0)))
    figure = palette.bare_figure(title, height=max(260, min(560, 90 + 8 * thinned.shape[1])))
    figure.add_heatmap(
        z=thinned.T.astype(np.float32),
        x=steps[starts],
        y=np.arange(thinned.shape[1]),
        zmin=-top,
        zmax=top,
        colorscale=palette.colorscale(palette.DIVERGING),
        colorbar={"title": {"text": "dead share, without − with"}, "tickformat": "+.0%"},
        hovertemplate="step %{x}<br>bit %{y}<br>%{z:+.1%}<extra></extra>",
    )
    figure.update_xaxes(title_text="optimiser step")
    figure.update_yaxes(title_text="bit", showgrid=False)
    return figure


def by_onset(shares: np.ndarray) -> np.ndarray:
    """Bits ordered by when their share first passes half of its own maximum, the earliest at the bottom; never-dying bits on top."""
    if shares.ndim != 2 or not len(shares):
        return np.arange(shares.shape[1] if shares.ndim == 2 else 0)
    top = shares.max(0)
    onset = np.where(top > 0, (shares >= top / 2).argmax(0), len(shares))
    return np.lexsort((-top, onset))


def _sparse(order: np.ndarray, most: int = 16) -> np.ndarray:
    step = max(1, -(-len(order) // most))
    return np.arange(0, len(order), step)
