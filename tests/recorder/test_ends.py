"""How a watched run ends: by close, by the end of its process, by an exception, by a kill."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from rdh import execution
from rdh.store.run_store import RunStore
from tests.recorder.loops import Loop, recorder_in

HOUSE = Path(__file__).resolve().parents[2]
LOOP = """
import os, sys, time
from tests.recorder.loops import Loop, recorder_in
recorder, loop = recorder_in(sys.argv[1]), Loop()
for _ in range(2):
    loop.epoch(recorder)
print(recorder.run_id, flush=True)
"""


def start(runs: Path, end: str) -> subprocess.Popen:
    """A process that trains 6 steps, then does what `end` says."""
    command = [sys.executable, "-W", "ignore", "-c", LOOP + end, str(runs)]
    return subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, cwd=HOUSE
    )


def test_a_with_block_that_an_exception_leaves_is_lost_with_its_last_step(tmp_path):
    with pytest.raises(ZeroDivisionError), recorder_in(tmp_path) as recorder:
        Loop().epoch(recorder)
        print(1 / 0)
    result = RunStore(tmp_path).result(recorder.run_id)
    assert (result["state"], result["step"]) == ("lost", 3)
    assert "ended by ZeroDivisionError (division by zero) after step 3" in result["message"]


def test_a_with_block_that_ends_is_finished(tmp_path):
    with recorder_in(tmp_path) as recorder:
        Loop().epoch(recorder)
    assert RunStore(tmp_path).result(recorder.run_id)["state"] == "finished"


def test_a_recorder_that_nobody_holds_any_more_is_closed(tmp_path):
    recorder = recorder_in(tmp_path)
    run_id = recorder.run_id
    Loop().epoch(recorder)
    del recorder
    assert RunStore(tmp_path).result(run_id)["state"] == "finished"


@pytest.mark.process
@pytest.mark.parametrize(
    ("end", "state", "said"),
    [
        ("", "finished", None),
        ("raise ValueError('no more data')", "lost", "ended by ValueError (no more data)"),
        ("sys.exit(0)", "finished", None),
        ("os.kill(os.getpid(), 9)", "lost", "is gone; its last step was"),
    ],
)
def test_the_end_of_a_process_is_the_end_of_its_run(tmp_path, end, state, said):
    with start(tmp_path, end) as process:
        run_id = process.stdout.read().strip()
    found = execution.states(RunStore(tmp_path))[run_id]
    assert found.state == state
    assert said is None or said in found.reason
    assert [step for step, *_ in RunStore(tmp_path).reader(run_id).records()] == [3, 6]


@pytest.mark.process
def test_a_killed_loop_is_lost_at_once_and_without_a_supervisor(tmp_path):
    store = RunStore(tmp_path)
    with start(tmp_path, "time.sleep(600)") as process:
        run_id = process.stdout.readline().strip()
        assert execution.states(store)[run_id].state == "running"
        assert execution.revive(store) is None
        process.send_signal(signal.SIGKILL)
        process.wait()
        found = execution.states(store)[run_id]
        assert found.state == "lost" and found.is_final
        assert not execution.supervisor_status(store)["alive"]
        execution.delete(store, run_id)
    assert not (tmp_path / run_id).exists()


@pytest.mark.process
def test_the_example_in_docs_runs_and_finishes(tmp_path):
    answer = subprocess.run(
        [sys.executable, str(HOUSE / "docs" / "watch.py")],
        capture_output=True,
        text=True,
        check=False,
        env=os.environ | {"RDH_RUNS": str(tmp_path), "PYTHONPATH": str(HOUSE)},
    )
    assert answer.returncode == 0, answer.stderr
    assert "RecorderWarning" not in answer.stderr
    (state,) = execution.states(RunStore(tmp_path)).values()
    assert state.state == "finished" and state.run_id in answer.stdout
    reader = RunStore(tmp_path).reader(state.run_id)
    assert reader.scalar("saturated")[1][-1] > 0 and reader.scalar("map")[1][-1] > 0.3
