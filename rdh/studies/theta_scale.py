"""Ours: how much of a baseline's trouble is the scale of Theta = scale * h_i . h_j.

Eq. 1 has 1/2. At 48 bits Theta then reaches 24, where the sigmoid says nothing more about most
pairs. HashNet's scale is 10 / K. Methods without the switch theta_scale have no part in this.
"""

from collections.abc import Sequence

from rdh.studies._tools.grid import Cell, Contrast, Grid, by_arm, by_value
from rdh.studies._tools.study import Study

SCALES = (0.1, 0.2, 0.5, 1.0)
NAME = "method_options.theta_scale"


def contrasts(cells: Sequence[Cell], grids: Sequence[Grid]) -> list[Contrast]:
    """Other scales against Eq. 1's in both arms, and RDH against the baseline at each scale."""
    return [
        *by_value(cells, NAME, 0.5, "Without RDH, another scale than 1/2", arm="baseline"),
        *by_value(cells, NAME, 0.5, "With RDH, another scale than 1/2"),
        *by_arm(cells),
    ]


STUDY = Study(
    name="theta_scale",
    title="How much of the trouble is the scale of Theta",
    question="Does a smaller scale of Theta raise the baseline, and what does RDH add then?",
    grids=(Grid(methods=("dpsh", "dhn"), bits=(48,), swept={NAME: SCALES}),),
    contrasts=contrasts,
    notes=(
        "The learning rate is the same at all scales; `--set lr=0.1` suits small ones better, "
        "because the pull of a pair is in proportion to the scale.",
    ),
)
