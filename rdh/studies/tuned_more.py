"""Ours: the study tuned, for methods whose losses are on other scales.

At eta 1, EAQL's gradient is .71 of that of HashNet's loss at the start, .33 of CNNH's, .22 of
DTSH's and DNNH's, and .12 of DSH's. So one eta is not one pull, and the weights reach further here.
Each method has its own rate, the best of a sweep without RDH on the same validation queries. The
search has one seed; the chosen weights run with three.
"""

from dataclasses import replace

from rdh.studies._tools.grid import Grid
from rdh.studies.tuned import STUDY as TUNED

RATES = {
    0.01: ("dmuh",),
    0.03: ("dtsh", "cnnh", "hswd"),
    0.1: ("dsh", "dsrh", "dnnh"),
    0.3: ("mdsh",),
}

STUDY = replace(
    TUNED,
    name="tuned_more",
    title="Each arm's best weight: losses of other scales",
    question="Does RDH help methods whose losses outweigh EAQL, if the weight is chosen?",
    grids=tuple(
        Grid(
            methods=methods,
            bits=(48,),
            seeds=(0,),
            swept={"lr": (rate,), "eta": (0.1, 1.0, 3.0, 10.0)},
            fixed={"queries": "validation"},
        )
        for rate, methods in RATES.items()
    ),
)
