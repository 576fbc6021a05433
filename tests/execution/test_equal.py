"""Runs with the same settings are found by one question to the registry."""

from rdh import execution
from rdh.config.run_config import make_config
from rdh.store.run_store import RunStore


def test_runs_with_the_same_settings_are_found_oldest_first_also_with_a_damaged_registry(tmp_path):
    store = RunStore(tmp_path / "runs")
    configs = [make_config(seed=seed) for seed in (0, 1, 0)]
    first, other, second = execution.submit(store, configs)
    hashes = [config.hash for config in configs]
    expected = {hashes[0]: [first, second], hashes[1]: [other]}
    assert execution.equal_runs(store, [*hashes, make_config(seed=7).hash]) == expected
    (store.root / "registry.db").write_bytes(b"no database at all" * 100)
    assert execution.equal_runs(store, hashes) == expected
    assert execution.equal_runs(store, []) == {}


def test_only_finished_runs_say_what_to_expect(tmp_path):
    store = RunStore(tmp_path / "runs")
    config = make_config(seed=1)
    ids = [execution.submit(store, [config])[0] for _ in range(2)]
    assert execution.finished_runs(store, [config.hash]) == {}
    store.write_json(ids[1], "result.json", {"attempt": 1, "state": "finished"})
    assert execution.finished_runs(store, [config.hash]) == {config.hash: [ids[1]]}
