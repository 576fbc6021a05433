"""Table 2: the amplifier alone, error-aware quantization alone, both, and none.

The paper's rows "w.o. EAQL" and "w.o. GA" are the amplifier alone and EAQL alone.
"""

from rdh.studies._tools.grid import Grid
from rdh.studies._tools.published import BITS, ONE_ETA, table_2
from rdh.studies._tools.study import Study

STUDY = Study(
    name="table2",
    title="Table 2: what each part does alone",
    question="What do the amplifier alone, EAQL alone and both together change in MAP?",
    grids=(Grid(methods=("hashnet",), bits=BITS, arms=("baseline", "ga", "eaq", "rdh")),),
    published=table_2,
    notes=(ONE_ETA,),
)
