"""A page without live parts, to go to and come back from. Its figure never changes."""

import plotly.graph_objects as go
import streamlit as st

from pages.common.live_plot import live_plotly

st.set_page_config(page_title="Still", layout="wide")
st.sidebar.page_link("app.py", label="Live page")
st.header("Still page")
live_plotly(
    go.Figure(go.Bar(x=["a", "b"], y=[3, 5]), layout_title_text="Two bars"), key="bars", height=240
)
st.button("Run again")
st.session_state.runs = st.session_state.get("runs", 0) + 1
st.caption(f"run {st.session_state.runs}")
