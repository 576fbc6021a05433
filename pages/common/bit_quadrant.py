"""The quadrants sgn(g) x sgn(h) of one bit, before and after the amplifier."""

import numpy as np
import streamlit as st

from pages.common.live_plot import live_plotly
from pages.common.readers import RunSeries
from pages.common.words import legend
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
    counts, after = counts.sum(0), np.stack([pulls[0], amplified])
    changes = config.amplifier and not np.allclose(after, pulls, rtol=1e-6, atol=0)
    squares = {"before": pulls} | ({"after": after} if changes else {})
    top = max(float(values.max()) for values in squares.values())
    asked = f"{counts[1].sum() / counts.sum():.1%} of its entries are asked to leave"
    for column, (when, values) in zip(st.columns(2), squares.items(), strict=False):
        share = values[1].sum() / (values.sum() or 1)
        title = f"Bit {bit}, {when} the amplifier: {asked}, with {share:.1%} of the pull"
        with column:
            figure = quadrants(counts, values, top, title=title)
            live_plotly(figure, key=f"bits-quadrants-{when}-{run_id}")
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
    legend("quadrants", "gradient")
