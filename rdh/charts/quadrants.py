"""Where entries stand and where their gradient sends them: the quadrants sgn(g) x sgn(h)."""

import numpy as np
import plotly.graph_objects as go

from rdh.charts import palette

SIDES, SIGNS = ("h < 0", "h > 0"), ("g < 0", "g > 0")
ASKED = ("stay", "leave")


def quadrants(
    counts: np.ndarray,
    pulls: np.ndarray,
    amplified: np.ndarray | None,
    *,
    title: str,
) -> go.Figure:
    """A square of four cells before the amplifier, and one after it.

    Descent moves h against its gradient g = dL/dh. So where both have one sign, the entry is asked
    to leave its side. An h of 0 counts as +, a g of 0 as asked to stay. The colour is the pull of a
    cell; both squares share its range.

    Args:
        counts: entries that are asked to stay, and to leave, by the sides -1 and +1, (2, 2).
        pulls: the sum of |dL/dF| of these entries, over all entries, (2, 2).
        amplified: pulls of those that are asked to leave after the amplifier, (2,); None if it
            changed nothing.
        title: of the chart.
    """
    figure = palette.bare_figure(title, height=320)
    squares = {"before the amplifier": pulls}
    if amplified is not None:
        squares["after the amplifier"] = np.stack([pulls[0], amplified])
    top = max(float(values.max(initial=0)) for values in squares.values()) or 1.0
    shares = counts / max(counts.sum(), 1)
    width = 1 / len(squares)
    for number, (name, values) in enumerate(squares.items()):
        axis = "" if number == 0 else str(number + 1)
        pull = values / (values.sum() or 1.0)
        figure.add_heatmap(
            x=SIDES,
            y=SIGNS,
            z=by_signs(values).astype(np.float32),
            text=by_signs(words(shares, pull)),
            texttemplate="%{text}",
            zmin=0,
            zmax=top,
            colorscale=palette.colorscale(palette.SEQUENTIAL),
            colorbar={"title": {"text": "pull: mean |dL/dF| over all entries"}},
            showscale=False,
            name=name,
            xaxis=f"x{axis}",
            yaxis=f"y{axis}",
            xgap=3,
            ygap=3,
            hovertemplate="%{x}, %{y}: %{text}<br>pull %{z:.3g}<extra></extra>",
        )
        _place(figure, name, axis, number, width)
    figure.update_layout(margin_t=figure.layout.margin.t + 16)
    return figure


def _place(figure: go.Figure, name: str, axis: str, number: int, width: float) -> None:
    """Puts a square into its share of the chart, with its name above."""
    ends = [number * width + 0.03 * (number > 0), (number + 1) * width - 0.03 * (width < 1)]
    figure.update_layout(
        {
            f"xaxis{axis}": {"domain": ends, "anchor": f"y{axis}", "title": {"text": "side"}},
            f"yaxis{axis}": {
                "domain": [0, 1],
                "anchor": f"x{axis}",
                "showticklabels": number == 0,
                "title": {"text": "gradient" if number == 0 else None},
            },
        }
    )
    place = {"x": sum(ends) / 2, "y": 1, "xref": "paper", "yref": "paper", "yanchor": "bottom"}
    figure.add_annotation(text=name, showarrow=False, **place)


def by_signs(values: np.ndarray) -> np.ndarray:
    """[asked to stay, to leave] x [-, +] as rows g < 0, g > 0 and columns h < 0, h > 0.

    Equal signs of g and h: asked to leave.
    """
    (stay_below, stay_above), (leave_below, leave_above) = values
    return np.array([[leave_below, stay_above], [stay_below, leave_above]])


def words(shares: np.ndarray, pull: np.ndarray) -> np.ndarray:
    """What each cell says, (2, 2)."""
    return np.array(
        [
            [
                f"asked to {asked}<br>{shares[row, side]:.1%} of entries<br>"
                f"{pull[row, side]:.1%} of the pull"
                for side in range(2)
            ]
            for row, asked in enumerate(ASKED)
        ]
    )
