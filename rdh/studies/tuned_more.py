"""Ours: the study tuned, for methods whose losses are on other scales.

At eta 1, EAQL's gradient is .71 of that of HashNet's loss at the start, .33 of CNNH's, .22 of
DTSH's and DNNH's, and .12 of DSH's. So one eta is not one pull, and the weights reach further here.
The search has one seed, since it is wide; the chosen settings run with three.
"""

from dataclasses import replace

from rdh.studies._tools.grid import Grid
from rdh.studies.tuned import STUDY as TUNED

STUDY = replace(
    TUNED,
    name="tuned_more",
    title="Both arms tuned: losses of other scales",
    question="Does RDH help methods whose losses outweigh EAQL, if rate and eta are chosen?",
    grids=(
        Grid(
            methods=("dtsh", "dsh", "cnnh", "mdsh", "hswd", "dmuh", "dsrh", "dnnh"),
            bits=(48,),
            seeds=(0,),
            swept={"lr": (0.03, 0.1), "eta": (0.1, 1.0, 3.0, 10.0)},
            fixed={"queries": "validation"},
        ),
    ),
)
