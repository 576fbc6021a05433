"""Maps of bits over time: which bits die, when, and whether they come back."""

import numpy as np

from rdh.charts import palette
from rdh.charts._layout import name_steps, percent, round_ticks
from rdh.charts._thinning import bucket_extreme, bucket_max, buckets
from rdh.charts.figure import Figure

UNITS = (
    10_000,
    1000,
    100,
)  # a share is sent as so many in 10 000, in 1000 or in 100 items: one byte a cell
# A colour scale ends at one of these, so that a pair and the same pair run anew have one scale even
# if their largest shares differ a little.
ENDS = (0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0)
WIDE = 80  # characters of a title line over a whole row


def saturation_map(
    steps: np.ndarray,
    shares: np.ndarray,
    *,
    title: str,
    what: str,
    order: np.ndarray | None = None,
    top: float | None = None,
    narrow: bool | None = None,
) -> Figure:
    """Heat map of bit and step: a share in [0, 1].

    More than 600 columns are thinned by the maximum of each bucket, so that short deaths survive.
    The `y` of a click is the number of the bit in any order.

    Args:
        steps: of the records, (n,).
        shares: (n, n_bits).
        title: of the chart.
        what: the name of the share.
        order: bits from bottom to top; by index if None.
        top: the largest share of all maps that share a colour scale; that of this map if None. The
            scale ends at the next of ENDS.
        narrow: whether the chart has half a row; by default, whether `top` is given.
    """
    starts, size = buckets(len(steps))
    shares = bucket_max(shares, starts)
    order = np.arange(shares.shape[1]) if order is None else order
    is_narrow = top is not None if narrow is None else narrow
    top = scale_end(float(shares.max(initial=0)) if top is None else top)
    unit = next((unit for unit in UNITS if top * unit <= 250), UNITS[-1])
    cells = np.round(np.clip(shares, 0, top)[:, order].T * unit).astype(np.uint8)
    figure = _map(steps[starts], cells, order, title, palette.NARROW if is_narrow else WIDE)
    ticks = round_ticks(top)
    figure.update_traces(
        zmin=0,
        zmax=top * unit,
        meta={"times": 1 / unit},
        colorscale=palette.colorscale(palette.SEQUENTIAL),
        colorbar={
            "title": {"text": palette.escape(what)},
            "tickvals": ticks * unit,
            "ticktext": percent(ticks),
        },
        hovertemplate=f"bit %{{y}}, step %{{x:,}}<br>{palette.escape(what)}: %{{z}} in "
        f"{unit}<extra></extra>",
    )
    name_steps(figure, size, "maximum of ")
    return figure


def scale_end(largest: float) -> float:
    """The end of a colour scale that holds a share in [0, 1]."""
    return next((end for end in ENDS if largest <= end + 1e-9), ENDS[-1])


def difference_map(
    steps: np.ndarray, difference: np.ndarray, *, title: str, what: str = "dead share"
) -> Figure:
    """Heat map of bit and step: a share without RDH minus that with RDH, -1 to 1.

    Light orange: less with RDH; dark blue: more; grey: no difference. More than 600 columns are
    thinned by the value farthest from 0 in each bucket. steps (n,), difference (n, n_bits).
    """
    starts, size = buckets(len(steps))
    thinned = bucket_extreme(difference, starts)
    top = max(0.01, float(np.abs(thinned).max(initial=0)))
    unit = next((unit for unit in UNITS if top * unit <= 127), UNITS[-1])
    figure = _map(
        steps[starts],
        np.round(thinned.T * unit).astype(np.int8),
        np.arange(thinned.shape[1]),
        title,
    )
    half = round_ticks(top)[::2]  # of all there would be twice as many as on a share's bar
    ticks = np.concatenate([-half[:0:-1], half])
    figure.update_traces(
        zmin=-top * unit,
        zmax=top * unit,
        meta={"times": 1 / unit},
        colorscale=palette.colorscale(palette.DIVERGING),
        colorbar={
            "title": {"text": "without − with"},  # longer than the bar on a phone otherwise
            "tickvals": ticks * unit,
            "ticktext": percent(ticks, "+"),
        },
        hovertemplate=f"bit %{{y}}, step %{{x:,}}<br>without − with: %{{z:+d}} in "
        f"{unit}<extra></extra>",
    )
    difference_of = f"{palette.escape(what)}, without − with"
    figure.update_layout(margin_r=110, meta={"columns": {"z": difference_of}})
    name_steps(figure, size, "largest difference of ")
    return figure


def by_onset(shares: np.ndarray) -> np.ndarray:
    """Bits in the order in which their shares first pass half of their maximum, others last."""
    if not len(shares):
        return np.arange(shares.shape[1])
    top = shares.max(0)
    onset = np.where(top > 0, (shares >= top / 2).argmax(0), len(shares))
    return np.lexsort((-top, onset))


def _map(
    steps: np.ndarray, values: np.ndarray, order: np.ndarray, title: str, title_width: int = WIDE
) -> Figure:
    """Heat map of values (n_bits, n). Rows have names, so that hover and click name the bit."""
    height = max(260, min(560, 110 + 7 * len(order)))
    figure = palette.bare_figure(title, height=height, title_width=title_width)
    figure.add_heatmap(z=values, x=steps, y=[str(bit) for bit in order])
    # Rows stand as they are given: by name alone, Plotly would sort those that two maps have in
    # another order.
    figure.update_layout(margin_l=56)  # names of bits are short
    figure.update_yaxes(title_text="bit", type="category", showgrid=False, ticks="")
    figure.update_yaxes(nticks=min(18, (height - 110) // 13))  # a name is 13 pixels high
    return figure
