"""The amplifier's precision and recall over tau."""

from collections.abc import Sequence

import numpy as np

from rdh.charts import palette
from rdh.charts._layout import add_legend_below
from rdh.charts.figure import Figure


def amplifier_over_tau(
    levels: Sequence[float],
    precision: np.ndarray,
    recall: np.ndarray,
    reached: np.ndarray,
    tau: float,
    *,
    title: str,
) -> Figure:
    """Shares by level of tau: what it acts on and is dead, dead it acts on, dead it moves.

    Args:
        levels: of tau, (n_levels,).
        precision: of what it acts on, the share that is dead, (n_levels,). NaN leaves a gap.
        recall: of the dead, the share that it acts on, (n_levels,).
        reached: of the dead, the share that it acts on and moves, (n_levels,).
        tau: of the run, marked if it is one of the levels.
        title: of the chart.
    """
    figure = palette.bare_figure(title, height=340, title_width=palette.NARROW)
    names = [f"{level:g}" for level in levels]
    lines = (
        ("● precision: amplified that are dead", precision, palette.DEAD, "circle", "solid"),
        ("■ recall: dead that are amplified", recall, palette.GRADIENT, "square", "solid"),
        ("◇ reach: dead that are moved", reached, palette.GRADIENT, "diamond-open", "6px,4px"),
    )
    for name, values, color, symbol, dash in lines:
        figure.add_scatter(
            x=names,
            y=np.asarray(values, np.float32),
            name=name,
            mode="lines+markers",
            line={"color": color, "width": 2.5, "dash": dash},
            marker={"symbol": symbol, "size": 9, "color": color},
            hovertemplate="τ %{x}: %{y:.1%}<extra></extra>",
        )
    if f"{tau:g}" in names:
        label = {"text": "this run's τ", "font": {"size": 11}, "yanchor": "bottom"}
        line = {"width": 1.2, "dash": "dash", "color": palette.NEUTRAL}
        place = names.index(f"{tau:g}")
        figure.add_vline(x=place, line=line, annotation=label | {"y": 1, "xanchor": "center"})
        figure.update_layout(margin_t=figure.layout.margin.t + 14)
    figure.update_xaxes(title_text="threshold τ", type="category")
    figure.update_yaxes(title_text="share", range=[-0.03, 1.03], tickformat=".0%")
    add_legend_below(figure, rows=3)
    return figure
