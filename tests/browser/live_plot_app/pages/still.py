"""A page without live parts, to go to and come back from. Its figure never changes."""

import streamlit as st

from pages.common.live_plot import live_plotly
from rdh.charts.figure import Figure

st.set_page_config(page_title="Still", layout="wide")
st.sidebar.page_link("app.py", label="Live page")
st.header("Still page")
bars = Figure()
bars.add_bar(x=["a", "b"], y=[3, 5])
bars.update_layout(title="Two bars")
live_plotly(bars, key="bars", height=240)
st.button("Run again")
st.session_state.runs = st.session_state.get("runs", 0) + 1
st.caption(f"run {st.session_state.runs}")
