"""Figure 6: MAP over tau, with eta as usual, and over eta, with tau as usual.

The baseline has no amplifier, so that tau changes nothing in it: one run stands at every tau.
eta is in units of means. In batch form, Eq. 1's eta is ours times N / K for the plain term (4 at
128 items and 32 bits), and 1 in a sum over ordered pairs, members and bits of Eq. 4 is ours times
2 K.
"""

from collections.abc import Sequence

from rdh.studies._tools.grid import Cell, Contrast, Grid, by_arm, by_value
from rdh.studies._tools.study import Study

TAU, ETA = 0.99, 1.0  # the paper's for CIFAR-10
METHODS = ("dpsh", "hashnet")


def contrasts(cells: Sequence[Cell]) -> list[Contrast]:
    """Other values against the paper's within RDH, and RDH against the baseline at each value."""
    return [
        *by_value(cells, "tau", TAU, f"With RDH, another tau than {TAU:g}"),
        *by_value(cells, "eta", ETA, f"With RDH, another eta than {ETA:g}"),
        *by_arm(cells),
    ]


STUDY = Study(
    name="figure6",
    title="Figure 6: sensitivity to tau and eta",
    question="Does tau matter, and does eta matter, with RDH and without?",
    grids=(
        Grid(methods=METHODS, bits=(32,), swept={"tau": (0.9, 0.95, TAU, 0.999)}),
        Grid(methods=METHODS, bits=(32,), swept={"eta": (0.01, 0.1, ETA, 10.0)}),
    ),
    contrasts=contrasts,
    notes=(
        "eta weighs a mean. In the paper's units, Eq. 1's eta is ours times N / K (batch size over "
        "code length) for plain quantization.",
    ),
)
