"""What is shown if a page's own file fails, before or after it has drawn anything: a card."""

from pathlib import Path

import streamlit as st
from streamlit import error_util

from pages.common.text import as_text
from rdh.errors import kind_and_words, places_in

APP = Path(__file__).resolve().parents[2]


def show_failure(ex: BaseException) -> None:
    """A card with the file and the line in place of Streamlit's own box.

    Args:
        ex: what the page's code raised; named as Streamlit names it.
    """
    st.error(as_text(said(ex)), icon=":material/error:")


def said(error: BaseException, app: Path = APP) -> str:
    """A sentence about an error that a page raised: its file, the line there and the reason.

    Args:
        error: what its code raised.
        app: the folder of app.py.
    """
    places = places_in(error, lambda path: path.parent in (app, app / "pages"))
    if isinstance(error, SyntaxError) and error.filename:
        places.append((Path(error.filename), error.lineno or 1))
    place = f"{places[-1][0].name}, line {places[-1][1]}: " if places else ""
    return (
        f"This page can't be shown: {place}{kind_and_words(error).rstrip('.')}. The server's log "
        "says more. All other pages go on."
    )


def use_cards() -> None:
    """From now on, an error that no page has caught is a card, on every page of this server."""
    # Streamlit is pinned: it has no hook for apps that `streamlit run` starts.
    error_util.show_uncaught_app_exception = show_failure
