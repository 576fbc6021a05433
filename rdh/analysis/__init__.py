"""Tables, pairs and dead bits, computed from a run store for pages, command line and reports.

It needs NumPy and pandas but not torch.
"""

from rdh.analysis.dead_bits import DeadBits, dead_bits, scalar_frame
from rdh.analysis.estimates import duration, expected_seconds, similar_run_seconds
from rdh.analysis.one_bit import wrong_side_by_class
from rdh.analysis.tables import ARMS, pairs, pairs_summary, run_table, summary_table

__all__ = [
    "ARMS",
    "DeadBits",
    "dead_bits",
    "duration",
    "expected_seconds",
    "pairs",
    "pairs_summary",
    "run_table",
    "scalar_frame",
    "similar_run_seconds",
    "summary_table",
    "wrong_side_by_class",
]
