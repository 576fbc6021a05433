"""Ours: how many bits are dead, what they cost, which count predicts MAP, and what RDH frees.

An entry is one bit of one item. It is saturated if |h| >= tau, and *flagged* if the similarity
gradient asks it to leave too: the test of Eq. 3. It is *wrong* on the other side than its labels
call for, and *dead* if it is saturated and wrong. What the dead cost is MAP with all of them put
right minus MAP.
"""

from collections.abc import Sequence
from dataclasses import replace

from rdh.studies._dead_bits.aims import aims_of, where_from
from rdh.studies._dead_bits.counts import SAME_LENGTH, how_many, over_time
from rdh.studies._dead_bits.measures import measured
from rdh.studies._dead_bits.predictors import which_count
from rdh.studies._tools.chapters import Chapter
from rdh.studies._tools.figures import against_dead, dead_bits, together
from rdh.studies._tools.findings import Findings
from rdh.studies._tools.grid import Cell, Contrast, Grid, by_arm
from rdh.studies._tools.published import BITS, ONE_ETA
from rdh.studies._tools.study import Study

METHODS = ("dpsh", "dhn", "hashnet", "dch", "csq", "dsdh", "dagh", "adsh")
AIMED = ("dpsh", "dhn", "hashnet", "dch")
SEEDS = (0, 1, 2)  # fewer than other studies have, for 264 runs in all


def contrasts(cells: Sequence[Cell], grids: Sequence[Grid]) -> list[Contrast]:
    """RDH and EAQL alone against the baseline, and the other aims and scales against RDH's."""
    return [*by_arm(cells), *aims_of(cells)]


def chapters(findings: Findings) -> list[Chapter]:
    """How many, over time, which count predicts MAP, and where the gain comes from."""
    counts = measured(findings.store, findings.frame["run_id"].unique())
    new = ["run_id", *(name for name in counts if name not in findings.frame)]
    known = findings.frame[findings.frame["run_id"].isin(counts["run_id"])]
    both = replace(findings, frame=known.merge(counts[new], on="run_id"))
    return [part for make in PARTS for part in make(both)]


PARTS = (how_many, over_time, which_count, where_from)


def figures(findings: Findings) -> dict:
    """The gain of RDH against the dead, and the dead over training at one code length."""
    cells = [cell for cell in findings.cells if not cell.swept and cell.arm in ("baseline", "rdh")]
    n_bits = SAME_LENGTH if SAME_LENGTH in {one.n_bits for one in cells} else cells[0].n_bits
    kept = [one for one in findings.asked if one.cell in cells and one.cell.n_bits == n_bits]
    at_one_length = replace(findings, asked=tuple(kept))
    return together(findings, against_dead) | together(at_one_length, dead_bits)


STUDY = Study(
    name="dead_bits",
    title="Dead bits: how many, what they cost, what brings them back",
    question="How many bits are dead, what do they cost, which count predicts MAP, and where does "
    "the gain of RDH come from?",
    grids=(
        Grid(methods=METHODS, bits=BITS, seeds=SEEDS),
        Grid(methods=AIMED, bits=(SAME_LENGTH,), arms=("eaq",), seeds=SEEDS),
        Grid(
            methods=AIMED,
            bits=(SAME_LENGTH,),
            arms=("rdh",),
            seeds=SEEDS,
            swept={"amplifier_aim": ("all_pairs", "labels", "not_labels")},
        ),
        Grid(
            methods=AIMED,
            bits=(SAME_LENGTH,),
            arms=("rdh",),
            seeds=SEEDS,
            swept={"amplifier_scale": (0.5, 2.0)},
        ),
    ),
    contrasts=contrasts,
    figures=figures,
    chapters=chapters,
    notes=(
        ONE_ETA,
        "ADSH trains on the whole gallery and learns its codes. So its MAP is far above that of "
        "the others and says nothing beside theirs, its shares are of the gallery's items, and the "
        "cost of its dead is that in the queries.",
        "`python -m rdh study run dead_bits` trains what is missing, and `python -m rdh study "
        "report dead_bits --to md` writes this page; `--to csv` has every count of every cell, "
        "with its interval.",
    ),
)
