"""The run store on a real disk."""

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from rdh.config.run_config import make_config
from rdh.errors import UserError
from rdh.execution import submit
from rdh.files import read_arrays, read_json, write_arrays, write_json
from rdh.store import run_store
from rdh.store.run_store import RunStore
from tests.execution.conftest import wait_for


@pytest.fixture
def store(tmp_path: Path) -> RunStore:
    return RunStore(tmp_path / "runs")


def edit_config(store: RunStore, run_id: str, change: dict) -> None:
    path = store.root / run_id / "config.json"
    submission = json.loads(path.read_text())
    path.write_text(json.dumps(submission | change))


def test_a_new_run_can_be_read_back(store):
    config = make_config(
        method="dpsh", amplifier=True, quantization="error_aware", n_bits=24, seed=3
    )
    run_id = store.create(config, sweep="night")
    assert run_id.startswith("dpsh-rdh-24-s3-")
    assert store.config(run_id) == config
    submission = store.submission(run_id)
    assert submission["run_id"] == run_id and submission["sweep"] == "night"
    assert submission["config_hash"] == config.hash
    assert store.run_dir(run_id).name == run_id


def test_the_arm_stands_in_the_run_id(store):
    assert store.create(make_config(amplifier=True)).startswith("hashnet-ga-32-s0-")
    assert store.create(make_config(quantization="none")).startswith("hashnet-noq-32-s0-")


def test_equal_configs_get_different_folders(store):
    assert len({store.create(make_config()) for _ in range(20)}) == 20


def test_runs_are_listed_oldest_submission_first_even_after_a_copy(store, tmp_path):
    ids = [store.create(make_config(seed=seed)) for seed in range(4)]
    for place, run_id in enumerate(reversed(ids)):  # what `cp -r` does to the times of files
        os.utime(store.root / run_id / "config.json", (place, place))
    assert store.run_ids() == ids
    assert RunStore(store.root).run_ids() == ids


def test_other_folders_and_files_are_no_runs(store, tmp_path):
    run_id = store.create(make_config())
    (store.root / "not-a-run").mkdir()
    (store.root / "registry.db").write_text("")
    (store.root / ".new-abcdef").mkdir()
    (store.root / ".new-abcdef" / "config.json").write_text("{}")
    (store.root / "linked-run-1").symlink_to(store.root / run_id)
    assert store.run_ids() == [run_id]
    with pytest.raises(UserError, match="There is no run linked-run-1"):
        store.run_dir("linked-run-1")


@pytest.mark.parametrize(
    "name",
    [
        "../../etc",
        "/etc/passwd",
        "a",
        "A" * 10,
        "hashnet 32",
        "hashnet-32-s0-abc\n",
        "x" * 81,
        ".new-abc",
        "",
        None,
    ],
)
def test_a_name_that_is_no_run_id_never_becomes_a_path(store, name):
    with pytest.raises(UserError, match="run must be an id like"):
        store.run_dir(name)


def test_a_missing_run_names_the_way_out(store):
    with pytest.raises(
        UserError, match=r"There is no run hashnet-1 in .*`python -m rdh runs` lists them"
    ):
        store.config("hashnet-1")


def test_a_file_in_place_of_the_root_is_one_sentence(tmp_path):
    (tmp_path / "runs").write_text("")
    for root in (tmp_path / "runs", tmp_path / "runs" / "deeper"):
        with pytest.raises(
            UserError, match=r"is a file; name another folder by --runs or RDH_RUNS"
        ):
            RunStore(root)


def test_a_tilde_is_the_home_folder(tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    assert RunStore("~/runs").root == tmp_path / "runs"


def test_an_edited_config_is_refused_with_the_reason(store):
    run_id = store.create(make_config())
    config = store.submission(run_id)["config"]
    edit_config(store, run_id, {"config": config | {"lr": 0.5}})
    with pytest.raises(UserError, match="was edited after its launch"):
        store.config(run_id)
    assert store.run_ids() == [run_id]  # still listed: its page says what is wrong


@pytest.mark.parametrize(
    "text", ["", "{", "[]", '{"config": 3}', '{"config": {}, "config_hash": "x"}']
)
def test_a_torn_config_is_refused_in_one_sentence(store, text):
    run_id = store.create(make_config())
    (store.root / run_id / "config.json").write_text(text)
    with pytest.raises(UserError, match=rf"config.json of run {run_id} can't be read"):
        store.submission(run_id)


def test_a_config_that_predates_a_setting_still_opens(store):
    """A later version may add a field: old runs lack it, and are not 'edited' for that."""
    from rdh.config.run_config import digest

    run_id = store.create(make_config(seed=5))
    fields = store.submission(run_id)["config"]
    del fields["hash_lr_scale"]
    edit_config(store, run_id, {"config": fields, "config_hash": digest(fields)})
    assert store.config(run_id) == make_config(seed=5)


def test_a_config_of_a_newer_version_says_so(store):
    from rdh.config.run_config import digest

    run_id = store.create(make_config())
    fields = store.submission(run_id)["config"] | {"teleport": True}
    edit_config(store, run_id, {"config": fields, "config_hash": digest(fields)})
    with pytest.raises(
        UserError, match="not fit this version of the program: 'teleport' is not a setting"
    ):
        store.config(run_id)


def test_a_torn_json_reads_as_missing(store):
    run_id = store.create(make_config())
    assert store.read_json(run_id, "result.json") is None
    (store.root / run_id / "result.json").write_text('{"state": "fin')
    assert store.read_json(run_id, "result.json") is None
    store.write_json(run_id, "result.json", {"state": "finished"})
    assert store.read_json(run_id, "result.json") == {"state": "finished"}


def test_a_failed_write_leaves_the_old_file_and_no_draft(tmp_path):
    path = tmp_path / "notes.json"
    write_json(path, {"note": "old"})
    with pytest.raises(ValueError, match="JSON"):
        write_json(path, {"note": float("nan")})
    with pytest.raises(TypeError):
        write_json(path, {"note": object()})
    assert read_json(path) == {"note": "old"}
    assert [file.name for file in tmp_path.iterdir()] == ["notes.json"]


@pytest.mark.process
def test_json_is_whole_to_a_reader_beside_the_writer(tmp_path):
    """A real second process replaces the file as fast as it can."""
    path = tmp_path / "hb.json"
    write_json(path, {"seq": 0, "fill": "x" * 20000})
    script = (
        "import sys; from pathlib import Path; from rdh.store.run_store import write_json\n"
        "for seq in range(1, 201): write_json(Path(sys.argv[1]), {'seq': seq, 'fill': 'x' * 20000})"
    )
    with subprocess.Popen([sys.executable, "-c", script, str(path)]) as writer:
        last = 0
        while last < 200:
            beat = read_json(path)
            assert beat is not None and len(beat["fill"]) == 20000 and beat["seq"] >= last
            last = beat["seq"]
            assert writer.poll() in (None, 0)


def test_a_run_is_seen_whole_or_not_at_all(store):
    seen = []
    run_id = store.create(
        make_config(), prepare=lambda folder: seen.append((folder, store.run_ids()))
    )
    (folder, ids) = seen[0]
    assert ids == [] and folder.name.startswith(".new-") and not folder.exists()
    assert store.run_ids() == [run_id]


@pytest.mark.parametrize("error", [KeyboardInterrupt, RuntimeError])
def test_an_interrupted_creation_leaves_nothing(store, error):
    def interrupt(folder: Path) -> None:
        raise error

    with pytest.raises(error):
        store.create(make_config(), prepare=interrupt)
    assert list(store.root.iterdir()) == []


def test_a_full_disk_at_creation_is_one_sentence(store):
    def fill(folder: Path) -> None:
        raise OSError(28, "No space left on device")

    with pytest.raises(
        UserError, match=r"can't be stored in .*: No space left on device. Nothing was launched"
    ):
        store.create(make_config(), prepare=fill)
    assert list(store.root.iterdir()) == []


def test_delete_removes_the_folder_alone(store):
    first, second = (store.create(make_config(seed=seed)) for seed in range(2))
    store.delete(first)
    assert store.run_ids() == [second]
    assert [entry.name for entry in store.root.iterdir()] == [second]
    with pytest.raises(UserError, match="There is no run"):
        store.delete(first)


def test_arrays_come_back_as_they_were(tmp_path):
    arrays = {"ids": np.arange(5), "bits": np.eye(3, dtype=np.uint8), "names": np.array(["a", "ß"])}
    write_arrays(tmp_path / "codes.npz", arrays)
    back = read_arrays(tmp_path / "codes.npz")
    assert set(back) == set(arrays)
    for name, array in arrays.items():
        np.testing.assert_array_equal(back[name], array)
    assert [file.name for file in tmp_path.iterdir()] == ["codes.npz"]


def test_damaged_arrays_are_one_sentence(tmp_path):
    path = tmp_path / "split.npz"
    write_arrays(path, {"ids": np.random.default_rng(0).integers(0, 9, 5000)})
    whole = path.read_bytes()
    damaged = {
        "empty": b"",
        "cut": whole[: len(whole) // 2],
        "text": b"hello",
        "flipped": bytearray(whole),
    }
    damaged["flipped"][200:400] = bytes(200)
    for content in damaged.values():
        path.write_bytes(bytes(content))
        with pytest.raises(UserError, match=r"split.npz of run .* can't be read"):
            read_arrays(path)
    with pytest.raises(UserError, match="can't be read"):
        read_arrays(tmp_path / "missing.npz")


def test_pickled_arrays_are_refused(tmp_path):
    np.savez(tmp_path / "codes.npz", ids=np.array([{"a": 1}], dtype=object))
    with pytest.raises(UserError, match="can't be read"):
        read_arrays(tmp_path / "codes.npz")


# What was edited by hand


def test_json_nested_too_deep_reads_as_missing(store):
    run_id = store.create(make_config())
    (store.root / run_id / "config.json").write_text("[" * 100_000)
    assert store.run_ids() == [run_id]
    with pytest.raises(UserError, match="can't be read"):
        store.config(run_id)


@pytest.mark.parametrize("when", ["soon", None, True, 10**400, float("inf")])
def test_a_submission_without_a_time_is_listed_and_refused(store, when):
    run_id = store.create(make_config())
    edit_config(store, run_id, {"submitted_at": when})
    assert store.run_ids() == [run_id]
    with pytest.raises(UserError, match="can't be read"):
        store.submission(run_id)


def test_fields_of_the_wrong_type_are_left_out(store):
    run_id = store.create(make_config())
    assert store.heartbeat(run_id) == {} and store.result(run_id) == {}
    beat = {
        "step": "abc",
        "total_steps": 10**400,
        "at": True,
        "phase": 3,
        "done": 1,
        "of": 2.5,
        "host": "here",
        "pid": 7,
    }
    store.write_json(run_id, "hb.json", beat)
    assert store.heartbeat(run_id) == {"done": 1, "of": 2.5, "host": "here", "pid": 7}
    store.write_json(
        run_id, "result.json", {"state": "finished", "metrics": 5, "step": "a", "seconds": None}
    )
    assert store.result(run_id) == {"state": "finished"}
    text = (
        '{"state": [], "kind": null, "seconds": Infinity, "step": 3, "metrics": {"map": '
        '0.5, "a": "x", "b": NaN}}'
    )
    (store.root / run_id / "result.json").write_text(text)
    assert store.result(run_id) == {"step": 3, "metrics": {"map": 0.5}}
    (store.root / run_id / "result.json").write_text('{"state": "fin')
    assert store.result(run_id) == {}


@pytest.mark.parametrize("root", ["", None, 3, "a\0b", "~nosuchuser/x"])
def test_a_root_that_is_no_path_is_one_sentence(root):
    with pytest.raises(
        UserError,
        match=r"^The runs folder .*(must be a path|is not a path).* by --runs or RDH_RUNS\.$",
    ):
        RunStore(root)


def test_a_data_folder_that_is_no_path_refuses_the_launch(store, monkeypatch):
    monkeypatch.setenv("RDH_DATA", "~nosuchuser/x")
    with pytest.raises(
        UserError,
        match=r"The data folder '~nosuchuser/x' is not a path .* --data-root or RDH_DATA\.",
    ):
        submit(store, [make_config()])
    assert store.run_ids() == []


@pytest.mark.parametrize(
    "fields",
    [{}, {"method": "dpsh", "method_options": {"pairs": "in_batch"}}, {"amplifier": True}],
)
def test_the_hash_in_the_folder_is_that_of_the_config_so_that_a_sweep_finds_its_runs(store, fields):
    config = make_config(**fields)
    run_id = store.create(config)
    assert store.submission(run_id)["config_hash"] == config.hash == store.config(run_id).hash
    assert store.config(run_id) == config


def test_a_resumed_run_goes_on_from_its_newest_checkpoint_or_from_the_start(tmp_path):
    store = RunStore(tmp_path / "runs")
    run_id = store.create(make_config())
    assert store.resume_step(run_id) == 0
    folder = store.run_dir(run_id) / "checkpoints"
    folder.mkdir(exist_ok=True)
    for name in ("000000320.pt", "000001280.pt", ".draft-77"):
        (folder / name).touch()
    assert store.resume_step(run_id) == 1280


def test_a_file_is_seen_as_soon_as_it_is_there_though_its_absence_is_remembered(store, monkeypatch):
    monkeypatch.setattr(run_store, "SECONDS_OF_A_CLOCK", 0.05)
    run_id = store.create(make_config())
    path, elsewhere = store.run_dir(run_id) / "result.json", store.root / "elsewhere"
    path.symlink_to(elsewhere)
    for makes, removes in (
        (lambda: elsewhere.write_text("{}"), path.unlink),  # a link that led nowhere
        (lambda: path.write_text("{}"), path.unlink),
    ):
        wait_for(lambda: not any(store.stamps(run_id)[1:]) and run_id in store._missing, "a look")
        makes()
        assert [bool(stamp) for stamp in store.stamps(run_id)] == [True, True, False]
        removes()
        store._missing.clear()
    before = store.stamps(run_id)
    (path.parent / "config.json").write_text("{")  # in place: the folder does not change
    assert store.stamps(run_id)[0] != before[0]
