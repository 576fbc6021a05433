"""What a person asks of the queue, and the one sentence that answers what is not possible."""

import errno
import json
import os
import sqlite3
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from rdh.config.run_config import RunConfig, make_config
from rdh.errors import UserError
from rdh.execution import cancel, delete, resume, resume_all, states, submit
from rdh.execution.queue.possible import check_possible
from rdh.execution.queue.registry import Registry
from rdh.execution.queue.states import RESULT_STATES
from rdh.locks import take_lock
from rdh.store.run_store import RunStore
from tests.execution.conftest import make_configs, wait_for

SUBMIT = """
import json, sys, time
from pathlib import Path
from rdh.config.run_config import make_config
from rdh.execution import submit
from rdh.store.run_store import RunStore
root, name = sys.argv[1:]
store, configs = RunStore(root), [make_config(seed=seed) for seed in range(3)]
Path(root, f"ready-{name}").touch()
while not Path(root, "go").exists():
    time.sleep(0.001)
print(json.dumps(submit(store, configs, token="a form's token")))
"""


def put(store: RunStore, run_id: str, state: str) -> None:
    if state in RESULT_STATES:
        store.write_json(
            run_id, "result.json", {"attempt": 1, "state": state, "message": f"it {state}"}
        )
    with Registry(store).write() as db:
        db.execute("UPDATE runs SET state = ? WHERE run_id = ?", (state, run_id))


def submit_one(store: RunStore, state: str = "queued") -> str:
    (run_id,) = submit(store, make_configs())
    put(store, run_id, state)
    return run_id


def folders(store: RunStore) -> list[Path]:
    return [path for path in store.root.iterdir() if path.is_dir()]


def test_submitted_runs_wait_in_order(store):
    run_ids = submit(store, make_configs(3), sweep="grid")
    assert list(states(store)) == run_ids == store.run_ids()
    run = states(store)[run_ids[0]]
    assert (run.state, run.attempt, run.request, run.sweep, run.started_at) == (
        "queued",
        1,
        None,
        "grid",
        None,
    )
    assert run.submitted_at == store.submission(run_ids[0])["submitted_at"]


@pytest.mark.parametrize(
    ("fields", "sentence"),
    [
        (
            {"weights": "/no/such.pth"},
            r"The weights file /no/such.pth can't be read \(No such file or directory\); set ",
        ),
        ({"weights": "/"}, r"The weights file / can't be read \(Is a directory\)"),
        (
            {"backbone": "torchvision:resnet1", "image_size": 64},
            r"torchvision:resnet1 is not in the installed torchvision",
        ),
        (
            {"device": "cuda:1"},
            r"device must be cuda for a run of the queue, which gives each run one GPU, got cuda:1",
        ),
        ({"devices": 3}, r"devices must be at most 2 here, got 3; set devices to 2 at most\."),
    ],
)
def test_what_this_machine_lacks_is_said_before_a_run_exists(store, fields, sentence):
    lacking = make_config(dataset="cifar10", **{"backbone": "alexnet", "image_size": 64} | fields)
    with pytest.raises(UserError, match=sentence):
        submit(store, [*make_configs(), lacking], sweep="grid", token="t")
    assert folders(store) == [] and states(store) == {}


def test_cuda_is_refused_where_no_gpu_can_be_seen_and_taken_where_one_is(store, monkeypatch):
    on_gpu = make_config(device="cuda")
    assert len(submit(store, [on_gpu])) == 1  # one of the two pretended GPUs
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")
    with pytest.raises(
        UserError, match=r"device cuda is not there \(no GPU can be seen\); use auto or cpu\."
    ):
        submit(store, [on_gpu])
    assert len(folders(store)) == 1


def test_a_run_in_this_process_has_one_device():
    with pytest.raises(UserError, match=r"devices must be 1 for a run in this process, got 2: .*"):
        check_possible(make_config(devices=2), is_queued=False)


def test_what_a_sweep_has_already_is_not_looked_at_again(store, tmp_path):
    weights = tmp_path / "weights.pth"
    weights.touch()
    config = make_config(dataset="cifar10", backbone="alexnet", image_size=64, weights=str(weights))
    first = submit(store, [config], sweep="grid")
    weights.unlink()
    assert submit(store, [config], sweep="grid") == first


def test_the_same_token_is_the_same_submission(store):
    first = submit(store, make_configs(2), token="t")
    assert submit(store, make_configs(2), token="t") == first
    assert submit(store, make_configs(2), token="u") != first
    assert len(states(store)) == 4


def test_a_token_is_free_again_when_its_runs_are_deleted(store):
    (run_id,) = submit(store, make_configs(), token="t")
    delete(store, run_id)
    assert submit(store, make_configs(), token="t") != [run_id]


def test_a_sweep_gets_only_what_is_missing(store):
    first = submit(store, make_configs(2), sweep="grid")
    assert submit(store, make_configs(4), sweep="grid")[:2] == first
    assert len(states(store)) == 4
    assert submit(store, [*make_configs(1), *make_configs(1)], sweep="other")[0] not in first
    assert len(states(store)) == 5


def test_equal_configs_outside_a_sweep_are_runs_of_their_own(store):
    assert len(set(submit(store, [*make_configs(1), *make_configs(1)]))) == 2


@pytest.mark.process
def test_two_processes_with_one_token_make_one_launch(store):
    Registry(store).look()
    names = ("a", "b", "c")
    processes = [
        subprocess.Popen(
            [sys.executable, "-c", SUBMIT, str(store.root), name],
            stdout=subprocess.PIPE,
            cwd=Path(__file__).parents[2],
        )
        for name in names
    ]
    wait_for(
        lambda: all((store.root / f"ready-{name}").exists() for name in names),
        "three processes that are ready",
    )
    Registry(store).path.unlink()  # so that they also meet where the registry is made
    (store.root / "go").touch()
    answers = [json.loads(process.communicate(timeout=30)[0]) for process in processes]
    assert answers[0] == answers[1] == answers[2]
    assert (
        sorted(states(store)) == sorted(answers[0]) == sorted(path.name for path in folders(store))
    )


@pytest.mark.process
def test_a_submitter_killed_at_any_moment_leaves_whole_runs_only(store):
    code = SUBMIT.replace('token="a form\'s token"', "").replace("print(", "while True: (")
    (store.root / "go").touch()
    process = subprocess.Popen(
        [sys.executable, "-c", code, str(store.root), "a"], cwd=Path(__file__).parents[2]
    )
    wait_for(lambda: len(states(store)) >= 6, "some submissions")
    process.kill()
    process.wait()
    Registry(store).sync()
    assert sorted(states(store)) == sorted(store.run_ids())
    assert all(store.config(run_id) for run_id in store.run_ids())


def test_a_full_disk_while_a_folder_is_made_leaves_nothing(store, monkeypatch):
    syncs: list[int] = []

    def fsync(descriptor: int) -> None:
        syncs.append(descriptor)
        if len(syncs) == 3:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr("rdh.store.run_store.os.fsync", fsync)
    with pytest.raises(UserError, match="No space left on device"):
        submit(store, make_configs(4), token="t")
    assert (folders(store), states(store)) == ([], {})
    assert len(submit(store, make_configs(4), token="t")) == 4


def test_a_full_disk_while_the_registry_is_written_leaves_nothing(store, monkeypatch):
    connect = Registry._connect

    def connect_to_a_full_disk(registry: Registry) -> sqlite3.Connection:
        db = connect(registry)
        db.execute(f"PRAGMA max_page_count = {db.execute('PRAGMA page_count').fetchone()[0]}")
        return db

    submit(store, make_configs(1))
    monkeypatch.setattr(Registry, "_connect", connect_to_a_full_disk)
    with pytest.raises(
        UserError, match=r"Nothing was submitted: the disk of .* is full. Free some space"
    ):
        submit(store, make_configs(80))
    assert (len(folders(store)), len(states(store))) == (1, 1)


def test_a_queue_that_can_not_be_opened_is_one_sentence(store):
    Registry(store).path.mkdir()
    with pytest.raises(UserError, match=r"The queue can't be read: the queue .* can't be used"):
        states(store)


def test_a_waiting_run_is_cancelled_at_once_in_its_folder_too(store):
    run_id = submit_one(store)
    cancel(store, run_id)
    run = states(store)[run_id]
    assert (run.state, run.reason) == ("cancelled", "Cancelled before it started.")
    assert run.ended_at is not None
    assert store.read_json(run_id, "result.json")["state"] == "cancelled"


@pytest.mark.parametrize("state", ["starting", "running"])
def test_cancel_of_a_live_run_is_a_request_and_asking_twice_is_asking_once(store, state):
    run_id = submit_one(store, state)
    cancel(store, run_id)
    cancel(store, run_id)
    assert (states(store)[run_id].state, states(store)[run_id].request) == (state, "cancel")


@pytest.mark.parametrize(
    ("state", "way_out"),
    [
        ("finished", "clone it"),
        ("failed", "resume it"),
        ("cancelled", "resume it"),
        ("lost", "resume it"),
    ],
)
def test_cancel_of_a_run_that_has_ended_names_state_and_way_out(store, state, way_out):
    run_id = submit_one(store, state)
    with pytest.raises(
        UserError, match=f"{run_id} is {state}, so there is nothing to cancel; {way_out}"
    ):
        cancel(store, run_id)


@pytest.mark.parametrize("state", ["lost", "failed", "cancelled"])
def test_resume_queues_the_next_attempt_and_tells_the_folder(store, state):
    run_id = submit_one(store, state)
    resume(store, run_id)
    run = states(store)[run_id]
    assert (run.state, run.attempt, run.request, run.reason, run.ended_at) == (
        "queued",
        2,
        None,
        None,
        None,
    )
    said = store.read_json(run_id, "control.json")
    assert (said["attempt"], said["request"]) == (2, None)
    assert said.get("lost", {}).get("reason") == ("it lost" if state == "lost" else None)


@pytest.mark.parametrize(
    ("state", "way_out"),
    [
        ("queued", "it goes on"),
        ("starting", "it goes on"),
        ("running", "it goes on"),
        ("finished", "clone it"),
    ],
)
def test_resume_of_a_run_that_needs_none_names_state_and_way_out(store, state, way_out):
    run_id = submit_one(store, state)
    with pytest.raises(UserError, match=f"{run_id} is {state}, so it can't be resumed; {way_out}"):
        resume(store, run_id)


@pytest.mark.parametrize("state", ["queued", "finished", "failed", "cancelled", "lost"])
def test_a_run_without_a_process_can_be_deleted(store, state):
    run_id = submit_one(store, state)
    delete(store, run_id)
    assert (states(store), folders(store)) == ({}, [])


@pytest.mark.parametrize("state", ["starting", "running"])
def test_a_live_run_is_not_deleted(store, state):
    run_id = submit_one(store, state)
    with pytest.raises(UserError, match=f"{run_id} is {state}; cancel it first, then delete it"):
        delete(store, run_id)
    assert store.run_ids() == [run_id]


def test_a_run_whose_process_is_still_ending_is_not_deleted(store, monkeypatch):
    monkeypatch.setattr("rdh.execution.queue.acts.SECONDS_TO_END", 0.1)
    run_id = submit_one(store, "finished")
    lock = take_lock(store.run_dir(run_id) / "alive.lock")
    with pytest.raises(UserError, match="its process is still ending"):
        delete(store, run_id)
    os.close(lock)
    delete(store, run_id)


def test_a_delete_waits_for_a_process_that_is_about_to_leave(store):
    run_id = submit_one(store, "finished")
    lock = take_lock(store.run_dir(run_id) / "alive.lock")
    leaving = threading.Timer(0.3, os.close, [lock])
    leaving.start()
    delete(store, run_id)
    assert states(store) == {} and not leaving.is_alive()


@pytest.mark.parametrize("make", [os.mkfifo, os.mkdir])
def test_weights_that_are_no_file_are_refused_at_once(store, tmp_path, make):
    """A pipe without a writer would block whoever opens it, and with it the whole queue."""
    make(tmp_path / "weights")
    config = make_config(
        dataset="cifar10", backbone="alexnet", image_size=64, weights=str(tmp_path / "weights")
    )
    reason = "not a regular file" if make is os.mkfifo else "Is a directory"
    with pytest.raises(UserError, match=rf"weights can't be read \({reason}\); set weights to"):
        submit(store, [config])


def test_files_of_a_person_are_looked_at_outside_the_transaction(store, monkeypatch):
    """While somebody's slow path is looked at, others can submit."""

    def slow(config: RunConfig) -> None:
        if config.seed == 1:
            assert len(submit(store, make_configs(1))) == 1

    monkeypatch.setattr("rdh.execution.queue.requests.check_possible", slow)
    submit(store, [make_config(seed=1)])
    assert len(states(store)) == 2


def test_there_are_limits_to_what_the_queue_takes(store, monkeypatch):
    monkeypatch.setattr("rdh.execution.queue.requests.MOST_AT_ONCE", 3)
    with pytest.raises(UserError, match="At most 3 runs can be launched at once, got 4; ask for"):
        submit(store, make_configs(4))
    monkeypatch.setattr("rdh.execution.queue.requests.MOST_WAITING", 4)
    submit(store, make_configs(3))
    with pytest.raises(UserError, match=r"At most 4 runs can wait .* holds 3 now, got 2 more"):
        submit(store, make_configs(2))
    assert len(folders(store)) == 3
    long = make_config().model_copy(update={"dataset_options": {"text": "x" * 100_000}})
    with pytest.raises(UserError, match="settings of a run must take at most 100000 bytes, got 10"):
        submit(store, [long])
    assert len(folders(store)) == 3


def test_the_folders_of_whoever_submits_are_kept_with_the_run(store, monkeypatch, tmp_path):
    monkeypatch.setenv("RDH_DATA", str(tmp_path / "data"))
    monkeypatch.setenv("RDH_CACHE", str(tmp_path / "cache"))
    (run_id,) = submit(store, make_configs())
    said = store.submission(run_id)
    assert (said["data_root"], said["cache_root"]) == (f"{tmp_path}/data", f"{tmp_path}/cache")


def test_names_that_are_not_utf_8_can_be_asked_for(store):
    odd = b"\xff".decode(errors="surrogateescape")
    run_ids = submit(store, make_configs(2), sweep=odd, token=odd)
    assert submit(store, make_configs(2), sweep=odd, token=odd) == run_ids
    assert submit(store, make_configs(3), sweep=odd)[:2] == run_ids
    assert {run.sweep for run in states(store).values()} == {r"\udcff"}


def test_all_broken_runs_of_a_sweep_are_resumed_at_once(store):
    run_ids = submit(store, make_configs(5), sweep="grid")
    other = submit_one(store, "failed")
    for run_id, state in zip(run_ids, RESULT_STATES, strict=False):
        put(store, run_id, state)
    assert resume_all(store, sweep="grid") == (run_ids[1:4], {})
    after = states(store)
    assert [after[run_id].state for run_id in run_ids] == ["finished", *["queued"] * 3, "paused"]
    assert [after[run_id].attempt for run_id in run_ids] == [1, 2, 2, 2, 1]
    assert resume_all(store) == ([other], {})
    with pytest.raises(UserError, match=r"There is no sweep 'gird' in .*lists the runs"):
        resume_all(store, sweep="gird")


def test_a_run_that_would_fail_again_is_resumed_only_by_its_name(store):
    (run_id,), other = submit(store, make_configs(1)), submit_one(store, "failed")
    record = {"state": "failed", "message": "The loss became nan.", "kind": "diverged"}
    store.write_json(run_id, "result.json", {"attempt": 1, "step": 7} | record)
    resumed, refused = resume_all(store)
    assert resumed == [other] and refused.keys() == {run_id}
    assert f"`python -m rdh runs resume {run_id}` resumes it anyway" in refused[run_id]
    assert states(store)[run_id].state == "failed"
    resume(store, run_id)
    assert (states(store)[run_id].state, states(store)[run_id].attempt) == ("queued", 2)


def test_a_run_whose_folder_was_removed_can_still_be_deleted(store):
    run_id = submit_one(store, "finished")
    store.delete(run_id)
    delete(store, run_id)
    assert states(store) == {}


@pytest.mark.parametrize("ask", [cancel, resume, delete])
def test_a_run_that_is_not_there_is_named(store, ask):
    with pytest.raises(UserError, match="There is no run hashnet-32-s0-ffffff"):
        ask(store, "hashnet-32-s0-ffffff")


def test_a_folder_that_was_copied_in_can_be_cancelled_before_any_supervisor_saw_it(store):
    submit_one(store)
    run_id = store.create(make_configs()[0])
    cancel(store, run_id)
    assert states(store)[run_id].state == "cancelled"
