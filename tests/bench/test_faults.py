"""The campaign of faults: its audit catches what is false, and a short one finds nothing."""

import contextlib
import os
import random
import sqlite3
import subprocess
import sys

import pytest

from rdh import execution
from rdh.bench import _faults_registry, faults
from rdh.bench._faults_kinds import FAULTS, damage
from rdh.bench._faults_world import MARK, Told, World, audit, settle, tidy
from rdh.config.run_config import make_config
from tests.execution.conftest import wait_for


@pytest.fixture
def world(tmp_path, monkeypatch) -> World:
    """One waiting run, and no supervisor."""
    monkeypatch.setenv("RDH_FREE_MB", "0")
    monkeypatch.setenv(MARK, str(tmp_path / "runs"))
    world = World(tmp_path / "runs")
    config = make_config()
    (run_id,) = execution.submit(world.store, [config])
    world.told[run_id] = Told(config)
    return world


def become(world: World, state: str, **result: object) -> str:
    (run_id,) = world.told
    with world.registry.write() as db:
        db.execute("UPDATE runs SET state = ? WHERE run_id = ?", (state, run_id))
    if result:
        world.store.write_json(run_id, "result.json", {"attempt": 1, "state": state} | result)
    return run_id


def test_a_run_that_waits_while_slots_are_free_is_noticed(world):
    assert audit(world) == ["1 runs wait while 3 slots are free"]


def test_a_run_without_its_process_is_noticed(world):
    run_id = become(world, "running")
    assert audit(world) == [f"{run_id} is running without a process"]


@pytest.mark.parametrize("state", ["cancelled", "paused", "lost", "failed"])
def test_a_state_that_nobody_caused_is_noticed_and_one_that_was_caused_is_not(world, state):
    run_id = become(world, state, message="why")
    assert audit(world) == [f"{run_id} is {state}, which nobody caused: why"]
    told = world.told[run_id]
    told.asked = {"cancelled": "cancel", "paused": "pause"}.get(state)
    told.hurt = told.is_short = True
    assert audit(world) == []


def test_a_process_that_is_left_and_a_request_that_is_not_seen_through_are_noticed(world):
    run_id = become(world, "finished", step=1)
    marks = {"RDH_RUN_ID": run_id, "RDH_ATTEMPT": "1", "RDH_RUNS": str(world.root.resolve())}
    sleep = subprocess.Popen(
        [sys.executable, "-c", "input()"], stdin=subprocess.PIPE, env=os.environ | marks
    )
    try:
        assert audit(world) == [f"a process of {run_id}, attempt 1, is left"]
    finally:
        sleep.communicate(b"\n")
    world.told[run_id].asked = "cancel"
    assert audit(world) == []  # it finished before it was cancelled
    (world.store.run_dir(run_id) / "result.json").unlink()
    become(world, "queued")
    assert f"{run_id} is queued after a request to cancel" in audit(world)


def test_a_corrupt_store_is_noticed_unless_the_campaign_did_it(world):
    run_id = become(world, "finished", step=1)
    path = world.store.run_dir(run_id) / "metrics.db"
    with sqlite3.connect(path) as db:
        db.execute("CREATE TABLE records (seq INTEGER)")
    content = bytearray(path.read_bytes())
    content[4096:4100] = b"\xff" * 4
    path.write_bytes(content)
    assert any("metrics.db: " in one for one in audit(world))
    world.told[run_id].tainted.add("metrics.db")
    assert audit(world) == []


def test_damaged_registries_are_made_anew(tmp_path):
    found = _faults_registry.measure(random.Random(7), 12)
    assert found == {"damaged": 12, "right at once": 12, "took a request": 12, "wrong": []}


def test_the_same_seed_damages_a_file_in_the_same_way(tmp_path):
    contents = []
    for name in ("a", "b"):
        (tmp_path / name).write_bytes(bytes(range(256)))
        damage(tmp_path / name, random.Random(3), may_delete=False)
        contents.append((tmp_path / name).read_bytes())
    assert contents[0] == contents[1] != bytes(range(256))


BRIEF = (  # one of each class: alone, together, polite, frozen, damaged, asked
    "kill -9 worker",
    "kill -9 everything",
    "SIGTERM worker",
    "SIGSTOP, SIGCONT",
    "file of the root damaged",
    "cancel, pause, priority",
)


def newest_step(world: World) -> int:
    """Of the only run's records; 0 before the first."""
    (run_id,) = world.told
    with (
        contextlib.suppress(sqlite3.Error),
        sqlite3.connect(world.root / run_id / "metrics.db") as db,
    ):
        return db.execute("SELECT COALESCE(MAX(step), 0) FROM records").fetchone()[0]
    return 0


@pytest.mark.process
def test_one_moment_of_each_class_leaves_every_state_true_and_the_same_codes(tmp_path, monkeypatch):
    root, rng = tmp_path / "runs", random.Random(5)
    for name, value in {"RDH_SLOTS": "1", "RDH_FREE_MB": "0", MARK: str(root)}.items():
        monkeypatch.setenv(name, value)
    world = World(root, [{"method": "dch", "amplifier": True, "epochs": 10}], n_slots=1)
    try:
        world.learn()
        world.top_up()
        for name in rng.sample(BRIEF, len(BRIEF)):
            step = rng.randrange(16, 64)  # of 160; there is a checkpoint
            wait_for(lambda step=step: newest_step(world) >= step, f"step {step} before {name}")
            assert FAULTS[name](world, rng) is None
            assert (settle(world)[1], tidy(world)) == ([], []), name
            world.top_up()
        (run_id,) = world.told
        wait_for(lambda: execution.states(world.store)[run_id].state == "finished", "the end")
        assert tidy(world) == []
        assert world.finished >= 1 and world.resumed >= 1
    finally:
        world.close()


@pytest.mark.slow
@pytest.mark.process
def test_a_short_campaign_finds_every_state_true(monkeypatch):
    for name in ("RDH_SLOTS", "RDH_FREE_MB", MARK):
        monkeypatch.setenv(name, "")  # the campaign sets them
    result = faults.measure(seed=4, moments=8, registries=4)
    assert result["wrong"] == [] and sum(result["faults"].values()) == 8
    assert set(result["faults"]) <= {*FAULTS, "disk full"}
    assert "things wrong" in faults.table(result)
