"""The frame of every page: settings, sidebar, header, and errors as cards.

A page begins: `start_page(title, icon, question)`, `runs = store()`, then a picker of
`run_picker.py`; it ends: `end_page()`. What the reader chose lives in the URL (?run=, ?vs=, ?bit=)
and travels along when a link of the sidebar is clicked.
"""

import gc
import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TypeVar
from urllib.parse import unquote, urlsplit

import streamlit as st
from streamlit.delta_generator import DeltaGenerator

from pages.common.address import announce, arrive
from pages.common.address_bar import draw_copy_link
from pages.common.failed_page import use_cards
from pages.common.guard import CHANGED, has_other_token, is_guarded
from pages.common.sidebar import draw_link, draw_links, read_links
from pages.common.text import as_sentence, as_text
from rdh import execution
from rdh.errors import UserError
from rdh.execution import RunState
from rdh.folders import runs_root
from rdh.store.metrics_reader import LostRecords
from rdh.store.run_store import RunStore

use_cards()  # here, since every page imports this file first

T = TypeVar("T")
LOG = logging.getLogger(__name__)
ACTIONS, PAGE = "actions", "page-title"
CARRIED = ("run", "vs", "bit")  # URL parameters that stay when the reader goes to another page
NO_RUN = "none"  # ?vs= of a reader who wants no second run

STYLE = """<style>
.stMainBlockContainer { max-width: 1400px; padding-left: 2.5rem; padding-right: 2.5rem; }
.stApp { font-variant-numeric: tabular-nums; }
/* At Streamlit's 0.6 the small print, and its links even more, are too faint to read. */
[data-testid="stCaptionContainer"] { opacity: 0.8; }
.copy-link { font: inherit; font-size: 0.8rem; line-height: 1.5rem; padding: 0 0.5rem;
color: inherit; opacity: 0.75; background: transparent; cursor: pointer;
border: 1px solid var(--st-border-color); border-radius: 6px; }
.copy-link:is(:hover, :focus-visible) { opacity: 1; border-color: currentColor; }
.copy-link-said { display: block; font-size: 0.8rem; overflow-wrap: anywhere; }
.copy-link-field { font: inherit; font-size: 0.8rem; width: min(30rem, 90%); }
/* Streamlit opens the links of a text in a new tab; the arrow stays on the line of its word. */
.stMainBlockContainer a[target="_blank"]::after { content: "\\a0↗" / " (new tab)"; }
/* Streamlit cuts a link that is wider than its place. */
[data-testid="stPageLink-NavLink"] > span:last-child {
&, * { white-space: normal; line-height: 1.4; }
}
/* What an address jumps to stands below the header. */
.stMainBlockContainer :is(h1, h2, h3)[id] { scroll-margin-top: 4.5rem; }
/* A tick that takes a moment must not fade the page that is being read. */
.stElementContainer[data-stale="true"] { opacity: 1 !important; transition: none !important; }
/* Choices as cards: the whole card can be pressed. A press counts only inside the label's own box,
so that the label goes on below the caption, as far as the card does. */
[class*="st-key-cards-"] [role="radiogroup"] { gap: 0.75rem; align-items: stretch; }
[class*="st-key-cards-"] [role="radiogroup"] > div { flex: 1 1 170px; overflow: clip;
border: 1px solid rgba(128, 128, 128, 0.35); border-radius: 8px; }
[class*="st-key-cards-"] [role="radiogroup"] > div:has(input:checked) { border-color: #2E86C1; }
[class*="st-key-cards-"] label[data-testid="stRadioOption"] { cursor: pointer;
padding: 0.6rem 0.75rem 1000px; margin-bottom: -1000px; }
[class*="st-key-cards-"] [data-testid="stRadioCaption"] { padding: 0 0.75rem 0.6rem;
pointer-events: none; * { pointer-events: none; } }
.st-key-launch-form-typed { position: absolute; } /* it draws nothing: no gap for it */
/* Streamlit's own "Stop" would read as "stop training"; what is lost is said below. */
[data-testid="stStatusWidget"] { display: none; }
.stApp[data-test-connection-state]:not([data-test-connection-state$="CONNECTED"])
.stMainBlockContainer::before { content: "⚠ The server doesn't answer. What you see is old.";
position: sticky; top: 3.5rem; z-index: 9; padding: 0.5rem 1rem;
border-radius: 0.5rem; border: 2px solid #E69F00; background: var(--st-background-color); }
/* A formula that is wider than the page scrolls by itself. */
.stMainBlockContainer .katex-display { overflow: auto hidden; scrollbar-width: thin;
padding-bottom: 0.4rem; }
/* A table that can be scrolled sideways has a shadow where it goes on; others have no timeline. */
@keyframes goes-on { from { box-shadow: inset -14px 0 10px -10px rgba(128, 128, 128, 0.75); }
50% { box-shadow: inset -14px 0 10px -10px rgba(128, 128, 128, 0.75),
inset 14px 0 10px -10px rgba(128, 128, 128, 0.75); }
to { box-shadow: inset 14px 0 10px -10px rgba(128, 128, 128, 0.75); } }
.stDataFrame .dvn-scroller { animation: goes-on linear; animation-timeline: scroll(self inline); }
@media (max-width: 1000px) { .stMainBlockContainer .katex-display { font-size: 0.75em; } }
@media (max-width: 500px) { .stMainBlockContainer .katex-display { font-size: 0.55em; } }
/* Two charts in half of a narrow page each can't be read: one stands below the other. The page's
own width counts, not the window's: the sidebar can be open or closed. */
[class*="st-key-charts-"], [class*="st-key-stacked-"] { container-type: inline-size; }
@container (max-width: 860px) {
[class*="st-key-charts-"] .stHorizontalBlock { flex-wrap: wrap; }
[class*="st-key-charts-"] .stColumn { min-width: 100%; }
/* The same for one row of columns, without the rows inside its columns. */
[class*="st-key-stacked-"] .stHorizontalBlock:not(.stColumn *) { flex-wrap: wrap; }
[class*="st-key-stacked-"] .stColumn:not(.stColumn *) { min-width: 100%; }
}
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
GLYPHS = {"queued": "◌", "starting": "◔", "running": "►", "cancelling": "◑", "pausing": "◒"}
GLYPHS |= {"finished": "✓", "paused": "‖", "cancelled": "⊘", "failed": "!", "lost": "?"}
GLYPHS |= {"unreadable": "∅"}


def start_page(
    title: str,
    icon: str,
    question: str,
    *,
    label: str = "",
    section: str = "More",
    place: int = 1000,
) -> None:
    """Page settings, sidebar and header: the first call of every page.

    `sidebar.py` reads the arguments from the page's text, so they are written as plain values.

    Args:
        title: the page's name.
        icon: a Material symbol, ":material/home:".
        question: what the page answers.
        label: the page's name in the sidebar, if it is not the title.
        section: the heading in the sidebar below which the page stands.
        place: pages are in the order of this number, sections in the order of their first page.
    """
    about = "Deep hashing with and without **RDH**: which bits die, why, and what brings them back."
    # The tab shows the logo: a browser would fetch a Material symbol from another server.
    st.set_page_config(
        page_title=f"{title} · RDH", page_icon=LOGO, layout="wide", menu_items={"About": about}
    )
    if not is_guarded():
        show_error("Pages are opened through the app: start it by `streamlit run app.py`.")
        st.stop()
    if has_other_token():
        st.query_params.clear()
        show_error(CHANGED)
        st.stop()
    st.html(STYLE)
    st.logo(LOGO, size="large")
    with st.sidebar:
        draw_links(carried())
        draw_copy_link()  # not below the title: it would be one more Tab before what the page does
    st.title(f"{icon} {title}", anchor=False)
    st.session_state[PAGE] = title
    st.session_state[ACTIONS] = st.container(horizontal=True, vertical_alignment="center")
    with actions():
        st.caption(question, width="content")
    arrive(title)


def actions() -> DeltaGenerator:
    """The row below the title: what can be done with the page as a whole."""
    return st.session_state[ACTIONS]


def end_page() -> None:
    """The last call of every page: says which values of its address no widget took."""
    announce()
    _settle(st.session_state[PAGE])


def say_unknown_address() -> None:
    """On the page Start: names the address that was asked for, if there is no such page.

    Streamlit shows Start then, and the address becomes that of Start at once.
    """
    asked = urlsplit(st.context.url or "").path.rstrip("/").rpartition("/")[2]
    base = st.get_option("server.baseUrlPath").strip("/").rpartition("/")[2]
    pages = {Path(one.page).stem for one in read_links()[0]}
    if asked and asked != base and asked not in pages:
        st.warning(
            f"There is no page {as_text(unquote(asked)[:80])} here, so this is Start. All pages "
            "are in the sidebar.",
            icon=":material/link_off:",
        )


def carried() -> dict[str, str]:
    """The URL parameters to hand on to another page."""
    said = st.query_params
    return {name: said[name] for name in CARRIED if said.get(name, NO_RUN) != NO_RUN}


def store() -> RunStore:
    """The run store of RDH_RUNS, or of ./runs. If it can't be opened, the page ends with a card."""
    root = str(or_end(runs_root))
    if not or_end(lambda: _open_store(root)).root.is_dir():
        _open_store.clear()  # the folder was deleted or moved while the server runs
    runs = or_end(lambda: _open_store(root))
    news = (execution.revive(runs), execution.registry_news(runs), *execution.notices(runs))
    for sentence in dict.fromkeys(news):
        if sentence:
            st.warning(as_sentence(sentence), icon=":material/warning:")
    return runs


def or_end(call: Callable[[], T]) -> T:
    """What the call returns. If it raises UserError, the page ends with a card."""
    try:
        return call()
    except UserError as error:
        show_error(error)
        st.stop()


def known_runs(store: RunStore) -> "dict[str, RunState]":
    """`rdh.execution.states`. If the queue can't be read, the page ends with a card."""
    return or_end(lambda: execution.states(store))


def status_chip(state: RunState | str) -> str:
    """The state of a run as glyph and word: "► running", "◑ cancelling" if it was asked to stop."""
    word = state if isinstance(state, str) else execution.doing(state)
    return f"{GLYPHS.get(word, '·')} {word}"


def show_error(error: Exception | str) -> None:
    """One clear sentence as a card; below it the way to a copy of a run whose records are lost."""
    st.error(as_sentence(str(error)), icon=":material/error:")
    if isinstance(error, LostRecords):
        with suppress(UserError):  # a run that can't be copied has no such link
            runs = RunStore(runs_root())
            execution.check_ours(runs, error.run_id, "cloned")
            runs.config(error.run_id)
            label = "Change and launch again"
            draw_link("pages/launch.py", label, ":material/edit:", {"clone": error.run_id})


@contextmanager
def error_card() -> Iterator[None]:
    """An error inside becomes a card, and the page goes on.

    Use it as `with error_card():` or as `@error_card()` on a function. An error that is not a
    UserError is a bug, or a file in a state that nobody foresaw: the page shows a sentence, and the
    server's log has the traceback.
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


@st.cache_resource(show_spinner=False)
def _settle(page: str) -> None:
    """Takes what a page has loaded out of the garbage collector's sight, once for each page.

    Streamlit collects after every run and every tick: to look at all modules again took 100 ms.
    """
    gc.collect()
    gc.freeze()


@st.cache_resource(show_spinner=False)
def _open_store(root: str) -> RunStore:
    return RunStore(root)
