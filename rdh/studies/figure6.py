"""Figure 6: MAP over tau, with eta as usual, and over eta, with tau as usual.

The baseline has no amplifier, so that tau changes nothing in it: one run stands at every tau.
eta weighs a mean. In the paper's sums over a batch of N items, Eq. 1's eta is ours times N / K (4
at 128 items and 32 bits), and Eq. 4's, over ordered pairs, their members and K bits, is ours
divided by 2 K.
"""

from collections.abc import Sequence

from rdh.studies._tools.grid import Cell, Contrast, Grid, by_arm, by_value, usual_value
from rdh.studies._tools.study import Study

METHODS = ("dpsh", "hashnet")


def contrasts(cells: Sequence[Cell], grids: Sequence[Grid]) -> list[Contrast]:
    """Other values against the usual one in each arm, and RDH against the baseline at each value.

    The usual eta is that of the data set: .1 if it has many labels an image, as in the paper.
    """
    tau, eta = usual_value(grids[1:], "tau"), usual_value(grids, "eta")
    without = f"Without RDH, another eta than {eta:g}"
    return [
        *by_value(cells, "tau", tau, f"With RDH, another tau than {tau:g}"),
        *by_value(cells, "eta", eta, f"With RDH, another eta than {eta:g}"),
        *by_value(cells, "eta", eta, without, arm="baseline"),
        *by_arm(cells),
    ]


STUDY = Study(
    name="figure6",
    title="Figure 6: sensitivity to tau and eta",
    question="Does tau matter, and does eta matter, with RDH and without?",
    grids=(
        Grid(methods=METHODS, bits=(32,), swept={"tau": (0.9, 0.95, 0.99, 0.999)}),
        Grid(methods=METHODS, bits=(32,), swept={"eta": (0.01, 0.1, 1.0, 10.0)}),
    ),
    contrasts=contrasts,
    notes=(
        "eta weighs a mean. As a weight of the paper's sums over a batch of N items, it is "
        "eta x N / K in Eq. 1 (plain quantization) and eta / (2 K) in Eq. 4 (EAQL).",
    ),
)
