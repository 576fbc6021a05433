"""A small live page for test_live_plot.py: a map of 32 bits x 500 steps and three lines.

Both can be clicked.
"""

import json
import time

import numpy as np
import streamlit as st

from pages.common.live_plot import live_plotly
from rdh.charts.figure import Figure
from rdh.charts.palette import bare_figure

N_BITS, N_STEPS = 32, 500
st.set_page_config(page_title="Live charts", layout="wide")
st.sidebar.page_link("pages/still.py", label="Still page")
slow = st.sidebar.toggle("Slow ticks", key="slow")
live = st.sidebar.toggle("Live", value=True, key="live")
has_map = st.sidebar.toggle("Map", value=True, key="has_map")


def saturation_map(moment: float) -> Figure:
    """Bits that saturate one after the other, a little earlier or later at each tick."""
    onset = np.linspace(50, 450, N_BITS)[:, None] + 30 * np.sin(moment / 3)
    share = 250 / (1 + np.exp((onset - np.arange(N_STEPS)) / 20))
    title = "Bits saturate one after the other, from the first to the last"
    fig = bare_figure(title, 420, title_width=40)  # two lines, for half of a page
    fig.add_heatmap(
        z=share.astype(np.uint8), zmin=0, zmax=255, colorbar_title_text="share saturated"
    )
    fig.update_layout(xaxis_title_text="step", yaxis_title_text="bit")
    return fig


def loss_lines(moment: float) -> Figure:
    """Three falling lines of 600 points, and marks above them to click on."""
    steps = np.arange(600)
    fig = Figure()
    for rate, name in zip((1, 2, 4), ("similarity", "quantization", "total"), strict=True):
        loss = np.exp(-rate * steps / 300) + 0.02 * np.sin(steps / 9 + moment)
        fig.add_scatter(x=steps, y=loss.astype(np.float32), name=name, mode="lines")
    marks = steps[200::200]
    fig.add_scatter(
        x=marks,
        y=0.9 + 0 * marks,
        name="epoch",
        mode="markers",
        marker_size=9,
        customdata=marks * 10,
    )
    fig.update_layout(title_text="The loss falls", xaxis_title_text="step", yaxis_title_text="loss")
    return fig


def remember(click: dict) -> None:
    st.session_state.clicks = [*st.session_state.get("clicks", []), click]


@st.fragment(run_every=0.25 if live else None)
def panel() -> None:
    tick = st.session_state.tick = st.session_state.get("tick", 0) + 1
    if slow:
        time.sleep(1.0)  # what the test is about: a server that needs long for one tick
    st.caption(f"tick {tick}")
    moment = tick + st.session_state.setdefault(
        "start", time.time() % 1000
    )  # no two ticks are equal
    with st.container():
        if has_map:
            live_plotly(saturation_map(moment), key="map", on_click=remember, height=420)
    live_plotly(loss_lines(moment), key="lines", on_click=remember, height=320)
    clicks = st.session_state.get("clicks", [])
    st.caption(f"{len(clicks)} clicks")
    st.code(json.dumps(clicks), language=None)


st.header("Live charts")
panel()
