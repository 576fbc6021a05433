"""Section 6.4: "RDH methods with 24 bits are even better than their baseline methods with 64"."""

from collections.abc import Sequence

from rdh.studies._tools.grid import Cell, Contrast, Grid
from rdh.studies._tools.published import ONE_ETA, table_1
from rdh.studies._tools.study import Study
from rdh.studies.table1 import METHODS


def contrasts(cells: Sequence[Cell], grids: Sequence[Grid]) -> list[Contrast]:
    """Every shorter code, with RDH and then without, against the longest one without.

    If a short code without RDH does as well, its gain is no merit of RDH.
    """
    longest = max((cell.n_bits for cell in cells), default=0)
    before = {(c.method, c.swept): c for c in cells if c.arm == "baseline" and c.n_bits == longest}
    return [
        Contrast(f"{cell.n_bits} bits {words} instead of {longest} without", long_one, cell)
        for arm, words in (("rdh", "with RDH"), ("baseline", "without RDH"))
        for cell in cells
        if cell.arm == arm and cell.n_bits < longest
        if (long_one := before.get((cell.method, cell.swept)))
    ]


STUDY = Study(
    name="short_codes",
    title="Section 6.4: short codes with RDH against long ones without",
    question="Do 24 bits with RDH beat 64 bits without?",
    grids=(Grid(methods=METHODS, bits=(24, 64)),),
    contrasts=contrasts,
    published=table_1,
    notes=(ONE_ETA,),
)
