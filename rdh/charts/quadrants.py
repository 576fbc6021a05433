"""Where entries stand and where their gradient sends them: the quadrants sgn(g) x sgn(h)."""

import numpy as np

from rdh.charts import palette
from rdh.charts._layout import write_in_cells
from rdh.charts.figure import Figure

SIDES, SIGNS = ("h < 0", "h > 0"), ("g < 0", "g > 0")
ASKED = ("stay", "leave")


def quadrants(counts: np.ndarray, pulls: np.ndarray, top: float, *, title: str) -> Figure:
    """A square of four cells, coloured by the pull of their entries.

    Descent moves h against its gradient g = dL/dh. So where both have one sign, the entry is asked
    to leave its side. An h of 0 counts as +, a g of 0 as asked to stay.

    Args:
        counts: entries that are asked to stay, and to leave, by the sides -1 and +1, (2, 2).
        pulls: the mean of |dL/dF| over all entries, of these alone, (2, 2).
        top: end of the colour scale, so that two squares can share one.
        title: of the chart.
    """
    figure = palette.bare_figure(title, height=320, title_width=palette.NARROW)
    shares, pull = (part / (part.sum() or 1) for part in (counts, pulls))
    values, said = by_signs(pulls), by_signs(words(shares, pull))
    figure.add_heatmap(
        x=SIDES,
        y=SIGNS,
        z=values.astype(np.float32),
        text=said,
        zmin=0,
        zmax=top or 1,
        colorscale=palette.colorscale(palette.SEQUENTIAL),
        colorbar={"title": {"text": "pull: mean |dL/dF| over all entries"}},
        showscale=False,
        xgap=3,
        ygap=3,
        hovertemplate="%{x}, %{y}: %{text}<br>pull %{z:.3g}<extra></extra>",
    )
    write_in_cells(figure, SIDES, SIGNS, said, shares=values / (top or 1), size=12)
    figure.update_xaxes(title_text="side", type="category")
    figure.update_yaxes(title_text="gradient", type="category")
    return figure


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
