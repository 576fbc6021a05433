"""Figure 5: the dead bits over training, with and without RDH.

Shares, because the paper does not say of how many entries it counts its numbers.
"""

from rdh.studies._tools.figures import dead_bits, forest_of_pairs, together
from rdh.studies._tools.findings import Findings
from rdh.studies._tools.grid import Grid
from rdh.studies._tools.published import ONE_ETA
from rdh.studies._tools.study import Study
from rdh.studies.table1 import METHODS


def figures(findings: Findings) -> dict:
    """Dead bits over training first, then the pairs at the end."""
    return together(findings, dead_bits, forest_of_pairs)


STUDY = Study(
    name="figure5",
    title="Figure 5: dead bits over training",
    question="Do dead bits grow without RDH and stay low with it?",
    grids=(Grid(methods=METHODS, bits=(32,)),),
    figures=figures,
    measure="dead_at_end",
    notes=(ONE_ETA,),
)
