"""Table 1: five methods at four code lengths, with and without RDH.

One data set a study: `--dataset` names another one. MAP has the cut-off of its protocol.
"""

from rdh.studies._tools.grid import Grid
from rdh.studies._tools.published import BITS, ONE_ETA, table_1
from rdh.studies._tools.study import Study

METHODS = ("dpsh", "dhn", "hashnet", "dagh", "dsdh")

STUDY = Study(
    name="table1",
    title="Table 1: which methods gain from RDH",
    question="Which methods gain MAP from RDH, at which code length, and how surely?",
    grids=(Grid(methods=METHODS, bits=BITS),),
    published=table_1,
    notes=(ONE_ETA,),
)
