"""What a run is doing right now: state, progress, freshness, the reason of a failure, and the
buttons that are allowed.
"""

import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import streamlit as st

from pages.common.shell import error_card, plain, status_chip
from rdh import execution
from rdh.analysis import duration
from rdh.store.run_store import RunStore

STALE_SECONDS = 8  # four heartbeats
TAIL_BYTES = 4000


@dataclass(frozen=True)
class Status:
    """state: `execution.RunState`, None for a folder that the queue does not know yet; beat:
    hb.json; result: result.json.
    """

    run_id: str
    state: execution.RunState | None
    beat: dict[str, Any]
    result: dict[str, Any]

    @property
    def word(self) -> str:
        return self.state.state if self.state else "queued"

    @property
    def is_final(self) -> bool:
        return bool(self.state and self.state.is_final)


def read_status(
    store: RunStore, run_id: str, states: Mapping[str, execution.RunState] | None = None
) -> Status:
    """states: what `execution.states` returned, where the caller has it.

    UserError for a run that is no longer there.
    """
    state = (execution.states(store) if states is None else states).get(run_id)
    beat, result = store.heartbeat(run_id), store.result(run_id)
    if state and beat.get("attempt") != state.attempt:
        beat = {}  # of an earlier attempt
    return Status(run_id, state, beat, result)


def draw_status(store: RunStore, status: Status) -> None:
    """One line with state, progress and age of the data; below it what went wrong, if anything."""
    left, right = st.columns([5, 2], vertical_alignment="center")
    with left:
        st.markdown(
            f"**{status_chip(status.state or status.word)}** &nbsp; {plain(_progress_text(status))}"
        )
        _progress_bar(status)
    with right, st.container(horizontal=True, horizontal_alignment="right"):
        draw_actions(store, status)
    if status.word == "finished" and status.result.get("message"):
        st.warning(plain(status.result["message"]), icon=":material/warning:")
    if status.word in ("failed", "lost", "unreadable"):
        said = status.result.get("message") if status.word == "failed" else None
        reason = said or (status.state.reason if status.state else None) or "no reason was recorded"
        way_out = " Resume goes on from its last checkpoint." if status.word == "lost" else ""
        st.error(plain(reason + way_out), icon=":material/error:")
        log = log_tail(store, status.run_id)
        if log:
            with st.expander("The last lines of the log"):
                st.code(log, language=None)


def draw_actions(store: RunStore, status: Status) -> None:
    """Cancel while it may run, resume where it may go on; disabled states come from the store, not
    from this session.
    """
    asked = bool(status.state and status.state.request)
    if not status.is_final:
        label = "Cancelling…" if asked else "Cancel"
        if st.button(
            label, icon=":material/stop_circle:", key=f"cancel-{status.run_id}", disabled=asked
        ):
            with error_card():
                execution.cancel(store, status.run_id)
                execution.ensure_supervisor(store)
                st.rerun()
    elif status.word in ("cancelled", "lost", "failed") and st.button(
        "Resume",
        icon=":material/play_arrow:",
        key=f"resume-{status.run_id}",
        help="Goes on from the last checkpoint, if there is one.",
    ):
        with error_card():
            execution.resume(store, status.run_id)
            execution.ensure_supervisor(store)
            st.rerun()


def log_tail(store: RunStore, run_id: str) -> str:
    """The end of log.txt, at most 4 kB."""
    path = store.run_dir(run_id) / "log.txt"
    try:
        with path.open("rb") as file:
            file.seek(max(0, path.stat().st_size - TAIL_BYTES))
            return file.read().decode("utf-8", errors="replace").strip()
    except OSError:
        return ""


def _progress_text(status: Status) -> str:
    beat = status.beat
    if status.word == "finished":
        return (
            f"{status.result.get('step', 0):,} steps in {duration(status.result.get('seconds', 0))}"
        )
    if status.is_final:
        return f"at step {status.result.get('step', beat.get('step', 0)):,}"
    if not beat:
        return "waiting for a free slot" if status.word == "queued" else "the worker is starting"
    age = time.time() - beat.get("at", time.time())
    fresh = f"no sign of life for {duration(age)}" if age > STALE_SECONDS else "alive"
    if beat.get("total_steps"):
        text = f"step {beat.get('step', 0):,} of {beat['total_steps']:,}"
    elif beat.get("of"):
        text = (
            f"{plain(beat.get('phase', ''))}: {beat.get('done', 0):,} of {beat['of']:,} images "
            f"(once; cached for later runs)"
        )
    else:
        text = plain(beat.get("phase", "starting"))
    return f"{text} · {fresh}"


def _progress_bar(status: Status) -> None:
    beat = status.beat
    done, total = (
        (beat.get("step"), beat.get("total_steps"))
        if beat.get("total_steps")
        else (beat.get("done"), beat.get("of"))
    )
    if not status.is_final and total:
        st.progress(min(1.0, (done or 0) / total))
