"""What a query finds: a ranked row of pictures for each run, and where its ties lie."""

from collections.abc import Mapping

import numpy as np
import streamlit as st

from pages.common.address import number, took
from pages.common.images import Album
from pages.common.live_plot import live_plotly
from pages.common.picture_strip import Picture, picture_strip
from pages.common.run_numbers import Tile, draw_tiles
from pages.common.search_data import Searched
from pages.common.search_query import Query, write
from pages.common.search_upload import code_of
from pages.common.text import as_text
from pages.common.words import help_of, legend
from rdh.analysis.verdict import percent
from rdh.charts.search import distances_of
from rdh.errors import counted
from rdh.retrieval.one_query import Found
from rdh.retrieval.ranking import band_by_distance

LENGTHS = (10, 20, 50)
MOST_NAMED = 5  # classes in a line


def _pick_length() -> int:
    """How many items of a ranking are shown (?top=)."""
    asked = number("top")
    st.session_state["search-top"] = asked if asked in LENGTHS else LENGTHS[0]
    took("top", st.session_state["search-top"])
    st.segmented_control(
        "Shown of each ranking",
        LENGTHS,
        key="search-top",
        required=True,
        format_func=lambda n: f"the first {n}",
        on_change=lambda: write("top", st.session_state["search-top"]),
    )
    return int(st.session_state["search-top"])


def draw_results(
    arms: list[Searched],
    found: Searched,
    query: Query,
    pictures: Album,
    *,
    off: list[int],
    n: int,
) -> dict[str, np.ndarray]:
    """A ranking of each run.

    Args:
        arms: the runs, the one without RDH first.
        found: the run that the page is about: bits are switched off in it.
        query: what is searched for.
        pictures: of the items.
        off: bits of that run that don't count.
        n: items that are shown.

    Returns:
        The query's packed code in each run that has one.
    """
    codes: dict[str, np.ndarray] = {}
    for arm in arms:
        with st.container(border=True):
            code = code_of(query.upload, arm.run_id) if query.upload else query.code(arm)
            if code is None:
                if query.upload is None:
                    label = as_text(arm.config.label)
                    st.info(f"{label} has no query {query.name}: it was split otherwise.")
                continue
            codes[arm.run_id] = code
            _draw_arm(arm, query, code, pictures, off if arm is found else [], n)
    return codes


def draw_query(found: Searched, query: Query) -> int:
    """The query's picture and classes, and how many items of a ranking are shown."""
    with st.container(horizontal=True, vertical_alignment="center"):
        if query.picture:
            st.image(query.picture, width=76, alt=f"the query, {query.name}")
        shows = "not said" if query.labels is None else found.classes(query.labels)
        said = f"**Query: {as_text(query.name)}**  \nIt shows: {as_text(shows[:80])}"
        st.markdown(said, width="stretch")
        return _pick_length()


def _draw_arm(
    arm: Searched, query: Query, code: np.ndarray, pictures: Album, off: list[int], n: int
) -> None:
    result = arm.gallery.search(code, query.labels, off)
    before = arm.gallery.search(code, query.labels) if off else result
    bits = counted(arm.config.n_bits, "bit") + (f", {len(off)} of them off" if off else "")
    st.markdown(f"**{as_text(arm.config.label)}** · {bits}")
    draw_tiles(_tiles(arm, result, before, n, len(off)), width=124)
    picture_strip(
        [
            _picture(arm, result, pictures, rank, int(place))
            for rank, place in enumerate(result.first(n), 1)
        ],
        key=f"found-{arm.run_id}",
        label=f"What {arm.config.label} finds",
        on_pick=lambda item: write("to", item),
    )
    st.caption(_classes_in_words(arm, result.first(n), n))


def _tiles(arm: Searched, result: Found, before: Found, n: int, n_off: int) -> list[Tile]:
    """AP of the query and right items among the first n, with what the bits changed; and MAP."""
    of_all = f"{len(arm.query):,} queries"
    mean: Tile = ("MAP", f"{arm.scores.mean():.4f}", of_all, help_of("map"))
    if result.scores is None or before.scores is None or result.is_relevant is None:
        return [mean]
    right, were = (int(result.is_relevant[one.first(n)].sum()) for one in (result, before))
    n = min(n, len(result.order))
    change = result.scores.stable - before.scores.stable
    notes = ("all bits on", f"{int(result.is_relevant.sum()):,} in the gallery")
    if n_off:
        notes = f"{change:+.4f} with {n_off} off".replace("-", "−"), f"{were} with all bits"
    return [
        ("AP", f"{result.scores.stable:.4f}", notes[0], help_of("average-precision")),
        (f"✓ Right of {n}", f"{right}", notes[1], help_of("relevant")),
        mean,
    ]


def _picture(arm: Searched, result: Found, pictures: Album, rank: int, place: int) -> Picture:
    item, distance = int(arm.gallery_ids[place]), int(result.distances[place])
    classes = arm.classes(arm.gallery.labels[place])
    lines, mark, word = [f"d = {distance}"], "", ""
    if result.is_relevant is not None:
        mark = "right" if result.is_relevant[place] else "wrong"
        word = f", {mark}"
        lines = [f"{'✓' if mark == 'right' else '≠'} {mark}", f"distance {distance}"]
    alt = f"Rank {rank}: item {item}, {classes}, distance {distance}{word}"
    chosen = st.query_params.get("to") == str(item)
    lines.append(arm.below(arm.gallery.labels[place]))
    return Picture(item, pictures.picture(item), alt, tuple(lines), mark, chosen)


def _classes_in_words(arm: Searched, places: np.ndarray, n: int) -> str:
    """Such as "In the first 10: cat (6), dog (4)"."""
    counts = (arm.gallery.labels[places] > 0).sum(0)
    most = np.argsort(-counts, kind="stable")
    named = [f"{arm.class_names[c]} ({counts[c]})" for c in most[:MOST_NAMED] if counts[c]]
    more = int((counts > 0).sum()) - len(named)
    rest = f" and {more} more" if more > 0 else ""
    return as_text(f"In the first {min(n, len(places))}: {', '.join(named) or 'no label'}{rest}")


def draw_ties(
    arms: list[Searched],
    found: Searched,
    query: Query,
    codes: Mapping[str, np.ndarray],
    off: list[int],
) -> None:
    """The gallery by distance from the query, and where the tie band comes from."""
    if not arms:
        return
    st.subheader("Where its ties lie", anchor="ties")
    with st.container(key="charts-ties"):
        for column, arm in zip(st.columns(len(arms)), arms, strict=True):
            with column:
                mine = off if arm is found else []
                result = arm.gallery.search(codes[arm.run_id], query.labels, mine)
                _draw_distances(arm, result)
    legend("tie-band", "hamming-distance", "average-precision")


def _draw_distances(arm: Searched, result: Found) -> None:
    key = f"search-ties-{arm.run_id}"
    if result.scores is None or result.n_relevant is None:
        nearest = int(np.flatnonzero(result.n_items)[0])
        title = f"{arm.config.label}: the nearest items are at distance {nearest}"
        live_plotly(distances_of(result.n_items, None, title=title), key=key)
        st.caption("Say what your image shows, and right items and AP are shown too.")
        return
    scores, counts = result.scores, (result.n_items[None], result.n_relevant[None])
    band = band_by_distance(*counts, arm.gallery.top_k)[0]
    title = f"{arm.config.label}: AP {scores.low:.4f} to {scores.high:.4f}, by the order of ties"
    live_plotly(distances_of(result.n_items, result.n_relevant, title=title, band=band), key=key)
    said = f"AP {scores.stable:.4f}; expected over ties {scores.tie:.4f}."
    if band.sum() > 0:
        at = int(band.argmax())
        n, right = int(result.n_items[at]), int(result.n_relevant[at])
        said += (
            f" {percent(band[at] / band.sum())} of the band comes from distance {at} (dotted): "
            f"{n:,} items tie there, {right:,} of them right."
        )
    st.caption(said if band.sum() > 0 else f"{said} No tie changes it.")
