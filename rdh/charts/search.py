"""Charts of one search: two codes bit by bit, what each bit does to it, and where its ties lie."""

from collections.abc import Sequence

import numpy as np

from rdh.charts import palette
from rdh.charts._layout import add_legend_below, write_in_cells
from rdh.charts.figure import Figure

NARROW_LINE, WIDE_LINE = 16, 32  # bits in a line of a barcode: cells wide enough for a telephone
MOST_NARROW = 64  # bits: longer codes have wide lines
MOST_BARS = 64  # bits in the chart of effects: those with the largest
MOST_WRITTEN = 12  # classes whose shares are written into the cells, in percent
ROW = 22  # pixels of a row of cells
ROWS = 4  # of a line of bits: its name, query, neighbour, whether they differ
MINUS, PLUS, AGREE, DIFFER, DEAD, OFF = range(6)
CELLS = [  # in the order of the states
    palette.translucent(palette.NEUTRAL, 0.22),
    palette.STATE_COLORS["saturated"],
    palette.translucent(palette.NEUTRAL, 0.08),
    "var(--st-text-color)",
    palette.DEAD,
    "rgba(0,0,0,0)",
]
GLYPHS = ["−", "+", "=", "≠", "✖", "╱"]
INKS = ["var(--st-text-color)", "#FFFFFF", "var(--st-gray-color)", "var(--st-background-color)"]
INKS += ["#FFFFFF", "var(--st-gray-color)"]
CIRCLED = {"−": "⊖", "+": "⊕"}
RIGHT, WRONG = palette.GRADIENT, palette.translucent(palette.NEUTRAL, 0.55)


def barcode(
    codes: np.ndarray,
    off: Sequence[int],
    *,
    names: tuple[str, str],
    title: str,
    dead: np.ndarray | None = None,
    astray: np.ndarray | None = None,
) -> Figure:
    """The bits of a query above those of a neighbour, and below whether they differ.

    A line has 16 bits, or 32 of long codes. Bits that are switched off are struck out.

    Args:
        codes: bool (2, n_bits): the query's bits, the neighbour's bits; True is +.
        off: bits that don't count.
        names: of the query and of the neighbour.
        title: of the chart.
        dead: which bits of the neighbour are dead, bool (n_bits,); None if it is not known.
        astray: bool (2, n_bits), bits on the other side than most of the item's class; None if
            classes have no side.
    """
    n_bits = codes.shape[1]
    states = np.stack(
        [*np.where(codes, PLUS, MINUS), np.where(codes[0] == codes[1], AGREE, DIFFER)]
    )
    states = states.astype(float)
    if dead is not None:
        states[1, dead] = DEAD
    states[:, list(off)] = OFF
    table = _in_lines(states)
    width = table.shape[1]
    marks = np.zeros((3, n_bits)) if astray is None else np.stack([*astray, np.zeros(n_bits)])
    figure = palette.bare_figure(title, height=50 + ROW * len(table))
    figure.add_heatmap(
        z=table,
        x=np.arange(width),
        y=np.arange(len(table)),
        zmin=-0.5,
        zmax=len(CELLS) - 0.5,
        colorscale=_steps(CELLS),
        showscale=False,
        xgap=2,
        ygap=2,
        hoverongaps=False,
        customdata=_said(table, names, width),
        meta={"customdata": ["bit", "of", "state"]},
        hovertemplate="bit %{customdata[0]}: %{customdata[1]} %{customdata[2]}<extra></extra>",
    )
    _add_glyphs(figure, table, _in_lines(marks) == 1)
    ticks = []
    for first in range(0, n_bits, width):
        ticks.append(f"bits {first} to {min(first + width, n_bits) - 1}")
        ticks += [*(palette.escape(name, 22) for name in names), "differ?"]
    figure.update_yaxes(
        tickvals=list(range(len(table))),
        ticktext=ticks,
        range=[len(table) - 0.5, -0.5],
        showgrid=False,
        zeroline=False,
        ticks="",
    )
    figure.update_xaxes(visible=False, range=[-0.5, width - 0.5])
    figure.update_layout(margin_b=12, margin_r=4)
    return figure


def _line_width(n_bits: int) -> int:
    return min(n_bits, NARROW_LINE if n_bits <= MOST_NARROW else WIDE_LINE)


def _in_lines(rows: np.ndarray) -> np.ndarray:
    """(3, n_bits) as lines, one below the other, each below a row for its name; NaN elsewhere."""
    n_bits = rows.shape[1]
    width = _line_width(n_bits)
    n_lines = -(-n_bits // width)
    padded = np.full((3, n_lines * width), np.nan)
    padded[:, :n_bits] = rows
    table = np.full((n_lines, ROWS, width), np.nan)
    table[:, 1:] = padded.reshape(3, n_lines, width).swapaxes(0, 1)
    return table.reshape(-1, width)


def _steps(colors: Sequence[str]) -> list[list]:
    """A colour scale of plain steps."""
    n = len(colors)
    return [[edge / n, color] for place, color in enumerate(colors) for edge in (place, place + 1)]


def _said(table: np.ndarray, names: tuple[str, str], width: int) -> list[list[list]]:
    """What the pointer shows at each cell: the bit, whose it is, and its state in words."""
    words = ["−", "+", "agree", "differ", "dead: saturated on its wrong side", "is switched off"]
    owners = ["", *(palette.escape(name, 40) for name in names), "the two"]
    return [
        [
            [row // ROWS * width + place, owners[row % ROWS], words[int(state)]]
            if not np.isnan(state)
            else ["", "", ""]
            for place, state in enumerate(line)
        ]
        for row, line in enumerate(table)
    ]


def _add_glyphs(figure: Figure, table: np.ndarray, circled: np.ndarray) -> None:
    """The state of each cell as a sign, so that it needs no colour."""
    rows, places = np.nonzero(~np.isnan(table))
    states = table[rows, places].astype(int)
    texts = [
        CIRCLED.get(GLYPHS[state], GLYPHS[state]) if circled[row, place] else GLYPHS[state]
        for state, row, place in zip(states, rows, places, strict=True)
    ]
    figure.add_scatter(
        x=places,
        y=rows,
        mode="text",
        meta={"table": False},
        text=texts,
        textfont={"size": 13, "color": [INKS[state] for state in states]},
        hoverinfo="skip",
        showlegend=False,
        cliponaxis=False,
    )


def bit_of_cell(point: Sequence[int], n_bits: int) -> int | None:
    """The bit of a pressed cell of `barcode`; None where there is none.

    Args:
        point: (row, place) of the cell.
        n_bits: the code length.
    """
    row, place = point
    bit = row // ROWS * _line_width(n_bits) + place
    return int(bit) if row % ROWS and bit < n_bits else None


def bit_effects(
    effects: np.ndarray,
    dead_share: np.ndarray | None,
    *,
    title: str,
) -> Figure:
    """A bar for each bit: how this query's average precision changes if the bit is switched off.

    Args:
        effects: (n_bits,); above 0 the query is better off without the bit. NaN: it is off.
        dead_share: share of the training items that have the bit dead, (n_bits,), drawn below;
            None if it is not known.
        title: of the chart.
    """
    bits = np.flatnonzero(~np.isnan(effects))
    bits = bits[np.argsort(-np.abs(effects[bits]), kind="stable")][:MOST_BARS]
    bits = bits[np.argsort(-effects[bits], kind="stable")]
    names = [str(bit) for bit in bits]
    figure = palette.bare_figure(title, height=300 if dead_share is None else 340)
    parts = (
        ("▼ harmful here: AP rises without it", effects[bits] > 0, palette.WRONG_WAY),
        ("▲ useful here: AP falls without it", effects[bits] <= 0, palette.GRADIENT),
    )
    for name, part, color in parts:
        figure.add_bar(
            x=[name for name, is_in in zip(names, part, strict=True) if is_in],
            y=effects[bits][part].astype(np.float32),
            name=name,
            marker={"color": color, "line_width": 0},
            hovertemplate="bit %{x}: AP %{y:+.4f} without it<extra></extra>",
        )
    if dead_share is not None:
        figure.add_bar(
            x=names,
            y=dead_share[bits].astype(np.float32),
            name="✖ dead training items",
            marker={"color": palette.DEAD, "line_width": 0},
            yaxis="y2",
            hovertemplate="bit %{x}: dead for %{y:.2%} of the training items<extra></extra>",
        )
        low = {"domain": [0, 0.2], "tickformat": "~%", "nticks": 3, "rangemode": "tozero"}
        low["title_text"] = "dead"
        low["range"] = None if dead_share[bits].any() else [0, 0.01]
        figure.update_layout(yaxis_domain=[0.3, 1], yaxis2={**low, "anchor": "x"})
    add_legend_below(figure, rows=2)
    figure.update_layout(bargap=0.15, barmode="overlay")
    rest = int((~np.isnan(effects)).sum()) - len(bits)
    figure.update_xaxes(
        title_text="bit, the most harmful first"
        + (f"; {rest:,} bits with smaller effects are left out" if rest else ""),
        type="category",
        categoryorder="array",
        categoryarray=names,
        anchor="y" if dead_share is None else "y2",
    )
    figure.update_layout(yaxis={"title_text": "AP without it − AP", "tickformat": ".3~f"})
    return figure


def distances_of(
    n_items: np.ndarray,
    n_relevant: np.ndarray | None,
    *,
    title: str,
    band: np.ndarray | None = None,
) -> Figure:
    """How many gallery items lie at each Hamming distance from a query, right and wrong ones.

    Args:
        n_items: (n_bits + 1,).
        n_relevant: right ones among them; None if the query's labels are not known.
        title: of the chart.
        band: of `rdh.retrieval.ranking.band_by_distance`; the distance that it is largest at is
            marked.
    """
    figure = palette.bare_figure(title, height=310, title_width=palette.NARROW)
    shown = np.flatnonzero(n_items)
    others = n_items if n_relevant is None else n_items - n_relevant
    bars = [("gallery items" if n_relevant is None else "≠ wrong: no shared label", others, WRONG)]
    bars += [] if n_relevant is None else [("✓ right: a shared label", n_relevant, RIGHT)]
    for name, counts, color in bars:
        figure.add_bar(
            x=shown,
            y=counts[shown].astype(np.float32),
            name=name,
            marker={"color": color, "line_width": 0},
            hovertemplate=f"distance %{{x}}: %{{y:,}} {name[2:] if name[1] == ' ' else name}"
            "<extra></extra>",
        )
    if band is not None and band.max() > 0:
        at = int(band.argmax())
        figure.add_vrect(
            x0=at - 0.5,
            x1=at + 0.5,
            line={"width": 1.5, "color": palette.NEUTRAL, "dash": "dot"},
            fillcolor="rgba(0,0,0,0)",
        )
    figure.update_layout(barmode="group", bargap=0.12, bargroupgap=0)
    figure.update_xaxes(
        title_text="Hamming distance from the query",
        range=[shown[0] - 0.6, shown[-1] + 0.6],
        tickformat="d",
    )
    most = float(np.log10(max(n_items.max(), 10)))
    figure.update_yaxes(
        title_text="gallery items (log)", type="log", dtick=1, range=[-0.15, most + 0.1]
    )
    add_legend_below(figure, rows=2)
    return figure


def classes_found(
    shares: np.ndarray, shown: np.ndarray, names: np.ndarray, *, title: str
) -> Figure:
    """What the queries of each class find: rows ask, columns are found.

    Args:
        shares: of `rdh.analysis.mixed_up.class_shares`.
        shown: the classes that are drawn.
        names: of all classes.
        title: of the chart.
    """
    table, labels = shares[np.ix_(shown, shown)], [palette.escape(names[c], 16) for c in shown]
    figure = palette.bare_figure(
        title, height=150 + max(22 * len(shown), 130), title_width=palette.NARROW
    )
    figure.add_heatmap(
        z=table.astype(np.float32),
        x=labels,
        y=labels,
        zmin=0,
        zmax=1,
        xgap=1,
        ygap=1,
        hovertemplate="asked for %{y}: %{z:.1%} of what is found is %{x}<extra></extra>",
        colorbar={"tickformat": ".0%", "title": {"text": "share"}},
    )
    if len(shown) <= MOST_WRITTEN:
        said = np.where(table >= 0.005, np.char.mod("%.0f", 100 * table), "")
        write_in_cells(figure, labels, labels, said, shares=table, size=10)
    figure.update_yaxes(autorange="reversed", title_text="class of the query", type="category")
    short = max(map(len, labels), default=0) <= 2  # digits need no slant
    figure.update_xaxes(
        title_text="class that is found", type="category", tickangle=0 if short else -45
    )
    figure.update_layout(margin_b=90)
    return figure
