"""The button by which a reader takes a run or a pair away, as one file that needs no network."""

from collections.abc import Sequence

from pages.common.readers import read_series
from pages.common.shell import actions
from rdh import exports
from rdh.errors import UserError
from rdh.store.run_store import RunStore


def draw_report_button(runs: RunStore, run_ids: Sequence[str]) -> None:
    """The button, in the row below the title; nothing as long as one of the runs has no records.

    If they can't be read, the page says so where it shows them.
    The file is made when the button is clicked, with what the runs have recorded by then.
    """
    try:
        if not all(read_series(runs, one).last_seq for one in run_ids):
            return
    except UserError:
        return
    what = "pair" if len(run_ids) > 1 else "run"
    actions().download_button(
        f"Report of the {what}",
        lambda: exports.report(runs, run_ids).encode(),
        f"{'-vs-'.join(run_ids)}.html",
        "text/html",
        key=f"report-{what}",
        on_click="ignore",
        icon=":material/download:",
        help="One file that needs no network: findings in words, numbers with their definitions, "
        "charts, settings and origin. For CSV, Parquet and TensorBoard: "
        "`python -m rdh export RUN --to ...`.",
    )
