"""The feature cache: keys, interruption, waiting, damage, full disks.

Waiting is between real processes.
"""

import json
import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from rdh.datasets import load
from rdh.errors import UserError
from rdh.inputs import features
from rdh.inputs.features import extract_features
from tests.full_disk import file_limit
from tests.toy_archives import make_folders
from tests.toy_images import (
    Interrupted,
    Pictures,
    expected_features,
    interrupt_at,
    matrix_backbone,
    toy_backbone,
)

pytestmark = pytest.mark.usefixtures("toy_backbone")
__all__ = ["toy_backbone"]  # a fixture is used by its name
HOUSE = Path(__file__).parents[2]
PATIENCE = 600.0  # seconds; far above what anything here takes


def extract(dataset: Pictures, root: Path, **options: Any) -> tuple[np.ndarray, list[int]]:
    options = {
        "device": torch.device("cpu"),
        "bad_images": "skip",
        "log": lambda text: None,
    } | options
    return extract_features(dataset, "matrix", 4, root=root, **options)


def the_folder(root: Path) -> Path:
    (folder,) = (root / "features").iterdir()
    return folder


def wait_until(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < deadline, "waited in vain"
        time.sleep(0.01)


def test_features_equal_those_of_single_images_and_bad_ones_are_zero(tmp_path):
    dataset = Pictures(n=43, bad=(3, 41))
    values, bad = extract(dataset, tmp_path)
    np.testing.assert_allclose(values, expected_features(dataset), rtol=2e-3, atol=2e-3)
    assert bad == [3, 41] and values.shape == (43, 3) and values.dtype == np.float16
    assert isinstance(values, np.memmap) and not values.flags.writeable


def test_images_of_unequal_sizes_are_extracted_too(tmp_path):
    dataset = Pictures(sizes=True, bad=(7,))
    values, bad = extract(dataset, tmp_path)
    np.testing.assert_allclose(
        values, expected_features(dataset), atol=0.05
    )  # resized as uint8 first: half a grey value
    assert bad == [7]


def test_the_second_call_reads_no_image(tmp_path):
    first, _ = extract(Pictures(bad=(3,)), tmp_path)
    again = Pictures(bad=(3,))
    second, bad = extract(again, tmp_path)
    np.testing.assert_array_equal(first, second)
    assert again.read == [] and bad == [3]
    assert {path.name for path in the_folder(tmp_path).iterdir()} == {
        "features.npy",
        "meta.json",
        "lock",
    }


@pytest.mark.parametrize("change", ["images", "stamp", "size", "weights", "backbone", "number"])
def test_anything_that_changes_the_features_gets_a_cache_of_its_own(tmp_path, change, monkeypatch):
    extract(Pictures(), tmp_path)
    dataset, name, size = Pictures(), "matrix", 4
    if change == "images":
        dataset = Pictures(fingerprint="others")
    if change == "stamp":  # a file was overwritten by one of its size
        dataset.stamp = "later"
    if change == "number":
        dataset = Pictures(n=41)
    if change == "size":
        size = 5
    if change == "backbone":
        name = "other"
    if change == "weights":
        backbone = matrix_backbone()
        monkeypatch.setattr(
            features, "build", lambda *_: type(backbone)(**{**vars(backbone), "weights": "new.pth"})
        )
    extract_features(dataset, name, size, device=torch.device("cpu"), root=tmp_path)
    assert len(list((tmp_path / "features").iterdir())) == 2 and len(dataset.read) == len(dataset)


def test_an_interrupted_extraction_goes_on_where_it_stopped(tmp_path):
    first = Pictures(bad=(3, 33))
    with pytest.raises(Interrupted):
        extract(first, tmp_path, progress=interrupt_at(20))
    seen, second = [], Pictures(bad=(3, 33))
    values, bad = extract(second, tmp_path, progress=lambda done, total: seen.append((done, total)))
    assert sorted(second.read) == list(range(20, 40)) and seen == [
        (25, 40),
        (30, 40),
        (35, 40),
        (40, 40),
    ]
    assert bad == [3, 33]
    np.testing.assert_allclose(values, expected_features(second), rtol=2e-3, atol=2e-3)


@pytest.mark.parametrize("part", ["features.npy", "partial.json"])
def test_a_process_that_died_at_the_very_end_loses_nothing(tmp_path, part):
    """All images are done, but the cache folder was not finished."""
    with pytest.raises(Interrupted):
        extract(Pictures(), tmp_path, progress=interrupt_at(40))
    if part == "partial.json":  # died between the last two renames
        folder = the_folder(tmp_path)
        state = (folder / "partial.json").read_text()
        extract(Pictures(), tmp_path)
        (folder / "partial.json").write_text(state)
    again = Pictures()
    values, _ = extract(again, tmp_path)
    assert again.read == []
    np.testing.assert_allclose(values, expected_features(again), rtol=2e-3, atol=2e-3)


@pytest.mark.parametrize(
    "damage",
    [
        lambda folder: (folder / "partial.json").write_text('{"done": 2'),
        lambda folder: (folder / "partial.json").write_text('{"done": "many", "bad": []}'),
        lambda folder: (folder / "partial.json").write_text('{"done": 4000, "bad": []}'),
        lambda folder: (folder / "partial.json").write_text("[]"),
        lambda folder: (folder / "partial.json").unlink(),
        lambda folder: (folder / "partial.npy").unlink(),
        lambda folder: (folder / "partial.npy").write_bytes(
            (folder / "partial.npy").read_bytes()[:150]
        ),
        lambda folder: (folder / "partial.npy").write_bytes(b"x" * 5000),
    ],
)
def test_damaged_partial_files_are_done_again(tmp_path, damage):
    with pytest.raises(Interrupted):
        extract(Pictures(bad=(3,)), tmp_path, progress=interrupt_at(20))
    damage(the_folder(tmp_path))
    again = Pictures(bad=(3,))
    values, bad = extract(again, tmp_path)
    assert sorted(again.read) == list(range(40)) and bad == [3]
    np.testing.assert_allclose(values, expected_features(again), rtol=2e-3, atol=2e-3)


def test_rows_behind_the_last_state_are_written_again(tmp_path):
    """Killed between the rows and the state that counts them."""
    with pytest.raises(Interrupted):
        extract(Pictures(), tmp_path, progress=interrupt_at(20))
    folder = the_folder(tmp_path)
    with (folder / "partial.npy").open("ab") as file:
        file.write(b"\xff" * 21)
    values, _ = extract(Pictures(), tmp_path)
    np.testing.assert_allclose(values, expected_features(Pictures()), rtol=2e-3, atol=2e-3)
    assert (folder / "features.npy").stat().st_size == 128 + 40 * 3 * 2


@pytest.mark.parametrize(
    ("damage", "sentence"),
    [
        (lambda folder: (folder / "meta.json").write_text("{"), "no readable meta.json"),
        (lambda folder: (folder / "meta.json").unlink(), "no readable meta.json"),
        (
            lambda folder: (folder / "meta.json").write_text('{"dataset": "pictures"}'),
            "no readable meta.json",
        ),
        (
            lambda folder: change_meta(folder, images="of somebody else"),
            "belong to other data or were made in another way",
        ),
        (
            lambda folder: change_meta(folder, weights="others.pth"),
            "belong to other data or were made in another way",
        ),
        (lambda folder: os.truncate(folder / "features.npy", 200), "are damaged"),
        (lambda folder: (folder / "features.npy").write_bytes(b"not an array"), "are damaged"),
        (lambda folder: (folder / "features.npy").write_bytes(b""), "are damaged"),
        (
            lambda folder: np.save(folder / "features.npy", np.zeros((7, 3), np.float16)),
            "are damaged",
        ),
    ],
)
def test_a_damaged_or_foreign_cache_is_one_sentence_that_names_the_folder(
    tmp_path, damage, sentence
):
    extract(Pictures(), tmp_path)
    folder = the_folder(tmp_path)
    damage(folder)
    with pytest.raises(UserError, match=sentence) as caught:
        extract(Pictures(), tmp_path)
    assert f"delete the folder {folder}" in str(caught.value) and "\n" not in str(caught.value)


def change_meta(folder: Path, **fields: str) -> None:
    meta = json.loads((folder / "meta.json").read_text())
    (folder / "meta.json").write_text(json.dumps(meta | fields))


def test_a_bad_image_stops_the_extraction_unless_it_is_skipped(tmp_path):
    with pytest.raises(UserError, match=r"picture 12 cannot be decoded\. .+bad_images=skip"):
        extract(Pictures(bad=(12,)), tmp_path, bad_images="stop")
    skipping = Pictures(bad=(12,))
    assert extract(skipping, tmp_path)[1] == [12]
    assert sorted(skipping.read) == list(range(10, 40))  # the two batches before it were kept
    with pytest.raises(
        UserError,
        match=r"1 image of pictures can't be decoded: item 12 of pictures; replace "
        r".+bad_images=skip",
    ):
        extract(Pictures(bad=(12,)), tmp_path, bad_images="stop")


def test_a_batch_without_any_readable_image_is_skipped(tmp_path):
    dataset = Pictures(n=12, bad=tuple(range(5, 12)))
    values, bad = extract(dataset, tmp_path)
    assert bad == list(range(5, 12)) and not values[5:].any() and values[:5].all()


def test_a_full_disk_is_one_sentence_and_what_is_done_is_kept(tmp_path):
    wide = Pictures(n=400)
    with (
        file_limit(2000),
        pytest.raises(
            UserError, match=r"Features can't be written to .+; free space there, or .+RDH_CACHE"
        ),
    ):
        extract(wide, tmp_path)
    again = Pictures(n=400)
    values, _ = extract(again, tmp_path)
    assert 100 < min(again.read) < 400 and max(again.read) == 399
    np.testing.assert_allclose(values, expected_features(again), rtol=2e-3, atol=2e-3)


def test_a_cache_that_can_not_be_made_is_one_sentence_without_a_word_of_space(tmp_path):
    (tmp_path / "file").write_text("")
    for place in (tmp_path / "file", Path("/proc/nope")):
        with pytest.raises(
            UserError, match=r"Features can't be written to .+; set RDH_CACHE to a folder that can"
        ) as told:
            extract(Pictures(), place)
        assert "space" not in str(told.value) and "kept" not in str(told.value)


def test_repaired_images_get_features_without_anything_being_deleted(tmp_path):
    make_folders(tmp_path / "image_folder", {"ant": 6, "bee": 6})
    files = sorted((tmp_path / "image_folder").rglob("*.png"))[:7]
    whole = [path.read_bytes() for path in files]
    for path, content in zip(files, whole, strict=True):
        path.write_bytes(b"x" * len(content))
    _, bad = extract(load("image_folder", tmp_path), tmp_path / "cache")
    assert bad == list(range(7))
    with pytest.raises(UserError) as told:
        extract(load("image_folder", tmp_path), tmp_path / "cache", bad_images="stop")
    names = ", ".join(f"ant/{number:03}.png" for number in range(5))
    assert (
        f"7 images of image_folder can't be decoded: {names} and 2 more; replace them, "
        f"which is enough" in str(told.value)
    )
    for path, content in zip(files, whole, strict=True):
        path.write_bytes(content)
        later = path.stat().st_mtime_ns + 10**9  # whatever the clock's grain
        os.utime(path, ns=(later, later))
    values, bad = extract(load("image_folder", tmp_path), tmp_path / "cache", bad_images="stop")
    assert bad == [] and values.any(axis=1).all()


@pytest.mark.parametrize("value", [float("nan"), float("inf"), 1e6])
def test_features_that_are_no_numbers_or_beyond_float16_are_refused_and_not_kept(
    tmp_path, monkeypatch, value
):
    def spoiled(*_: Any) -> Any:
        made = matrix_backbone()
        made.module[1].weight.data[1] = value
        return made

    monkeypatch.setattr(features, "build", spoiled)
    sentence = (
        r"backbone matrix gives features that are not numbers or beyond 65504 for item 0 "
        r"of pictures, .+; set weights"
    )
    for _ in range(2):
        with pytest.raises(UserError, match=sentence):
            extract(Pictures(), tmp_path)
    assert not list(tmp_path.rglob("features.npy"))


def test_a_cache_that_an_earlier_version_left_right_in_the_cache_folder_is_still_used(tmp_path):
    extract(Pictures(), tmp_path)
    folder = the_folder(tmp_path)
    assert folder.parent == tmp_path / "features"
    folder.rename(tmp_path / folder.name)
    again = Pictures()
    extract(again, tmp_path)
    assert again.read == [] and list((tmp_path / "features").iterdir()) == []


# Two processes


@pytest.fixture
def first_process(tmp_path: Path) -> Iterator[tuple[subprocess.Popen, Path, Path]]:
    """(process, its cache, its gate). It holds the lock and waits after 10 of 40 pictures."""
    cache, gate = tmp_path / "cache", tmp_path / "gate"
    process = subprocess.Popen(
        [sys.executable, "-m", "tests.toy_images", str(cache), str(gate)],
        cwd=HOUSE,
        env=os.environ | {"OMP_NUM_THREADS": "1"},
    )
    wait_until(lambda: gate.with_suffix(".waiting").exists() or process.poll() is not None)
    yield process, cache, gate
    process.kill()
    process.wait()


def extract_in_thread(
    dataset: Pictures, cache: Path, lines: list[str]
) -> tuple[threading.Thread, list[Any]]:
    result: list[Any] = []
    thread = threading.Thread(
        target=lambda: result.append(extract(dataset, cache, log=lines.append))
    )
    thread.start()
    wait_until(lambda: bool(lines))
    return thread, result


def test_a_second_process_waits_for_the_first_and_takes_its_features(first_process):
    process, cache, gate = first_process
    dataset, lines = Pictures(bad=(3,)), []
    thread, result = extract_in_thread(dataset, cache, lines)
    assert lines == ["waiting: another run is making the same features"] and thread.is_alive()
    gate.touch()
    assert process.wait(PATIENCE) == 0
    thread.join(PATIENCE)
    assert dataset.read == [] and result[0][1] == [3]
    np.testing.assert_allclose(result[0][0], expected_features(dataset), rtol=2e-3, atol=2e-3)


def test_a_killed_process_leaves_its_work_to_the_one_that_waits(first_process):
    process, cache, _ = first_process
    with pytest.raises(Interrupted):  # a run that waits can be cancelled
        extract(Pictures(), cache, progress=interrupt_at(0))
    dataset = Pictures(bad=(3,))
    thread, result = extract_in_thread(dataset, cache, [])
    process.kill()
    thread.join(PATIENCE)
    assert sorted(dataset.read) == list(range(10, 40)) and result[0][1] == [3]
    np.testing.assert_allclose(result[0][0], expected_features(dataset), rtol=2e-3, atol=2e-3)


def test_folder_names_can_be_read_by_people(tmp_path):
    extract(Pictures(), tmp_path)
    assert the_folder(tmp_path).name.startswith("pictures-matrix-4-")
