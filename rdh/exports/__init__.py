"""What a person takes away of runs: a report that needs no network, tables, and event files.

The same runs give the same bytes. A run that goes on gives what there is, and says so.

    report(store, [run_id])               # HTML of one run, or of two that are compared
    lessons_in_one_file(recorded_demo())  # HTML of the lessons
    write_csv(store, run_id, path)        # scalars, and a second file of all bits
    write_parquet(store, run_id, path)    # the same with types
    write_events(store, run_id, folder)   # for TensorBoard
"""

from rdh.exports.events import write_events
from rdh.exports.figures import dead_series, pr_curve
from rdh.exports.lessons import lessons_in_one_file
from rdh.exports.report import read_moments, report, report_of
from rdh.exports.tables import of_bits, write_csv, write_parquet

__all__ = [
    "dead_series",
    "lessons_in_one_file",
    "of_bits",
    "pr_curve",
    "read_moments",
    "report",
    "report_of",
    "write_csv",
    "write_events",
    "write_parquet",
]
