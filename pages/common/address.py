"""Tells the reader which values in a page's address the page can't show.

Streamlit drops such values in silence. Call `arrive` before the first widget and `announce` after
the last one. In between, each widget that is bound to the address takes its value. Who reads the
address by hand says by `took` what is shown, or by `say` what is wrong.
"""

from contextlib import suppress
from dataclasses import dataclass, field, replace
from typing import Any
from urllib.parse import urlsplit

import streamlit as st
from streamlit.delta_generator import DeltaGenerator
from streamlit.errors import StreamlitAPIException

from pages.common import follow

VISIT, TOOK = "visit", "address-took"
LONGEST = 15  # digits of a number in an address; Python refuses to read thousands
ICON = ":material/link_off:"
ANSWERED_ELSEWHERE = ("run", "vs", "clone")  # the pickers of runs say so themselves


@dataclass(frozen=True)
class Visit:
    """A page that was just opened.

    Attributes:
        title: of the page.
        asked: what the address asked for, name by name; a name can stand in it more than once.
            None once it was answered.
        slot: the place for a message.
        said: what the page has said so far of its address.
        address: as it stood when the page had been drawn; what was said stands as long as it does,
        shown: and as long as the widgets show what they showed then in place of what was asked.
    """

    title: str
    asked: dict[str, list[str]] | None
    slot: DeltaGenerator
    said: tuple[str, ...] = ()
    address: dict[str, str] | None = None
    shown: dict[str, Any] = field(default_factory=dict)


def written(value: object) -> str:
    """A setting as a part of an address: "true", "0.1"."""
    return str(value).lower() if isinstance(value, bool) else str(value)


def arrive(title: str) -> None:
    """Notes what the address asks for when the page is opened.

    Later the reader's choices count, not the address.
    """
    before, address = st.session_state.get(VISIT), st.query_params.to_dict()
    if before is None or before.title != title:
        follow.forget()
    is_new = before is None or before.title != title or before.asked is not None
    # What was said of an address stands until it changes: also if the page mends it and starts
    # anew before it is drawn, or if a chart or a tick draws the page once more.
    said: tuple[str, ...] = ()
    if before is not None and before.title == title:
        stands = before.address == address and all(
            st.session_state.get(name) == value for name, value in before.shown.items()
        )  # the address alone is late: a widget writes itself into it after the page was drawn
        said = before.said if is_new or stands else ()
    asked = {name: st.query_params.get_all(name) for name in address} if is_new else None
    st.session_state[VISIT] = Visit(title, asked, st.empty(), said, None if is_new else address)
    st.session_state[TOOK] = {}
    for sentence in said:
        st.warning(sentence, icon=ICON)


def number(name: str) -> int | None:
    """The whole number of the address, 0 or more; None if there is none."""
    return whole(st.query_params.get(name, ""))


def whole(text: str) -> int | None:
    """The whole number that a text stands for, 0 or more; None if it stands for none."""
    is_number = text.isascii() and text.isdecimal() and len(text) <= LONGEST
    return int(text) if is_number else None


def took(name: str, value: Any) -> None:
    """Notes what a page shows for a part of its address that no widget of that key has taken."""
    st.session_state.setdefault(TOOK, {})[name] = value


def say(sentence: str, *names: str) -> None:
    """Says what is wrong with the address, also if the page starts anew before it is drawn.

    Args:
        sentence: as Markdown.
        names: the parts of the address that are then dropped, if the page does not mend them.
    """
    visit = st.session_state.get(VISIT)
    for name in names:
        st.query_params.pop(name, None)
    if visit is None or sentence not in visit.said:
        st.warning(sentence, icon=ICON)
    if visit is not None and visit.asked is not None:
        st.session_state[VISIT] = replace(visit, said=(*visit.said, sentence))


def announce() -> None:
    """One sentence for the values that no widget took."""
    visit = st.session_state.get(VISIT)
    if visit is None or visit.asked is None:
        return
    names = [name for name in visit.asked if name not in ANSWERED_ELSEWHERE]
    taken = {name: st.session_state[name] for name in names if name in st.session_state}
    taken |= st.session_state.get(TOOK, {})
    refused = {
        name: f"{_asked(name, visit.asked[name])} (shown: {_short(taken[name])})"
        for name in names
        if name in taken and not all(says(text, taken[name]) for text in visit.asked[name])
    }
    if refused:
        told = f"The address asks for what this page can't show: {', '.join(refused.values())}."
        visit.slot.warning(told, icon=ICON)
        visit = replace(visit, said=(told, *visit.said))
    for name in refused:
        if not says(st.query_params.get(name, ""), taken[name]):  # the page has not mended it
            with suppress(StreamlitAPIException):  # of a widget: Streamlit alone may change it
                st.query_params.pop(name, None)
    address = st.query_params.to_dict()
    shown = {name: st.session_state[name] for name in refused if name in st.session_state}
    st.session_state[VISIT] = replace(visit, asked=None, address=address, shown=shown)


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


def opens_here_only(url: str) -> bool:
    """Whether an address names the computer that opens it, so that it leads nowhere elsewhere."""
    host = urlsplit(url).hostname or ""
    return not host or host.endswith("localhost") or host == "::1" or host.startswith("127.")


def _asked(name: str, texts: list[str]) -> str:
    """What an address says of a name: "lesson = `3`, `5`", or "lesson is empty"."""
    given = ", ".join(_short(text) for text in texts if text)
    return f"{name} = {given}" if given else f"{name} is empty"


def _short(value: Any) -> str:
    """At most 40 characters, as code: no Markdown in it."""
    text = str(value).replace("`", "'")
    return f"`{text if len(text) <= 40 else text[:39] + '…'}`"
