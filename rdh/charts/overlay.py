"""Any number of runs in one chart: a line a setting, a band over its seeds."""

from collections import Counter
from collections.abc import Sequence
from typing import Any

import numpy as np

from rdh.charts import palette
from rdh.charts._layout import add_legend_below
from rdh.charts._thinning import kept_points
from rdh.charts.figure import Figure

# Settings of one method share its colour: the second and later ones have other dashes and marks.
DASHES = {True: ("solid", "12px,3px", "12px,3px,2px,3px"), False: ("6px,4px", "2px,3px", "2px,6px")}
MARKS = ("circle", "square", "diamond", "triangle-up", "cross", "x", "star", "pentagon")
MOST_MARKS = 12  # of a line: more would hide it


def overlaid(lines: Sequence[Any], *, title: str, y_title: str, is_share: bool) -> Figure:
    """The curves of `analysis.overlay.overlay` with their bands.

    Args:
        lines: with label, method, has_rdh, steps (n,), mean (n,) and low and high (n,) or None.
        title: of the chart.
        y_title: of the axis.
        is_share: the values are shares in [0, 1], shown in percent.
    """
    figure = palette.bare_figure(title, height=380, title_width=palette.NARROW)
    seen: Counter[tuple[str, bool]] = Counter()
    for line in lines:
        place = seen[line.method, line.has_rdh]
        seen[line.method, line.has_rdh] += 1
        _add(figure, line, place, ".2%" if is_share else ".4f")
    figure.update_xaxes(title_text="optimiser step", rangemode="tozero")
    figure.update_yaxes(title_text=y_title, tickformat=".2~p" if is_share else None)
    if is_share:
        figure.update_yaxes(rangemode="tozero")
    values = np.concatenate([line.mean for line in lines])
    if not is_share and np.ptp(values) == 0:  # one value: Plotly would draw an axis from -1 to 1
        figure.update_yaxes(range=[values[0] - 0.05, values[0] + 0.05])
    longest = max(len(palette.escape(line.label)) for line in lines)
    add_legend_below(figure, rows=len(lines), entry_width=min(430, 30 + 7 * longest))
    return figure


def _add(figure: Figure, line: Any, place: int, form: str) -> None:
    color, name = palette.method_color(line.method), palette.escape(line.label)
    kept = kept_points(line.mean)
    steps, mean = line.steps[kept], line.mean[kept]
    if line.low is not None:
        figure.add_scatter(
            x=np.concatenate([steps, steps[::-1]]),
            y=np.concatenate([line.high[kept], line.low[kept][::-1]]),
            fill="toself",
            fillcolor=palette.translucent(color, 0.25 if line.has_rdh else 0.14),
            line={"width": 0},
            mode="lines",
            hoverinfo="skip",
            legendgroup=name,
            showlegend=False,
        )
    dashes = DASHES[line.has_rdh]
    style = palette.arm_line(color, line.has_rdh) | {"dash": dashes[place % len(dashes)]}
    sizes = np.zeros(len(steps))
    sizes[:: max(1, -(-len(steps) // MOST_MARKS))] = 6
    symbol = MARKS[place % len(MARKS)] + ("" if line.has_rdh else "-open")
    # A band has no width over a single step, as MAP of runs that were evaluated once.
    is_point = line.low is not None and len(steps) == 1
    span = {"array": line.high - line.mean, "arrayminus": line.mean - line.low} if is_point else {}
    figure.add_scatter(
        x=steps,
        y=mean,
        error_y={"type": "data", "symmetric": False, "color": color} | span if span else None,
        name=name,
        legendgroup=name,
        mode="lines+markers",
        line=style,
        marker=palette.arm_marker(color, line.has_rdh) | {"symbol": symbol, "size": sizes},
        hovertemplate=f"{name}, step %{{x:,}}: %{{y:{form}}}<extra></extra>",
    )
