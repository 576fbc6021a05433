"""Layout that several charts share: room for a legend, names of steps, ticks of a colour bar."""

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from rdh.charts import palette
from rdh.charts._thinning import kept_points, smoothed
from rdh.charts.figure import Figure

EVENT_NAME = 130  # pixels of the names of events in a legend: two columns of them fit half a row


def name_steps(figure: Figure, size: int, kept: str) -> None:
    """Names the x-axis "optimiser step", and says below it what stands for several records.

    On a phone one line would be wider than the chart.

    Args:
        figure: a map, whose columns are buckets.
        size: records in a bucket.
        kept: of each bucket, for example "maximum of ".
    """
    rest = f" (each column: {kept}{size} records)" if size > 1 else ""
    below = f"<br><span style='font-size:12px'>{rest.strip()}</span>" if rest else ""
    figure.update_xaxes(title_text=f"optimiser step{below}")
    columns = figure.layout.get("meta", {}).get("columns", {})
    figure.update_layout(meta={"columns": columns | {"x": f"optimiser step{rest}"}})


def add_legend(figure: Figure) -> None:
    """Shows the legend between title and plot, with entries in the order of the traces."""
    figure.update_layout(
        showlegend=True, legend_traceorder="normal", margin_t=figure.layout.margin.t + 16
    )


def add_legend_below(figure: Figure, rows: int = 1, entry_width: int | None = None) -> None:
    """Shows the legend below the title of the x-axis; the figure grows by its height.

    If one row is too narrow for the entries, Plotly sets them in columns: keep names short.

    Args:
        figure: to change.
        rows: as many as the entries need at the chart's narrowest.
        entry_width: of a name, in pixels.
    """
    room = 8 + 20 * rows
    place = {
        "x": 0,
        "xanchor": "left",
        "xref": "container",
        "y": 0,
        "yanchor": "bottom",
        "yref": "container",
    }
    figure.update_layout(
        showlegend=True,
        legend_traceorder="normal",
        legend=place,
        legend_font_size=12,
        legend_entrywidth=entry_width,
    )
    figure.update_layout(height=figure.layout.height + room, margin_b=55 + room)


def write_in_cells(
    figure: Figure,
    columns: Sequence[str],
    rows: Sequence[str],
    words: np.ndarray,
    *,
    shares: np.ndarray,
    size: int,
) -> None:
    """Words in the cells of a map of shares. Plotly's own are grey on grey in its middle.

    Args:
        figure: with the map.
        columns: names of the x-axis, (n,).
        rows: names of the y-axis, (m,).
        words: of the cells, (m, n); none is written where they are empty.
        shares: places on the colour scale, 0 to 1, (m, n).
        size: of the words, in pixels.
    """
    written = [(row, column) for row, column in np.ndindex(words.shape) if words[row, column]]
    figure.add_scatter(
        x=[columns[column] for _, column in written],
        y=[rows[row] for row, _ in written],
        text=[str(words[place]) for place in written],
        mode="text",
        textfont={"size": size, "color": palette.inks([float(shares[place]) for place in written])},
        meta={"table": False},
        hoverinfo="skip",
        showlegend=False,
    )


def add_curve(
    figure: Figure, x: np.ndarray, y: np.ndarray, smoothing: float = 0.0, **trace: Any
) -> None:
    """A line over time, thinned. If it is smoothed, the raw line stays faint behind it.

    Args:
        figure: to change.
        x: steps, (n,).
        y: values, (n,).
        smoothing: as in `smoothed`; 0 for the raw line alone.
        trace: for Plotly; `customdata` (n, ...) belongs to the raw line.
    """
    kept, name = kept_points(y), trace.pop("name")
    facts = trace.pop("customdata", None)
    raw = trace | ({} if facts is None else {"customdata": facts[kept]})
    place = {"x": x[kept], "y": y[kept].astype(np.float32)}
    if not smoothing:
        figure.add_scatter(**place, name=name, **raw)
        return
    figure.add_scatter(**place, name=f"{name}, raw", **raw | {"opacity": 0.3, "showlegend": False})
    mean = smoothed(y, smoothing)
    kept = kept_points(mean)
    line = {"mode": "lines", "line": trace["line"]}
    hover = {"hovertemplate": "step %{x:,}: %{y:.5g}, smoothed"}
    mean = mean[kept].astype(np.float32)
    figure.add_scatter(x=x[kept], y=mean, name=name, **line, **hover)


def map_range(*values: np.ndarray) -> list[float]:
    """The ends of an axis of MAP: a little room around the values, and never beyond 0 and 1.

    Around equal values, Plotly would draw an axis from one below them to one above.
    """
    every = np.concatenate([np.ravel(one) for one in values]).astype(float)
    every = every[np.isfinite(every)]
    if not len(every):
        return [0.0, 1.0]
    low, high = float(every.min()), float(every.max())
    room = max(0.01, 0.06 * (high - low))
    return [max(0.0, low - room), min(1.0, high + room)]


def round_ticks(top: float) -> np.ndarray:
    """Four to eight round values from 0 to at most `top` > 0: 1, 2 or 5 times a power of ten."""
    power = 10.0 ** math.floor(math.log10(top / 4))
    step = power * max(factor for factor in (1, 2, 5) if factor * power <= top / 4)
    return np.arange(0, math.floor(top / step + 1e-9) + 1) * step


def percent(ticks: np.ndarray, sign: str = "") -> list[str]:
    """Shares as percentages with as many digits as the ticks need.

    `sign` is "+" to mark positive ones.
    """
    digits = next(
        n
        for n in range(4)
        if n == 3 or np.allclose(np.round(ticks * 100, n), ticks * 100, atol=1e-9)
    )
    return [f"{tick:{sign}.{digits}%}".replace("-", "−") if tick else "0%" for tick in ticks]
