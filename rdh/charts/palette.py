"""Colours and marks by meaning, for pages, reports and paper figures.

Every meaning also has a glyph, word or dash, so that it survives a grey print. A method's colour is
a fact of its class. Runs with and without RDH share the colour of the method: with RDH, lines are
solid and markers filled; without, lines are dashed and markers open. Vermillion means dead bits and
nothing else. Figures set neither template nor background: these come from the theme, light or dark.
"""

import html
import textwrap
from collections.abc import Sequence

import numpy as np

from rdh import catalog
from rdh.charts.figure import Figure

DEAD = "#D55E00"
NEUTRAL = (
    "#8C8C8C"  # 3:1 on white and on dark: rules, further methods, everything without a meaning
)
FLAGGED = NEUTRAL  # the diamond tells it apart
GRADIENT = "#2E8BC9"  # a gradient of no particular method; readable on light and dark
SIMILARITY_TERM = "#009E73"
QUANTIZATION_TERM = "#CC79A7"
WRONG_WAY = "#E69F00"  # descent moves a bit away from its target: a warning, not yet a dead bit

NARROW = 58  # characters of a title line if two charts share a row, about 440 px each

GLYPHS = {"free": "●", "saturated": "■", "flagged": "◆", "dead": "✖", "rescued": "▲"}
STATE_COLORS = {
    "free": NEUTRAL,
    "saturated": "#0072B2",
    "dead": DEAD,
}  # rescued: none, the theme's text colour

SEQUENTIAL = [  # cividis, for shares from 0 to 1
    "#00224E",
    "#123570",
    "#3B496C",
    "#575D6D",
    "#707173",
    "#8A8678",
    "#A59C74",
    "#C3B369",
    "#E1CC55",
    "#FEE838",
]
# Dark blue - grey - light orange, for signed quantities; give it a range symmetric about 0. It only
# gets lighter, so that a grey print shows which sign a cell has.
DIVERGING = [
    "#062A66",
    "#0F4489",
    "#2C609E",
    "#567AA0",
    "#8A8A8A",
    "#B29C79",
    "#DCAE5C",
    "#F7C353",
    "#FFDC78",
]


def method_color(name: str) -> str:
    """The colour of a method by its name in the catalog. Grey if it is not there."""
    card = catalog.methods().get(name.lower())
    return card.color if card else NEUTRAL


def arm_line(color: str, with_rdh: bool, width: float = 2.5) -> dict:
    """Line of a run: solid with RDH, dashed without."""
    return {"color": color, "width": width, "dash": "solid" if with_rdh else "6px,4px"}


def arm_marker(color: str, with_rdh: bool, size: float = 9) -> dict:
    """Marker of a run: filled with RDH, open without."""
    return {
        "symbol": "circle" if with_rdh else "circle-open",
        "color": color,
        "size": size,
        "line": {"color": color, "width": 2},
    }


def colorscale(colors: list[str]) -> list[list]:
    """Plotly's form of a list of colours, evenly spaced from 0 to 1."""
    return [[i / (len(colors) - 1), color] for i, color in enumerate(colors)]


def inks(shares: Sequence[float]) -> list[str]:
    """Black or white for words on the colours of SEQUENTIAL: the one with more contrast (WCAG).

    Args:
        shares: places on the scale, 0 to 1, (n,).
    """
    rgb = np.array([[int(color[i : i + 2], 16) / 255 for i in (1, 3, 5)] for color in SEQUENTIAL])
    ends = np.linspace(0, 1, len(SEQUENTIAL))
    mixed = np.stack([np.interp(shares, ends, channel) for channel in rgb.T])
    linear = np.where(mixed <= 0.04045, mixed / 12.92, ((mixed + 0.055) / 1.055) ** 2.4)
    luminance = np.array([0.2126, 0.7152, 0.0722]) @ linear
    is_light = (luminance + 0.05) / 0.05 > 1.05 / (luminance + 0.05)
    return np.where(is_light, "#000000", "#FFFFFF").tolist()


def translucent(color: str, opacity: float) -> str:
    """#RRGGBB as rgba(...) with the opacity 0..1: tints that work on any background."""
    red, green, blue = (int(color[i : i + 2], 16) for i in (1, 3, 5))
    return f"rgba({red},{green},{blue},{opacity})"


def escape(text: object, max_length: int = 80) -> str:
    """A user's text for Plotly, which renders some HTML, and %{...} in hover templates."""
    line = " ".join(str(text).split())
    if len(line) > max_length:
        line = line[: max_length - 1] + "…"
    return html.escape(line, quote=False).replace("%{", "%&#123;")


def wrapped(sentence: str, width: int = 80) -> str:
    """A sentence of our own broken into title lines: Plotly does not wrap."""
    return "<br>".join(textwrap.wrap(sentence, width))


def bare_figure(takeaway: str, height: int, title_width: int = 80) -> Figure:
    """An empty figure with the takeaway as its title. The theme decides the rest.

    `title_width` is the number of characters of a title line: `NARROW` if two charts share a row.
    """
    text = wrapped(takeaway, title_width)
    figure = Figure()
    # A title of two lines is ours to place: Plotly 7 draws it .7 em too high, and its automargin
    # then moves the curves against the axes.
    n_lines = text.count("<br>") + 1
    title = {"text": text, "x": 0, "y": 1, "xanchor": "left", "yanchor": "top", "yref": "container"}
    title |= {"automargin": False, "pad": {"t": 5 if n_lines == 1 else 16}}
    figure.update_layout(title=title, height=height, margin_t=20 + 21 * n_lines)
    return figure
