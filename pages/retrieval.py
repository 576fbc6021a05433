"""Retrieval: what does a dead bit do to search?"""

import numpy as np
import streamlit as st

from pages.common.images import Album
from pages.common.live_plot import live_plotly
from pages.common.readers import has_final_codes, read_series
from pages.common.run_picker import how_they_differ, is_pair, is_watched, pick_two, read_config
from pages.common.run_status import draw_status, read_status
from pages.common.search_bits import draw_bits, drop_foreign_mask, pick_mask
from pages.common.search_data import MOST_CLASSES, Searched, album, mixed_up, read_search
from pages.common.search_query import Query, pick_query
from pages.common.search_results import draw_query, draw_results, draw_ties
from pages.common.search_upload import place_for_results
from pages.common.shell import end_page, error_card, known_runs, start_page, store
from pages.common.sidebar import draw_link
from pages.common.text import as_text
from pages.common.words import legend, two_codes
from rdh.analysis.mixed_up import most_mixed_classes, most_mixed_up
from rdh.analysis.verdict import percent
from rdh.charts.palette import escape
from rdh.charts.search import classes_found
from rdh.execution import would_repeat
from rdh.store.run_store import RunStore


def why_no_codes(runs: RunStore, run_id: str) -> str:
    """Why a run has nothing to search, in one sentence."""
    status = read_status(runs, run_id)
    if is_watched(runs, run_id):
        return "Codes of a watched run are kept when its loop calls recorder.evaluate(): " + (
            "it ended without, so there is nothing to search."
            if status.is_final
            else "this page opens by itself once it has ended."
        )
    if not status.is_final:
        return "Codes of all images are kept when a run finishes: this page opens by itself then."
    if status.word == "finished":
        return "This run finished without keeping its codes, so there is nothing to search."
    how = {"paused": "is paused", "failed": "failed"}.get(status.word, f"was {status.word}")
    way_out = "" if would_repeat(runs, run_id) else "resume it, or "
    return f"This run {how} before it kept its codes: {way_out}choose a finished run."


def wait_for_codes(runs: RunStore, run_id: str) -> None:
    """What the run is doing, until it has codes."""
    ticking = not read_status(runs, run_id).is_final

    def draw() -> None:
        with error_card():
            status = read_status(runs, run_id)
            draw_status(runs, status, read_series(runs, run_id))
            icon = "block" if status.is_final else "hourglass_empty"
            st.info(why_no_codes(runs, run_id), icon=f":material/{icon}:")
            if ticking and status.is_final:
                st.rerun()

    st.fragment(draw, run_every=2.0 if ticking else None)()
    said = "Watch the run" if ticking else "Look at the run"
    draw_link("pages/live.py", said, ":material/monitoring:", {"run": run_id})


def second_run(runs: RunStore, run_id: str, other: str | None) -> str | None:
    """The run that answers beside it; None, and why, if there is none."""
    if other is None:
        st.caption(
            "One run answers: choose a second one above, best the same run without or with RDH."
        )
        return None
    mine, theirs = read_config(runs, run_id), read_config(runs, other)
    asked = [(one.dataset, one.dataset_options, one.split_seed) for one in (mine, theirs)]
    if asked[0] != asked[1]:
        which = f"{theirs.dataset}, split seed {theirs.split_seed}"
        which = "its loop alone knows which" if theirs.is_watched else which
        st.info(
            f"{as_text(theirs.label)} searches other images ({as_text(which)}), so the two can't "
            "answer the same query."
        )
        return None
    if not has_final_codes(runs, other):
        st.info(f"{as_text(theirs.label)}: {why_no_codes(runs, other)}")
        return None
    if not is_pair(runs, run_id, other):
        said = as_text(how_they_differ(runs, run_id, other))
        st.caption(f"These two runs differ in {said}, so what differs is not RDH's doing.")
    return other


def gains_of(found: Searched, other: Searched | None) -> np.ndarray | None:
    """AP with RDH minus AP without of each query; None unless one of the two runs has RDH."""
    if other is None or found.config.has_rdh == other.config.has_rdh:
        return None
    theirs = np.full(len(found.query_ids), np.nan)
    for item, place in found.place_of_query.items():
        if item in other.place_of_query:
            theirs[place] = other.scores[other.place_of_query[item]]
    return (found.scores - theirs) * (1 if found.config.has_rdh else -1)


def draw_classes(arms: list[Searched], n: int) -> None:
    """Which classes the whole run mixes up among the first n items."""
    st.subheader("Which classes are mixed up?", anchor="classes")
    first = arms[0]
    if first.is_multi_label:
        st.info(
            "Items here have several labels, so no class is taken for another. The lines below "
            "each row of pictures say how many of them have each label."
        )
        return
    if first.gallery.labels.any(0).sum() < 2:
        st.info("All items have one class, so none is mixed up with another.")
        return
    columns = st.container(key="charts-classes").columns(2)
    for column, found in zip(columns, arms, strict=False):
        with column:
            shares, n_queries = mixed_up(found, n)
            worst = most_mixed_up(shares)
            names = found.class_names
            title = f"{found.config.label}: no class is found in another's place"
            if worst is not None and worst[2] > 0:
                asked, there = (escape(names[c], 24) for c in worst[:2])
                title = (
                    f"{found.config.label}: asked for {asked}, {percent(worst[2])} of the first "
                    f"{n} are {there}"
                )
            shown = most_mixed_classes(shares, MOST_CLASSES)
            figure = classes_found(shares, shown, names, title=title)
            live_plotly(figure, key=f"search-classes-{found.run_id}")
    counted = f"{n_queries:,} of {len(first.query):,}" if n_queries < len(first.query) else "all"
    left_out = len(shares) - len(shown)
    st.caption(
        f"Each row: of the first {n} items that the queries of a class find, the share of each "
        f"class, expected over ties, over {counted} queries and with all bits on."
        + (f" The {len(shown)} classes with the fewest right items are shown." * bool(left_out))
    )
    legend("mixed-up")


def in_order(found: Searched, second: Searched | None) -> list[Searched]:
    """The run without RDH first."""
    arms = [found] if second is None else [found, second]
    return sorted(arms, key=lambda one: one.config.has_rdh)


def draw(runs: RunStore, run_id: str, other: str | None) -> None:
    """The query and all that follows from it, drawn anew at each choice."""
    with error_card():
        found = read_search(runs, run_id)
        second = None if other is None else read_search(runs, other)
        arms = in_order(found, second)
        pictures: Album = album(runs, run_id, found.config)
        if pictures.missing:
            st.info(f"Items have numbers instead of pictures: {as_text(pictures.missing)}")
        query: Query = pick_query(found, gains_of(found, second), pictures)
        labels = {one.run_id: one.config.label for one in arms}
        with place_for_results(runs, query.upload, labels):
            draw_found(runs, found, second, query, pictures)


def draw_found(
    runs: RunStore, found: Searched, second: Searched | None, query: Query, pictures: Album
) -> None:
    """Everything that follows from the query."""
    arms = in_order(found, second)
    st.subheader("What it finds", anchor="found")
    n, off = draw_query(found, query), pick_mask(found)
    codes = draw_results(arms, found, query, pictures, off=off, n=n)
    here = "So the query's code differs from that of the same image in the gallery."
    for said in dict.fromkeys(two_codes(one.config, here) for one in arms):
        if said:
            st.caption(said)
    legend("relevant", "hamming-distance", "average-precision")
    code = codes.get(found.run_id)
    if code is not None:
        draw_bits(runs, found, second, query, code, off=off, n=n)
    draw_ties([one for one in arms if one.run_id in codes], found, query, codes, off)
    draw_classes(arms, n)


start_page(
    "Retrieval",
    ":material/image_search:",
    "What does a dead bit do to search?",
    section="Watch",
    place=130,
)
runs = store()
known = known_runs(runs)
run_id, other = pick_two(runs, known)
with error_card():
    runs.config(run_id)
    drop_foreign_mask(run_id)
    if has_final_codes(runs, run_id) and read_status(runs, run_id, known).is_final:
        st.fragment(draw)(runs, run_id, second_run(runs, run_id, other))
    else:
        wait_for_codes(runs, run_id)
end_page()
