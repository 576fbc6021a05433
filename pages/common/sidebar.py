"""The links of the sidebar. Every page names its place in its own file.

A page's call `start_page("Live", ":material/monitoring:", "...", section="Watch", place=110)` is
read from the file's text. So a new page is one file, and a broken one is one warning.
"""

import ast
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from itertools import groupby
from pathlib import Path

import streamlit as st
from streamlit.errors import StreamlitPageNotFoundError

from pages.common.text import as_text
from rdh.errors import UserError

APP = Path(__file__).resolve().parents[2]  # the folder of app.py, wherever it is installed
HOW = "start_page(title, icon, question, section=..., place=...) with plain values"


@dataclass(frozen=True)
class Link:
    """A page in the sidebar.

    Attributes:
        page: the file, as `st.page_link` wants it: "pages/live.py".
        label: the words of the link.
        icon: a Material symbol, ":material/monitoring:".
        section: the heading above the link; "" for a page above all headings.
        place: pages are in the order of this number, sections in the order of their first page.
    """

    page: str
    label: str
    icon: str
    section: str
    place: int


def draw_links(query: Mapping[str, str], app: Path = APP) -> None:
    """All pages in their sections, then a warning for each file that is not a page.

    Args:
        query: URL parameters that travel along.
        app: the folder of app.py.
    """
    links, warnings = read_links(app)
    for section, pages in groupby(links, lambda one: one.section):
        if section:
            st.caption(section)
        for one in pages:
            draw_link(one.page, one.label, one.icon, query)
    for warning in warnings:
        st.warning(as_text(warning), icon=":material/extension_off:")


def draw_link(page: str, label: str, icon: str, query: Mapping[str, str]) -> None:
    """A link to a page; nothing if the server does not know the page (it was added later)."""
    try:
        st.page_link(page, label=label, icon=icon, query_params=dict(query) or None)
    except StreamlitPageNotFoundError:
        return


def read_links(app: Path = APP) -> tuple[list[Link], list[str]]:
    """(links in the order of the sidebar, a sentence for each file that can't be one)."""
    links, warnings = [], []
    for path in [app / "app.py", *sorted((app / "pages").glob("[!_.]*.py"))]:
        try:
            links.append(_read_link(path, app, path.stat().st_mtime_ns))
        except (UserError, OSError) as error:
            warnings.append(f"{path.relative_to(app)} is left out: {error}")
    first = {one.section: one.place for one in sorted(links, key=lambda one: -one.place)}
    links.sort(key=lambda one: (first[one.section], one.section, one.place, one.label))
    return links, warnings


@lru_cache(maxsize=256)
def _read_link(path: Path, app: Path, _changed: int) -> Link:
    try:
        tree = ast.parse(path.read_bytes())
    except SyntaxError as error:
        raise UserError(f"{error.msg} (line {error.lineno}).") from None
    except ValueError as error:  # a zero byte
        raise UserError(f"{error}.") from None
    calls = [
        node
        for node in ast.walk(tree)
        if isinstance(node, ast.Call) and getattr(node.func, "id", None) == "start_page"
    ]
    if not calls:
        raise UserError(f"it does not call {HOW}.")
    try:
        title, icon, *_ = (ast.literal_eval(value) for value in calls[0].args)
        named = {word.arg: ast.literal_eval(word.value) for word in calls[0].keywords}
        page, label = path.relative_to(app).as_posix(), named.get("label", title)
        section, place = named.get("section", "More"), named.get("place", 1000)
        return Link(page, str(label), str(icon), str(section), int(place))
    except (ValueError, TypeError):
        raise UserError(f"line {calls[0].lineno} must be {HOW}.") from None
