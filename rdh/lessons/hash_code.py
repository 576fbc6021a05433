"""Lesson: an image becomes 16 bits, and search counts the bits that differ."""

import numpy as np

from rdh.charts.lessons import code_rows
from rdh.lessons._tools.demo import Demo
from rdh.lessons._tools.lesson import Control, Lesson, Picture, Question
from rdh.retrieval.codes import unpack_codes

DISTANCES = (0, 0, 1, 2, 4, 8)  # of the gallery items below the query


def ask(demo: Demo) -> Question:
    """The question, from the numbers of the pair."""
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
        f"**{n_codes:,}.** A good code is the same for all images of a digit. So many *tie*, at "
        "equal distances: MAP, the score of a search, has a band from their worst order to the "
        "best. A distance is one XOR and a count: a million in milliseconds.",
    )


def controls(demo: Demo) -> tuple[Control, ...]:
    """What the reader moves."""
    names = sorted(set(demo.digits(demo.codes()["query_ids"]).tolist()))
    return (Control("digit", "The digit that is searched for", names[-3], names),)


def draw(demo: Demo, _answered: bool, digit: str) -> Picture:
    """The picture: see `Lesson.draw`."""
    arrays, n_bits = demo.codes(), demo.config.n_bits
    query, gallery = (unpack_codes(arrays[side], n_bits) for side in ("query", "gallery"))
    row = int(np.flatnonzero(demo.digits(arrays["query_ids"]) == digit)[0])
    distances = (gallery != query[row]).sum(1)
    ids, labels, codes = [arrays["query_ids"][row]], [f"query: {digit}"], [query[row]]
    for place in pick_by_distance(distances):
        item = arrays["gallery_ids"][place]
        ids.append(item)
        n_off = int(distances[place])
        name = demo.digits(np.array([item]))[0]
        labels.append(f"{name}: {n_off} bit{'' if n_off == 1 else 's'} off")
        codes.append(gallery[place])
    title = "A row is an image and its code. Near codes: like images."
    figure = code_rows(demo.pictures(np.array(ids)), np.stack(codes), labels, title=title)
    return Picture(figure)


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
    "codes",
    "What is a hash code?",
    "A network turns an image into 16 numbers $h$ between −1 and 1. Their signs are its **code**: "
    "two bytes. To search is to count in how many bits two codes differ, the *Hamming distance*.",
    ask,
    controls,
    draw,
)
