"""Dead bits over time, as in Figure 5, with what the figure leaves out: the denominator."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import plotly.graph_objects as go

from rdh.charts import palette


@dataclass(frozen=True)
class Series:
    """One run's curve: label, the method's name (its colour), whether RDH is on (its line), steps (n,) and counts (n,)."""

    label: str
    method: str
    has_rdh: bool
    steps: np.ndarray
    counts: np.ndarray
    denominator: float


def dead_bits_over_time(series: Sequence[Series], *, title: str, events: Sequence[tuple[int, str]] = ()) -> go.Figure:
    """Counts on the left axis, share of all entries on the right one (the same curve). events: (step, word) as thin ticks."""
    figure = palette.bare_figure(title, height=360)
    for run in series:
        color = palette.DEAD if len(series) == 1 else palette.method_color(run.method)
        figure.add_scatter(
            x=run.steps,
            y=run.counts.astype(np.float32),
            name=palette.escape(run.label),
            mode="lines",
            line=palette.arm_line(color, run.has_rdh),
            fill="tozeroy" if len(series) == 1 else None,
            fillcolor=palette.translucent(palette.DEAD, 0.18),
            customdata=(run.counts / run.denominator).astype(np.float32),
            hovertemplate="step %{x}: %{y:,.0f} dead (%{customdata:.2%})<extra></extra>",
        )
    for step, word in events:
        figure.add_vline(
            x=step, line={"width": 1, "dash": "dot", "color": palette.NEUTRAL}, annotation_text=palette.escape(word)
        )
    figure.update_xaxes(title_text="optimiser step")
    denominator = series[0].denominator if series else 0
    figure.update_yaxes(title_text=f"dead entries of {denominator:,.0f}", rangemode="tozero")
    figure.update_layout(showlegend=len(series) > 1)
    return figure


def event_flow(
    steps: np.ndarray, deaths: np.ndarray, rescues: np.ndarray, relapses: np.ndarray, *, title: str
) -> go.Figure:
    """Deaths above the axis, rescues below it, per record; relapses as the darker part of the deaths. All arrays (n,)."""
    figure = palette.bare_figure(title, height=300)
    x = steps
    figure.add_bar(
        x=x,
        y=deaths - relapses,
        name="✖ death (first)",
        marker_color=palette.translucent(palette.DEAD, 0.6),
        marker_line_width=0,
    )
    figure.add_bar(
        x=x, y=relapses, name="✖ relapse (death after a rescue)", marker_color=palette.DEAD, marker_line_width=0
    )
    figure.add_bar(x=x, y=-rescues, name="▲ rescue", marker_color=palette.NEUTRAL, marker_line_width=0)
    figure.update_layout(barmode="relative", bargap=0.05, showlegend=True)
    figure.update_xaxes(title_text="optimiser step")
    figure.update_yaxes(title_text="entries since the last record", tickformat=",")
    return figure
