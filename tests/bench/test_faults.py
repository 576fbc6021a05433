"""The campaign of faults: its audit catches what is false, and a short one finds nothing."""

import os
import random
import sqlite3
import subprocess
import sys

import pytest

from rdh import execution
from rdh.bench import _faults_registry, faults
from rdh.bench._faults_kinds import FAULTS, damage
from rdh.bench._faults_world import MARK, Told, World, audit
from rdh.config.run_config import make_config


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
    assert audit(world) == ["1 runs wait while 2 slots are free"]


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


@pytest.mark.slow
def test_a_short_campaign_finds_every_state_true(monkeypatch):
    for name in ("RDH_SLOTS", "RDH_FREE_MB", MARK):
        monkeypatch.setenv(name, "")  # the campaign sets them
    result = faults.measure(seed=4, moments=8, registries=4)
    assert result["wrong"] == [] and sum(result["faults"].values()) == 8
    assert set(result["faults"]) <= {*FAULTS, "disk full"}
    assert "things wrong" in faults.table(result)
