"""Charts of one bit, or of all bits side by side.

Two judges look at a saturated entry. Its gradient may *flag* it: it asks the bit to leave its side.
Its labels may call it *dead*: the bit is on the side that they don't call for.
"""

import numpy as np

from rdh.charts import palette
from rdh.charts._layout import EVENT_NAME, add_legend_below
from rdh.charts._thinning import bucket_sum, buckets, kept_points
from rdh.charts.figure import Figure

BLUE = palette.STATE_COLORS["saturated"]
MAX_BARS = 100  # of events over time
MOST_CLASSES = 40  # in the chart of classes


def bit_strip(
    dead: np.ndarray | None,
    flagged: np.ndarray,
    saturated: np.ndarray,
    order: np.ndarray,
    selected: int,
    *,
    title: str,
    cost: np.ndarray | None = None,
    sorted_by: str = "dead entries",
) -> Figure:
    """A column for each bit: its dead entries above, flagged and saturated ones below in quiet.

    The two rows have scales of their own, because few saturated entries are dead. A click anywhere
    in a column chooses its bit.

    Args:
        dead: shares of the entries, (n_bits,); None if they were not counted. Then the flagged ones
            stand above.
        flagged: shares, (n_bits,).
        saturated: shares, (n_bits,).
        order: the bits from left to right, (n_bits,).
        selected: the bit that is marked.
        title: of the chart.
        cost: MAP that each bit's dead entries cost, for the hover, (n_bits,); None if not measured.
        sorted_by: what the order follows.
    """
    names = [str(bit) for bit in order]
    figure = palette.bare_figure(title, height=360)
    below = "y2" if dead is not None else "y"
    bars = [("■ saturated", saturated, BLUE, "y2"), ("◆ flagged", flagged, palette.FLAGGED, below)]
    if dead is not None:
        bars.insert(0, ("✖ dead", dead, palette.DEAD, "y"))
    for name, values, color, axis in bars:
        says_cost = cost is not None and name == "✖ dead"
        figure.add_bar(
            x=names,
            y=values[order].astype(np.float32),
            name=name,
            marker={"color": color, "line_width": 0},
            yaxis=axis,
            customdata=None if cost is None else cost[order],
            meta={"customdata": ["cost in MAP" if says_cost else None]},
            hovertemplate="%{y:.2%}" + ", they cost %{customdata:+.4f} MAP" * says_cost,
        )
    add_legend_below(figure)
    figure.update_layout(barmode="overlay", bargap=0.15, hovermode="x unified")
    figure.update_layout(hoversubplots="axis")
    _mark_bit(figure, names, selected)
    figure.update_xaxes(
        title_text=f"bit (sorted by {sorted_by})",
        type="category",
        anchor="y2",
        unifiedhovertitle_text="bit %{x}",
    )
    above = flagged if dead is None else dead
    layout = {"tickformat": "~%", "rangemode": "tozero", "nticks": 5}
    figure.update_layout(
        yaxis={
            "domain": [0.46, 1],
            "range": None if above.any() else [0, 0.01],
            "title_text": "dead, of all entries" if dead is not None else "flagged, of all",
            **layout,
        },
        yaxis2={
            "domain": [0, 0.36],
            "title_text": "saturated, flagged" if dead is not None else "saturated",
            "anchor": "x",
            **layout,
        },
    )
    return figure


def _mark_bit(figure: Figure, names: list[str], selected: int) -> None:
    if str(selected) in names:
        where = names.index(str(selected))
        mark = {"line": {"width": 2, "color": palette.NEUTRAL}, "fillcolor": "rgba(0,0,0,0)"}
        figure.add_shape(
            type="rect", x0=where - 0.5, x1=where + 0.5, y0=0, y1=1, yref="paper", **mark
        )


def bit_events(
    steps: np.ndarray,
    entries: np.ndarray,
    deaths: np.ndarray,
    rescues: np.ndarray,
    releases: np.ndarray,
    *,
    title: str,
    flagged: bool = False,
) -> Figure:
    """A bit's dead entries over time, by side, and below what made their number change.

    The number changes by deaths - rescues - releases. Events are summed in at most 100 bars.

    Args:
        steps: of the records, (n,).
        entries: dead entries on the sides -1 and +1, (n, 2).
        deaths: since the record before, (n,).
        rescues: dead entries that left saturation or changed sides, (n,).
        releases: dead entries that stayed, but are not called to the other side any more, (n,).
        title: of the chart.
        flagged: whether the numbers are those of flagged entries instead.
    """
    figure = palette.bare_figure(title, height=360, title_width=palette.NARROW)
    word, color = ("◆ flagged", palette.FLAGGED) if flagged else ("✖ dead", palette.DEAD)
    for side, name, dash in ((1, "+ side", "solid"), (0, "− side", "dot")):
        kept = kept_points(entries[:, side])
        figure.add_scatter(
            x=steps[kept],
            y=entries[kept, side].astype(np.float32),
            name=f"{word}, {name}",
            mode="lines",
            line={"color": color, "width": 2, "dash": dash},
            hovertemplate="step %{x:,}: %{y:,}",
        )
    starts, size = buckets(len(steps), MAX_BARS)
    ends = steps[np.minimum(starts + size, len(steps)) - 1]
    begins = np.concatenate([[0], ends[:-1]]) if len(ends) else ends
    names = ("raised", "answered", "dropped") if flagged else ("died", "rescued", "released")
    tints = (color, "var(--st-text-color)", palette.translucent(palette.NEUTRAL, 0.5))
    flows = (deaths, -rescues.astype(np.int64), -releases.astype(np.int64))
    for name, values, tint in zip(names, flows, tints, strict=True):
        summed = bucket_sum(np.asarray(values), starts)
        figure.add_bar(
            x=(begins + ends) / 2,
            width=np.maximum(1, ends - begins) * 0.94,
            y=summed.astype(np.float32),
            name=name,
            yaxis="y2",
            marker={"color": tint, "line_width": 0},
            customdata=np.stack([ends, np.abs(summed)], 1).astype(np.int32),
            meta={"customdata": ["up to step"]},
            hovertemplate="up to step %{customdata[0]:,}: %{customdata[1]:,}",
        )
    figure.update_layout(
        barmode="relative",
        yaxis={"domain": [0.5, 1], "title_text": "training items", "rangemode": "tozero"},
        yaxis2={
            "domain": [0, 0.4],
            "title_text": "changes",
            "anchor": "x",
            "nticks": 4,
            "rangemode": "tozero",
        },
    )
    figure.update_xaxes(title_text="optimiser step", anchor="y2")
    add_legend_below(figure, rows=3, entry_width=EVENT_NAME)
    return figure


def two_judges(
    saturated: np.ndarray, flagged: np.ndarray, dead: np.ndarray, *, title: str
) -> Figure:
    """Saturated entries of a bit on each side, judged by their gradients and by their labels.

    All counts are by side, (2,): -1, then +1.
    """
    figure = palette.bare_figure(title, height=290, title_width=palette.NARROW)
    judges = (
        ("gradient", flagged, "◆ flagged: asked to leave", palette.FLAGGED),
        ("labels", dead, "✖ dead: called to the other side", palette.DEAD),
    )
    for judge, counts, name, color in judges:
        figure.add_bar(
            y=[f"{sign} side, {judge}" for sign in "−+"],
            x=counts.astype(np.float32),
            name=name,
            orientation="h",
            marker={"color": color, "line_width": 0},
            hovertemplate=f"%{{y}}: %{{x:,}} {name[2:]}<extra></extra>",
        )
    for judge, counts, *_ in judges:
        figure.add_bar(
            y=[f"{sign} side, {judge}" for sign in "−+"],
            x=(saturated - counts).astype(np.float32),
            name="■ other saturated entries",
            showlegend=judge == "labels",
            orientation="h",
            marker={"color": BLUE, "line_width": 0},
            hovertemplate="%{y}: %{x:,} others<extra></extra>",
        )
    figure.update_layout(barmode="stack", bargap=0.25)
    figure.update_xaxes(
        title_text="saturated entries at their last visit",
        tickformat=",",
        range=None if saturated.any() else [0, 1],  # of nothing, Plotly would show -1 to 1
    )
    figure.update_yaxes(
        title_text="side, and judge",
        type="category",
        categoryorder="array",
        categoryarray=[
            f"{sign} side, {judge}" for sign in "−+" for judge in ("labels", "gradient")
        ],
    )
    add_legend_below(figure, rows=3)
    return figure


def class_balance(
    counts: np.ndarray, calls: np.ndarray, names: np.ndarray, *, title: str
) -> Figure:
    """A bar for each class: its items on the - side (left) and on the + side (right).

    Each name says the side that most labels of its items call for. Of many classes, those with
    the most dead entries are shown, then those with the most items.

    Args:
        counts: (n_classes, 2, 3), see `rdh.analysis.one_bit.class_balance`.
        calls: (n_classes, 2), items that call for the sides -1 and +1.
        names: (n_classes,).
        title: of the chart.
    """
    most = np.lexsort((-counts.sum((1, 2)), -counts[:, :, 2].sum(1)))[:MOST_CLASSES]
    shown = np.sort(most)
    labels = [f"{palette.escape(names[c], 24)} {_call(calls[c], counts[c])}" for c in shown]
    figure = palette.bare_figure(title, height=max(260, 120 + 22 * len(labels)))
    states = [
        ("● free", palette.translucent(palette.NEUTRAL, 0.6)),
        ("■ saturated, not dead", BLUE),
        ("✖ dead", palette.DEAD),
    ]
    for state, (name, color) in enumerate(states):  # from the axis outwards on either side
        for side, sign, word in ((0, -1, "−"), (1, 1, "+")):
            values = counts[shown, side, state]
            figure.add_bar(
                y=labels,
                x=sign * values,
                name=name,
                legendgroup=name,
                showlegend=sign < 0,
                orientation="h",
                marker={"color": color, "line_width": 0},
                customdata=values,
                hovertemplate=f"%{{y}}: %{{customdata}} {name} on the {word} side<extra></extra>",
            )
    figure.update_layout(barmode="relative", bargap=0.25)
    add_legend_below(figure, rows=2)
    left_out = len(names) - len(shown)
    rest = f"; {left_out:,} classes with fewer are left out" if left_out else ""
    figure.update_xaxes(title_text=f"items (left: − side, right: + side){rest}")
    figure.update_yaxes(
        title_text="class → side that it calls for",
        type="category",
        autorange="reversed",
    )
    return figure


def _call(calls: np.ndarray, counts: np.ndarray) -> str:
    """Such as "→ +", "→ −", "→ + (82%)" where labels of a class call for both, or "undecided"."""
    n_items = int(counts.sum())
    if not n_items:
        return "(no items)"
    side = int(np.argmax(calls))
    if not calls[side]:
        return "undecided"
    share = "" if calls[side] == n_items else f" ({calls[side] / n_items:.0%})"
    return f"→ {'−+'[side]}{share}"
