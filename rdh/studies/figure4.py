"""Figure 4: precision against recall at 64 bits, by Hamming radius and by rank.

The paper does not say which of the two curves it shows, so both are drawn.
"""

from rdh.studies._tools.figures import forest_of_pairs, precision_recall, together
from rdh.studies._tools.findings import Findings
from rdh.studies._tools.grid import Grid
from rdh.studies._tools.published import ONE_ETA, table_1
from rdh.studies._tools.study import Study
from rdh.studies.table1 import METHODS


def figures(findings: Findings) -> dict:
    """The curves first, then the pairs."""
    return together(findings, precision_recall, forest_of_pairs)


STUDY = Study(
    name="figure4",
    title="Figure 4: precision against recall",
    question="Does RDH lift precision at every recall, for each method at one code length?",
    grids=(Grid(methods=METHODS, bits=(64,)),),
    figures=figures,
    published=table_1,
    notes=(ONE_ETA,),
)
