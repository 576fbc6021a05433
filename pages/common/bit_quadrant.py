"""The quadrants sgn(g) x sgn(h) of one bit, before and after the amplifier."""

import numpy as np
import streamlit as st

from pages.common.live_plot import live_plotly
from pages.common.readers import RunSeries
from rdh.analysis.amplifier import N_RECORDS
from rdh.charts.quadrants import quadrants
from rdh.config.run_config import RunConfig

NOT_RECORDED = (
    "The quadrants sgn g × sgn h were not counted in this run: it is from before they were."
)


def draw_quadrants(run: RunSeries, config: RunConfig, bit: int, run_id: str) -> None:
    """The bit's entries and their pull in the last records; a sentence for runs without them."""
    steps, counts = run.series("quadrants")
    if not len(steps):
        st.caption(NOT_RECORDED)
        return
    last = slice(-N_RECORDS, None)
    counts = counts[last, :, :, bit].astype(np.float64)
    n = counts.sum((1, 2))  # of each record: its pulls are means over so many items
    pulls, amplified = (
        np.tensordot(n, run.series(name)[1][last, ..., bit].astype(np.float64), 1) / n.sum()
        for name in ("quadrant_pull", "leaving_pull_amplified")
    )
    counts = counts.sum(0)
    changes = config.amplifier and not np.allclose(amplified, pulls[1], rtol=1e-6, atol=0)
    title = f"Bit {bit}: {counts[1].sum() / counts.sum():.1%} of its entries are asked to leave"
    if pulls.any():
        title += f"; {pulls[1].sum() / pulls.sum():.1%} of the pull is theirs"
        if changes:
            after = amplified.sum() / (pulls[0].sum() + amplified.sum())
            title += f", {after:.1%} after the amplifier"
    figure = quadrants(counts, pulls, amplified if changes else None, title=title)
    live_plotly(figure, key=f"bits-quadrants-{run_id}")
    unchanged = (
        ""
        if changes
        else " The amplifier changed nothing here."
        if config.amplifier
        else " This run has no amplifier."
    )
    st.caption(
        f"Visits of training items in the last {len(n):,} records. g = dL/dh of the whole loss; "
        "descent moves h against it, so equal signs ask an entry to leave its side. h = 0 counts "
        f"as +, g = 0 as asked to stay. Pull: |dL/dF|, brighter is more.{unchanged}"
    )
