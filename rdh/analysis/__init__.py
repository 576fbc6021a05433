"""Tables, pairs and dead bits, computed from a run store for pages, command line and reports.

It needs NumPy and pandas but not torch.
"""

from rdh.analysis.amplifier import Reach, amplifier_reach
from rdh.analysis.dead_bits import (
    NOT_COUNTED,
    DeadBits,
    cost_of_dead,
    count_entries,
    dead_bits,
    last_numbers,
    scalar_frame,
)
from rdh.analysis.estimates import about, duration, expected_seconds, time_taken
from rdh.analysis.overlay import difference, value_text
from rdh.analysis.tables import (
    ARMS,
    comparable,
    group_of,
    metrics_stamp,
    paired_arrays,
    pairs,
    quantization_weight,
    run_table,
    summary_table,
    why_unfair,
)
from rdh.analysis.verdict import (
    collapsed_runs,
    collapses_in_words,
    dead_verdict,
    has_collapsed,
    is_within_ties,
    map_headline,
    map_points,
    map_so_far,
    map_verdict,
    percent,
    setting_verdict,
    share_of_dead,
    who_collapsed,
)
from rdh.analysis.words import NO_DEAD_BITS, WORDS, Word

__all__ = [
    "ARMS",
    "NOT_COUNTED",
    "NO_DEAD_BITS",
    "WORDS",
    "DeadBits",
    "Reach",
    "Word",
    "about",
    "amplifier_reach",
    "collapsed_runs",
    "collapses_in_words",
    "comparable",
    "cost_of_dead",
    "count_entries",
    "dead_bits",
    "dead_verdict",
    "difference",
    "duration",
    "expected_seconds",
    "group_of",
    "has_collapsed",
    "is_within_ties",
    "last_numbers",
    "map_headline",
    "map_points",
    "map_so_far",
    "map_verdict",
    "metrics_stamp",
    "paired_arrays",
    "pairs",
    "percent",
    "quantization_weight",
    "run_table",
    "scalar_frame",
    "setting_verdict",
    "share_of_dead",
    "summary_table",
    "time_taken",
    "value_text",
    "who_collapsed",
    "why_unfair",
]
