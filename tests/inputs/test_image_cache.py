"""Images decoded once: the same pixels on every way, and a cache that survives interruption.

It also survives damage and full disks.
"""

import fcntl
import json
import os
import shutil
from collections import namedtuple
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from rdh.backbones import stacked
from rdh.errors import UserError
from rdh.inputs import image_cache
from rdh.inputs.image_cache import cached, common_shape, decoded, load_pixels
from rdh.inputs.pixels import OnDevice, OnDisk
from tests.full_disk import file_limit
from tests.toy_images import Interrupted, Pictures, interrupt_at

SHAPE = (6, 6, 3)
CPU = torch.device("cpu")


@pytest.fixture(autouse=True)
def small_batches(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(image_cache, "BATCH", 5)


def quiet(*_: Any) -> None:
    pass


def fill(dataset: Pictures, root: Path, **options: Any) -> tuple[np.ndarray, list[int]]:
    return cached(
        dataset,
        SHAPE,
        **({"bad_images": "skip", "root": root, "progress": quiet, "log": quiet} | options),
    )


def one_by_one(dataset: Pictures, side: int = 6) -> np.ndarray:
    """The pictures, decoded one by one. Zeros if a picture can't be decoded."""
    rows = np.stack(
        [stacked([pixels], side)[0].permute(1, 2, 0).numpy() for pixels in dataset.pixels]
    )
    rows[sorted(dataset.bad)] = 0
    return rows


def the_folder(root: Path) -> Path:
    (folder,) = (root / "features").iterdir()
    return folder


@pytest.mark.parametrize("sizes", [True, False])
def test_cached_and_decoded_images_are_those_of_single_images(tmp_path, sizes):
    dataset = Pictures(n=43, sizes=sizes, bad=(3, 41))
    expected = one_by_one(dataset)
    from_disk, bad = fill(dataset, tmp_path)
    in_memory, bad_too = decoded(dataset, SHAPE, "skip", quiet)
    np.testing.assert_array_equal(from_disk, expected)
    np.testing.assert_array_equal(in_memory, expected)
    assert bad == bad_too.tolist() == [3, 41]
    assert (
        isinstance(from_disk, np.memmap)
        and not from_disk.flags.writeable
        and from_disk.dtype == np.uint8
    )


def test_all_threads_together_keep_the_order(tmp_path, monkeypatch):
    dataset = Pictures(sizes=True, bad=(0, 8))
    monkeypatch.setattr(image_cache, "n_threads", lambda: 3)
    monkeypatch.setattr(image_cache, "BATCH", 17)
    np.testing.assert_array_equal(fill(dataset, tmp_path)[0], one_by_one(dataset))


def test_the_second_call_reads_no_image_and_another_size_has_its_own_folder(tmp_path):
    fill(Pictures(), tmp_path)
    again = Pictures()
    fill(again, tmp_path)
    assert again.read == [] and the_folder(tmp_path).name.startswith("pictures-images-6-")
    assert {path.name for path in the_folder(tmp_path).iterdir()} == {
        "images.npy",
        "meta.json",
        "lock",
    }
    cached(Pictures(), (7, 7, 3), bad_images="skip", root=tmp_path, progress=quiet, log=quiet)
    fill(Pictures(fingerprint="others"), tmp_path)
    overwritten = Pictures()
    overwritten.stamp = "later"
    fill(overwritten, tmp_path)
    assert len(list((tmp_path / "features").iterdir())) == 4 and len(overwritten.read) == 40


def test_interrupted_work_goes_on_where_it_stopped(tmp_path):
    with pytest.raises(Interrupted):
        fill(Pictures(bad=(3, 33)), tmp_path, progress=interrupt_at(20))
    second, seen = Pictures(bad=(3, 33)), []
    rows, bad = fill(second, tmp_path, progress=lambda done, total: seen.append((done, total)))
    assert sorted(second.read) == list(range(20, 40)) and seen == [
        (25, 40),
        (30, 40),
        (35, 40),
        (40, 40),
    ]
    assert bad == [3, 33]
    np.testing.assert_array_equal(rows, one_by_one(second))


def test_rows_behind_the_last_state_are_written_again(tmp_path):
    with pytest.raises(Interrupted):
        fill(Pictures(), tmp_path, progress=interrupt_at(20))
    with (the_folder(tmp_path) / "partial.npy").open("ab") as file:
        file.write(b"\xff" * 77)
    np.testing.assert_array_equal(fill(Pictures(), tmp_path)[0], one_by_one(Pictures()))


@pytest.mark.parametrize(
    ("damage", "sentence"),
    [
        (lambda folder: (folder / "meta.json").write_text("{"), "no readable meta.json"),
        (lambda folder: change_meta(folder, images="of somebody else"), "belong to other data"),
        (lambda folder: os.truncate(folder / "images.npy", 300), "are damaged"),
        (
            lambda folder: np.save(folder / "images.npy", np.zeros((40, 6, 6, 1), np.uint8)),
            "are damaged",
        ),
    ],
    ids=["meta", "foreign", "cut", "shape"],
)
def test_a_damaged_or_foreign_cache_is_one_sentence_that_names_the_folder(
    tmp_path, damage, sentence
):
    fill(Pictures(), tmp_path)
    damage(the_folder(tmp_path))
    with pytest.raises(UserError, match=f"cached images .*{sentence}") as caught:
        fill(Pictures(), tmp_path)
    assert f"delete the folder {the_folder(tmp_path)}" in str(caught.value)


def change_meta(folder: Path, **fields: str) -> None:
    meta = json.loads((folder / "meta.json").read_text())
    (folder / "meta.json").write_text(json.dumps(meta | fields))


def test_a_bad_image_stops_the_work_unless_it_is_skipped(tmp_path):
    with pytest.raises(UserError, match=r"picture 12 cannot be decoded\. .+bad_images=skip"):
        fill(Pictures(bad=(12,)), tmp_path, bad_images="stop")
    with pytest.raises(UserError, match=r"picture 12 cannot be decoded\. .+bad_images=skip"):
        decoded(Pictures(bad=(12, 13)), SHAPE, "stop", quiet)
    assert fill(Pictures(bad=(12,)), tmp_path)[1] == [12]
    with pytest.raises(UserError, match=r"1 image of pictures can't be decoded"):
        fill(Pictures(bad=(12,)), tmp_path, bad_images="stop")


def test_a_batch_without_any_readable_image_is_skipped(tmp_path):
    dataset = Pictures(n=12, bad=tuple(range(5, 12)))
    rows, bad = fill(dataset, tmp_path)
    assert bad == list(range(5, 12)) and not rows[5:].any()


def test_a_full_disk_is_one_sentence_and_what_is_done_is_kept(tmp_path):
    with (
        file_limit(2000),
        pytest.raises(
            UserError, match=r"Images can't be written to .+; free space there, or .+RDH_CACHE"
        ),
    ):
        fill(Pictures(), tmp_path)
    again = Pictures()
    rows, _ = fill(again, tmp_path)
    assert 10 <= min(again.read) < 40
    np.testing.assert_array_equal(rows, one_by_one(again))


def test_a_disk_that_will_not_do_is_refused_before_the_first_image(tmp_path, monkeypatch):
    usage = namedtuple("usage", "total used free")
    monkeypatch.setattr(shutil, "disk_usage", lambda path: usage(10**6, 10**6 - 4000, 4000))
    dataset = Pictures()
    with pytest.raises(
        UserError,
        match=r"Images of pictures need 0\.0 GB in .+, 0\.0 GB are free; free space there, or",
    ):
        fill(dataset, tmp_path)
    assert dataset.read == []


def test_a_second_run_waits_for_the_first_and_can_be_stopped(tmp_path):
    fill(Pictures(), tmp_path)
    lines: list[str] = []
    with (the_folder(tmp_path) / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        with pytest.raises(Interrupted):
            fill(Pictures(), tmp_path, progress=interrupt_at(0), log=lines.append)
    assert lines == ["waiting: another run is making the same images"]
    assert fill(Pictures(), tmp_path)[1] == []


@pytest.mark.parametrize(
    ("own", "side", "shape"),
    [
        (None, 224, (224, 224, 3)),
        ((32, 32, 3), 224, (32, 32, 3)),
        ((32, 32, 3), 16, (32, 32, 3)),
        ((8, 8, 1), 8, (8, 8, 1)),
        ((96, 96, 3), 256, (96, 96, 3)),
        ((96, 200, 3), 128, (128, 128, 3)),
        ((500, 400, 1), 224, (224, 224, 3)),
    ],
)
def test_small_images_of_one_shape_are_kept_as_they_are(own, side, shape):
    dataset = Pictures()
    dataset.image_shape = own
    assert common_shape(dataset.image_shape, side) == shape


def test_small_sets_are_in_memory_and_large_ones_on_disk(tmp_path, monkeypatch):
    def kind(device: torch.device = CPU) -> type:
        return type(
            load_pixels(
                Pictures(), 6, device, bad_images="stop", root=tmp_path, progress=quiet, log=quiet
            )[0]
        )

    assert kind() is OnDevice and list(tmp_path.iterdir()) == []
    size = 40 * 5 * 4 * 3  # they share a small shape
    monkeypatch.setattr(image_cache, "DIRECT_BYTES", size - 1)
    assert kind() is OnDisk and the_folder(tmp_path).name.startswith("pictures-images-5-")


@pytest.mark.parametrize(("room", "place"), [(2400, "all"), (2399, "read ahead")])
def test_a_gpu_gets_all_images_where_they_fit(tmp_path, monkeypatch, room, place):
    monkeypatch.setattr(image_cache, "DIRECT_BYTES", 1)
    monkeypatch.setattr(image_cache, "room_on", lambda device: room)
    monkeypatch.setattr(image_cache, "OnDevice", lambda images, device: "all")
    monkeypatch.setattr(image_cache, "OnDisk", lambda images, device: "read ahead")
    options = {"bad_images": "stop", "root": tmp_path, "progress": quiet, "log": quiet}
    assert load_pixels(Pictures(), 6, torch.device("cuda"), **options)[0] == place
