"""Lesson: an image becomes 16 bits, and search counts the bits that differ."""

import numpy as np
import streamlit as st

from pages.common.lesson import Lesson, Question
from pages.common.live_plot import live_plotly
from pages.common.recorded import Demo
from rdh.charts.lessons import code_rows
from rdh.files import read_arrays
from rdh.retrieval.codes import unpack_codes

DISTANCES = (0, 0, 1, 2, 4, 8)  # of the gallery items below the query


def ask(demo: Demo) -> Question:
    n_items = int(demo.series().meta()["n_gallery"])
    n_codes = int(demo.series().last()["n_distinct_codes"])
    return Question(
        f"16 bits can write 65,536 codes. How many of them do the {n_items:,} gallery images use?",
        (
            f"Nearly {n_items:,}: each image its own",
            "A few hundred at most: images of one digit share codes",
            "All 65,536",
        ),
        1 if n_codes < n_items / 3 else 0,
        f"**{n_codes:,}.** A good code is the same for all images of a digit. So many images lie "
        "at equal distances: they *tie*, and every MAP here comes with its tie band. A distance is "
        "one XOR and a count, for a million images in milliseconds.",
    )


def draw(demo: Demo, _answered: bool) -> None:
    arrays = read_arrays(demo.runs.run_dir(demo.pair[0]) / "codes" / "final.npz")
    n_bits = demo.config.n_bits
    query, gallery = (unpack_codes(arrays[side], n_bits) for side in ("query", "gallery"))
    digits = demo.digits(arrays["query_ids"])
    names = sorted(set(digits.tolist()))
    chosen = st.select_slider(
        "The digit that is searched for", names, names[-3], key="lesson-digit"
    )
    row = int(np.flatnonzero(digits == chosen)[0])
    distances = (gallery != query[row]).sum(1)
    ids, labels, codes = [arrays["query_ids"][row]], [f"query: {chosen}"], [query[row]]
    for place in pick_by_distance(distances):
        item = arrays["gallery_ids"][place]
        ids.append(item)
        labels.append(f"{demo.digits(np.array([item]))[0]}, {distances[place]} bits off")
        codes.append(gallery[place])
    title = "A row is an image and its code. Near codes: like images."
    figure = code_rows(demo.pictures(np.array(ids)), np.stack(codes), labels, title=title)
    live_plotly(figure, key="lesson-codes")


def pick_by_distance(distances: np.ndarray) -> list[int]:
    """Gallery items at about DISTANCES, the first ones in the gallery's order, no item twice."""
    order = np.argsort(distances, kind="stable")
    ranked, picked = distances[order], []
    for wanted in DISTANCES:
        place = int(np.searchsorted(ranked, wanted))
        while place in picked:
            place += 1
        if place < len(order):
            picked.append(place)
    return [int(order[place]) for place in picked]


LESSON = Lesson(
    10,
    "What is a hash code?",
    "A network turns an image into 16 numbers $h$ between −1 and 1. Their signs are its **code**: "
    "two bytes. To search is to count in how many bits two codes differ, the *Hamming distance*.",
    ask,
    draw,
)
