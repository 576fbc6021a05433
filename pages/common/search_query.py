"""Choosing the query of a search: by class, failures first, by number, or an image of one's own.

The choice lives in the address (?q=, ?class=, ?order=).
"""

from dataclasses import dataclass

import numpy as np
import streamlit as st

from pages.common.address import number, took, whole
from pages.common.images import Album
from pages.common.picture_strip import Picture, picture_strip
from pages.common.search_data import Searched
from pages.common.search_upload import UPLOAD, Upload, current, draw_upload
from pages.common.text import as_text

N_SHOWN = 10  # queries in a row
ALL = -1  # in a list of classes: no single one
ORDERS = {
    "worst": "failures first",
    "best": "successes first",
    "helped": "RDH helps most",
    "hurt": "RDH hurts most",
}


@dataclass(frozen=True)
class Query:
    """What is searched for.

    Attributes:
        name: for people.
        picture: as a `data:` address; None if there is none.
        labels: multi-hot (n_classes,); None if they are not known.
        item: of the data set; None for an upload.
        upload: the reader's own image; None for an item.
    """

    name: str
    picture: str | None
    labels: np.ndarray | None
    item: int | None = None
    upload: Upload | None = None

    def code(self, found: Searched) -> np.ndarray | None:
        """The packed code of an item; None if it is not a query of this run."""
        place = found.place_of_query.get(-1 if self.item is None else self.item)
        return None if place is None else found.query[place]


def write(name: str, value: object) -> None:
    """Keeps a choice in the address; None and "" remove it."""
    if value in (None, ""):
        st.query_params.pop(name, None)
    else:
        st.query_params[name] = str(value)


def choose(item: int) -> None:
    """Takes over a query; the neighbour of the one before goes."""
    write("q", item)
    write("to", None)


def pick_query(found: Searched, gains: np.ndarray | None, pictures: Album) -> Query:
    """Lets the reader choose a query.

    Args:
        found: the run that the page is about.
        gains: AP with RDH minus AP without of each query; NaN where a run lacks it. None without a
            pair.
        pictures: of the items.
    """
    order, shown = _controls(found, gains)
    item = _chosen(found, order)
    _draw_row(found, gains, pictures, shown, item)
    if item is None:
        upload = current()
        assert upload is not None  # `_chosen` has seen to it
        return Query(upload.name, upload.picture, _labels_of_upload(found), upload=upload)
    labels = found.query_labels[found.place_of_query[item]]
    return Query(f"item {item}", pictures.picture(item), labels, item)


def _controls(found: Searched, gains: np.ndarray | None) -> tuple[np.ndarray, np.ndarray]:
    """(all queries in the order that was asked for, those of the class that was asked for)."""
    present = np.flatnonzero(found.query_labels.any(0))
    wanted = number("class")
    chosen = wanted if wanted is not None and wanted in present else ALL
    orders = [one for one in ORDERS if gains is not None or one not in ("helped", "hurt")]
    asked = st.query_params.get("order")
    took("class", "all classes" if chosen == ALL else chosen)
    st.session_state["query-class"] = chosen
    st.session_state["query-order"] = asked if asked in orders else orders[0]
    took("order", st.session_state["query-order"])
    with st.container(horizontal=True, vertical_alignment="bottom"):
        st.selectbox(
            "Class of the query",
            [ALL, *map(int, present)],
            key="query-class",
            format_func=lambda c: "all classes" if c == ALL else str(found.class_names[c]),
            on_change=lambda: write("class", _class_asked()),
            width=190,
        )
        st.selectbox(
            "Order",
            orders,
            key="query-order",
            format_func=ORDERS.__getitem__,
            on_change=lambda: write("order", st.session_state["query-order"]),
            width=190,
        )
        _draw_number(found)
        if not found.config.is_watched:  # its network is with its own loop
            draw_upload()
    key = {
        "worst": found.scores,
        "best": -found.scores,
        "helped": None if gains is None else -gains,
        "hurt": gains,
    }[st.session_state["query-order"]]
    assert key is not None  # only orders that there are can be chosen
    order = np.lexsort((found.query_ids, key))
    is_in = found.query_labels[order, chosen] > 0 if chosen != ALL else slice(None)
    return order, order[is_in]


def _class_asked() -> int | None:
    chosen = st.session_state["query-class"]
    return None if chosen == ALL else chosen


def _draw_number(found: Searched) -> None:
    """A line for the number of an item."""

    def take_over() -> None:
        text = st.session_state["query-item"].strip()
        if (item := whole(text)) in found.place_of_query:
            choose(item)
            st.session_state.pop("query-refused", None)
        elif text:
            st.session_state["query-refused"] = text

    asked = "" if number("q") is None else st.query_params.get("q", "")
    st.session_state["query-item"] = st.session_state.get("query-refused", asked)
    st.text_input("Item", key="query-item", on_change=take_over, width=110)


def _chosen(found: Searched, order: np.ndarray) -> int | None:
    """The item of the address, or the first one; None for the reader's own image."""
    asked = st.query_params.get("q", "")
    refused = st.session_state.pop("query-refused", None)
    if asked == UPLOAD and found.config.is_watched:
        st.info("A watched run's network is with its own loop, so it can't encode an image here.")
    elif asked == UPLOAD and current() is not None:
        return None
    elif asked == UPLOAD:
        st.info("A link does not carry an image of one's own: upload it again, or choose a query.")
    elif (item := number("q")) in found.place_of_query:
        if refused is not None:
            _say_refused(found, refused)
        return item
    elif asked or refused:
        _say_refused(found, refused or asked)
    first = int(found.query_ids[order[0]])
    write("q", first)
    return first


def _say_refused(found: Searched, text: str) -> None:
    st.warning(
        f"The item must be the number of a query of this run, got {as_text(text[:40])}; below "
        f"are some of its {len(found.query_ids):,} queries."
    )


def _draw_row(
    found: Searched,
    gains: np.ndarray | None,
    pictures: Album,
    shown: np.ndarray,
    item: int | None,
) -> None:
    """Some queries as pictures, with the way to those before and after."""
    n_pages = -(-len(shown) // N_SHOWN)
    which = found.run_id, st.session_state["query-class"], st.session_state["query-order"]
    kept, page = st.session_state.get("query-page", ((None,), 0))
    if kept[0] != found.run_id:
        page = _page_of(found, shown, item)
    elif kept != which:
        page = 0  # another class or order is read from its beginning
    page = min(max(page, 0), n_pages - 1)
    st.session_state["query-page"] = which, page

    def turn(step: int) -> None:
        st.session_state["query-page"] = which, page + step

    part = shown[page * N_SHOWN : (page + 1) * N_SHOWN]
    picture_strip(
        [_query_picture(found, gains, pictures, int(place), item) for place in part],
        key="queries",
        label="Queries",
        on_pick=choose,
    )
    with st.container(horizontal=True, vertical_alignment="center"):
        arrows: tuple[tuple[str, str, int, bool], ...] = (
            ("Previous", ":material/chevron_left:", -1, page == 0),
            ("Next", ":material/chevron_right:", 1, page == n_pages - 1),
        )
        for name, icon, step, is_off in arrows:
            st.button(f"{name} queries", icon=icon, on_click=turn, args=(step,), disabled=is_off)
        first = page * N_SHOWN
        st.caption(f"{first + 1:,} to {first + len(part):,} of {len(shown):,} queries")


def _page_of(found: Searched, shown: np.ndarray, item: int | None) -> int:
    places = np.flatnonzero(found.query_ids[shown] == (-1 if item is None else item))
    return int(places[0]) // N_SHOWN if len(places) else 0


def _query_picture(
    found: Searched, gains: np.ndarray | None, pictures: Album, place: int, item: int | None
) -> Picture:
    its = int(found.query_ids[place])
    score, classes = found.scores[place], found.classes(found.query_labels[place])
    lines, said = [f"AP {score:.3f}"], f"AP {score:.4f}"
    if gains is not None and not np.isnan(gains[place]):
        lines.append(f"RDH {gains[place]:+.3f}".replace("-", "−"))
        said += f", with RDH {gains[place]:+.4f}"
    alt = f"Query item {its}, {classes}, {said}"
    lines.append(found.below(found.query_labels[place]))
    return Picture(its, pictures.picture(its), alt, tuple(lines), chosen=its == item)


def _labels_of_upload(found: Searched) -> np.ndarray | None:
    """The class that the reader says the image shows; None if they don't say."""
    classes = np.flatnonzero(found.gallery.labels.any(0))
    said = st.selectbox(
        "What does your image show?",
        [ALL, *map(int, classes)],
        format_func=lambda c: "I don't say" if c == ALL else str(found.class_names[c]),
        key="upload-class",
        help="Right and wrong, AP and its ties need to know it.",
        width=240,
    )
    if said == ALL:
        return None
    labels = np.zeros(found.gallery.labels.shape[1], dtype=np.uint8)
    labels[said] = 1
    return labels
