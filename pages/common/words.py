"""The words of `rdh.analysis.words` on pages: help of tiles, and links to the definitions."""

from urllib.parse import urlencode

import streamlit as st

from pages.common.text import as_text
from rdh import catalog
from rdh.analysis import WORDS, Word
from rdh.analysis.verdict import percent
from rdh.config.run_config import RunConfig

PAGE = "definitions"


def link(name: str, text: str | None = None) -> str:
    """A Markdown link to a word's definition; the runs in the address go with it.

    It is relative, so that it also works below a path of one's own.
    """
    query = {key: st.query_params[key] for key in ("run", "vs") if key in st.query_params}
    address = f"{PAGE}?{urlencode(query)}" if query else PAGE
    return f"[{as_text(text or WORDS[name].title)}]({address}#{name})"


def help_of(name: str, *more: str) -> str:
    """Help for a tile or a control: meaning, what it is counted in, when, and the way to all words.

    Args:
        name: of the word.
        more: sentences that this place adds.
    """
    word = WORDS[name]
    parts = [as_text(text) for text in (word.meaning, *more) if text]
    parts += filter(None, [facts_of(word)])
    return "\n\n".join([*parts, link(name, "Definition with an example")])


def facts_of(word: Word) -> str:
    """What a word is counted in, and when; "" if both mean nothing for it."""
    facts = {"Counted in": word.unit, "When": word.moment}
    return " ".join(f"{name}: {as_text(text)}." for name, text in facts.items() if text)


def legend(*names: str) -> None:
    """A line below a chart: each of its words is a link to its definition."""
    st.caption("What it means: " + " · ".join(link(name) for name in names))


def two_codes(config: RunConfig, here: str) -> str:
    """Whose codes a page shows, if queries and gallery items have codes of their own; else "".

    Args:
        config: of the run.
        here: what follows on this page.
    """
    card = catalog.methods().get(config.method.lower())
    if card is None or card.n_streams == 1:
        return ""
    said = "gives each image two codes, one as a query and one as a gallery item"
    return f"{card.title} {said}. {here}"


def count_of(count: float, of: float) -> str:
    """ "338 of 160,000" """
    return f"{count:,.0f} of {of:,.0f}"


def are(count: float) -> str:
    """The verb after a count: "is" of 1."""
    return "is" if round(count) == 1 else "are"


def last_records(n: int) -> str:
    """The records that a number is of: "in the last 10 records"; of one alone "in its record"."""
    return f"in the last {n} records" if n > 1 else "in its record"


__all__ = [
    "are",
    "count_of",
    "facts_of",
    "help_of",
    "last_records",
    "legend",
    "link",
    "percent",
    "two_codes",
]
