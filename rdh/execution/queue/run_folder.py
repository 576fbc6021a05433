"""What a run folder says about its run, without any registry: enough to put it back into the
queue's index.
"""

import os
from pathlib import Path
from typing import Any

from rdh.execution.engine.base import attempt_of
from rdh.execution.queue.states import from_result
from rdh.store.run_store import RunStore

LOG_HEADER = "--- attempt "
TAIL_BYTES = 8192
LONGEST_LINE = 300


def row_from_folder(store: RunStore, run_id: str) -> dict[str, Any]:
    """The columns of the run's row. UserError where config.json can't be read.

    A run that has a handle or a heartbeat of its latest attempt but no result counts as running:
    whether its process still lives is for the supervisor to find out, by the same table as ever.
    """
    submission = store.submission(run_id)
    run_dir = store.run_dir(run_id)
    result, beat, control = (
        store.read_json(run_id, f"{name}.json") or {} for name in ("result", "hb", "control")
    )
    handle = read_handle(run_dir)
    attempts = [
        result.get("attempt"),
        beat.get("attempt"),
        control.get("attempt"),
        attempt_of(handle, run_id),
    ]
    attempt = max([1, *(number for number in attempts if isinstance(number, int))])
    row = {
        "run_id": run_id,
        "state": "queued",
        "attempt": attempt,
        "submitted_at": submission["submitted_at"],
        "sweep": submission["sweep"],
        "config_hash": submission["config_hash"],
    }
    has_handle = attempt_of(handle, run_id) == attempt
    if has_handle:
        row |= {"handle": handle, "started_at": _changed_at(run_dir / "handle")}
    verdict = from_result(result, attempt)
    if verdict is not None:
        row |= {
            "state": verdict.state,
            "reason": verdict.reason,
            "ended_at": _changed_at(run_dir / "result.json"),
        }
    elif has_handle or beat.get("attempt") == attempt:
        request = (
            "cancel"
            if control.get("attempt") == attempt and control.get("request") == "cancel"
            else None
        )
        row |= {"state": "running", "request": request}
    return row


def read_handle(run_dir: Path) -> str:
    """The handle that the engine left in the folder; empty where there is none."""
    try:
        return (run_dir / "handle").read_text(encoding="utf-8").strip()
    except (OSError, ValueError):
        return ""


def last_log_line(run_dir: Path) -> str | None:
    """The last line that this attempt wrote to log.txt; None where it wrote nothing."""
    try:
        with (run_dir / "log.txt").open("rb") as log:
            log.seek(max(0, log.seek(0, os.SEEK_END) - TAIL_BYTES))
            tail = log.read().decode("utf-8", errors="replace")
    except OSError:
        return None
    lines = [
        line.strip() for line in tail.splitlines() if line.strip()
    ]  # splitlines also cuts at a progress bar's "\r"
    if not lines or lines[-1].startswith(LOG_HEADER):
        return None
    return lines[-1][:LONGEST_LINE]


def _changed_at(path: Path) -> float | None:
    try:
        return path.stat().st_mtime
    except OSError:
        return None
