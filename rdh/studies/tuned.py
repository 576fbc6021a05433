"""Ours: what is left of the gain when each arm has its own best learning rate and eta.

Both arms are searched over the same learning rates and weights, with the same seeds, on validation
queries that lie neither in the test queries nor in the training set. Then the chosen settings run
on the test queries: the baseline at its best, RDH at the baseline's best, and RDH at its own best;
with three seeds at least, also if the search had fewer.
"""

from collections.abc import Sequence
from dataclasses import replace
from itertools import product

from rdh.studies._tools.findings import Findings
from rdh.studies._tools.grid import Cell, Contrast, Grid, usual_value
from rdh.studies._tools.study import Study

AT_BASELINES = "RDH at the baseline's best setting"
AT_OWN = "RDH, with each arm at its own best setting,"
LEAST_SEEDS = (0, 1, 2)  # of a test: an interval needs three pairs


def further(findings: Findings) -> tuple[Grid, ...]:
    """The runs on the test queries, for every method and length whose search is complete."""
    found = []
    for search in findings.study.grids:
        seeds = max(search.seeds, LEAST_SEEDS, key=len)
        for method, n_bits in product(search.methods, search.bits):
            best = [
                cell
                for arm in ("baseline", "rdh")
                if (cell := _best(findings, search, method, n_bits, arm)) is not None
            ]
            if len(best) < 2:
                continue
            settings: dict[tuple, list[str]] = {}
            for cell, arms in zip(best, (["baseline", "rdh"], ["rdh"]), strict=True):
                settings.setdefault(cell.swept, []).extend(arms)
            for swept, arms in settings.items():
                found.append(
                    replace(
                        search,
                        methods=(method,),
                        bits=(n_bits,),
                        arms=tuple(dict.fromkeys(arms)),
                        seeds=seeds,
                        swept={name: (value,) for name, value in swept} | {"queries": ("test",)},
                        fixed={k: value for k, value in search.fixed.items() if k != "queries"},
                    )
                )
    return tuple(found)


def _best(findings: Findings, search: Grid, method: str, n_bits: int, arm: str) -> Cell | None:
    """The cell of a search with the highest mean MAP; None if a run of it is missing.

    Of equal ones the usual eta counts: a baseline without a quantization term has no other.
    """
    n_pairs, scores = len(search.seeds) * len(search.splits), {}
    usual = usual_value([search], "eta")
    for cell in findings.cells:
        if (cell.method, cell.n_bits, cell.arm) == (method, n_bits, arm):
            rows = findings.of_cell(cell)
            if cell.value("queries") is None:
                if len(rows) < n_pairs:
                    return None
                scores[cell] = (round(rows["map"].mean(), 12), cell.value("eta") == usual)
    return max(scores, key=lambda cell: scores[cell]) if scores else None


def contrasts(cells: Sequence[Cell], grids: Sequence[Grid]) -> list[Contrast]:
    """On the test queries: RDH at the baseline's setting and at its own, against the baseline."""
    tested = [cell for cell in cells if cell.value("queries") == "test"]
    found = []
    for baseline in [cell for cell in tested if cell.arm == "baseline"]:
        key = baseline.method, baseline.n_bits
        with_rdh = [c for c in tested if c.arm == "rdh" and (c.method, c.n_bits) == key]
        same = next(cell for cell in with_rdh if cell.swept == baseline.swept)
        own = next((cell for cell in with_rdh if cell.swept != baseline.swept), same)
        found.append(Contrast(AT_BASELINES, baseline, same))
        found.append(Contrast(AT_OWN, baseline, own))
    return sorted(found, key=lambda one: one.what != AT_BASELINES)


STUDY = Study(
    name="tuned",
    title="What is left when both arms are tuned",
    question="Is anything left of the gain when each arm has its own best learning rate and eta?",
    grids=(
        Grid(
            methods=("dpsh", "dhn", "hashnet"),
            bits=(32,),
            seeds=(0, 1, 2, 3, 4),
            swept={"lr": (0.01, 0.03, 0.1), "eta": (0.01, 0.1, 1.0)},
            fixed={"queries": "validation"},
        ),
    ),
    contrasts=contrasts,
    further=further,
    notes=(
        "Settings were chosen on validation queries, held out of the gallery; the table shows the "
        "test queries, searched in the whole gallery.",
    ),
)
