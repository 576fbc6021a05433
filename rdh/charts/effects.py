"""Charts of many pairs at once: what RDH changes, how surely, and where."""

from collections.abc import Callable, Sequence

import numpy as np
import pandas as pd

from rdh.charts import palette
from rdh.charts._layout import add_legend_below
from rdh.charts.figure import Figure

JUDGED = {"gain": "gain", "loss": "loss", "open": "open", "unknown": "no interval"}
LEAST_SHARE = 1e-5  # of an axis of dead shares: one entry of 100 000
# Arms that are neither the baseline (dashed, open) nor RDH (solid, filled): dash and symbol
PARTS = {
    "noq": ("2px,4px", "x-thin-open"),
    "ga": ("2px,3px", "triangle-up"),
    "ga-noq": ("2px,6px", "triangle-up-open"),
    "eaq": ("10px,3px,2px,3px", "square"),
}


def forest(
    cells: pd.DataFrame,
    pairs: Sequence[np.ndarray],
    *,
    title: str,
    x_title: str = "difference in MAP",
    as_share: bool = False,
) -> Figure:
    """A line for each cell: the mean paired difference, its interval, and the single pairs.

    Filled: the interval excludes 0 after the correction over the table.

    Args:
        cells: columns label, method, difference, low, high (NaN: no interval) and verdict.
        pairs: the single differences of each cell.
        title: the takeaway.
        x_title: of the axis.
        as_share: the differences are of shares, and shown as percentages.
    """
    figure = palette.bare_figure(title, height=130 + 24 * len(cells))
    form = "+.3~%" if as_share else "+.4f"
    places = list(range(len(cells)))
    for place, row, single in zip(places, cells.to_dict("records"), pairs, strict=True):
        color = palette.method_color(row["method"])
        figure.add_scatter(
            x=single,
            y=[place] * len(single),
            mode="markers",
            marker={"symbol": "line-ns-open", "size": 8, "color": color, "opacity": 0.6},
            hoverinfo="skip",
        )
        has_ends = np.isfinite(row["low"])
        figure.add_scatter(
            x=[row["difference"]],
            y=[place],
            mode="markers",
            marker=palette.arm_marker(color, row["verdict"] in ("gain", "loss"), 10),
            error_x={
                "type": "data",
                "symmetric": False,
                "array": [row["high"] - row["difference"] if has_ends else 0],
                "arrayminus": [row["difference"] - row["low"] if has_ends else 0],
                "color": color,
                "thickness": 2,
            },
            hovertemplate=f"{palette.escape(row['label'])}: %{{x:{form}}} "
            f"({_ends(row)}, {JUDGED[row['verdict']]})<extra></extra>",
        )
    figure.add_vline(x=0, line={"color": palette.NEUTRAL, "width": 1, "dash": "dot"})
    figure.update_yaxes(
        tickvals=places,
        ticktext=[palette.escape(label) for label in cells["label"]],
        range=[len(cells) - 0.5, -0.5],
        automargin=True,
    )
    figure.update_xaxes(
        # two lines, because a narrow screen cuts one
        title_text=f"{x_title}, 95% interval<br>● sure after Holm   ○ not   | one pair",
        tickformat=".3~%" if as_share else None,
        exponentformat="none",  # a difference of 0.0002 is not "200µ"
    )
    figure.update_layout(showlegend=False, margin_r=16, margin_l=84, margin_b=72)
    return figure


def gain_against_dead(cells: pd.DataFrame, *, title: str) -> Figure:
    """Does the gain follow the deaths? A point for each cell, deaths on a logarithmic axis.

    Shares below LEAST_SHARE, 0 too, stand at its left end.

    Args:
        cells: columns label, method, dead (share of the baseline), difference, low, high.
        title: the takeaway.
    """
    figure = palette.bare_figure(title, height=380)
    for method, rows in cells.groupby("method", sort=False):
        color = palette.method_color(str(method))
        figure.add_scatter(
            x=rows["dead"].clip(lower=LEAST_SHARE),
            y=rows["difference"],
            name=palette.escape(rows["title"].iloc[0]),
            mode="markers",
            marker=palette.arm_marker(color, True),
            error_y={
                "type": "data",
                "symmetric": False,
                "array": (rows["high"] - rows["difference"]).fillna(0),
                "arrayminus": (rows["difference"] - rows["low"]).fillna(0),
                "color": color,
            },
            text=[palette.escape(label) for label in rows["label"]],
            customdata=rows["dead"],
            meta={"customdata": ["dead share"]},
            hovertemplate="%{text}: %{customdata:.3~%} dead, MAP %{y:+.4f}<extra></extra>",
        )
    figure.add_hline(y=0, line={"color": palette.NEUTRAL, "width": 1, "dash": "dot"})
    top = np.log10(max(2e-3, cells["dead"].max() * 1.5))
    ticks = [10.0**power for power in range(-5, 1)]
    figure.update_xaxes(
        title_text="dead share of the baseline at the end",
        type="log",
        range=[np.log10(LEAST_SHARE) - 0.2, top],
        tickvals=ticks,
        ticktext=[f"≤ {ticks[0] * 100:g}%", *(f"{tick * 100:g}%" for tick in ticks[1:])],
    )
    figure.update_yaxes(title_text="difference in MAP", exponentformat="none")
    add_legend_below(figure)
    return figure


def by_value(
    rows: pd.DataFrame,
    *,
    title: str,
    x_title: str,
    is_length: bool = False,
    below: Callable[[float], str] | None = None,
) -> Figure:
    """MAP of all arms over the values of a setting, or over code lengths, with ± one std.

    Args:
        rows: columns label, method, arm (baseline, rdh or a key of PARTS), value, map and std (NaN:
            one run).
        title: the takeaway.
        x_title: of the axis.
        is_length: places code lengths by their size; other values stand side by side.
        below: value -> a second line of its tick.
    """
    figure = palette.bare_figure(title, height=380)
    for (label, method, arm), line in rows.groupby(["label", "method", "arm"], sort=False):
        color = palette.method_color(str(method))
        shown = line.sort_values("value", kind="stable")
        figure.add_scatter(
            x=shown["value"] if is_length else [f"{value:g}" for value in shown["value"]],
            y=shown["map"],
            name=palette.escape(label),
            mode="lines+markers",
            **_style(color, str(arm)),
            error_y={"type": "data", "array": shown["std"].fillna(0), "color": color},
            hovertemplate=f"{palette.escape(label)}, %{{x}}: MAP %{{y:.4f}}<extra></extra>",
        )
    values = sorted(rows["value"].unique())
    if is_length:
        figure.update_xaxes(tickvals=values)
    else:
        order = [f"{value:g}" for value in values]
        figure.update_xaxes(type="category", categoryorder="array", categoryarray=order)
        if below:
            lines = [f"{value:g}<br>{below(value)}" for value in values]
            figure.update_xaxes(tickvals=order, ticktext=lines)
            figure.update_layout(height=figure.layout.height + 18)
    figure.update_xaxes(title_text=x_title)
    figure.update_yaxes(title_text="MAP")
    n_lines = rows.groupby(["label", "method", "arm"]).ngroups
    add_legend_below(figure, rows=(n_lines + 2) // 3, entry_width=_name_width(rows["label"]))
    return figure


def _style(color: str, arm: str) -> dict:
    """Line and marker of an arm."""
    line, marker = palette.arm_line(color, arm == "rdh"), palette.arm_marker(color, arm == "rdh")
    if arm in PARTS:
        dash, symbol = PARTS[arm]
        line |= {"dash": dash}
        marker |= {"symbol": symbol}
    return {"line": line, "marker": marker}


def _name_width(labels: pd.Series) -> int:
    """Pixels of the longest name in a legend."""
    return 30 + 7 * max(len(label) for label in labels)


def _ends(row: dict) -> str:
    if not np.isfinite(row["low"]):
        return "no interval"
    return f"95%: {row['low']:+.4f} to {row['high']:+.4f}".replace("-", "−")
