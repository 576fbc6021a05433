"""The frame of every page: settings, sidebar, header, and errors as cards.

A page begins: `start_page(title, icon, question)`, `runs = store()`, then a picker of
`run_picker.py`; it ends: `end_page()`. What the reader chose lives in the URL (?run=, ?vs=, ?bit=)
and travels along when a link of the sidebar is clicked.
"""

import logging
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TypeVar

import streamlit as st
from streamlit.errors import StreamlitPageNotFoundError

from pages.common.address import announce, arrive
from rdh import execution
from rdh.errors import UserError
from rdh.execution import RunState
from rdh.folders import runs_root
from rdh.store.run_store import RunStore

T = TypeVar("T")
LOG = logging.getLogger(__name__)
HOUSE = Path(__file__).resolve().parents[2]
CARRIED = ("run", "vs", "bit")  # URL parameters that stay when the reader goes to another page

SECTIONS = {
    "": {"app.py": ("Start", "home")},
    "Experiment": {
        "pages/data.py": ("Data", "photo_library"),
        "pages/launch.py": ("Launch", "rocket_launch"),
        "pages/runs.py": ("Runs", "list_alt"),
    },
    "Watch": {"pages/live.py": ("Live", "monitoring"), "pages/bits.py": ("Bits", "grid_on")},
    "Understand": {
        "pages/landscape.py": ("Gradient landscape", "landscape"),
        "pages/lessons.py": ("Lessons", "school"),
        "pages/definitions.py": ("Definitions", "menu_book"),
    },
    "Compare": {
        "pages/compare.py": ("With and without RDH", "compare_arrows"),
        "pages/retrieval.py": ("Retrieval", "image_search"),
        "pages/report.py": ("Report", "download"),
    },
}

STYLE = """<style>
.stMainBlockContainer { max-width: 1400px; padding-left: 2.5rem; padding-right: 2.5rem; }
.stApp { font-variant-numeric: tabular-nums; }
/* A tick that takes a moment must not fade the page that is being read. */
.stElementContainer[data-stale="true"] { opacity: 1 !important; transition: none !important; }
</style>"""

# A code of nine bits, one of them dead; the colours are readable on light and dark.
TILES = enumerate(
    [
        "#0072B2",
        "#56B4E9",
        "#0072B2",
        "#0072B2",
        "#D55E00",
        "#56B4E9",
        "#56B4E9",
        "#0072B2",
        "#0072B2",
    ]
)
RECT = '<rect x="{}" y="{}" width="12" height="12" rx="2" fill="{}"/>'
BITS = "".join(RECT.format(2 + 14 * (i % 3), 2 + 14 * (i // 3), color) for i, color in TILES)
LOGO = (
    f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 44 44" width="44" '
    f'height="44">{BITS}</svg>'
)

# Glyphs other than those of a bit (free, saturated, dead, rescued), so that a run never looks like
# one.
GLYPHS = {"queued": "◌", "starting": "◔", "running": "►", "cancelling": "◑", "paused": "‖"}
GLYPHS |= {"finished": "✓", "cancelled": "⊘", "failed": "!", "lost": "?", "unreadable": "∅"}


def start_page(title: str, icon: str, question: str) -> None:
    """Page settings, sidebar and header: the first call of every page.

    icon: a Material symbol, ":material/home:".
    """
    about = "Deep hashing with and without **RDH**: which bits die, why, and what brings them back."
    # The tab shows the logo: a browser would fetch a Material symbol from another server.
    st.set_page_config(
        page_title=f"{title} · RDH", page_icon=LOGO, layout="wide", menu_items={"About": about}
    )
    st.html(STYLE)
    st.logo(LOGO, size="large")
    with st.sidebar:
        _draw_links()
    st.title(f"{icon} {title}", anchor=False)
    st.caption(question)
    arrive(title)


def end_page() -> None:
    """The last call of a page with widgets that are bound to the address: says which of its values
    were refused.
    """
    announce()


def carried() -> dict[str, str]:
    """The URL parameters to hand on to another page: `st.page_link(page, query_params=carried() |
    {"bit": "3"})`.
    """
    return {name: st.query_params[name] for name in CARRIED if name in st.query_params}


def store() -> RunStore:
    """The run store of RDH_RUNS, or of ./runs.

    Where it can't be opened: an error card, and the page ends.
    """
    root = str(or_end(runs_root))
    if not or_end(
        lambda: _open_store(root)
    ).root.is_dir():  # deleted or moved while the server runs
        _open_store.clear()
    runs = or_end(lambda: _open_store(root))
    for sentence in (execution.revive(runs), execution.registry_news(runs)):
        if sentence:
            st.warning(plain(sentence), icon=":material/warning:")
    return runs


def or_end(call: Callable[[], T]) -> T:
    """What the call gives. Where it can't: an error card, and the page ends."""
    try:
        return call()
    except UserError as error:
        show_error(error)
        st.stop()


def known_runs(store: RunStore) -> "dict[str, RunState]":
    """`rdh.execution.states`, or an error card where the queue can't be read, and the page ends."""
    return or_end(lambda: execution.states(store))


def status_chip(state: RunState | str) -> str:
    """The state of a run as glyph and word, e.g.

    "► running"; "◑ cancelling" where a running one was asked to stop.
    """
    word = state if isinstance(state, str) else state.state
    if word in ("starting", "running") and getattr(state, "request", None) == "cancel":
        word = "cancelling"
    return f"{GLYPHS.get(word, '·')} {word}"


def show_error(error: Exception | str) -> None:
    """One clear sentence as a card."""
    st.error(plain(str(error)), icon=":material/error:")


@contextmanager
def error_card() -> Iterator[None]:
    """An error inside becomes a card, the page goes on: `with error_card():`, or `@error_card()` on
    a function.

    What is no UserError is a file in a state that nobody foresaw, or a bug: a sentence here, the
    traceback in the server's log.
    """
    try:
        yield
    except UserError as error:
        show_error(error)
    except Exception as error:
        LOG.exception("a page met an error")
        show_error(
            f"This part can't be shown ({type(error).__name__}); the server's log says "
            f"more. All other parts go on."
        )


def plain(text: str) -> str:
    """Text of a person or a file so that Streamlit shows it as it is: no Markdown, colour, icon or
    formula in it.
    """
    return re.sub(r"([\\`*_~\[\]<>$:#|])", r"\\\1", text)


def _draw_links() -> None:
    for section, pages in SECTIONS.items():
        there = {page: card for page, card in pages.items() if (HOUSE / page).is_file()}
        if section and there:
            st.caption(section)
        for page, (label, icon) in there.items():
            link(page, label, icon)


def link(page: str, label: str, icon: str) -> None:
    """A link to a page that takes the run with it; none where there is no such page."""
    try:
        st.page_link(page, label=label, icon=f":material/{icon}:", query_params=carried() or None)
    except StreamlitPageNotFoundError:
        return  # a page run alone, or one that was added after the server's start


@st.cache_resource(show_spinner=False)
def _open_store(root: str) -> RunStore:
    return RunStore(root)
