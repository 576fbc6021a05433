"""Dead bits over time, as in Figure 5, but with the denominator, which the figure leaves out."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from rdh.charts import palette
from rdh.charts._layout import EVENT_NAME, add_curve, add_legend_below
from rdh.charts._thinning import bucket_sum, buckets
from rdh.charts.figure import Figure

MAX_BARS = 300
EVENTS = {  # names of first deaths, relapses, rescues and releases, and what they mean
    "dead": {
        "✖ first death": "",
        "✖ relapse": " (dead again after a rescue)",
        "▲ rescue": " (left saturation or changed sides)",
        "released": " (stays, but its class no longer calls for the other side)",
    },
    "flagged": {
        "◆ raised": "",
        "◆ raised again": " (after an answer)",
        "▲ answered": " (left saturation or changed sides)",
        "dropped": " (stays, but its pairs no longer ask)",
    },
}
COLORS = {"dead": palette.DEAD, "flagged": palette.FLAGGED}


@dataclass(frozen=True)
class Series:
    """One run's curve.

    Attributes:
        label: of the run.
        method: its name, which decides the colour.
        has_rdh: whether RDH is on, which decides the line.
        steps: (n,).
        counts: dead (or flagged) entries, (n,).
        denominator: all entries.
    """

    label: str
    method: str
    has_rdh: bool
    steps: np.ndarray
    counts: np.ndarray
    denominator: float


def dead_bits_over_time(
    series: Sequence[Series],
    *,
    title: str,
    events: Sequence[tuple[int, str]] = (),
    what: str = "dead",
    is_wide: bool = False,
    smoothing: float = 0.0,
) -> Figure:
    """Dead entries of every run, or shares if the runs have different numbers of entries.

    Args:
        series: one for each run.
        title: of the chart.
        events: (step, word), drawn as thin ticks.
        what: "dead" or "flagged": what the counts are.
        is_wide: whether the chart has a row of its own.
        smoothing: weight of what was before; the raw curve stays faint behind.
    """
    figure = palette.bare_figure(title, height=360, title_width=80 if is_wide else palette.NARROW)
    denominators = {run.denominator for run in series}
    as_share = len(denominators) > 1
    for run in series:
        counts, shares = (
            values.astype(np.float32) for values in (run.counts, run.counts / run.denominator)
        )
        is_alone = len(series) == 1
        add_curve(
            figure,
            run.steps,
            shares if as_share else counts,
            smoothing,
            name=palette.escape(run.label),
            mode="lines",
            line=palette.arm_line(
                COLORS[what] if is_alone else palette.method_color(run.method), run.has_rdh
            ),
            fill="tozeroy" if is_alone else None,
            fillcolor=palette.translucent(COLORS[what], 0.18) if is_alone else None,
            customdata=counts if as_share else shares,
            meta={"customdata": [f"{what} entries" if as_share else f"{what} share of entries"]},
            hovertemplate="step %{x:,}: "
            + (
                f"%{{customdata:,.0f}} {what} (%{{y:.2%}})"
                if as_share
                else f"%{{y:,.0f}} {what} (%{{customdata:.2%}})"
            ),
        )
    _mark(figure, events)
    figure.update_xaxes(title_text="optimiser step")
    total = f" of {next(iter(denominators)):,.0f} (items × bits)" if len(denominators) == 1 else ""
    figure.update_yaxes(
        title_text=f"{what} share of entries" if as_share else f"{what} entries{total}",
        rangemode="tozero",
    )
    figure.update_yaxes(tickformat=".1%" if as_share else ",")
    if not any(run.counts.any() for run in series):  # Plotly would draw 0 in units of a millionth
        figure.update_yaxes(range=[0, 0.01 if as_share else 1], nticks=3)
    figure.update_layout(showlegend=False)
    if len(series) > 1:
        add_legend_below(figure)
    return figure


def _mark(figure: Figure, events: Sequence[tuple[int, str]]) -> None:
    for step, word in events:
        line = {"width": 1, "dash": "dot", "color": palette.NEUTRAL}
        label = {"textangle": -90, "xanchor": "right", "yanchor": "top", "font": {"size": 11}}
        figure.add_vline(x=step, line=line, annotation=label | {"text": palette.escape(word)})


def event_flow(
    steps: np.ndarray,
    deaths: np.ndarray,
    rescues: np.ndarray,
    relapses: np.ndarray,
    *,
    title: str,
    releases: np.ndarray,
    what: str = "dead",
) -> Figure:
    """Deaths of each record above the axis, rescues and releases below it. All arrays (n,).

    A dead entry is released if it stays where it is but its class no longer calls for the other
    side. The number of dead entries changes by deaths - rescues - releases. Relapses are the darker
    part of the deaths. A bar reaches from the previous record to its own. More than 300 bars are
    summed in buckets. If `what` is "flagged", the four are flags raised, answered, raised again and
    dropped.
    """
    figure = palette.bare_figure(title, height=290, title_width=palette.NARROW)
    starts, size = buckets(len(steps), MAX_BARS)
    flows = (deaths, rescues, relapses, releases)
    deaths, rescues, relapses, released = (
        bucket_sum(np.asarray(values), starts) for values in flows
    )
    ends = steps[np.minimum(starts + size, len(steps)) - 1]
    begins = np.concatenate([[0], ends[:-1]]) if len(ends) else ends
    place = {"x": (begins + ends) / 2, "width": np.maximum(1, ends - begins) * 0.94}
    values_of = (deaths - relapses, relapses, -rescues, -released)
    colors = (
        palette.translucent(COLORS[what], 0.6),
        COLORS[what],
        palette.SIMILARITY_TERM if what == "flagged" else palette.NEUTRAL,
        palette.translucent(palette.NEUTRAL, 0.4),
    )
    for (name, meaning), values, color in zip(EVENTS[what].items(), values_of, colors, strict=True):
        figure.add_bar(
            **place,
            y=values.astype(np.float32),
            name=name,
            marker={"color": color, "line_width": 0},
            customdata=np.stack([ends, np.abs(values)], 1).astype(np.int32),
            meta={"customdata": ["up to step"]},
            hovertemplate="up to step %{customdata[0]:,}: %{customdata[1]:,}" + meaning,
        )
    figure.update_layout(barmode="relative")
    add_legend_below(figure, rows=2, entry_width=EVENT_NAME)
    figure.update_xaxes(title_text="optimiser step")
    figure.update_yaxes(
        title_text="entries a record" if size == 1 else f"entries in {size} records", tickformat=","
    )
    return figure
