"""Every row of the state table, as evidence -> state and reason."""

import pytest

from rdh.execution.engine.base import Phase
from rdh.execution.queue.states import Evidence, decide, exit_name, from_result, is_result


def gone(exit_code: int | None = None, **fields) -> Evidence:
    return Evidence(
        **{"state": "running", "attempt": 1, "phase": Phase.EXITED, "exit_code": exit_code} | fields
    )


def unknown(state: str, **fields) -> Evidence:
    return Evidence(**{"state": state, "attempt": 1, "phase": Phase.UNKNOWN} | fields)


def alive(state: str, **fields) -> Evidence:
    return Evidence(**{"state": state, "attempt": 1, "phase": Phase.RUNNING} | fields)


def result(state: str, attempt: int = 1) -> dict:
    return {"attempt": attempt, "state": state, "message": f"it {state}"}


@pytest.mark.parametrize(
    ("evidence", "state", "words"),
    [
        # result.json of this attempt decides before anything else
        (alive("running", result=result("finished")), "finished", "it finished"),
        (gone(1, result=result("failed")), "failed", "it failed"),
        (gone(-9, result=result("finished"), request="cancel"), "finished", "it finished"),
        (gone(0, result=result("cancelled")), "cancelled", "it cancelled"),
        (unknown("starting", result=result("finished")), "finished", "it finished"),
        (gone(-9, result=result("finished", attempt=2), attempt=3), "lost", "signal 9"),
        (gone(-9, result={"attempt": 1, "state": "excellent"}), "lost", "signal 9"),
        # gone, no result, cancel requested
        (gone(-15, request="cancel"), "cancelled", "before it could save"),
        (gone(None, request="cancel"), "cancelled", "Cancelled"),
        (gone(-9, request="cancel"), "cancelled", "Cancelled"),
        # the same for a pause; a cancel that comes while it ends is not lost
        (gone(0, result=result("paused"), request="pause"), "paused", "it paused"),
        (gone(-9, request="pause"), "paused", "before it could save"),
        (gone(0, result=result("paused"), request="cancel"), "cancelled", "while it paused"),
        # the system ended it, and somebody asked for the same at that moment
        (gone(0, result=result("lost"), request="cancel"), "cancelled", "Cancelled. it lost"),
        (gone(0, result=result("lost"), request="pause"), "paused", "Paused. it lost"),
        # gone, ended by the system, such as a shutdown
        (gone(-15), "lost", "The system ended its process (SIGTERM)"),
        (gone(143), "lost", "SIGTERM"),
        (gone(-1), "lost", "SIGHUP"),
        # gone, signal 9
        (gone(-9), "lost", "killed (signal 9)"),
        (gone(137), "lost", "killed (signal 9)"),
        (gone(-9, out_of_memory=True), "lost", "Out of memory"),
        # gone, another signal or exit code
        (
            gone(3, last_log_line="ImportError: no torch"),
            "failed",
            "(exit 3): ImportError: no torch",
        ),
        (gone(-11), "failed", "SIGSEGV"),
        (gone(139), "failed", "SIGSEGV"),
        (gone(0), "failed", "(exit 0); its log is empty"),
        # gone, exit unknown
        (gone(None), "lost", "vanished unobserved"),
        (gone(None, last_log_line="Killed"), "lost", "Killed"),
        (gone(None, detail="Ray says: its node died."), "lost", "Ray says: its node died."),
        (gone(-15, detail="SLURM ended it: timeout."), "lost", "(SIGTERM). SLURM ended it"),
        # starting with no process
        (unknown("starting", waited=0), "queued", "interrupted"),
        (unknown("starting", waited=0, request="cancel"), "cancelled", "Cancelled"),
        (unknown("starting", waited=0, request="pause"), "paused", "not there yet"),
        (unknown("starting", waited=59, silent_for=59, is_locked=True), "starting", None),
        (unknown("starting", waited=60, silent_for=60, is_locked=True), "queued", "interrupted"),
        # unknown to the engine: the heartbeat is asked
        (unknown("running", silent_for=59), "running", None),
        (unknown("starting", waited=70, silent_for=1, has_beaten=True), "starting", None),
        (unknown("running", silent_for=60), "lost", "no heartbeat for 60 s"),
        (unknown("running", silent_for=1, ran_here=True), "lost", "is gone and left no result"),
        (unknown("running", silent_for=1, ran_here=True, is_locked=True), "running", None),
        (unknown("running", silent_for=60, request="cancel"), "cancelled", "Cancelled"),
        (unknown("running", silent_for=60, request="pause"), "paused", "no process"),
        # a cluster has it and no place for it
        (alive("starting", phase=Phase.PENDING, silent_for=999), "starting", "waits for a place"),
        # alive, or nobody can tell
        (alive("starting"), "starting", None),
        (alive("starting", has_beaten=True), "running", None),
        (alive("running", has_beaten=True, request="cancel"), "running", None),
        (alive("running", has_beaten=True, silent_for=60), "running", "Unresponsive"),
        (alive("starting", silent_for=60), "starting", "Unresponsive"),
        (alive("running", phase=None, silent_for=1000), "running", "Unresponsive: its engine"),
    ],
)
def test_evidence_decides_the_next_state(evidence: Evidence, state: str, words: str | None):
    decision = decide(evidence)
    assert decision.state == state
    assert decision.reason is None if words is None else words in decision.reason


def test_a_result_without_a_message_gives_no_reason():
    assert from_result({"attempt": 1, "state": "finished"}, 1) == ("finished", None)


@pytest.mark.parametrize(
    "result",
    [
        None,
        {},
        {"attempt": "1", "state": "finished"},
        {"attempt": True, "state": "finished"},
        {"attempt": 10**30, "state": "finished"},
        {"attempt": 1, "state": ["finished"]},
        {"attempt": 1},
    ],
)
def test_a_damaged_result_says_nothing(result):
    assert from_result(result, 1) is None
    assert not is_result(result)


def test_a_message_from_a_strange_file_name_can_be_stored_everywhere():
    text = b"\xff\xfe.png".decode(errors="surrogateescape") + "\x1b[31m"
    reason = from_result({"attempt": 1, "state": "failed", "message": text}, 1).reason
    assert reason == r"\udcff\udcfe.png\x1b[31m"
    assert from_result({"attempt": 1, "state": "failed", "message": 7}, 1).reason is None


@pytest.mark.parametrize(
    ("code", "name"),
    [(3, "exit 3"), (-6, "SIGABRT"), (134, "SIGABRT"), (200, "exit 200"), (1, "exit 1")],
)
def test_exit_codes_have_names(code: int, name: str):
    assert exit_name(code) == name
