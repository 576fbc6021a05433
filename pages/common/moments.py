"""The step at which a part of a page looks: the newest one, until the reader moves the slider."""

from collections.abc import Sequence

import streamlit as st

from pages.common.address import number


def pick_step(label: str, steps: Sequence[int], *, key: str, help_text: str | None = None) -> int:
    """Lets the reader choose a step, and keeps the choice in the page's address.

    Args:
        label: of the slider.
        steps: to choose from, in order; without a slider if there is one.
        key: of the slider and of the URL parameter. The newest step has none, since it goes on.
        help_text: of the slider.

    Returns:
        The chosen step; the nearest one if the chosen one is not among the steps.
    """
    newest, following = steps[-1], f"newest-{key}"
    wanted = st.session_state.get(key)
    if key not in st.session_state:
        wanted = number(key)
    if wanted in (None, st.session_state.get(following)):
        wanted = newest
    st.session_state[key] = min(steps, key=lambda step: abs(step - wanted))
    st.session_state[following] = newest
    if len(steps) > 1:
        st.select_slider(
            label, steps, key=key, help=help_text, on_change=_write_url, args=(key, newest)
        )
    return int(st.session_state[key])


def _write_url(key: str, newest: int) -> None:
    step = st.session_state[key]
    if step != newest:
        st.query_params[key] = str(step)
    elif key in st.query_params:
        del st.query_params[key]
