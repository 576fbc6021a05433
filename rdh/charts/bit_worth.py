"""Charts of what each bit is worth: MAP without it, MAP of the first bits, and worth by death."""

from collections.abc import Sequence

import numpy as np
import pandas as pd

from rdh.charts import palette
from rdh.charts._layout import add_legend_below
from rdh.charts.figure import Figure

ENOUGH = 0.95  # of the whole codes' MAP: what the title of the first bits looks for


def worth_bars(
    worth: np.ndarray,
    dead_share: np.ndarray | None,
    selected: int,
    *,
    title: str,
    freed: np.ndarray | None = None,
) -> Figure:
    """Bars of the tie-aware MAP that is lost without each bit, the most valuable bit first.

    Args:
        worth: (n_bits,); below 0 the codes rank better without the bit.
        dead_share: (n_bits,) in [0, 1], for the hover; None if it is not known.
        selected: the bit that is marked.
        title: of the chart.
        freed: MAP that each bit's dead entries cost, (n_bits,); None if it was not measured.
    """
    order = np.argsort(-worth, kind="stable")
    names = [str(bit) for bit in order]
    hover = "bit %{x}: MAP %{customdata:+.5f} without it"
    dead = (
        [""] * len(order)
        if dead_share is None
        else [f", {dead_share[bit]:.2%} of the items dead" for bit in order]
    )
    figure = palette.bare_figure(title, height=300)
    parts = {
        "useful": (worth[order] >= 0, palette.GRADIENT),
        "harmful": (worth[order] < 0, palette.WRONG_WAY),
    }
    for name, (part, color) in parts.items():
        figure.add_bar(
            x=[bit for bit, is_in in zip(names, part, strict=True) if is_in],
            y=worth[order][part].astype(np.float32),
            name={
                "useful": "▲ useful: MAP falls without it",
                "harmful": "▼ harmful: MAP rises without it",
            }[name],
            marker_color=color,
            customdata=-worth[order][part],
            text=[text for text, is_in in zip(dead, part, strict=True) if is_in],
            textposition="none",
            hovertemplate=hover + "%{text}<extra></extra>",
        )
    if freed is not None:
        _add_costs(figure, names, freed[order])
    if str(selected) in names:
        where = names.index(str(selected))
        mark = {"line": {"width": 2, "color": palette.NEUTRAL}, "fillcolor": "rgba(0,0,0,0)"}
        figure.add_vrect(x0=where - 0.5, x1=where + 0.5, **mark)
    add_legend_below(figure, rows=3)
    figure.update_layout(bargap=0.15, barmode="overlay")
    figure.update_xaxes(
        title_text="bit (the most valuable first)",
        type="category",
        categoryorder="array",
        categoryarray=names,
    )
    figure.update_yaxes(title_text="MAP", tickformat=".4~f", zeroline=True)
    return figure


def _add_costs(figure: Figure, names: list[str], freed: np.ndarray) -> None:
    figure.add_scatter(
        x=names,
        y=freed.astype(np.float32),
        name="cost of its dead entries: MAP won if they are freed",
        mode="markers",
        marker={"symbol": "diamond", "size": 8, "color": palette.DEAD},
        hovertemplate="bit %{x}: MAP %{y:+.5f} with its dead entries on their right "
        "side<extra></extra>",
    )


def cost_of_bits(costs: Sequence[tuple[str, str, bool, np.ndarray]], *, title: str) -> Figure:
    """Bars of what the dead entries of each bit cost in MAP; of two runs one beside the other.

    Args:
        costs: (label, method, has_rdh, MAP with the bit's dead entries on their right side minus
            MAP, (n_bits,)) of each run.
        title: of the chart.
    """
    figure = palette.bare_figure(title, height=320)
    for label, method, has_rdh, cost in costs:
        color = palette.method_color(method)
        figure.add_bar(
            x=np.arange(len(cost), dtype=np.int32),
            y=cost.astype(np.float32),
            name=palette.escape(label),
            marker={
                "color": palette.translucent(color, 1.0 if has_rdh else 0.25),
                "line": {"color": color, "width": 1},
            },
            hovertemplate="bit %{x}: MAP %{y:+.5f}",
        )
    figure.update_xaxes(title_text="bit")
    figure.update_yaxes(title_text="cost of its dead entries in MAP", tickformat=".4~f")
    figure.update_layout(bargap=0.15, showlegend=False)
    if len(costs) > 1:
        add_legend_below(figure)
    return figure


def worth_by_death(
    worth: np.ndarray, dead_share: np.ndarray, selected: int, *, title: str
) -> Figure:
    """Every bit as a point: its worth (y) against the share of items for which it is dead (x).

    Both have shape (n_bits,).
    """
    figure = palette.bare_figure(title, height=340, title_width=palette.NARROW)
    bits, middle = np.arange(len(worth)), dead_share.max(initial=0) / 2
    for part, line, opacity in (
        (bits != selected, 0, 0.7),
        (bits == selected, 2.5, 1.0),
    ):  # the chosen bit on top
        figure.add_scatter(
            x=dead_share[part].astype(np.float32),
            y=worth[part].astype(np.float32),
            mode="markers+text" if line else "markers",
            text=[f"bit {bit}" for bit in bits[part]],
            textposition=[
                "middle left" if share > middle else "middle right" for share in dead_share[part]
            ],
            showlegend=False,
            marker={
                "size": 9,
                "color": palette.translucent(palette.GRADIENT, opacity),
                "line": {"width": line, "color": palette.NEUTRAL},
            },
            hovertemplate="%{text}: %{x:.2%} dead, worth %{y:.5f} of MAP<extra></extra>",
        )
    figure.add_hline(y=0, line={"width": 1, "color": palette.NEUTRAL, "dash": "dot"})
    figure.update_xaxes(
        title_text="items with the bit dead at their last visit",
        tickformat="~%",
        rangemode="tozero",
    )
    figure.update_yaxes(title_text="MAP lost without the bit", tickformat=".4~f")
    return figure


def map_of_first(of_first: np.ndarray, method: str, has_rdh: bool, *, title: str) -> Figure:
    """Tie-aware MAP of the codes cut to their first 1, 2, ... bits: of_first (n_bits,).

    A mark shows `bits_enough`.
    """
    color, lengths = palette.method_color(method), np.arange(1, len(of_first) + 1)
    figure = palette.bare_figure(title, height=340, title_width=palette.NARROW)
    marked = bits_enough(of_first) - 1
    for part, mode in ((slice(None), "lines"), (slice(marked, marked + 1), "markers")):
        figure.add_scatter(
            x=lengths[part].astype(np.int16),
            y=of_first[part].astype(np.float32),
            mode=mode,
            showlegend=False,
            line=palette.arm_line(color, has_rdh),
            marker=palette.arm_marker(color, has_rdh),
            hovertemplate="the first %{x} bits: MAP %{y:.4f}<extra></extra>",
        )
    figure.update_xaxes(title_text="bits kept, from bit 0 on", range=[0, len(of_first) + 1])
    figure.update_yaxes(title_text="MAP of the shorter code", rangemode="tozero")
    return figure


def worth_takeaway(worth: np.ndarray) -> str:
    """Which bit is worth most, and how many do harm. worth (n_bits,)."""
    best, harmful = int(np.argmax(worth)), int((worth < 0).sum())
    first = f"Bit {best} is worth the most: MAP {_signed(-worth[best])} without it"
    if not harmful:
        return f"{first}; all {len(worth)} bits are useful"
    return f"{first}; {harmful} of {len(worth)} {'is' if harmful == 1 else 'are'} better left out"


def freed_takeaway(freed: np.ndarray) -> str:
    """Which bit's dead entries cost most when they are not freed. freed (n_bits,)."""
    most = int(np.argmax(freed))
    if freed[most] <= 0:
        return "freeing the dead entries of any bit wins no MAP"
    return f"freeing the dead entries of bit {most} wins the most: MAP {_signed(freed[most])}"


def death_takeaway(worth: np.ndarray, dead_share: np.ndarray) -> str:
    """A sentence on whether deader bits are worth less, by rank correlation.

    A correlation is called a link if it is larger than 2 / sqrt(n_bits - 1).
    """
    n = len(worth)
    if n < 3 or not np.ptp(dead_share) or not np.ptp(worth):
        return "Does a dead bit cost anything? Too few bits differ to say"
    link = float(pd.Series(worth).rank().corr(pd.Series(dead_share).rank()))
    if abs(link) < 2 / np.sqrt(n - 1):
        return (
            f"No clear link between dead and worthless: rank correlation {_signed(link, 2)} "
            f"over {n} bits"
        )
    return (
        f"Deader bits are worth {'less' if link < 0 else 'more'} here: rank correlation "
        f"{_signed(link, 2)} over {n} bits"
    )


def first_takeaway(of_first: np.ndarray) -> str:
    """How many of the first bits give ENOUGH of the whole codes' MAP. of_first (n_bits,)."""
    enough = f"The first {bits_enough(of_first)} of {len(of_first)} bits"
    return f"{enough} have {ENOUGH:.0%} of the MAP of all, expected over ties: {of_first[-1]:.4f}"


def bits_enough(of_first: np.ndarray) -> int:
    """The fewest first bits with ENOUGH of the whole codes' MAP. of_first (n_bits,)."""
    return int(np.argmax(of_first >= ENOUGH * of_first[-1])) + 1


def _signed(value: float, digits: int = 4) -> str:
    return f"{value:+.{digits}f}".replace("-", "−")
