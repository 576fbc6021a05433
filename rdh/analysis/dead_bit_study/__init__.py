"""The study of dead bits: which runs it needs, what they measured, and its report.

`make_plan` says which runs; `measured` reads them; `report` writes what they say. It needs SciPy,
so nothing else of `rdh.analysis` imports it.
"""

from rdh.analysis.dead_bit_study.measures import is_measured, measured
from rdh.analysis.dead_bit_study.plan import PARTS, Plan, Study, make_plan, without_dead_bits
from rdh.analysis.dead_bit_study.report import report

__all__ = [
    "PARTS",
    "Plan",
    "Study",
    "is_measured",
    "make_plan",
    "measured",
    "report",
    "without_dead_bits",
]
