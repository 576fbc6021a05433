"""How a watched run ends: by close, by the end of its process, by an exception, by a kill."""

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from rdh import execution
from rdh.store.run_store import RunStore
from tests.recorder.loops import BITS, Loop, N, recorder_in

HOUSE = Path(__file__).resolve().parents[2]
ENDS = ("", "raise ValueError('no more data')", "sys.exit(0)", "os.kill(os.getpid(), 9)")
RANKS = "ended-ranks"
# Imports torch once: each child trains 6 steps and ends in its own way, the parent in the last way.
LOOP = """
import json, os, sys, time
import torch
from tests.recorder.loops import Loop, recorder_in, train_in_ranks
torch.set_num_threads(1)
if not os.fork():
    train_in_ranks(sys.argv[1], "ended-ranks")
    os._exit(0)
os.wait()
ends, loop = json.loads(sys.argv[2]), Loop()
for place, end in enumerate(ends):
    child = place + 1 < len(ends) and os.fork()
    if not child:
        break
    os.waitpid(child, 0)
recorder = recorder_in(sys.argv[1], run_id=f"ended-{place}")
for _ in range(2):
    loop.epoch(recorder)
print(recorder.run_id, flush=True)
exec(end)
"""


@pytest.fixture(scope="module")
def ended(tmp_path_factory):
    """A store with a run for each of ENDS, and the process of one more, which waits."""
    runs = tmp_path_factory.mktemp("ended")
    process = subprocess.Popen(
        [sys.executable, "-c", LOOP, str(runs), json.dumps([*ENDS, "time.sleep(600)"])],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
        cwd=HOUSE,
    )
    for place in range(len(ENDS) + 1):
        assert process.stdout.readline().strip() == f"ended-{place}"
    yield RunStore(runs), process
    process.kill()
    process.wait()


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
    ("place", "state", "said"),
    [
        (0, "finished", None),
        (1, "lost", "ended by ValueError (no more data) after step 6"),
        (2, "finished", None),
        (3, "lost", "is gone; its last step was"),
    ],
)
def test_the_end_of_a_process_is_the_end_of_its_run(ended, place, state, said):
    store, _ = ended
    found = execution.states(store)[f"ended-{place}"]
    assert found.state == state
    assert said is None or said in found.reason
    assert [step for step, *_ in store.reader(found.run_id).records()] == [3, 6]


@pytest.mark.process
def test_two_processes_that_train_together_make_one_run_of_what_the_first_sees(ended):
    store, _ = ended
    result = store.result(RANKS)
    assert result["state"] == "finished" and result["step"] == 9, result
    assert "message" not in result, "nothing was left out"
    records = list(store.reader(RANKS).records())
    assert [(step, epoch) for step, epoch, *_ in records] == [(3, 1), (6, 2), (9, 3)]
    assert store.reader(RANKS).scalar("entries")[1].tolist() == [N // 2 * BITS] * 3
    log = (store.run_dir(RANKS) / "log.txt").read_text()
    assert "rank 0 of 2 is recorded" in log
    weights = [(store.root / f"{RANKS}.{rank}").read_text() for rank in (0, 1)]
    assert weights[0] == weights[1], "the recorder changes no gradient that DDP averages"


@pytest.mark.process
def test_a_killed_loop_is_lost_at_once_and_without_a_supervisor(ended):
    store, process = ended
    run_id = f"ended-{len(ENDS)}"
    assert execution.states(store)[run_id].state == "running"
    assert execution.revive(store) is None
    process.send_signal(signal.SIGKILL)
    process.wait()
    found = execution.states(store)[run_id]
    assert found.state == "lost" and found.is_final
    assert not execution.supervisor_status(store)["alive"]
    execution.delete(store, run_id)
    assert not (store.root / run_id).exists()


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
