"""All bits of the items whose codes are kept: a row for each item, a column for each bit."""

import numpy as np

from rdh.charts import palette
from rdh.charts._layout import add_legend
from rdh.charts.figure import Figure

MOST_ROWS = 60  # of items with dead bits, and of others: a row of few pixels can't be seen
MOST_MARKS = 2000  # crosses; more of them would be slow to draw
GREYS = ["#1A1A1A", "#8C8C8C", "#FAFAFA"]  # -1 to +1: no hue, so that only the dead have one


def rows_of_matrix(classes: np.ndarray, dead: np.ndarray) -> np.ndarray:
    """Which items are shown, in order: by class, within a class those with most dead bits first.

    Items with dead bits are few, so they and the others are thinned apart: of more than 60 every
    second one is taken, or every third, ..., so that each class keeps its share.

    Args:
        classes: of each item, (n,).
        dead: (n, n_bits).

    Returns:
        Places of the items, (at most 120,).
    """
    order = np.lexsort((np.arange(len(classes)), -dead.sum(1), classes))
    is_sick = (dead.sum(1) > 0)[order]
    kept = np.zeros(len(order), bool)
    for part in map(np.flatnonzero, (is_sick, ~is_sick)):
        kept[part[:: max(1, -(-len(part) // MOST_ROWS))]] = True
    return order[kept]


def probe_matrix(
    codes: np.ndarray,
    dead: np.ndarray,
    names: list[str],
    order: np.ndarray,
    selected: int,
    *,
    title: str,
) -> Figure:
    """Heat map of h, dark for -1 and light for +1, with a cross on each dead entry.

    The `x` of a click is the name of the bit.

    Args:
        codes: h, (n, n_bits).
        dead: (n, n_bits).
        names: of the n items, each once, from top to bottom.
        order: the bits from left to right, (n_bits,).
        selected: the bit that is marked.
        title: of the chart.
    """
    bits = [str(bit) for bit in order]
    rows = [palette.escape(name, 40) for name in names]
    figure = palette.bare_figure(title, height=560)
    figure.add_heatmap(
        x=bits,
        y=rows,
        z=np.round(100 * codes[:, order]).astype(np.int8),  # one byte a cell
        zmin=-100,
        zmax=100,
        meta={"times": 0.01},
        colorscale=palette.colorscale(GREYS),
        colorbar={
            "title": {"text": "h"},
            "tickvals": [-100, 0, 100],
            "ticktext": ["−1", "0", "+1"],
        },
        hovertemplate="%{y}, bit %{x}<br>h = %{z} / 100<extra></extra>",
        name="h",
    )
    _mark_dead(figure, dead[:, order], bits, rows)
    if str(selected) in bits:
        where = bits.index(str(selected))
        line = {"width": 2, "color": palette.GRADIENT}
        ends = {"x0": where - 0.5, "x1": where + 0.5, "y0": 0, "y1": 1, "yref": "paper"}
        figure.add_shape(type="rect", **ends, line=line, fillcolor="rgba(0,0,0,0)")
    figure.update_xaxes(title_text="bit (most dead first)", type="category")
    figure.update_yaxes(
        title_text="item",
        type="category",
        categoryorder="array",
        categoryarray=rows,
        range=[len(rows) - 0.5, -0.5],
        showticklabels=False,
        ticks="",
    )
    return figure


def _mark_dead(figure: Figure, dead: np.ndarray, bits: list[str], rows: list[str]) -> None:
    """A cross on each dead entry; of very many, on every second one, every third one, ..."""
    place, column = np.nonzero(dead)
    every = max(1, -(-len(place) // MOST_MARKS))
    figure.add_scatter(
        x=[bits[one] for one in column[::every]],
        y=[rows[one] for one in place[::every]],
        mode="markers",
        name="✖ dead" if every == 1 else f"✖ dead, one in {every}",
        showlegend=True,
        marker={"symbol": "x", "size": 6, "color": palette.DEAD, "line": {"width": 0}},
        hovertemplate="%{y}, bit %{x}: dead<extra></extra>",
    )
    add_legend(figure)
