"""A page that ticks while it is left, for test_follow.py.

`st.switch_page` would leave it for a white window, every time.

Its ticks come faster than the other page begins, so that some are always on their way.
"""

import time

import streamlit as st

from pages.common import follow


def draw() -> None:
    time.sleep(0.02)
    st.write("first page")
    if st.button("Go"):
        follow.ask(follow.Way("pages/second.py", {"bit": "7"}, "the second page"))
    follow.draw()


st.fragment(draw, run_every=0.05)()
