"""What a run is doing right now: state, progress, why it failed, and the buttons allowed."""

import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

import streamlit as st

from pages.common.findings import read_diagnosis
from pages.common.guard import check_may_change
from pages.common.launch_start import changed_copy
from pages.common.readers import RunSeries
from pages.common.run_numbers import remaining
from pages.common.run_picker import is_watched, ours
from pages.common.shell import error_card, status_chip
from pages.common.sidebar import draw_link
from pages.common.text import as_sentence, as_text
from rdh import execution
from rdh.analysis import duration, time_taken, when_newest
from rdh.diagnosis import Finding
from rdh.errors import UserError
from rdh.store.log import tail
from rdh.store.run_store import RunStore

SECONDS_HEARD = 6  # three heartbeats: a run that was heard since then is alive
ALIVE = "alive"
TAIL_BYTES = 4000
STOPPED = {"paused": ":material/pause_circle:", "cancelled": ":material/stop_circle:"}  # on request


@dataclass(frozen=True)
class Status:
    """What the queue and the run's folder say.

    Attributes:
        run_id: the run.
        state: from the queue; None for a folder that the queue does not know yet.
        beat: hb.json of this attempt.
        result: result.json.
        n_training: runs of the queue that train or are being started; a watched one holds no slot.
        place: of a waiting run in the queue, from 1; 0 for others.
        step: that it has come to, `execution.last_step`.
    """

    run_id: str
    state: execution.RunState | None
    beat: dict[str, Any]
    result: dict[str, Any]
    n_training: int = 0
    place: int = 0
    step: int = 0

    @property
    def word(self) -> str:
        return self.state.state if self.state else "queued"

    @property
    def when(self) -> str:
        """The moment of the newest record."""
        return when_newest(self.word if self.is_final else None)

    @property
    def is_final(self) -> bool:
        return bool(self.state and self.state.is_final)


def read_status(
    store: RunStore, run_id: str, states: Mapping[str, execution.RunState] | None = None
) -> Status:
    """Reads the status of a run.

    Args:
        store: the run store.
        run_id: the run.
        states: what `execution.states` returned, if the caller has it.

    Raises:
        UserError: the run is no longer there.
    """
    known = execution.states(store) if states is None else states
    state = known.get(run_id)
    beat, result = store.heartbeat(run_id), store.result(run_id)
    if state and beat.get("attempt") != state.attempt:
        beat = {}  # of an earlier attempt
    n_training = len(ours(store, (one for one in known if known[one].is_active)))
    turn = [run.run_id for run in execution.in_turn(known.values())]
    place = turn.index(run_id) + 1 if run_id in turn else 0
    step = execution.last_step(store, run_id, state.attempt) if state else 0
    return Status(run_id, state, beat, result, n_training, place, step)


def draw_status(
    store: RunStore, status: Status, run: RunSeries | None = None, *, with_log: bool = True
) -> None:
    """One line with state, progress and age of the data; below it what went wrong.

    Args:
        store: the run store.
        status: of the run.
        run: its records up to the one that the page shows.
        with_log: the end of the log of a run that failed or was lost.
    """
    left, right = st.columns([5, 3], vertical_alignment="center")
    with left:
        st.markdown(
            f"**{status_chip(status.state or status.word)}** &nbsp; {progress_text(status, run)}"
        )
        _progress_bar(status, run)
    with right, st.container(horizontal=True, horizontal_alignment="right"):
        draw_actions(store, status)
    if status.word == "finished" and status.result.get("message"):
        st.warning(as_sentence(status.result["message"]), icon=":material/warning:")
    if loss := execution.loss_said(store, status.state):
        st.info(as_text(loss), icon=":material/restart_alt:")
    if status.word in STOPPED and status.state and status.state.reason:
        st.info(as_sentence(status.state.reason), icon=STOPPED[status.word])
    if status.word in ("failed", "lost", "unreadable"):
        said = status.result.get("message") if status.word == "failed" else None
        reason = said or (status.state.reason if status.state else None) or "no reason was recorded"
        can_resume = status.word == "lost" and not is_watched(store, status.run_id)
        way_out = f" {execution.resume_said(store, status.run_id)}" if can_resume else ""
        st.error(as_sentence(reason + way_out), icon=":material/error:")
        log = log_tail(store, status.run_id) if with_log else ""
        if log:
            with st.expander("The last lines of the log"):
                st.code(log, language=None)


def draw_actions(store: RunStore, status: Status) -> None:
    """Pause and Cancel, or Resume. What is disabled follows from the store, not this session."""
    if is_watched(store, status.run_id):
        st.caption("watched: its own loop trains it")
        return
    run_id, asked = status.run_id, status.state.request if status.state else None
    if not status.is_final:
        label = "Pausing…" if asked == "pause" else "Pause run"
        help_text = "Saves its state and frees its device; Resume goes on from there."
        if _button(label, "pause_circle", f"pause-{run_id}", help_text, off=bool(asked)):
            _do(execution.pause, store, run_id)
        label = "Cancelling…" if asked == "cancel" else "Cancel"
        if _button(label, "stop_circle", f"cancel-{run_id}", None, off=asked == "cancel"):
            _do(execution.cancel, store, run_id)
    elif status.word in execution.RESUMABLE:
        _draw_ways_on(store, status)


def _draw_ways_on(store: RunStore, status: Status) -> None:
    """What helps a run that has not finished. Resume is not offered where it would only repeat."""
    run_id = status.run_id
    if status.word == "failed" and status.result.get("kind") == execution.DIVERGED:
        draw_change(store, run_id)
    if execution.would_repeat(store, run_id):
        return
    if _button("Resume", "play_arrow", f"resume-{run_id}", execution.resume_said(store, run_id)):
        _do(execution.resume, store, run_id)
    if store.resume_step(run_id):
        with st.popover("Start over", icon=":material/restart_alt:"):
            st.write("All that it recorded is removed, and it trains again from step 0.")
            if _button("Remove them and start over", "delete", f"restart-{run_id}", None):
                _do(execution.start_over, store, run_id)


def _button(label: str, icon: str, key: str, help_text: str | None, *, off: bool = False) -> bool:
    return st.button(label, icon=f":material/{icon}:", key=key, help=help_text, disabled=off)


def _do(call: Callable[[RunStore, str], None], store: RunStore, run_id: str) -> None:
    with error_card():
        check_may_change()
        call(store, run_id)
        execution.ensure_supervisor(store)
        st.rerun()


def draw_change(store: RunStore, run_id: str) -> None:
    """The way to a changed copy of a run whose numbers broke, with the remedy if there is one."""
    findings: tuple[Finding, ...] = ()
    with suppress(UserError):
        findings = read_diagnosis(store, run_id).findings
    remedy = next((remedy for one in findings for remedy in one.remedies), None)
    query = changed_copy(run_id, remedy.changes if remedy else {})
    label = "Change and launch again" + (f": {remedy.words}" if remedy else "")
    draw_link("pages/launch.py", as_text(label), ":material/edit:", query)


def log_tail(store: RunStore, run_id: str) -> str:
    """The end of log.txt, at most 4 kB."""
    return tail(store.run_dir(run_id) / "log.txt", TAIL_BYTES)


def progress_text(status: Status, run: RunSeries | None) -> str:
    """How far the run is, or what it waits for; `run` holds the records that the page draws."""
    beat, result = status.beat, status.result
    if status.word == "finished":
        return time_taken(result)
    if status.is_final:
        return f"at step {_step(status, run):,}"
    if not beat:
        if status.word != "queued":
            return "the worker is starting"
        # slots are free if nothing trains: then the background process still loads what it needs
        waits = "waiting for a free slot" if status.n_training else "PyTorch is being loaded"
        place = f"; place {status.place} in the queue by priority" if status.place > 1 else ""
        return f"{waits}, then it starts{place}{_why_again(status)}"
    heard = _heard(status)
    done, total = _progress(status, run)
    if run is not None and run.step:
        age = f"data {duration(max(0, time.time() - run.at))} old"
        heard = age if heard == ALIVE else f"{age} · {heard}"
        parts = [f"step {done:,}" + (f" of {total:,}" if total else "")]
        text = " · ".join(filter(None, [*parts, remaining(run.scalars(), run.meta())]))
    elif beat.get("total_steps"):
        text = f"step {done:,} of {total:,}"
    elif total:
        phase = as_text(str(beat.get("phase", "loading")))
        cached = " (once; cached for later runs)" if phase == "extracting features" else ""
        text = f"{phase}: {done:,} of {total:,} images{cached}"
        if done >= total:
            text = f"{phase}: all {total:,} images are ready; what trains on them is loaded"
    else:
        text = as_text(str(beat.get("phase", "starting")))
    return f"{text} · {heard}"


def _heard(status: Status) -> str:
    """When a run was last heard; amber only after as long as a run without a step is stalled."""
    silent = time.time() - status.beat.get("at", time.time())
    if silent >= execution.SECONDS_STALLED:
        return f":orange[⚠ no sign of life for {duration(silent)}]"
    stalled = execution.stalled_for(status.state, status.beat) if status.state else None
    if stalled:
        return f":orange[⚠ stalled: no step for {duration(stalled)}]"
    return f"last heard {duration(silent)} ago" if silent > SECONDS_HEARD else ALIVE


def _why_again(status: Status) -> str:
    """Why a waiting run waits again, if it has begun before."""
    reason = status.state.reason if status.state and status.state.attempt > 1 else None
    return f" · {as_text(reason)}" if reason else ""


def _step(status: Status, run: RunSeries | None) -> int:
    """The step that a run has come to: a record of this moment may be newer than the status."""
    return max(status.step, run.step if run else 0)


def _progress(status: Status, run: RunSeries | None) -> tuple[int, int]:
    """(done, total) of its steps; before the first one, of what it prepares.

    Of a run that goes on it is the step of the records that the page draws: all parts of a page
    show one moment.
    """
    beat = status.beat
    if run is not None and run.step:
        done = _step(status, run) if status.is_final else run.step
        return done, run.meta().get("total_steps", 0)
    if beat.get("total_steps"):
        return _step(status, run), beat["total_steps"]
    return beat.get("done", 0), beat.get("of", 0)


def _progress_bar(status: Status, run: RunSeries | None) -> None:
    done, total = _progress(status, run)
    is_loaded = done >= total and not status.beat.get("total_steps")
    if not status.is_final and total and not is_loaded:  # a full bar would say that all is done
        st.progress(min(1.0, done / total))
