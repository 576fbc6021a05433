"""Small multiples: one panel a method, with and without RDH in each."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import plotly.graph_objects as go
from plotly.subplots import make_subplots

from rdh.charts import palette
from rdh.charts._layout import add_legend_below

PER_ROW = 3


@dataclass(frozen=True)
class Line:
    """One curve of a panel, (n,) each. low and high: of the band over seeds, or None.

    Curves of the same label share an entry of the legend, which is grey: the panel has the hue.
    """

    label: str
    method: str
    has_rdh: bool
    x: np.ndarray
    y: np.ndarray
    low: np.ndarray | None = None
    high: np.ndarray | None = None


def precision_recall_panels(
    panels: Mapping[str, Sequence[Line]], *, title: str, has_markers: bool
) -> go.Figure:
    """Precision against recall, a panel a method. Markers: a point for each radius."""
    figure = _panels(panels, title, "lines+markers" if has_markers else "lines")
    figure.update_xaxes(range=[0, 1.01])
    top = max((np.nanmax(line.y) for lines in panels.values() for line in lines), default=1)
    figure.update_yaxes(range=[0, 1.03 * top])
    return _with_titles(figure, len(panels), "recall", "precision")


def dead_over_training(panels: Mapping[str, Sequence[Line]], *, title: str) -> go.Figure:
    """The share of dead entries over the epochs, a panel a method, with the range over seeds."""
    figure = _panels(panels, title, "lines")
    figure.update_yaxes(tickformat=".2~p", rangemode="tozero")
    return _with_titles(figure, len(panels), "epoch", "dead entries")


def _panels(panels: Mapping[str, Sequence[Line]], title: str, mode: str) -> go.Figure:
    n_rows, n_columns = -(-len(panels) // PER_ROW), min(PER_ROW, len(panels))
    titles = [palette.escape(name) for name in panels]
    grid = make_subplots(
        n_rows,
        n_columns,
        subplot_titles=titles,
        vertical_spacing=0.22 / n_rows,
        horizontal_spacing=0.07,
    )
    bare = palette.bare_figure(title, height=110 + 250 * n_rows)
    grid.layout.template = None
    grid.update_layout(
        title=bare.layout.title,
        height=bare.layout.height,
        margin_t=bare.layout.margin.t + 24,
    )
    arms: dict[str, bool] = {}
    for place, lines in enumerate(panels.values()):
        row, column = place // PER_ROW + 1, place % PER_ROW + 1
        for line in lines:
            _add(grid, line, mode, row, column)
            arms.setdefault(line.label, line.has_rdh)
    for label, has_rdh in arms.items():
        grid.add_scatter(
            x=[None],
            y=[None],
            name=palette.escape(label),
            legendgroup=label,
            mode=mode,
            line=palette.arm_line(palette.NEUTRAL, has_rdh, 2),
            marker=palette.arm_marker(palette.NEUTRAL, has_rdh, 4),
            showlegend=True,
        )
    return grid


def _add(figure: go.Figure, line: Line, mode: str, row: int, column: int) -> None:
    color = palette.method_color(line.method)
    if line.low is not None and line.high is not None:
        figure.add_scatter(
            x=np.concatenate([line.x, line.x[::-1]]),
            y=np.concatenate([line.high, line.low[::-1]]),
            fill="toself",
            fillcolor=palette.translucent(color, 0.25 if line.has_rdh else 0.12),
            line={"width": 0},
            mode="lines",
            hoverinfo="skip",
            legendgroup=line.label,
            showlegend=False,
            row=row,
            col=column,
        )
    figure.add_scatter(
        x=line.x,
        y=line.y,
        name=palette.escape(line.label),
        legendgroup=line.label,
        showlegend=False,
        mode=mode,
        line=palette.arm_line(color, line.has_rdh, 2),
        marker=palette.arm_marker(color, line.has_rdh, 4),
        hovertemplate="%{x:.4g}: %{y:.4g}<extra></extra>",
        row=row,
        col=column,
    )


def _with_titles(figure: go.Figure, n_panels: int, x_title: str, y_title: str) -> go.Figure:
    """The titles of the axes, at the panels that have no other below or left of them."""
    for place in range(n_panels):
        where = {"row": place // PER_ROW + 1, "col": place % PER_ROW + 1}
        if place + PER_ROW >= n_panels:
            figure.update_xaxes(title_text=x_title, **where)
        if place % PER_ROW == 0:
            figure.update_yaxes(title_text=y_title, **where)
    n_names = len({trace.name for trace in figure.data if trace.showlegend})
    add_legend_below(figure, rows=(n_names + 2) // 3, entry_width=190)
    figure.update_layout(showlegend=True)
    return figure
