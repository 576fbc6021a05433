"""Data sets on small archives, torchvision's download from a local server, and real images.

Tests of real images are skipped if there are none.
"""

import functools
import hashlib
import http.server
import os
import pickle
import shutil
import subprocess
import sys
import tarfile
import threading
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from rdh import datasets
from rdh.datasets import BadImage, Split, cifar10, digits
from rdh.datasets._tools.splits import PerClass
from rdh.errors import UserError
from tests.toy_archives import make_class_folders

SMALL = {"query_per_class": 1, "train_per_class": 2}


@pytest.fixture
def class_folders(tmp_path):
    make_class_folders(tmp_path / "cifar10")
    return tmp_path


def small(root):
    return datasets.load("cifar10", root, **SMALL)


def assert_is_protocol(split: Split, class_of, query_per_class, train_per_class):
    assert not np.intersect1d(split.query, split.gallery).size
    assert np.isin(split.train, split.gallery).all()
    assert len(split.query) + len(split.gallery) == len(class_of)
    for part, per_class in ((split.query, query_per_class), (split.train, train_per_class)):
        assert part.dtype == np.int64 and len(np.unique(part)) == len(part)
        assert (np.bincount(class_of[part]) == per_class).all()


@pytest.mark.process
def test_importing_the_package_brings_nothing_heavy():
    code = (
        "import sys; from rdh import datasets; datasets.names();"
        "print([name for name in ('torch', 'torchvision', 'sklearn', 'PIL', 'pandas') "
        "if name in sys.modules]);"
        "from rdh.datasets import cifar10, digits; print('torch' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split("\n")[:2] == ["[]", "False"]


def test_the_folder_is_the_registry():
    assert {"cifar10", "digits"} <= set(datasets.names())
    assert not any(name.startswith("_") for name in datasets.names())


@pytest.mark.parametrize("name", ["cifar", "_base", "../digits", ""])
def test_unknown_data_set_names_the_choices(name, tmp_path):
    with pytest.raises(
        UserError, match=r"dataset must be one of arrays, cifar10, coco, digits.*, got"
    ):
        datasets.load(name, tmp_path)


def test_digits_follow_their_protocol():
    data = datasets.load("digits", "unused")
    split = data.split(0)
    assert (len(data), len(split.query), len(split.gallery), len(split.train)) == (
        1797,
        100,
        1697,
        1000,
    )
    assert_is_protocol(split, data.labels.argmax(axis=1), 10, 100)
    assert data.labels.dtype == np.uint8 and (data.labels.sum(axis=1) == 1).all()
    assert data.top_k is None and not data.is_multi_label and data.class_names[3] == "3"


def test_digits_scale_sixteen_grey_values_to_a_byte():
    images, kept = digits.load().images([0, 1796])
    assert images.shape == (2, 8, 8, 1) and images.dtype == np.uint8
    assert images[0, 0, :, 0].tolist() == [0, 0, 80, 207, 143, 16, 0, 0]  # 0 0 5 13 9 1 0 0 of 16
    assert kept.tolist() == [0, 1796]


def test_an_image_may_be_written_to_without_touching_the_data_set():
    data = digits.load()
    before = data.image(0)
    data.image(0)[:] = 99
    np.testing.assert_array_equal(data.image(0), before)


def test_split_depends_on_its_seed_alone():
    data = digits.load()
    again, other = digits.load().split(3), data.split(4)
    for part in ("query", "gallery", "train"):
        np.testing.assert_array_equal(getattr(data.split(3), part), getattr(again, part))
        assert not np.array_equal(getattr(again, part), getattr(other, part))


@pytest.mark.parametrize("seed", [-1, 1.5, None, True])
def test_split_refuses_a_seed_that_is_not_a_whole_number(seed):
    with pytest.raises(UserError, match="split_seed must be a whole number >= 0"):
        digits.load().split(seed)


def test_class_with_too_few_images_is_named_with_its_count_and_the_need():
    labels = np.eye(2, dtype=np.uint8)[[0] * 5 + [1] * 2]
    with pytest.raises(
        UserError,
        match=r"Class 'cat' has 2 images, but the split needs 3 \(1 queries and 2 for train",
    ):
        PerClass(1, 2).split(labels, ("ant", "cat"), 0)


@pytest.mark.parametrize("value", [0, -3, 1.5, True])
def test_draws_per_class_must_be_whole_numbers(value):
    with pytest.raises(UserError, match="train_per_class must be a whole number >= 1"):
        digits.load(train_per_class=value)


def test_split_without_drops_items_everywhere():
    split = Split(np.array([1, 4]), np.array([0, 2, 3]), np.array([0, 2])).without([4, 2, 77])
    assert [part.tolist() for part in vars(split).values()] == [[1], [0, 3], [0]]


@pytest.mark.parametrize("item_id", [-1, 1797])
def test_unknown_item_is_refused(item_id):
    with pytest.raises(UserError, match=f"digits has the items 0 to 1796, got {item_id}"):
        digits.load().image(item_id)


@pytest.mark.parametrize("parts", [("train", "test"), ("train",), ("",)])
@pytest.mark.parametrize("below", ["cifar10", ""])
def test_class_folders_are_found_in_every_layout(tmp_path, parts, below):
    make_class_folders(tmp_path / below, parts=parts)
    data = small(tmp_path)
    assert len(data) == 60 and data.class_names == cifar10.CLASS_NAMES
    assert_is_protocol(data.split(0), data.labels.argmax(axis=1), 1, 2)
    images, kept = data.images(np.arange(60))
    assert images.shape == (60, 32, 32, 3) and images.dtype == np.uint8
    np.testing.assert_array_equal(
        images[:, 0, 0, 0], data.labels.argmax(axis=1)
    )  # red says the class
    np.testing.assert_array_equal(kept, np.arange(60))


def test_images_come_in_the_order_asked_for(class_folders):
    data = small(class_folders)
    images, _ = data.images([50, 3, 3])
    for ours, item_id in zip(images, (50, 3, 3), strict=True):
        np.testing.assert_array_equal(ours, data.image(item_id))


def test_item_ids_do_not_depend_on_where_the_folder_lies(tmp_path):
    one, other = make_class_folders(tmp_path / "a" / "cifar10"), make_class_folders(tmp_path / "b")
    first, second = small(one.parent), small(other)
    assert first.fingerprint == second.fingerprint
    assert [first.image_name(item) for item in range(60)] == [
        second.image_name(item) for item in range(60)
    ]
    assert first.image_name(0) == "test/airplane/0001.png"


def test_fingerprint_changes_with_a_file_name_and_with_a_size(class_folders):
    before = small(class_folders).fingerprint
    path = class_folders / "cifar10" / "train" / "cat" / "0000.png"
    path.rename(path.with_name("0001a.png"))
    renamed = small(class_folders).fingerprint
    path.with_name("0001a.png").write_bytes(b"other")
    assert len({before, renamed, small(class_folders).fingerprint}) == 3


def test_other_files_and_folders_are_passed_over_and_counted(class_folders):
    for place in (
        ".DS_Store",
        "README.md",
        "notes/a.png",
        "train/cat/Thumbs.db",
        "train/cat/.more/x.png",
    ):
        path = class_folders / "cifar10" / place
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("x")
    os.mkfifo(class_folders / "cifar10" / "train" / "cat" / "pipe.png")
    data = small(class_folders)
    assert len(data) == 60
    assert data.passed_over == {
        "entries that are neither files nor folders": 1,
        "files of other kinds": 1,
        "folders beside the parts": 1,
        "hidden folders": 1,
    }
    assert any("hidden folders (1)" in warning for warning in data.warnings)


def touch(path: Path, seconds: int) -> None:
    """Another time of the file, as an overwriting has; its content and size stay."""
    os.utime(path, ns=(path.stat().st_atime_ns, path.stat().st_mtime_ns + seconds * 10**9))


def test_the_stamp_tells_overwritten_files_of_the_same_size_apart_and_stays_where_the_folder_moves(
    class_folders,
):
    before = small(class_folders)
    (class_folders / "cifar10").rename(class_folders / "moved")
    (class_folders / "moved").rename(class_folders / "cifar10")
    assert small(class_folders).stamp == before.stamp != ""
    touch(class_folders / "cifar10" / "train" / "cat" / "0000.png", 5)
    after = small(class_folders)
    assert after.stamp != before.stamp and after.fingerprint == before.fingerprint
    mosaics = {
        datasets.load("mosaic", class_folders, source="cifar10", n_items=40).stamp,
        after.stamp,
    }
    assert len(mosaics) == 1 and datasets.load("digits", class_folders).stamp == ""


def test_missing_class_folder_is_named(class_folders):
    shutil.rmtree(class_folders / "cifar10" / "train" / "truck")
    shutil.rmtree(class_folders / "cifar10" / "test" / "truck")
    with pytest.raises(
        UserError, match=r"Class 'truck' has no folder: .*train/truck or .*test/truck is expected"
    ):
        small(class_folders)


def test_too_small_pool_names_the_class_when_split(class_folders):
    with pytest.raises(UserError, match="Class 'airplane' has 6 images, but the split needs 600"):
        datasets.load("cifar10", class_folders).split(0)


def test_smaller_pool_warns_that_scores_are_not_comparable(class_folders):
    assert "60 images instead of 60000" in small(class_folders).warnings[0]


@pytest.mark.parametrize(
    ("protocol", "n_query", "n_gallery", "n_train"),
    [("cifar10-1", 10, 50, 20), ("cifar10", 10, 30, 20), ("cifar10-2", 10, 50, 50)],
)
def test_protocols_differ_in_who_is_searched_and_trained_on(
    class_folders, protocol, n_query, n_gallery, n_train
):
    numbers = SMALL if protocol != "cifar10-2" else {"query_per_class": 1}
    data = datasets.load("cifar10", class_folders, protocol=protocol, **numbers)
    split = data.split(0)
    assert [len(part) for part in vars(split).values()] == [n_query, n_gallery, n_train]
    assert np.isin(split.train, split.gallery).all() == (protocol != "cifar10")
    assert not np.isin(split.query, np.union1d(split.train, split.gallery)).any()
    np.testing.assert_array_equal(split.query, small(class_folders).split(0).query)


def test_the_protocol_brings_its_official_numbers():
    given = {name: cifar10._protocol(name, 0, 0) for name in cifar10.PROTOCOLS}
    labels = np.eye(10, dtype=np.uint8)[np.arange(60_000) % 10]
    sizes = {
        name: [len(part) for part in vars(one.split(labels, "abcdefghij", 0)).values()]
        for name, one in given.items()
    }
    assert sizes == {
        "cifar10-1": [1000, 59_000, 5000],
        "cifar10": [1000, 54_000, 5000],
        "cifar10-2": [10_000, 50_000, 50_000],
    }


def test_an_unknown_protocol_is_refused(class_folders):
    with pytest.raises(
        UserError, match="protocol must be one of cifar10-1, cifar10, cifar10-2, got 'cifar100'"
    ):
        datasets.load("cifar10", class_folders, protocol="cifar100")


def test_missing_data_names_the_command_and_the_layouts(tmp_path):
    with pytest.raises(
        UserError,
        match=r"No CIFAR-10 in .*: run `python -m rdh data prepare cifar10 --data-root .*train/<cl",
    ):
        small(tmp_path / "nowhere")


@pytest.mark.parametrize("what", ["image", "class folder", "whole folder"])
def test_link_out_of_the_data_folder_is_refused(tmp_path, what):
    outside = make_class_folders(tmp_path / "outside")
    root = tmp_path / "root"
    inside = make_class_folders(root / "cifar10")
    if what == "image":
        (inside / "train" / "cat" / "zzz.png").symlink_to(outside / "train" / "cat" / "0000.png")
    elif what == "class folder":
        shutil.rmtree(inside / "train" / "cat")
        (inside / "train" / "cat").symlink_to(outside / "train" / "cat")
    else:
        shutil.rmtree(inside)
        inside.symlink_to(outside)
    with pytest.raises(
        UserError,
        match=r"is a link that leads out of the folder .*, to .*outside.*: put a copy in its place",
    ):
        small(root)


def test_link_inside_the_data_folder_is_followed_and_a_circle_refused(class_folders):
    cats = class_folders / "cifar10" / "train" / "cat"
    (cats / "zzz.png").symlink_to(cats / "0000.png")
    assert len(small(class_folders)) == 61
    (cats / "circle.png").symlink_to(cats / "circle.png")
    with pytest.raises(UserError, match=r"circle.png is a link that leads back to itself"):
        small(class_folders)


@pytest.mark.parametrize(
    ("mode", "colour", "suffix", "expected"),
    [
        ("L", 90, "png", (90, 90, 90)),
        ("L", 90, "jpg", (90, 90, 90)),
        ("LA", (90, 10), "png", (90, 90, 90)),
        ("RGBA", (10, 200, 30, 128), "png", (10, 200, 30)),
        ("P", 0, "png", (0, 0, 0)),
        ("1", 1, "png", (255, 255, 255)),
        ("I;16", 40_000, "png", (156, 156, 156)),
        ("CMYK", (0, 255, 255, 0), "jpeg", (254, 0, 0)),
    ],
)
def test_every_colour_mode_becomes_rgb_of_32_pixels(class_folders, mode, colour, suffix, expected):
    Image.new(mode, (50, 40), colour).save(
        class_folders / "cifar10" / "train" / "airplane" / f"0.{suffix}"
    )
    data = small(class_folders)
    item_id = next(
        item for item in range(len(data)) if data.image_name(item) == f"train/airplane/0.{suffix}"
    )
    image = data.image(item_id)
    assert image.shape == (32, 32, 3) and image.dtype == np.uint8
    np.testing.assert_allclose(image.reshape(-1, 3).mean(axis=0), expected, atol=2)


def damage(root: Path) -> list[str]:
    """Spoil one image in each way that happens; the names that they have in the data set."""
    train = root / "cifar10" / "train"
    whole = (train / "cat" / "0000.png").read_bytes()
    broken_chunk = whole[:40] + b"\0\0\0\0" + whole[44:]
    gif = root / "image.gif"
    Image.new("RGB", (32, 32)).save(gif)
    contents = {
        "bird": b"",
        "cat": whole[:-30],
        "dog": b"not an image",
        "frog": broken_chunk,
        "ship": gif.read_bytes(),
    }
    for name, content in contents.items():
        (train / name / "0000.png").write_bytes(content)
    return [f"train/{name}/0000.png" for name in contents]


def test_damaged_image_stops_and_is_named(class_folders):
    damage(class_folders)
    data = small(class_folders)
    message = (
        r"bird/0000.png cannot be decoded \(not a JPEG, PNG, WebP, BMP or TIFF image\). Of the "
        r"first 60 images looked at, 5 can't be decoded: train/bird/0000.png, train/cat/0000.png, "
        r".*Replace them, or set bad_images=skip to leave them out\."
    )
    with pytest.raises(BadImage, match=message):
        data.images(np.arange(60))
    with pytest.raises(BadImage, match=r"cat/0000\.png cannot be decoded"):
        data.image(
            next(item for item in range(60) if data.image_name(item) == "train/cat/0000.png")
        )


def test_damaged_images_are_skipped_named_once_and_counted(class_folders):
    names = damage(class_folders)
    data = small(class_folders)
    n_warnings = len(data.warnings)
    for _ in range(2):
        images, kept = data.images(np.arange(60), bad_images="skip")
    missing = np.setdiff1d(np.arange(60), kept)
    assert [data.image_name(item) for item in missing] == names
    assert len(images) == len(kept) == 55
    assert len(data.warnings) == n_warnings + 5
    assert all(name in text for name, text in zip(names, data.warnings[n_warnings:], strict=True))
    np.testing.assert_array_equal(images[:, 0, 0, 0], data.labels.argmax(axis=1)[kept])
    split = data.split(0).without(missing)
    assert not np.isin(np.concatenate(list(vars(split).values())), missing).any()


def test_image_that_vanished_is_a_bad_image(class_folders):
    data = small(class_folders)
    (class_folders / "cifar10" / data.image_name(5)).unlink()
    assert data.images([4, 5], bad_images="skip")[1].tolist() == [4]


def test_bad_images_takes_two_words(class_folders):
    with pytest.raises(UserError, match='bad_images must be "stop" or "skip", got \'ignore\''):
        small(class_folders).images([0], bad_images="ignore")


def test_progress_of_images_ends_with_all(class_folders):
    seen = []
    small(class_folders).images(
        np.arange(60), progress=lambda done, total: seen.append((done, total))
    )
    assert seen[-1] == (60, 60)


def make_batches(folder: Path, monkeypatch) -> dict[str, np.ndarray]:
    """The official files with 10 images each, and torchvision's checksums changed to theirs."""
    from torchvision.datasets import CIFAR10

    folder.mkdir(parents=True)
    rng = np.random.default_rng(0)
    pixels, class_of = [], []

    def write(name, content):
        (folder / name).write_bytes(pickle.dumps(content, protocol=2))
        return [name, hashlib.md5((folder / name).read_bytes()).hexdigest()]

    def batch(name):
        data, labels = (
            rng.integers(0, 256, (10, 3072), dtype=np.uint8),
            rng.permutation(10).tolist(),
        )
        pixels.append(data.reshape(-1, 3, 32, 32).transpose(0, 2, 3, 1))
        class_of.extend(labels)
        return write(name, {"data": data, "labels": labels, "filenames": []})

    monkeypatch.setattr(
        CIFAR10, "train_list", [batch(f"data_batch_{number}") for number in range(1, 6)]
    )
    monkeypatch.setattr(CIFAR10, "test_list", [batch("test_batch")])
    name, checksum = write("batches.meta", {"label_names": list(cifar10.CLASS_NAMES)})
    monkeypatch.setattr(CIFAR10, "meta", {"filename": name, "key": "label_names", "md5": checksum})
    return {"pixels": np.concatenate(pixels), "class_of": np.array(class_of)}


@pytest.mark.parametrize("below", ["cifar10", ""])
def test_batches_are_read_train_before_test(tmp_path, monkeypatch, below):
    expected = make_batches(tmp_path / below / "cifar-10-batches-py", monkeypatch)
    data = small(tmp_path)
    images, _ = data.images(np.arange(60))
    np.testing.assert_array_equal(images, expected["pixels"])
    np.testing.assert_array_equal(data.labels.argmax(axis=1), expected["class_of"])
    assert_is_protocol(data.split(0), expected["class_of"], 1, 2)
    assert not datasets.loads_without_torch("cifar10", tmp_path)


def test_damaged_batch_is_refused_before_it_is_unpickled(tmp_path, monkeypatch):
    make_batches(tmp_path / "cifar-10-batches-py", monkeypatch)

    class Trap:
        def __reduce__(self):
            return (os.mkdir, (str(tmp_path / "trapped"),))

    (tmp_path / "cifar-10-batches-py" / "data_batch_2").write_bytes(pickle.dumps(Trap()))
    with pytest.raises(
        UserError,
        match="cifar-10-batches-py are damaged or not complete: run `python -m rdh data pre",
    ):
        small(tmp_path)
    assert not (tmp_path / "trapped").exists()


@pytest.mark.process
def test_prepared_arrays_hold_the_same_images_and_need_no_torch(tmp_path, monkeypatch):
    expected = make_batches(tmp_path / "cifar-10-batches-py", monkeypatch)
    raw = small(tmp_path)
    cifar10.download(tmp_path)
    prepared = small(tmp_path)
    np.testing.assert_array_equal(prepared.images(np.arange(60))[0], expected["pixels"])
    np.testing.assert_array_equal(prepared.labels, raw.labels)
    assert prepared.fingerprint == raw.fingerprint
    assert datasets.loads_without_torch("cifar10", tmp_path)
    code = (
        "import sys; from rdh import datasets;"
        f"data = datasets.load('cifar10', {str(tmp_path)!r}, query_per_class=1, train_per_class=2);"
        "data.image(3), data.split(0); print('torch' in sys.modules)"
    )
    assert (
        subprocess.run([sys.executable, "-c", code], capture_output=True, text=True).stdout.strip()
        == "False"
    )


@pytest.mark.parametrize("name", ["pixels.npy", "class_of.npy", "about.json"])
def test_damaged_arrays_are_refused_and_made_again(tmp_path, monkeypatch, name):
    make_batches(tmp_path / "cifar-10-batches-py", monkeypatch)
    cifar10.download(tmp_path)
    path = tmp_path / "cifar-10-arrays" / name
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    with pytest.raises(
        UserError, match="cifar-10-arrays are damaged: run `python -m rdh data prepare cifar10"
    ):
        small(tmp_path)
    cifar10.download(tmp_path)
    assert len(small(tmp_path)) == 60


@pytest.fixture
def served(tmp_path, monkeypatch):
    """Points torchvision's download at an archive on this machine.

    Returns (archive, data folder, expected content).
    """
    from torchvision.datasets import CIFAR10

    site = tmp_path / "site"
    expected = make_batches(site / "cifar-10-batches-py", monkeypatch)
    archive = site / "cifar-10-python.tar.gz"
    with tarfile.open(archive, "w:gz") as tar:
        tar.add(site / "cifar-10-batches-py", "cifar-10-batches-py")

    class Quiet(http.server.SimpleHTTPRequestHandler):
        def log_message(self, *args):
            pass

    server = http.server.ThreadingHTTPServer(
        ("127.0.0.1", 0), functools.partial(Quiet, directory=site)
    )
    thread = threading.Thread(target=server.serve_forever, args=(0.02,))
    thread.start()
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    monkeypatch.setattr(CIFAR10, "url", f"http://127.0.0.1:{server.server_port}/{archive.name}")
    monkeypatch.setattr(CIFAR10, "tgz_md5", hashlib.md5(archive.read_bytes()).hexdigest())
    yield archive, tmp_path / "data", expected
    server.shutdown()
    thread.join()
    server.server_close()


def test_download_fetches_unpacks_checks_and_reports_bytes(served):
    archive, root, expected = served
    seen = []
    cifar10.download(root, lambda done, total: seen.append((done, total)))
    assert seen[-1] == (archive.stat().st_size,) * 2 and len(seen) > 1
    np.testing.assert_array_equal(small(root).images(np.arange(60))[0], expected["pixels"])
    assert (root / "cifar10" / "cifar-10-arrays").is_dir()
    seen.clear()
    cifar10.download(root, lambda done, total: seen.append((done, total)))
    assert not seen  # ready: nothing is fetched again


def test_download_replaces_what_an_interrupted_one_left(served):
    archive, root, expected = served
    (root / "cifar10" / "cifar-10-batches-py").mkdir(parents=True)
    (root / "cifar10" / archive.name).write_bytes(archive.read_bytes()[:1000])
    cifar10.download(root)
    np.testing.assert_array_equal(small(root).images(np.arange(60))[0], expected["pixels"])


def test_damaged_archive_is_refused_in_one_sentence(served):
    archive, root, _ = served
    archive.write_bytes(archive.read_bytes()[:-100])
    with pytest.raises(
        UserError,
        match=r"could not be fetched into .*cifar10 \(.*\): try again, or bring cifar-10-batche",
    ):
        cifar10.download(root)
    assert not (root / "cifar10" / "cifar-10-arrays").exists()


def test_archive_that_is_no_archive_is_refused_in_one_sentence(served, monkeypatch):
    from torchvision.datasets import CIFAR10

    archive, root, _ = served
    archive.write_bytes(b"<html>moved</html>")
    monkeypatch.setattr(CIFAR10, "tgz_md5", hashlib.md5(archive.read_bytes()).hexdigest())
    with pytest.raises(UserError, match="could not be fetched into"):
        cifar10.download(root)


def test_server_that_does_not_answer_is_named_with_the_ways_out(served):
    archive, root, _ = served
    archive.unlink()
    with pytest.raises(
        UserError, match=r"could not be fetched into .*404.*or place class folders of images"
    ):
        cifar10.download(root)
    assert not root.exists()  # nothing was fetched, nothing is left


def test_download_can_be_stopped_by_its_progress(served):
    _, root, _ = served

    class Stop(Exception):
        pass

    def stop(done, total):
        raise Stop

    from torchvision.datasets import utils

    original = utils.tqdm
    with pytest.raises(Stop):
        cifar10.download(root, stop)
    assert utils.tqdm is original
    cifar10.download(root)
    assert len(small(root)) == 60


def test_download_leaves_class_folders_alone(class_folders):
    cifar10.download(class_folders)
    assert not (class_folders / "cifar10" / "cifar-10-batches-py").exists()


@pytest.fixture(scope="session")
def real_images(tmp_path_factory):
    folder = os.environ.get("RDH_TEST_DATA")
    archive = Path(folder or ".") / "cifar10-images.tar.xz"
    if not folder or not archive.is_file():
        pytest.skip("RDH_TEST_DATA names no folder with cifar10-images.tar.xz")
    root = tmp_path_factory.mktemp("real")
    subprocess.run(["tar", "-xf", archive, "-C", root], check=True)  # tarfile takes half a minute
    return root


def test_real_images_have_the_official_counts(real_images):
    data = datasets.load("cifar10", real_images)
    assert (data.labels.sum(axis=0) == 6000).all() and data.warnings == []
    split = data.split(0)
    assert (len(split.query), len(split.gallery), len(split.train)) == (1000, 59_000, 5000)
    assert_is_protocol(split, data.labels.argmax(axis=1), 100, 500)


def test_real_images_decode(real_images):
    data = datasets.load("cifar10", real_images)
    images, kept = data.images(np.arange(0, 60_000, 60))
    assert len(kept) == 1000
    np.testing.assert_allclose(
        images.mean(axis=(0, 1, 2)), [125.3, 123.0, 113.9], atol=3
    )  # the known channel means
