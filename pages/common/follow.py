"""Opens another page from within a fragment that ticks.

`st.switch_page` would not do there. A tick that the browser asked for just before is answered after
the new page: then the browser forgets what that page has drawn, and the window stays empty. A link
is safe, because the browser ends the ticks before it asks for the page. So this draws a link, and a
small script presses it.
"""

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cache

import streamlit as st

PLACE = "follow"
SCRIPT = f"""
const pressed = new Set();
const press = (id, tries) => {{
  if (pressed.has(id)) return;
  const link = document.querySelector(".st-key-{PLACE} a");
  if (!link) return tries ? requestAnimationFrame(() => press(id, tries - 1)) : undefined;
  pressed.add(id);
  link.click();
}};
export default ({{ data }}) => {{
  press(data.id, 300); // and returns nothing: Streamlit calls what comes back when it cleans up
}};
"""


@dataclass(frozen=True)
class Way:
    """Where to go.

    Attributes:
        page: the file, for example "pages/bits.py".
        query: the parameters of its address.
        label: of the link. It is seen for a moment, or longer if no script runs.
    """

    page: str
    query: dict[str, str]
    label: str
    id: float = field(default_factory=time.time)


def ask(way: Way) -> None:
    """Has the next `draw` open a page. For callbacks."""
    st.session_state[PLACE] = way


def draw() -> None:
    """Draws the link that was asked for, and presses it once. Call it in each tick."""
    way = st.session_state.get(PLACE)
    if way is None:
        return
    with st.container(key=PLACE):
        st.page_link(way.page, label=way.label, query_params=way.query)
        _presser()(key=f"{PLACE}-press", data={"id": way.id})


def forget() -> None:
    """Drops the link. The page that is reached calls it."""
    st.session_state.pop(PLACE, None)


@cache
def _presser() -> Callable:
    return st.components.v2.component("follow", js=SCRIPT)
