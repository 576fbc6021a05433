"""Small multiples: one panel a method, with and without RDH in each."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from rdh.charts import palette
from rdh.charts._layout import add_legend_below
from rdh.charts.figure import Figure

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
) -> Figure:
    """Precision against recall, a panel a method. Markers: a point for each radius."""
    figure = _panels(panels, title, "lines+markers" if has_markers else "lines")
    figure.update_xaxes(range=[0, 1.01])
    top = max((np.nanmax(line.y) for lines in panels.values() for line in lines), default=1)
    figure.update_yaxes(range=[0, 1.03 * top])
    return _with_titles(figure, len(panels), "recall", "precision")


def dead_over_training(panels: Mapping[str, Sequence[Line]], *, title: str) -> Figure:
    """The share of dead entries over the epochs, a panel a method, with the range over seeds."""
    figure = _panels(panels, title, "lines")
    figure.update_yaxes(tickformat=".2~p", rangemode="tozero")
    return _with_titles(figure, len(panels), "epoch", "dead entries")


def _panels(panels: Mapping[str, Sequence[Line]], title: str, mode: str) -> Figure:
    grid = _grid([palette.escape(name) for name in panels], title)
    arms: dict[str, bool] = {}
    for place, lines in enumerate(panels.values()):
        for line in lines:
            _add(grid, line, mode, _axes(place))
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


def _axes(place: int) -> dict[str, str]:
    """The axes of a panel, as its traces name them."""
    number = str(place + 1) if place else ""
    return {"xaxis": f"x{number}", "yaxis": f"y{number}"}


def _grid(names: Sequence[str], title: str) -> Figure:
    """Empty panels in rows of three, each below its name."""
    n_rows, n_columns = -(-len(names) // PER_ROW), min(PER_ROW, len(names))
    gap, room = 0.22 / n_rows, 0.07
    height, width = (1 - gap * (n_rows - 1)) / n_rows, (1 - room * (n_columns - 1)) / n_columns
    figure = palette.bare_figure(title, height=110 + 250 * n_rows)
    figure.update_layout(margin_t=figure.layout.margin.t + 24)
    for place, name in enumerate(names):
        row, column = divmod(place, PER_ROW)
        left, top = column * (width + room), 1 - row * (height + gap)
        x, y = _axes(place).values()
        figure.layout.merge(
            {
                f"xaxis{x[1:]}": {"anchor": y, "domain": [left, min(1, left + width)]},
                f"yaxis{y[1:]}": {"anchor": x, "domain": [max(0, top - height), top]},
            }
        )
        at = {"x": left + width / 2, "y": top, "xref": "paper", "yref": "paper"}
        at |= {"xanchor": "center", "yanchor": "bottom", "showarrow": False}
        figure.add_annotation(text=name, font_size=16, **at)
    return figure


def _add(figure: Figure, line: Line, mode: str, axes: Mapping[str, str]) -> None:
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
            **axes,
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
        **axes,
    )


def _with_titles(figure: Figure, n_panels: int, x_title: str, y_title: str) -> Figure:
    """The titles of the axes, at the panels that have no other below or left of them."""
    for place in range(n_panels):
        number = _axes(place)["xaxis"][1:]
        if place + PER_ROW >= n_panels:
            figure.update_layout(**{f"xaxis{number}_title": x_title})
        if place % PER_ROW == 0:
            figure.update_layout(**{f"yaxis{number}_title": y_title})
    n_names = len({trace.name for trace in figure.data if trace.showlegend})
    add_legend_below(figure, rows=(n_names + 2) // 3, entry_width=190)
    figure.update_layout(showlegend=True)
    return figure
