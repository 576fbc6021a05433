"""Classes that share one code, or a class whose items have no common code."""

from itertools import combinations

import numpy as np

from rdh.analysis.mixed_up import class_sides
from rdh.diagnosis._tools.evidence import Evidence
from rdh.diagnosis._tools.finding import CannotRun, Finding, Place
from rdh.retrieval.codes import unpack_codes

TITLE = "Classes not separated"
AFTER = ("collapsed", "not_learning")
NEAR = 1 / 16  # of the bits between the codes of two classes
SCATTERED = 0.4  # of the bits in which the items of a class differ from its code
SHOWN = 3


def check(evidence: Evidence) -> Finding | None:
    """Fires if two classes have nearly one code, or one scatters over two fifths of the bits."""
    near, scattered = pairs_and_scatter(evidence)
    if not near and not scattered:
        return None
    names, n_bits = evidence.split["class_names"], evidence.config.n_bits
    parts = []
    if near:
        share = "shares" if len(near) == 1 else "share"
        said = ", ".join(f"{names[a]} and {names[b]} ({distance} of {n_bits} bits apart)"
                         for a, b, distance in near[:SHOWN])  # fmt: skip
        parts.append(f"{len(near)} pair{'s' * (len(near) != 1)} of classes {share} a code: {said}")
    if scattered:
        said = ", ".join(f"{names[a]} ({share:.0%})" for a, share in scattered[:SHOWN])
        parts.append(f"the items of {len(scattered)} class{'es' * (len(scattered) != 1)} scatter "
                     f"over the bits: {said}")  # fmt: skip
    text = "; ".join(parts)
    return Finding(
        severity="costs MAP",
        sentence=f"{text[0].upper()}{text[1:]}.",
        mechanism="Items of two classes with one code are found for each other's queries at "
        "distance 0, before anything that is right. The code of a class is the side that most of "
        "its items take, bit by bit.",
        equation=r"d(c_a, c_b) = \textstyle\sum_k [\,c_{ak} \ne c_{bk}\,] \approx 0",
        places=(Place("pages/retrieval.py", "Which classes are mixed up", anchor="classes"),),
    )


def pairs_and_scatter(
    evidence: Evidence,
) -> tuple[list[tuple[int, int, int]], list[tuple[int, float]]]:
    """Near pairs (class, class, bits apart) and scattered classes (class, share), worst first."""
    codes, n_bits = evidence.codes, evidence.config.n_bits
    labels = codes.gallery_labels
    if (labels.sum(1) > 1).any():
        raise CannotRun("items with several labels have no code of their class")
    present = np.flatnonzero(labels.any(0))
    sides = class_sides(codes.gallery, labels, n_bits)
    apart = [
        (int(a), int(b), int((sides[a] * sides[b] < 0).sum())) for a, b in combinations(present, 2)
    ]
    near = sorted((one for one in apart if one[2] <= NEAR * n_bits), key=lambda one: one[2])
    signs = unpack_codes(codes.gallery, n_bits)
    scattered = []
    for one in present:
        own = signs[labels[:, one] > 0]
        share = float((1 - np.abs(own.mean(0))).mean() / 2)
        if share >= SCATTERED:
            scattered.append((int(one), share))
    return near, sorted(scattered, key=lambda one: -one[1])
