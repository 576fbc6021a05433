"""Distributions of F = atanh(h): all bits at one moment (Figure 1), all or one bit over time."""

import math
from typing import Any

import numpy as np

from rdh.charts import palette
from rdh.charts._layout import add_legend_below, name_steps
from rdh.charts._thinning import bucket_sum, buckets
from rdh.charts.figure import Figure

H_TICKS = (
    0.0,
    -0.99,
    0.99,
    -0.9,
    0.9,
    -0.99999,
    0.99999,
    -0.999,
    0.999,
    -0.5,
    0.5,
)  # the first are the first to be named
TICK_FONT = 11
H_TITLE = (
    "h = tanh F, even in F<br>(the outer bars hold all beyond)"  # one line is cut at 400 pixels
)
OF_F = "F = atanh h"  # a column of numbers: places on these axes are of F, only their names of h
NARROWEST, LOWEST = 220, 204  # pixels of a lying and of an upright axis in a window of 400


def activation_histogram(
    edges: np.ndarray,
    counts: np.ndarray,
    dead: np.ndarray | None,
    tau: float,
    *,
    title: str,
    what: str = "dead",
) -> Figure:
    """Figure 1 at one record: bars over F, the dead part in vermillion.

    Shapes: edges (65,), counts (64,), dead (64,) or None. If `what` is "flagged", `dead` holds
    flagged entries.
    """
    centers, total = (edges[1:] + edges[:-1]) / 2, max(1.0, float(counts.sum()))
    figure = palette.bare_figure(title, height=340, title_width=palette.NARROW)
    parts = [
        (
            f"not {what}" if dead is not None else "all",
            counts,
            palette.translucent(palette.NEUTRAL, 0.75),
        )
    ]
    if dead is not None:
        marked = palette.DEAD if what == "dead" else palette.GRADIENT
        parts = [
            (parts[0][0], counts - dead, parts[0][2]),
            (f"{palette.GLYPHS[what]} {what}", dead, marked),
        ]
    for name, values, color in parts:
        figure.add_bar(
            x=centers.astype(np.float32),
            y=(values / total).astype(np.float32),
            width=float(edges[1] - edges[0]) * 0.96,
            name=name,
            marker={"color": color, "line_width": 0},
            customdata=np.tanh(centers).astype(np.float32),
            meta={"customdata": ["h"]},
            hovertemplate="h %{customdata:.4f} (F %{x:.2f}): %{y:.2%}",
        )
    figure.update_layout(barmode="stack", showlegend=False)
    if dead is not None:
        add_legend_below(figure)
    figure.update_yaxes(title_text="share of entries", tickformat="~%")
    for side in (-1, 1):
        text = f"h = {'−' if side < 0 else ''}{tau:g}"
        label = {
            "text": text,
            "y": 1,
            "xanchor": "center",
            "yanchor": "bottom",
            "font": {"size": 11},
        }
        line = {"width": 1.2, "dash": "dash", "color": palette.NEUTRAL}
        figure.add_vline(x=side * math.atanh(tau), line=line, annotation=label)
    room = {"t": figure.layout.margin.t + 14, "b": 98 if dead is not None else 70}
    figure.update_layout(margin=room, meta={"columns": {"x": OF_F}})  # two lines above and below
    figure.update_xaxes(**h_axis(edges), title_text=H_TITLE)
    return figure


def histogram_over_time(
    edges: np.ndarray, steps: np.ndarray, histograms: np.ndarray, tau: float, *, title: str
) -> Figure:
    """Heat map of F and step; histograms (n, 64).

    The colour is the share of the record's entries, as a square root so that thin tails show. More
    than 600 columns are summed in buckets.
    """
    starts, size = buckets(len(steps))
    summed = bucket_sum(histograms.astype(np.float64), starts)
    shares = summed / np.maximum(summed.sum(1, keepdims=True), 1)
    top = max(float(shares.max(initial=0)), 1e-9)
    figure = palette.bare_figure(title, height=340, title_width=palette.NARROW)
    ticks = np.linspace(0, 1, 5)
    figure.add_heatmap(
        z=np.round(np.sqrt(shares / top) * 250).astype(np.uint8).T,  # one byte a cell on the wire
        x=steps[starts],
        y=((edges[1:] + edges[:-1]) / 2).astype(np.float32),
        zmin=0,
        zmax=250,
        meta={"times": top / 250**2, "power": 2},
        colorscale=palette.colorscale(palette.SEQUENTIAL),
        colorbar={
            "title": {"text": "share of entries"},
            "tickvals": ticks * 250,
            "ticktext": [f"{tick**2 * top:.1%}" for tick in ticks],
        },
        hovertemplate="step %{x:,}, F %{y:.2f}<extra></extra>",
    )
    for side in (-1, 1):
        place = side * math.atanh(tau)
        # Dark below white, so that a dash shows on every colour of the map and on the page beside
        # it.
        figure.add_hline(y=place, line={"width": 3, "color": "rgba(0,0,0,0.55)"})
        label = {
            "text": f"{'−' if side < 0 else ''}τ",
            **{"x": 1, "xanchor": "right", "yanchor": "top" if side < 0 else "bottom"},
            **{
                "font": {"size": 12, "color": "#FFFFFF"},
                "bgcolor": "rgba(0,0,0,0.55)",
                "borderpad": 1,
            },
        }
        figure.add_hline(
            y=place, line={"width": 1.3, "dash": "6px,4px", "color": "#FFFFFF"}, annotation=label
        )
    figure.update_yaxes(**h_axis(edges, is_upright=True), title_text="h = tanh F", showgrid=False)
    figure.update_layout(margin_l=84, meta={"columns": {"y": OF_F}})
    name_steps(figure, size, "")
    return figure


def h_axis(edges: np.ndarray, *, is_upright: bool = False) -> dict[str, Any]:
    """An axis even in F with ticks at round values of h = tanh F; edges (65,) of F.

    Names of ticks that would touch are left out.
    """
    ticks = [h for h in H_TICKS if edges[0] < math.atanh(h) < edges[-1]]
    pixels = LOWEST if is_upright else NARROWEST
    units = float(edges[-1] - edges[0]) / pixels  # of F, per pixel
    named: list[float] = []
    for h in ticks:
        if all(
            abs(math.atanh(h) - math.atanh(other)) >= _room(h, other, is_upright) * units
            for other in named
        ):
            named.append(h)
    return {
        "range": [float(edges[0]), float(edges[-1])],
        "tickvals": [math.atanh(h) for h in ticks],
        "ticktext": [_h_text(h) if h in named else "" for h in ticks],
        "tickfont": {"size": TICK_FONT},
        "tickangle": 0,
    }


def _h_text(h: float) -> str:
    return f"{h:g}".replace("-", "−")


def _room(first: float, second: float, is_upright: bool) -> float:
    """Pixels that the centres of two tick labels need between them."""
    half_a_digit, sign_and_gap = 0.26 * TICK_FONT, 5
    n_characters = len(f"{abs(first):g}") + len(f"{abs(second):g}")
    return TICK_FONT + 2 if is_upright else half_a_digit * n_characters + sign_and_gap
