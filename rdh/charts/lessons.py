"""Charts of the lessons: codes of images, tanh, what is dead, quantization's pull, and seeds.

A chart with an answer in it has `shows_answer`: before that, the reader guesses.
"""

from collections.abc import Sequence

import numpy as np

from rdh.charts import palette
from rdh.charts._layout import add_legend_below
from rdh.charts.figure import Figure
from rdh.charts.landscape_text import number
from rdh.landscape import Pair, gradient_terms

WIDTH = 66  # characters of a title line: two thirds of a page
HEIGHT = 350
F_LIMIT = 8.0
BIT_COLORS = {-1: palette.translucent(palette.GRADIENT, 0.25), 1: palette.GRADIENT}
TEXT = "var(--st-text-color)"
SIMILARITY_LOOK = {"color": palette.SIMILARITY_TERM, "width": 2.5, "dash": "dot"}
CALL = {"x": 1, "xref": "paper", "xanchor": "left", "xshift": 10, "showarrow": False}
# The axis of the pictures gives up width where the chart is wide: a digit keeps its shape.
SQUARE = {"scaleanchor": "y", "constrain": "domain", "constraintoward": "right"}
ROW = 9  # pixels of a row of 8 x 8 pictures, with a gap


def code_rows(
    pictures: np.ndarray, codes: np.ndarray, names: Sequence[str], *, title: str
) -> Figure:
    """A row for each image: its picture and its bits. Bits that differ from the first row's: ✕.

    Args:
        pictures: grey, 0 to 255, (n, 8, 8).
        codes: -1 and +1, (n, n_bits).
        names: of the rows, (n,).
        title: of the chart.
    """
    figure = palette.bare_figure(title, HEIGHT + 40, WIDTH)
    n, n_bits = codes.shape
    _add_pictures(figure, pictures)
    figure.add_heatmap(
        z=codes.astype(np.int8),
        x=np.arange(n_bits),
        y=_middles(n),
        xaxis="x2",
        xgap=3,
        ygap=6,
        zmin=-1,
        zmax=1,
        colorscale=[[0, BIT_COLORS[-1]], [1, BIT_COLORS[1]]],
        showscale=False,
        colorbar={"title": {"text": "side"}},
        hovertemplate="bit %{x}: %{z:+d}<extra></extra>",
    )
    rows, bits = np.nonzero(codes != codes[0])
    figure.add_scatter(
        x=bits,
        y=_middles(n)[rows],
        xaxis="x2",
        mode="markers",
        marker={"symbol": "x-thin", "size": 11, "line": {"width": 2.5, "color": TEXT}},
        name="✕ differs from the first row",
        hoverinfo="skip",
    )
    figure.update_xaxes(visible=False)
    figure.update_layout(
        xaxis={"domain": [0, 0.1], **SQUARE},
        xaxis2={
            "domain": [0.12, 1],
            "range": [-0.5, n_bits - 0.5],
            "visible": True,
            "title_text": "bit (full +1, faint −1, ✕ differs)",
            "showgrid": False,
            "showline": False,
            "ticks": "",
            "dtick": 1,
            **{"tickangle": 0, "tickfont_size": 10},  # two digits fit below a bit on a phone
            "anchor": "y",
        },
        yaxis=_rows_axis(names),
    )
    return figure


def tanh_figure(z: float, *, shows_answer: bool) -> Figure:
    """h = tanh F with the bit at F = z; with `shows_answer` also the slope 1 - h^2.

    Args:
        z: F of the bit.
        shows_answer: whether the slope is drawn.
    """
    h = float(np.tanh(z))
    slope = f"; {100 * (1 - h**2):.3g}% of a gradient pass" if shows_answer else ""
    title = f"At F = {number(z, 1)} the bit is h = {h:.4f}{slope}."
    figure = palette.bare_figure(title, HEIGHT - 40 * shows_answer, WIDTH)
    grid = np.linspace(-6, 6, 241)
    curves = [("h = tanh F", np.tanh(grid), "solid", h)]
    if shows_answer:
        curves.append(("slope 1 − h²", 1 - np.tanh(grid) ** 2, "6px,4px", 1 - h**2))
    for name, values, dash, at in curves:
        line = {"color": palette.GRADIENT, "width": 3, "dash": dash}
        hover = "%{y:.4f}<extra>%{fullData.name}</extra>"
        figure.add_scatter(
            x=grid, y=values, mode="lines", line=line, name=name, hovertemplate=hover
        )
        marker = palette.arm_marker(palette.GRADIENT, with_rdh=dash == "solid", size=13)
        figure.add_scatter(
            x=[z],
            y=[at],
            mode="markers",
            marker=marker,
            name="the bit",
            showlegend=False,
            hoverinfo="skip",
        )
    figure.update_layout(shapes=_saturated(palette.translucent(palette.NEUTRAL, 0.18), 6.0))
    figure.update_xaxes(title_text="F, before tanh (grey: |h| ≥ 0.99, saturated)", range=[-6, 6])
    figure.update_yaxes(range=[-1.1, 1.1], zeroline=True)
    add_legend_below(figure)
    return figure


SATURATED = palette.STATE_COLORS["saturated"]
ALIVE = "saturated, not dead"
LETTERS = "ABCDEFGH"
OF_IMAGES = {
    "meta": {"customdata": ["image", "h", "its labels"]},
    "hovertemplate": "h = %{customdata[1]:.5f}<extra></extra>",
}
SIDES = {1: "called to + →", -1: "← called to −", 0: "called nowhere"}  # by an image's labels


def who_is_dead(
    pictures: np.ndarray,
    logits: np.ndarray,
    right: np.ndarray,
    dead: np.ndarray | None,
    *,
    title: str,
) -> Figure:
    """One bit of a few images: where F is, and the side that the labels call for.

    Args:
        pictures: grey, 0 to 255, (n, 8, 8).
        logits: F, (n,).
        right: -1, +1, or 0 for neither, (n,).
        dead: (n,); None: the reader guesses, and all marks are alike.
        title: of the chart.
    """
    figure = palette.bare_figure(title, HEIGHT, WIDTH)
    n, tau = len(logits), float(np.arctanh(0.99))
    _add_pictures(figure, pictures)
    at, middles = np.clip(logits, -F_LIMIT, F_LIMIT), _middles(n)
    saturated = np.abs(logits) >= tau
    states = {"": np.ones(n, bool)}
    if dead is not None:  # the mark itself is the glyph of the word
        states = {"dead": dead, ALIVE: saturated & ~dead, "free": ~saturated & ~dead}
    looks = {"dead": ("x", palette.DEAD), ALIVE: ("square", SATURATED)}
    calls = [SIDES[int(side)] for side in right]
    facts = list(zip(LETTERS, np.tanh(logits).tolist(), calls, strict=False))
    for name, mine in states.items():
        symbol, color = looks.get(name, ("circle", palette.NEUTRAL))
        figure.add_scatter(
            x=at[mine],
            y=middles[mine],
            xaxis="x2",
            mode="markers",
            marker={"symbol": symbol, "size": 15, "color": color},
            name=name,
            showlegend=dead is not None,
            customdata=[facts[place] for place in np.flatnonzero(mine)],
            **OF_IMAGES,
        )
    figure.update_layout(
        shapes=_saturated(palette.translucent(palette.NEUTRAL, 0.18), 1.1 * F_LIMIT, "x2"),
        annotations=[
            {"text": call, "y": y, **CALL} for call, y in zip(calls, middles, strict=True)
        ],
        margin={"l": 30, "r": 110},
        xaxis={"domain": [0, 0.2], "visible": False, **SQUARE},
        xaxis2={
            "domain": [0.22, 1],
            "range": [-1.1 * F_LIMIT, 1.1 * F_LIMIT],
            "tickvals": [-6, -tau, 0, tau, 6],
            **{"ticktext": ["−6", "h =<br>−0.99", "0", "h =<br>0.99", "6"], "tickangle": 0},
            "title_text": "F of this bit, before tanh (grey: saturated)",
            "anchor": "y",
        },
        yaxis=_rows_axis([f"<b>{letter}</b>" for letter in LETTERS[:n]]),
        meta={"columns": {"y": None}},  # rows of pictures are no numbers: the letter says which
    )
    if dead is not None:
        add_legend_below(figure)
    return figure


def quantization_figure(h_i: float, pair: Pair, *, shows_answer: bool) -> Figure:
    """How each term pulls a bit, against h_i: above 0 to the right, below 0 to the left.

    Args:
        h_i: the bit.
        pair: the other bit and eta.
        shows_answer: whether the two quantization terms are drawn.
    """
    grid = np.concatenate([np.linspace(-1, -1e-6, 200), np.linspace(1e-6, 1, 200)])
    arms = {"plain": "plain quantization", "error_aware": "error-aware quantization"}
    pulls = {
        name: float(-gradient_terms(h_i, pair, quantization=name).quantization) for name in arms
    }
    said = f"plain {_pull(pulls['plain'])}, error-aware {_pull(pulls['error_aware'])}"
    at = f"h = {number(h_i)}"
    title = f"At {at}: {said}." if shows_answer else f"The bit is at {at}."
    figure = palette.bare_figure(title, HEIGHT - 30, WIDTH)
    terms = gradient_terms(grid, pair)
    lines = [("similarity", -terms.similarity, SIMILARITY_LOOK)]
    if shows_answer:
        for name, dash in (("plain", "6px,4px"), ("error_aware", "solid")):
            pull = -gradient_terms(grid, pair, quantization=name).quantization
            look = {"color": palette.QUANTIZATION_TERM, "width": 3, "dash": dash}
            lines.append((arms[name], pull, look))
    for text, values, look in lines:
        figure.add_scatter(
            x=grid, y=values, mode="lines", line=look, name=text, hovertemplate="%{y:+.3f}"
        )
    rule = {"color": palette.GRADIENT, "width": 2, "dash": "dot"}
    line = {"type": "line", "x0": h_i, "x1": h_i, "y0": 0, "y1": 1, "yref": "y domain"}
    figure.update_layout(shapes=[line | {"line": rule}], hovermode="x unified")
    figure.update_xaxes(title_text="h<sub>i</sub>", range=[-1.03, 1.03])
    figure.update_yaxes(title_text="pull −∂L/∂h (above 0: to +)", range=[-2.2, 2.2], zeroline=True)
    add_legend_below(figure)
    return figure


def seeds_figure(
    seeds: Sequence[int],
    without: Sequence[float | None],
    with_rdh: Sequence[float | None],
    chosen: int,
    color: str,
    *,
    title: str,
) -> Figure:
    """MAP of each seed without RDH (open) and with RDH (filled), joined by a line.

    Args:
        seeds: (n,).
        without, with_rdh: MAP, (n,); None where it is not shown yet.
        chosen: the seed that is marked.
        color: of the method.
        title: of the chart.
    """
    figure = palette.bare_figure(title, HEIGHT, WIDTH)
    names = [f"seed {seed}" for seed in seeds]
    x = [value for pair in zip(without, with_rdh, strict=True) for value in (*pair, None)]
    y = [name for name in names for _ in range(3)]
    line = {"color": palette.translucent(color, 0.5), "width": 3}
    joined = {"showlegend": False, "hoverinfo": "skip", "meta": {"table": False}}
    figure.add_scatter(x=x, y=y, mode="lines", line=line, **joined)
    for name, values, arm in (("without RDH", without, False), ("with RDH", with_rdh, True)):
        figure.add_scatter(
            x=list(values),
            y=names,
            mode="markers",
            name=name,
            marker=palette.arm_marker(color, arm, size=14),
            hovertemplate="%{y}: %{x:.4f}<extra>%{fullData.name}</extra>",
        )
    if chosen in seeds:
        row = list(seeds).index(chosen)
        band = {"type": "rect", "x0": 0, "x1": 1, "xref": "x domain", "y0": row - 0.4}
        band |= {"y1": row + 0.4, "line": {"width": 0}, "layer": "below"}
        band["fillcolor"] = palette.translucent(palette.NEUTRAL, 0.18)
        figure.update_layout(shapes=[band])
    figure.update_xaxes(title_text="MAP", range=[0, 1.02])
    order = {"categoryorder": "array", "categoryarray": names, "range": [len(names) - 0.5, -0.5]}
    figure.update_yaxes(type="category", **order)
    add_legend_below(figure)
    return figure


def add_dead(figure: Figure, counts: np.ndarray, edges: np.ndarray) -> None:
    """Bars of dead entries over |F|, on a scale of their own below the curves of `gain_figure`.

    Args:
        figure: to change.
        counts: entries of each bin, (n,).
        edges: of the bins, (n + 1,).
    """
    figure.add_bar(
        x=(edges[1:] + edges[:-1]) / 2,
        y=counts,
        width=np.diff(edges) * 0.9,
        yaxis="y2",
        name=f"✖ the {int(counts.sum()):,} dead entries",
        marker={"color": palette.DEAD, "line_width": 0},
        hovertemplate="%{y:,}",
    )
    top = 5 * float(max(1, counts.max(initial=1)))  # below the names of the number formats
    figure.update_layout(yaxis2={"overlaying": "y", "visible": False, "range": [0, top]})


def _pull(pull: float) -> str:
    if pull == 0:
        return "not at all"
    return f"pulls by {number(pull, 2, sign=True)}"


def _middles(n: int) -> np.ndarray:
    """The middle of each row of pictures, from top to bottom."""
    return np.arange(n) * ROW + 3.5


def _add_pictures(figure: Figure, pictures: np.ndarray) -> None:
    """A column of pictures on the axes x and y, one above the other."""
    n = len(pictures)
    stacked = np.full((n * ROW - 1, 8), np.nan)
    for row, picture in enumerate(pictures):
        stacked[row * ROW : row * ROW + 8] = picture
    figure.add_heatmap(
        z=[[None if np.isnan(one) else int(one) for one in line] for line in stacked],
        zmin=0,
        zmax=255,
        colorscale=[[0, "#000000"], [1, "#FFFFFF"]],
        showscale=False,
        meta={"table": False},
        hoverinfo="skip",
    )


def _rows_axis(names: Sequence[str]) -> dict:
    n = len(names)
    return {
        "range": [n * ROW - 0.5, -1],
        "tickvals": _middles(n).tolist(),
        "ticktext": list(names),
        "showgrid": False,
        "zeroline": False,
        "ticks": "",
    }


def _saturated(color: str, limit: float, xref: str = "x") -> list[dict]:
    """The two bands of F with |h| >= .99."""
    tau = float(np.arctanh(0.99))
    band = {"type": "rect", "y0": 0, "y1": 1, "xref": xref, "yref": "y domain", "layer": "below"}
    band |= {"fillcolor": color, "line": {"width": 0}}
    return [band | {"x0": tau, "x1": limit}, band | {"x0": -limit, "x1": -tau}]
