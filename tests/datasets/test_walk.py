"""One rule for what an image is and which entries are followed; the rest is counted."""

import os
from collections import Counter
from pathlib import Path

import pytest

from rdh import datasets
from rdh.datasets._tools import walk
from rdh.datasets._tools.examples import write_folders, write_image
from rdh.errors import UserError


def images_of(folder: Path, inside: Path | None = None) -> list[str]:
    return sorted(file.path for file in walk.find_images(folder, inside or folder).files)


def two_classes(root: Path, **more: int) -> Path:
    return write_folders(root / "image_folder", {"ant": 4, "bee": 4} | more)


def test_every_suffix_in_any_case_and_every_depth_is_found(tmp_path):
    names = ["a.jpg", "b.JPEG", "c.Png", "d/e.webp", "d/f.bmp", "d/g/h.tif", "d/g/i.TIFF"]
    for name in names:
        write_image(tmp_path / name.lower())
        (tmp_path / name.lower()).rename(tmp_path / name)
    assert images_of(tmp_path) == names
    assert datasets.loose_images(tmp_path).images([0, 4, 6])[1].tolist() == [0, 4, 6]


def test_what_is_not_taken_is_counted_by_reason(tmp_path):
    write_image(tmp_path / "a.png")
    for name in ("b.gif", "c.GIF", "d.heic", "notes.txt", ".hidden.png", ".git/x.png"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(b"")
    (tmp_path / "nowhere.png").symlink_to(tmp_path / "missing.png")
    (tmp_path / "up").symlink_to(tmp_path)
    os.mkfifo(tmp_path / "pipe.png")
    found = walk.find_images(tmp_path, tmp_path)
    assert [file.path for file in found.files] == ["a.png"]
    assert found.passed_over == {
        ".gif files": 2,
        ".heic files": 1,
        "files of other kinds": 1,
        "hidden files": 1,
        "hidden folders": 1,
        "links that lead nowhere": 1,
        "links to a folder above them": 1,
        "entries that are neither files nor folders": 1,
    }
    assert walk.in_words(Counter({".gif files": 2, "b": 1})) == ".gif files (2), b (1)"


def test_links_inside_are_followed_and_one_that_leads_out_is_refused_unless_it_is_allowed(tmp_path):
    root = tmp_path / "root"
    write_image(root / "a" / "x.png")
    write_image(tmp_path / "outside" / "y.png")
    (root / "b").symlink_to(root / "a")
    (root / "c.png").symlink_to(root / "a" / "x.png")
    assert images_of(root) == ["a/x.png", "b/x.png", "c.png"]
    (root / "out").symlink_to(tmp_path / "outside")
    with pytest.raises(UserError, match=r"out is a link that leads out .*set follow_links=true"):
        images_of(root)
    found = walk.find_images(root, None).files
    assert sorted(file.path for file in found) == ["a/x.png", "b/x.png", "c.png", "out/y.png"]
    with pytest.raises(UserError, match="leads out"):
        datasets.loose_images(root)
    assert len(datasets.loose_images(root, follow_links=True)) == 4


def test_a_folder_below_that_can_not_be_read_is_counted_and_the_first_one_is_a_sentence(
    tmp_path, monkeypatch
):
    write_image(tmp_path / "a.png")
    write_image(tmp_path / "locked" / "b.png")
    scan = os.scandir

    def refusing(path):
        if os.fspath(path).endswith("locked"):
            raise PermissionError(13, "Permission denied", os.fspath(path))
        return scan(path)

    monkeypatch.setattr(walk.os, "scandir", refusing)
    found = walk.find_images(tmp_path, tmp_path)
    assert found.passed_over == {"entries that can't be read (permission denied)": 1}
    with pytest.raises(UserError, match=r"locked can't be read \(permission denied\): check"):
        datasets.loose_images(tmp_path / "locked")


def test_class_folders_take_sub_folders_and_links_and_count_the_rest(tmp_path):
    place = two_classes(tmp_path, **{"ant/more": 3})
    (place / "bee" / "linked").symlink_to(place / "ant" / "more")
    write_image(place / "beside.webp")
    (place / "ant" / "x.gif").write_bytes(b"")
    data = datasets.load("image_folder", tmp_path)
    assert data.class_names == ("ant", "bee")
    assert data.labels.sum(axis=0).tolist() == [7, 7]
    assert data.passed_over == {".gif files": 1, "images beside the class folders": 1}
    assert datasets.data_card(data).passed_over == data.passed_over
    assert any(".gif files (1), images beside" in warning for warning in data.warnings)


def test_a_part_called_validation_belongs_to_the_pool_and_other_folders_are_counted(tmp_path):
    parts = {f"{part}/{name}": 3 for part in ("train", "validation") for name in ("ant", "bee")}
    place = write_folders(tmp_path / "image_folder", parts | {"extra/ant": 2})
    write_image(place / "train" / "loose.jpg")
    data = datasets.load("image_folder", tmp_path)
    assert len(data) == 12 and data.class_names == ("ant", "bee")
    assert data.passed_over == {"folders beside the parts": 1, "images beside the class folders": 1}


@pytest.mark.parametrize("name", ["train", "test", "val", "validation"])
def test_a_class_may_be_called_like_a_part(tmp_path, name):
    two_classes(tmp_path, **{name: 4})
    data = datasets.load("image_folder", tmp_path)
    assert data.class_names == tuple(sorted(["ant", "bee", name]))
    assert (data.labels.sum(axis=0) == 4).all()


def test_follow_links_takes_class_folders_that_lie_on_another_disk(tmp_path):
    place = two_classes(tmp_path / "root")
    write_folders(tmp_path / "disk", {"cow": 4})
    (place / "cow").symlink_to(tmp_path / "disk" / "cow")
    with pytest.raises(UserError, match="cow is a link that leads out of the folder"):
        datasets.load("image_folder", tmp_path / "root")
    data = datasets.load("image_folder", tmp_path / "root", follow_links=True)
    assert data.class_names == ("ant", "bee", "cow") and len(data) == 12


@pytest.mark.parametrize("name", ["cifar10", "coco", "image_list", "imagenet100", "nus_wide"])
def test_every_set_of_files_may_lie_behind_a_link_if_that_is_allowed(tmp_path, name):
    switches = datasets.example(name, tmp_path / "disk")
    (tmp_path / "root").mkdir()
    (tmp_path / "root" / name).symlink_to(tmp_path / "disk" / name)
    with pytest.raises(UserError, match="leads out of the folder"):
        datasets.load(name, tmp_path / "root", **switches)
    here = datasets.load(name, tmp_path / "disk", **switches)
    linked = datasets.load(name, tmp_path / "root", follow_links=True, **switches)
    assert linked.fingerprint == here.fingerprint and linked.stamp == here.stamp


@pytest.mark.parametrize("what", ["x" * 300, "x" * 300 + ".png"])
def test_a_name_that_is_too_long_is_one_sentence(tmp_path, what):
    with pytest.raises(
        UserError, match=r"xx can't be read \(file name too long\): check|\.png can"
    ):
        datasets.loose_images(tmp_path / what)


def test_a_data_folder_with_too_long_a_name_is_one_sentence(tmp_path):
    with pytest.raises(UserError, match=r"can't be read \(file name too long\): .*--data-root"):
        datasets.load("cifar10", tmp_path / ("x" * 300))


def test_a_class_whose_name_is_not_utf_8_has_a_name_that_can_be_shown(tmp_path):
    odd = os.fsdecode(b"bee\xff")
    write_folders(tmp_path / "image_folder", {"ant": 4, odd: 4})
    data = datasets.load("image_folder", tmp_path, query_per_class=1, train_per_class=2)
    assert data.class_names == ("ant", r"bee\udcff")
    assert data.images(range(8))[1].tolist() == list(range(8))


def test_a_link_to_any_folder_above_is_passed_over_and_no_image_is_taken_twice(tmp_path):
    place = two_classes(tmp_path)
    (place / "ant" / "up").symlink_to(place)
    data = datasets.load("image_folder", tmp_path)
    assert data.labels.sum(axis=0).tolist() == [4, 4]
    assert data.passed_over == {"links to a folder above them": 1}
