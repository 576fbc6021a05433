"""How the charts over time of a page look at it: which steps, how smooth, on which axis.

The three controls stay in the URL. A zoom in one chart moves all of them. What lies outside the
steps is left out before a chart is thinned, so a closer look brings back every spike.

Draw the controls by `draw_view` in the fragment that draws the charts.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeVar

import numpy as np
import pandas as pd
import streamlit as st

from pages.common.live_plot import live_plotly
from rdh.charts.dead_bits import Series
from rdh.charts.figure import Figure

STEPS = "steps"
T = TypeVar("T", pd.DataFrame, pd.Series)


@dataclass(frozen=True)
class TimeView:
    """What the reader chose.

    Attributes:
        first: step at the left end.
        last: step at the right end.
        total: last step of the longest run; 0 on a page without the controls.
        smoothing: 0 for the raw curves, up to 0.99.
        is_log: whether curves are drawn over a logarithmic axis.
    """

    first: int = 0
    last: int = 0
    total: int = 0
    smoothing: float = 0.0
    is_log: bool = False

    @property
    def is_whole(self) -> bool:
        """Whether all steps are shown."""
        return (self.first, self.last) == (0, self.total)

    def rows(self, steps: np.ndarray) -> slice:
        """The records inside, and one more at each end, so that lines reach the border."""
        if self.is_whole:
            return slice(None)
        start, stop = np.searchsorted(steps, [self.first, self.last], side="left")
        return slice(max(0, int(start) - 1), int(stop) + 1)

    def frame(self, frame: T) -> T:
        """The rows of a frame (or column) by step that lie inside."""
        return frame.iloc[self.rows(frame.index.to_numpy())]

    def series(self, one: Series) -> Series:
        """The part of a run's curve that lies inside."""
        rows = self.rows(one.steps)
        return Series(
            one.label,
            one.method,
            one.has_rdh,
            one.steps[rows],
            one.counts[rows],
            one.denominator,
        )

    def draw(
        self,
        figure: Figure,
        *,
        key: str,
        is_curve: bool = False,
        on_click: Callable[[dict], None] | None = None,
    ) -> None:
        """Draws a chart whose x-axis is the step; a zoom in it moves all charts of the page.

        Args:
            figure: the chart.
            key: as in `live_plotly`.
            is_curve: whether the logarithmic axis is for this chart.
            on_click: as in `live_plotly`.
        """
        if not self.is_whole:
            figure.update_xaxes(range=[self.first, self.last])
        # A change of the steps ends the zoom of each chart; else it would stay as it was.
        figure.update_xaxes(uirevision=f"{self.first}-{self.last}")
        if is_curve and self.is_log:
            figure.update_yaxes(type="log", range=None, rangemode=None, nticks=None)
        figure.update_yaxes(uirevision="log" if is_curve and self.is_log else "linear")
        on_zoom = _zoom if self.total else None
        live_plotly(figure, key=key, on_click=on_click, on_zoom=on_zoom)


WHOLE = TimeView()  # raw curves over all steps


def draw_view(total_steps: int) -> TimeView:
    """The controls: steps, smoothing and axis of all charts over time.

    Args:
        total_steps: of the longest run of the page.
    """
    total = max(1, int(total_steps))
    _mend(total)
    with st.container(horizontal=True, vertical_alignment="bottom", gap="medium"):
        first, last = st.slider(
            "Steps shown",
            0,
            total,
            (0, total),
            key=STEPS,
            bind="query-params",
            help="Of all charts over time. Drag across a chart to zoom in; a double click in it "
            "shows all again.",
            width=300,
        )
        smoothing = st.slider(
            "Smoothing",
            0.0,
            0.99,
            0.0,
            0.01,
            key="smoothing",
            bind="query-params",
            help="The weight of what was before, as an exponential mean; the raw curve stays "
            "faint behind.",
            width=160,
        )
        is_log = st.toggle("Log axis", key="log", bind="query-params", help="Of all curves.")
    return TimeView(first, last, total, smoothing, is_log)


def _mend(total: int) -> None:
    """Drops steps of another, longer run: a slider does not take what lies beyond its ends."""
    now = st.session_state.get(STEPS)
    if now is not None and not 0 <= min(now) < max(now) <= total:
        del st.session_state[STEPS]
    st.session_state[f"{STEPS}-total"] = total


def _zoom(ends: list[float] | None) -> None:
    """What a zoom in a chart asks for; None, or the steps that are shown: all, as by reset."""
    total = st.session_state.get(f"{STEPS}-total", 1)
    first, last = (0, total) if ends is None else (round(min(ends)), round(max(ends)))
    if (first, last) == tuple(st.session_state.get(STEPS, ())):
        first, last = 0, total
    first, last = max(0, min(first, total - 1)), min(total, last)
    st.session_state[STEPS] = (first, max(first + 1, last))
