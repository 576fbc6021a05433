"""The page that is reached: it begins slowly, and ticks."""

import time

import streamlit as st

from pages.common import follow

follow.forget()
time.sleep(0.5)
for line in range(5):
    st.write(f"line {line} of the second page, bit {st.query_params.get('bit')}")


def draw() -> None:
    st.session_state["ticks"] = st.session_state.get("ticks", 0) + 1
    st.write(f"tick {st.session_state['ticks']}")


st.session_state["ticks"] = 0
st.fragment(draw, run_every=0.1)()
