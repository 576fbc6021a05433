"""Bits without which the codes rank better: some queries choose them, and the others judge."""

import math
import warnings

import numpy as np

from rdh.analysis import map_points, shown_change
from rdh.diagnosis._tools.evidence import Evidence
from rdh.diagnosis._tools.finding import CannotRun, Finding, Place
from rdh.retrieval.bit_costs import scores_of_some, scores_without_bits
from rdh.retrieval.codes import CodesWarning, checked_inputs
from rdh.retrieval.kernel import Codes

TITLE = "Harmful bits"
AFTER = ("collapsed", "not_learning")
GAIN = 0.01  # of MAP, on queries that did not choose the bits
SURE = 2.0  # standard errors of that gain
MOST_QUERIES, MOST_ITEMS = 400, 5000  # a page waits for it
LISTED = 8


def check(evidence: Evidence) -> Finding | None:
    """Fires if the codes without some bits gain 0.01 MAP on queries that did not choose these."""
    codes = some_of(evidence)
    bits, before, after = harmful(codes)
    gains = after - before
    half = SURE * float(gains.std()) / math.sqrt(len(gains))
    if gains.mean() < max(GAIN, half):
        return None
    n_bits, gain = codes.n_bits, shown_change(float(before.mean()), float(after.mean()))
    listed = ", ".join(map(str, bits[:LISTED]))
    queries = "1 query" if len(gains) == 1 else f"{len(gains)} queries"
    more = f" and {len(bits) - LISTED} more" if len(bits) > LISTED else ""
    return Finding(
        severity="costs MAP",
        sentence=f"Without {len(bits)} of {n_bits} bits ({listed}{more}) the codes rank better: "
        f"MAP {after.mean():.4f} instead of {before.mean():.4f} ({map_points(gain)} ± {half:.4f}), "
        f"on queries that did not choose them ({queries}, {len(codes.gallery):,} gallery items).",
        mechanism="Every bit counts as much as any other in a Hamming distance. A bit that splits "
        "the items by something that their labels do not ask for adds noise to all distances. "
        "Leave these bits out when you search; a training with fewer bits chooses others.",
        equation=r"d_{-k}(q, i) = d(q, i) - [\,b_{qk} \ne b_{ik}\,]",
        places=(Place("pages/bits.py", "What each bit is worth",
                      {"bit": str(int(bits[0])), "worth": "true"}),),
    )  # fmt: skip


def some_of(evidence: Evidence) -> Codes:
    """Up to MOST_QUERIES queries and MOST_ITEMS items of the gallery, drawn by a fixed seed."""
    kept, rng = evidence.codes, np.random.default_rng(0)
    query, gallery = (
        np.sort(rng.permutation(n)[:most])
        for n, most in ((len(kept.query), MOST_QUERIES), (len(kept.gallery), MOST_ITEMS))
    )
    if len(query) < 2:
        raise CannotRun("it needs two queries, one to choose bits and one to judge the choice")
    labels = kept.query_labels[query], kept.gallery_labels[gallery]
    packed = kept.query[query], kept.gallery[gallery]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", CodesWarning)  # other checks say it
        return checked_inputs(*packed, *labels, evidence.config.n_bits, None)[0]


def harmful(codes: Codes) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The bits that every second query ranks better without, the most harmful first.

    Returns:
        (bits (n,), never all of them; tie-aware average precisions of the other queries with all
        bits, and without these).
    """
    choose, judge = (
        codes._replace(query=codes.query[part], query_labels=codes.query_labels[part])
        for part in (slice(0, None, 2), slice(1, None, 2))
    )
    is_kept = np.ones(codes.n_bits, dtype=bool)
    before = scores_of_some(judge, is_kept)
    change = scores_without_bits(choose).mean(0) - scores_of_some(choose, is_kept).mean()
    order = np.argsort(-change, kind="stable")[: codes.n_bits - 1]
    bits = order[change[order] > 0]
    is_kept[bits] = False
    return bits, before, scores_of_some(judge, is_kept)
