"""Tells the reader which values in a page's address the page can't show.

Streamlit drops such values in silence. Call `arrive` before the first widget and `announce` after
the last one. In between, each widget that is bound to the address takes its value.
"""

from dataclasses import dataclass
from typing import Any

import streamlit as st
from streamlit.delta_generator import DeltaGenerator

from pages.common import follow

VISIT = "visit"
ANSWERED_ELSEWHERE = ("run", "vs", "clone")  # the pickers of runs say so themselves


@dataclass(frozen=True)
class Visit:
    """A page that was just opened.

    Attributes:
        title: of the page.
        asked: what the address asked for; None once it was answered.
        slot: the place for a message.
    """

    title: str
    asked: dict[str, str] | None
    slot: DeltaGenerator


def arrive(title: str) -> None:
    """Notes what the address asks for when the page is opened.

    Later the reader's choices count, not the address.
    """
    before = st.session_state.get(VISIT)
    if before is None or before.title != title:
        follow.forget()
    is_new = before is None or before.title != title or before.asked is not None
    st.session_state[VISIT] = Visit(
        title, st.query_params.to_dict() if is_new else None, st.empty()
    )


def announce() -> None:
    """One sentence for the values that no widget took."""
    visit = st.session_state.get(VISIT)
    if visit is None or visit.asked is None:
        return
    st.session_state[VISIT] = Visit(visit.title, None, visit.slot)
    refused = [
        f"{name} = {_short(text)} (shown: {_short(st.session_state[name])})"
        for name, text in visit.asked.items()
        if name in st.session_state
        and name not in ANSWERED_ELSEWHERE
        and not says(text, st.session_state[name])
    ]
    if refused:
        visit.slot.warning(
            f"The address asks for what this page can't show: {', '.join(refused)}.",
            icon=":material/link_off:",
        )


def says(text: str, value: Any) -> bool:
    """Whether an address's text stands for a widget's value: "0.90" for 0.9, "TRUE" for True."""
    if isinstance(value, list):  # a choice of several; the address names one after the other
        return text in map(str, value)
    if isinstance(value, bool):
        return text.lower() == str(value).lower()
    if isinstance(value, int | float):
        try:
            return float(text) == value
        except ValueError:
            return False
    return text == str(value)


def _short(value: Any) -> str:
    """At most 40 characters, as code: no Markdown in it."""
    text = str(value).replace("`", "'")
    return f"`{text if len(text) <= 40 else text[:39] + '…'}`"
