"""Label files and class folders: read as their makers wrote them, or refused with file and line."""

import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from rdh import datasets
from rdh.datasets import nus_wide
from rdh.datasets._tools import index as _index
from rdh.datasets._tools.images import decode_image
from rdh.datasets._tools.paths import MISSING, file_stats, relative_path
from rdh.datasets._tools.splits import Quota
from rdh.errors import UserError
from tests.toy_archives import (
    CONCEPTS,
    make_folders,
    make_lists,
    multi_hot,
    write_image,
    write_list,
    write_nus,
)


def names_of(data, part):
    return [data.image_name(item) for item in getattr(data.split(0), part)]


def test_lists_say_who_is_query_gallery_and_train(tmp_path):
    labels = multi_hot(30, 4)
    make_lists(tmp_path / "image_list", labels=labels)
    data = datasets.load("image_list", tmp_path, top_k=100)
    assert names_of(data, "query") == [f"images/{number:03}.jpg" for number in range(5)]
    assert names_of(data, "train") == [f"images/{number:03}.jpg" for number in range(5, 15)]
    assert names_of(data, "gallery") == [f"images/{number:03}.jpg" for number in range(5, 30)]
    np.testing.assert_array_equal(data.labels, labels)
    assert data.top_k == 100 and data.class_names == ("class 0", "class 1", "class 2", "class 3")
    np.testing.assert_allclose(data.image(7)[..., 0], 7, atol=3)  # the JPEG's red says the number


def test_without_a_gallery_file_the_training_images_are_searched(tmp_path):
    make_lists(tmp_path / "image_list", gallery=None)
    split = datasets.load("image_list", tmp_path).split(0)
    np.testing.assert_array_equal(split.gallery, split.train)
    assert len(split.train) == 10


@pytest.mark.parametrize(("query", "gallery"), [("query", "gallery"), ("test", "database")])
def test_lists_go_by_both_pairs_of_names_and_by_any_folder(tmp_path, query, gallery):
    folder = make_lists(tmp_path / "mine" / "birds", gallery=gallery)
    (folder / "test.txt").rename(folder / f"{query}.txt")
    (folder / "classes.txt").write_text("owl\njay\ntit\nrook\n")
    data = datasets.load("image_list", tmp_path, folder="mine/birds")
    assert len(data.split(0).gallery) == 25 and data.class_names == ("owl", "jay", "tit", "rook")


def test_a_single_class_number_is_a_label(tmp_path):
    folder = make_lists(tmp_path / "image_list", labels=np.arange(30) % 3)
    data = datasets.load("image_list", tmp_path)
    np.testing.assert_array_equal(data.labels.argmax(axis=1), np.arange(30) % 3)
    assert data.labels.shape == (30, 3) and "set eta=1" in data.warnings[0]
    (folder / "train.txt").write_text("images/005.jpg cat\n")
    with pytest.raises(
        UserError, match=r"train.txt line 1 must have a class number from 0 to 9999, .* got 'cat'"
    ):
        datasets.load("image_list", tmp_path)


def test_windows_line_ends_blank_lines_and_a_byte_order_mark_are_no_matter(tmp_path):
    folder = make_lists(tmp_path / "image_list")
    before = datasets.load("image_list", tmp_path)
    for name in ("train.txt", "test.txt", "database.txt"):
        text = (folder / name).read_text()
        (folder / name).write_bytes(
            b"\xef\xbb\xbf"
            + text.replace("\n", "\r\n").replace(" ", "\t", 1).encode()
            + b"\r\n\r\n"
        )
    after = datasets.load("image_list", tmp_path)
    np.testing.assert_array_equal(after.labels, before.labels)
    assert after.fingerprint == before.fingerprint


def test_images_without_a_label_are_left_out_and_told(tmp_path):
    labels = multi_hot(30, 4)
    labels[[0, 6, 20]] = 0
    make_lists(tmp_path / "image_list", labels=labels)
    data = datasets.load("image_list", tmp_path)
    split = data.split(0)
    assert [len(part) for part in vars(split).values()] == [4, 23, 9]
    assert names_of(data, "query")[0] == "images/001.jpg" and len(data) == 27
    assert "3 images of image_list have no label and are left out" in data.warnings[0]


def test_a_query_is_never_in_the_gallery_whatever_the_lists_say(tmp_path):
    labels = multi_hot(30, 4)
    folder = make_lists(tmp_path / "image_list", labels=labels)
    with (folder / "database.txt").open("a") as file:
        file.write(f"images/002.jpg {' '.join(map(str, labels[2]))}\n")
    data = datasets.load("image_list", tmp_path)
    assert "images/002.jpg" in names_of(data, "query") and "images/002.jpg" not in names_of(
        data, "gallery"
    )
    assert "1 query of image_list is in another list too" in data.warnings[0]


BAD_LINES = [  # what train.txt holds, what is said of it
    (
        "images/005.jpg 1 0 0 1\nimages/006.jpg 1 0 1\n",
        r"line 2 has 3 label columns, but line 1 has 4",
    ),
    (
        "images/005.jpg 1 0 0 1\nmy images/006.jpg 1 0 0 1\n",
        r"line 2 has 5 label columns.*must not contain blanks",
    ),
    (
        "images/005.jpg\n",
        r"line 1 must have a path and then its labels, separated by blanks, got 'images/005.jpg'",
    ),
    ("images/005.jpg,1\n", r"got 'images/005.jpg,1': no label follows the path"),
    (
        "my bird.jpg 1 0 0\nmy owl.jpg 1 0 0\n",
        r"line 1 .* after its path, which must not contain blanks, got 'bird.jpg 1",
    ),
    (
        "my bird.jpg\nmy owl.jpg\n",
        r"class number .* after its path, which must not contain blanks, got 'bird.jpg' after 'my'",
    ),
    (
        "images/005.jpg 1 0 0 2\n",
        r"line 1 must have columns of 0 and 1 after its path, .*got '1 0 0 2'",
    ),
    ("images/005.jpg 1 0 0 -1\n", r"line 1 must have columns of 0 and 1"),
    (
        "images/005.jpg 1 0 1\n",
        r"must have equally many label columns, got test.txt 4, database.txt 4, train.txt 3",
    ),
    (
        "images/005.jpg 0 0 0 0\n",
        r"train.txt gives 'images/005.jpg' other labels than another list does",
    ),
    (
        "images/5.jpg 1 0 0 1\n./images/5.jpg 1 0 0 1\n",
        r"line 2 names 'images/5.jpg' again \(line 1 did\)",
    ),
    pytest.param(
        f"a.jpg {'2' * 5000}\n", r"train.txt line 1 must have a class number from 0", id="digits"
    ),
    ("../outside.jpg 1 0 0 1\n", r"line 1 names the path '../outside.jpg': paths must be relative"),
    ("images/../../x.jpg 1 0 0 1\n", r"paths must be relative to the image folder, without `..`"),
    ("/etc/passwd 1 0 0 1\n", r"names the path '/etc/passwd'"),
    ("C:\\x.jpg 1 0 0 1\n", r"names the path 'C:"),
    ("\n  \n", r"train.txt is empty: each line must name an image and its labels"),
]


@pytest.mark.parametrize(("text", "message"), BAD_LINES)
def test_a_bad_line_is_named_with_its_file(tmp_path, text, message):
    folder = make_lists(tmp_path / "image_list")
    (folder / "train.txt").write_text(text)
    with pytest.raises(UserError, match=message):
        datasets.load("image_list", tmp_path)


def test_a_list_that_is_no_text_is_one_sentence(tmp_path):
    folder = make_lists(tmp_path / "image_list")
    (folder / "train.txt").write_bytes(b"\xff\xd8\xff\xe0 1 0 0 1\n")
    with pytest.raises(UserError, match=r"train.txt cannot be read as text"):
        datasets.load("image_list", tmp_path)


def test_a_list_whose_images_are_all_queries_too_is_named_with_the_reason(tmp_path):
    folder = make_lists(tmp_path / "image_list")
    text = (folder / "train.txt").read_text()
    (folder / "test.txt").write_text(text)
    with pytest.raises(
        UserError,
        match=r"All 10 images of .*train.txt are queries too, in test.txt, .*: name other images",
    ):
        datasets.load("image_list", tmp_path)
    make_lists(tmp_path / "image_list")
    (folder / "database.txt").write_text((folder / "test.txt").read_text())
    with pytest.raises(UserError, match=r"All 5 images of .*database.txt are queries too"):
        datasets.load("image_list", tmp_path)


def test_lists_without_any_label_and_of_one_class_are_told(tmp_path):
    make_lists(tmp_path / "image_list", labels=np.zeros((30, 3), np.uint8))
    with pytest.raises(
        UserError,
        match=r"No image of image_list has a label: the lists in .* hold only 0; mark each",
    ):
        datasets.load("image_list", tmp_path)
    make_lists(tmp_path / "image_list", labels=np.zeros(30, int))
    data = datasets.load("image_list", tmp_path)
    assert (
        "All items of image_list have the label 'class 0', so every MAP is 1" in data.warnings[-1]
    )


def test_a_switch_that_names_a_folder_is_relative_to_the_data_folder(tmp_path):
    for name in ("image_folder", "image_list"):
        with pytest.raises(
            UserError,
            match=r"dataset_options folder must be a relative path, .* got '/x'",
        ):
            datasets.load(name, tmp_path, folder="/x")


@pytest.mark.parametrize("name", ["test.txt", "classes.txt"])
def test_a_missing_list_and_wrong_class_names_are_one_sentence(tmp_path, name):
    folder = make_lists(tmp_path / "image_list")
    if name == "test.txt":
        (folder / name).unlink()
    else:
        (folder / name).write_text("owl\n")
    with pytest.raises(
        UserError,
        match=r"test.txt is missing: place|classes.txt must name the 4 label columns.* got 1 names",
    ):
        datasets.load("image_list", tmp_path)


def test_a_part_without_any_labelled_image_is_one_sentence(tmp_path):
    labels = multi_hot(30, 4)
    labels[:5] = 0
    make_lists(tmp_path / "image_list", labels=labels)
    with pytest.raises(UserError, match="The query part of image_list has no item"):
        datasets.load("image_list", tmp_path).split(0)


@pytest.mark.parametrize("folder", ["..", "/tmp", "", "a/../.."])
@pytest.mark.parametrize(
    ("name", "switch"), [("image_list", "folder"), ("image_folder", "folder"), ("arrays", "file")]
)
def test_a_switch_names_no_place_outside_the_data_folder(tmp_path, name, switch, folder):
    with pytest.raises(UserError, match=rf"{switch} must be a relative path, without `..`, .*got"):
        datasets.load(name, tmp_path, **{switch: folder})


@pytest.mark.parametrize("what", ["image", "folder", "data set", "list", "class names"])
def test_a_link_out_of_the_data_folder_is_refused(tmp_path, what):
    root = tmp_path / "root"
    folder, outside = make_lists(root / "image_list"), make_lists(tmp_path / "outside")
    names = {
        "image": "images/007.jpg",
        "folder": "images",
        "data set": "",
        "list": "train.txt",
        "class names": "classes.txt",
    }
    for one in (folder, outside):
        (one / "classes.txt").write_text("a\nb\nc\nd\n")
    place, target = folder / names[what], outside / names[what]
    place.rename(root / "moved")
    place.symlink_to(target)
    with pytest.raises(
        UserError,
        match=r"is a link that leads out of the folder .*, to .*outside.*: put a copy in its place",
    ):
        datasets.load("image_list", root)


def test_a_listed_image_that_is_missing_is_told_and_can_be_skipped(tmp_path):
    folder = make_lists(tmp_path / "image_list")
    (folder / "images" / "007.jpg").unlink()
    data = datasets.load("image_list", tmp_path)
    assert (
        "1 of 30 images of image_list are missing from" in data.warnings[0]
        and "images/007.jpg" in data.warnings[0]
    )
    with pytest.raises(
        datasets.BadImage, match=r"images/007.jpg cannot be decoded \(there is no such file\)"
    ):
        data.images(np.arange(30))
    assert 7 not in data.images(np.arange(30), bad_images="skip")[1]


def test_no_listed_image_at_all_is_one_sentence(tmp_path):
    folder = make_lists(tmp_path / "image_list")
    (folder / "images").rename(folder / "photos")
    with pytest.raises(
        UserError,
        match=r"None of the 30 images of image_list \(such as images/000.jpg\) is in .*: place",
    ):
        datasets.load("image_list", tmp_path)


def test_large_label_files_are_read_once_and_again_when_they_change(tmp_path, monkeypatch):
    monkeypatch.setattr(_index, "LEAST_BYTES", 0)
    monkeypatch.setenv("RDH_CACHE", str(tmp_path / "cache"))
    folder = make_lists(tmp_path / "root" / "image_list")
    first = datasets.load("image_list", tmp_path / "root")
    (index,) = (tmp_path / "cache" / "labels").iterdir()
    monkeypatch.setattr("rdh.datasets._tools.lists.read_list", None)  # can't be called
    again = datasets.load("image_list", tmp_path / "root")
    np.testing.assert_array_equal(again.labels, first.labels)
    assert again.fingerprint == first.fingerprint
    assert sorted(path.name for path in folder.iterdir()) == [
        "database.txt",
        "images",
        "test.txt",
        "train.txt",
    ]
    monkeypatch.undo()
    monkeypatch.setattr(_index, "LEAST_BYTES", 0)
    monkeypatch.setenv("RDH_CACHE", str(tmp_path / "cache"))
    index.write_bytes(index.read_bytes()[:100])  # damaged: made again
    np.testing.assert_array_equal(
        datasets.load("image_list", tmp_path / "root").labels, first.labels
    )
    with (folder / "train.txt").open("a") as file:
        file.write("images/029.jpg 1 1 1 1\n")
    with pytest.raises(UserError, match="other labels than another list does"):
        datasets.load("image_list", tmp_path / "root")


def test_a_cache_that_cannot_be_written_is_done_without(tmp_path, monkeypatch):
    monkeypatch.setattr(_index, "LEAST_BYTES", 0)
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("RDH_CACHE", str(tmp_path / "file"))
    make_lists(tmp_path / "image_list")
    assert len(datasets.load("image_list", tmp_path)) == 30


def test_sizes_are_looked_up_for_the_files_asked_for_alone(tmp_path):
    write_image(tmp_path / "a" / "x.png")
    (tmp_path / "y.png").write_bytes(b"12345")
    (tmp_path / "z.png").mkdir()
    (tmp_path / "a" / "stray.png").symlink_to("/etc/passwd")  # not asked for
    sizes, times = file_stats(tmp_path, ["y.png", "a/x.png", "z.png", "b/none.png"], tmp_path)
    own = (tmp_path / "a" / "x.png").stat()
    assert sizes.tolist() == [5, own.st_size, MISSING, MISSING]
    assert times.tolist() == [
        (tmp_path / "y.png").stat().st_mtime_ns,
        own.st_mtime_ns,
        MISSING,
        MISSING,
    ]
    assert [len(part) for part in file_stats(tmp_path, [], tmp_path)] == [0, 0]


@pytest.mark.parametrize("text", ["a/b.jpg", ".\\a\\b.jpg", "./a//b.jpg", "a/./b.jpg"])
def test_a_path_has_one_spelling(text):
    assert relative_path(text, "here") == "a/b.jpg"


@pytest.mark.parametrize(
    "text", ["", ".", "./", "..", "a/..", "/a", "//a", "\\a", "c:a", "C:/a", "a\0b", "a" * 401]
)
def test_a_path_that_leads_elsewhere_is_refused(text):
    with pytest.raises(
        UserError, match=r"here names the path .*: paths must be relative to the image folder"
    ):
        relative_path(text, "here")


# NUS-WIDE


@pytest.fixture
def nus(tmp_path):
    """(data folder, labels): 400 images, 50 of them without a label of the frequent concepts."""
    labels = multi_hot(400, CONCEPTS)
    labels[350:] = 0
    labels[360:, -1] = 1
    write_nus(tmp_path / "nus_wide", labels)
    return tmp_path, labels


def test_nus_wide_21_keeps_the_most_frequent_concepts_and_the_images_that_have_one(nus):
    root, labels = nus
    data = datasets.load("nus_wide", root)
    chosen = sorted(np.argsort(-labels.sum(axis=0, dtype=int), kind="stable")[:21])
    rows = labels[:, chosen].any(axis=1)
    np.testing.assert_array_equal(data.labels, labels[rows][:, chosen])
    assert data.class_names == tuple(f"concept{number:02}" for number in chosen)
    assert data.image_name(3) == "actor/0003.jpg" and data.top_k == 5000
    split = data.split(0)
    assert (len(split.query), len(split.train)) == (
        rows.sum() // 10,
        (rows.sum() - rows.sum() // 10) // 2,
    )
    assert f"holds {rows.sum()} images with any of 21 labels instead of 195834" in data.warnings[0]


def test_nus_wide_81_takes_all_concepts_and_draws_at_random(tmp_path):
    labels = multi_hot(200, 81)
    write_nus(tmp_path / "nus_wide", labels, images="images")
    data = datasets.load("nus_wide", tmp_path, n_labels=81, n_query=30, n_train=50)
    np.testing.assert_array_equal(data.labels, labels)
    assert (len(data.split(0).query), len(data.split(0).gallery), len(data.split(0).train)) == (
        30,
        170,
        50,
    )
    assert data.image(5).shape == (10, 12, 3)


def naive_quota(labels, seed, n_query, n_train):
    """Goes over the items in random order: train first, then queries.

    Each item counts for its first class with an open place.
    """
    order = np.random.default_rng(seed).permutation(len(labels))
    parts, taken = [], set()
    for n_wanted in (n_train, n_query):
        count, part = [0] * labels.shape[1], []
        for item in order:
            for number in range(labels.shape[1]):
                if (
                    item not in taken
                    and labels[item, number]
                    and count[number] < n_wanted // labels.shape[1]
                ):
                    count[number] += 1
                    part.append(item)
                    taken.add(item)
        for item in order:
            if item not in taken and len(part) < n_wanted:
                part.append(item)
                taken.add(item)
        parts.append(sorted(part))
    return parts


@pytest.mark.parametrize(("n_query", "n_train"), [(8, 40), (9, 43), (4, 100)])
def test_quotas_are_filled_class_by_class_over_a_random_order(n_query, n_train):
    labels = multi_hot(150, 4)
    split = Quota(n_query, n_train).split(labels, "abcd", 3)
    train, query = naive_quota(labels, 3, n_query, n_train)
    assert split.train.tolist() == train and split.query.tolist() == query
    assert len(train) == n_train and len(query) == n_query


def test_quotas_give_each_class_its_share_where_there_are_enough_images():
    labels = np.eye(21, dtype=np.uint8)[np.arange(21 * 60) % 21]
    split = Quota(21 * 5, 21 * 20).split(labels, [], 0)
    assert (labels[split.query].sum(axis=0) == 5).all() and (
        labels[split.train].sum(axis=0) == 20
    ).all()


def spoil(root, what):
    folder = root / "nus_wide"
    tags = folder / "Groundtruth" / "AllLabels" / "Labels_concept03.txt"
    images = folder / "ImageList" / "Imagelist.txt"
    if what == "short":
        tags.write_text("0\n1\n")
    elif what == "letters":
        tags.write_text("x\n" * 400)
    elif what == "few":
        for path in tags.parent.glob("Labels_concept0[0-5].txt"):
            path.unlink()
    elif what == "twice":
        images.write_text(images.read_text().replace("0007.jpg", "0006.jpg"))
    else:
        images.write_text(images.read_text().replace("actor\\0007.jpg", "..\\..\\0007.jpg"))


@pytest.mark.parametrize(
    ("what", "message"),
    [
        ("short", r"Labels_concept03.txt has 2 lines, but Imagelist.txt has 400"),
        ("letters", r"Labels_concept03.txt must hold 0 and 1, one a line, got 'x'"),
        ("few", r"must hold at least 21 files Labels_\*.txt, got 17"),
        ("twice", r"Imagelist.txt names 'actor/0006.jpg' twice"),
        (
            "climbs",
            r"Imagelist.txt line 8 names the path '..\\\\..\\\\0007.jpg': paths must be relative",
        ),
    ],
)
def test_a_bad_tag_file_is_named(nus, what, message):
    spoil(nus[0], what)
    with pytest.raises(UserError, match=message):
        datasets.load("nus_wide", nus[0])


def test_nus_wide_takes_list_files_with_their_split(tmp_path):
    make_lists(tmp_path / "nus_wide", n_classes=21)
    data = datasets.load("nus_wide", tmp_path)
    assert [len(part) for part in vars(data.split(0)).values()] == [
        5,
        25,
        10,
    ] and data.top_k == 5000
    with pytest.raises(UserError, match="have 21 label columns, but n_labels is 81"):
        datasets.load("nus_wide", tmp_path, n_labels=81)
    with pytest.raises(
        UserError,
        match=r"n_query and n_train must be left out because .*train.txt gives the split, got 9",
    ):
        datasets.load("nus_wide", tmp_path, n_query=9)


def test_the_official_protocol_holds_on_as_many_labels_as_nus_wide_has():
    labels = multi_hot(nus_wide.N_OFFICIAL, 21)
    split = Quota(2100, 10_500).split(labels, [], 0)
    assert [len(part) for part in vars(split).values()] == [2100, 193_734, 10_500]
    assert (labels[split.query].sum(axis=0) >= 100).all() and (
        labels[split.train].sum(axis=0) >= 500
    ).all()


# ImageNet-100 and image folders


def test_imagenet_validation_images_are_the_queries(tmp_path):
    folders = {f"train/n{number}": 9 for number in range(4)} | {
        f"val/n{number}": 3 for number in range(4)
    }
    make_folders(tmp_path / "imagenet100", folders)
    data = datasets.load("imagenet100", tmp_path, train_per_class=5)
    split = data.split(0)
    assert (
        all(name.startswith("val/") for name in names_of(data, "query")) and len(split.query) == 12
    )
    assert (
        all(name.startswith("train/") for name in names_of(data, "gallery"))
        and len(split.gallery) == 36
    )
    assert (data.labels[split.train].sum(axis=0) == 5).all() and data.top_k == 1000
    assert "4 classes instead of 100" in data.warnings[0]
    assert len(datasets.load("imagenet100", tmp_path).split(0).train) == 16  # half of each class
    with pytest.raises(
        UserError, match="Class 'n0' has 9 training images, but train_per_class is 10"
    ):
        datasets.load("imagenet100", tmp_path, train_per_class=10).split(0)


def test_of_more_than_a_hundred_classes_a_file_names_those_to_take(tmp_path):
    folders = {f"{part}/n{number:03}": 2 for part in ("train", "val") for number in range(101)}
    place = make_folders(tmp_path / "imagenet100", folders)
    with pytest.raises(
        UserError,
        match=r"must hold 2 to 100 class folders, got 101: name the 100 to take in .*classes.txt",
    ):
        datasets.load("imagenet100", tmp_path)
    (place / "classes.txt").write_text("n007\nn003\n")
    data = datasets.load("imagenet100", tmp_path)
    assert data.class_names == ("n003", "n007") and len(data) == 8
    for text in ("n003\nn003\n", "n003\n"):
        (place / "classes.txt").write_text(text)
        with pytest.raises(UserError, match=r"classes.txt must name at least 2 classes, each once"):
            datasets.load("imagenet100", tmp_path)
    (place / "classes.txt").write_text("n003\n../../n003\n")
    with pytest.raises(UserError, match=r"classes.txt line 2 names the path"):
        datasets.load("imagenet100", tmp_path)


def test_imagenet_takes_list_files_with_their_split(tmp_path):
    make_lists(tmp_path / "imagenet100", labels=np.eye(100, dtype=np.uint8)[np.arange(30)])
    data = datasets.load("imagenet100", tmp_path)
    assert len(data.class_names) == 100 and data.top_k == 1000
    (warning,) = data.warnings
    assert warning.startswith("70 of 100 classes of imagenet100 have no item: 'class 30', ")
    with pytest.raises(UserError, match="train_per_class must be left out"):
        datasets.load("imagenet100", tmp_path, train_per_class=3)


@pytest.mark.parametrize("parts", [("",), ("train", "test"), ("train", "val")])
def test_class_folders_are_one_pool_drawn_class_by_class(tmp_path, parts):
    folders = {f"{part}/{name}".strip("/"): 20 for part in parts for name in ("ant", "bee")}
    make_folders(tmp_path / "image_folder", folders)
    data = datasets.load("image_folder", tmp_path)
    per_class = 20 * len(parts)
    assert data.class_names == ("ant", "bee") and len(data) == 2 * per_class
    split = data.split(0)
    n_query = per_class // 10
    assert (data.labels[split.query].sum(axis=0) == n_query).all()
    assert (data.labels[split.train].sum(axis=0) == (per_class - n_query) // 2).all()
    chosen = datasets.load("image_folder", tmp_path, query_per_class=3, train_per_class=4).split(0)
    assert (len(chosen.query), len(chosen.train)) == (6, 8)


def test_numbers_that_the_smallest_class_cannot_bring_name_the_switch(tmp_path):
    make_folders(tmp_path / "image_folder", {"ant": 4, "bee": 9})
    for switches, name in (({"query_per_class": 4}, "query"), ({"train_per_class": 4}, "train")):
        with pytest.raises(
            UserError,
            match=rf"images of class 'ant', the smallest, but there are 4: lower {name}_per_class",
        ):
            datasets.load("image_folder", tmp_path, **switches)
    with pytest.raises(UserError, match="query_per_class must be at least 0, got -1"):
        datasets.load("image_folder", tmp_path, query_per_class=-1)


def test_an_empty_class_and_a_lone_one_are_one_sentence(tmp_path):
    make_folders(tmp_path / "image_folder", {"ant": 4})
    with pytest.raises(UserError, match=r"must hold at least 2 class folders of images .* got 1"):
        datasets.load("image_folder", tmp_path)
    (tmp_path / "image_folder" / "bee").mkdir()
    with pytest.raises(
        UserError,
        match=r"Class 'bee' in .* has no JPEG, PNG, WebP, BMP or TIFF image: add some, or remove",
    ):
        datasets.load("image_folder", tmp_path)


def test_a_class_of_one_image_is_named_and_no_switch_is_blamed(tmp_path):
    make_folders(tmp_path / "image_folder", {"ant": 4, "bee": 1})
    with pytest.raises(
        UserError, match=r"Class 'bee' in .* has 1 image, but needs 2, .*: add some"
    ) as told:
        datasets.load("image_folder", tmp_path)
    assert "per_class" not in str(told.value)


def test_the_layout_that_is_printed_is_the_one_that_is_read(tmp_path):
    with pytest.raises(UserError) as told:
        datasets.load("image_list", tmp_path)
    assert re.search(r"train.txt, test.txt \(or query.txt\) and database.txt", str(told.value))
    write_list(tmp_path / "image_list" / "train.txt", ["a.png"], np.array([[1, 0]]))
    write_list(tmp_path / "image_list" / "query.txt", ["b.png"], np.array([[1, 0]]))
    for name in ("a.png", "b.png"):
        write_image(tmp_path / "image_list" / name)
    assert len(datasets.load("image_list", tmp_path)) == 2


CORNERS = np.kron(
    np.array([[0, 85, 170], [255, 40, 125]], np.uint8), np.ones((16, 16), np.uint8)
)  # six even fields


@pytest.mark.parametrize("suffix", ["png", "jpg"])
@pytest.mark.parametrize("orientation", range(1, 9))
def test_an_image_is_turned_as_its_exif_says(tmp_path, orientation, suffix):
    """In EXIF the number tells which sides of the scene the stored first row and column are."""
    stored = {
        1: CORNERS,
        2: CORNERS[:, ::-1],
        3: CORNERS[::-1, ::-1],
        4: CORNERS[::-1],
        5: CORNERS.T,
        6: CORNERS.T[::-1],
        7: CORNERS.T[::-1, ::-1],
        8: CORNERS.T[:, ::-1],
    }[orientation]
    exif = Image.Exif()
    exif[0x0112] = orientation
    Image.fromarray(np.ascontiguousarray(stored)).save(
        tmp_path / f"a.{suffix}", exif=exif, **({"quality": 100} if suffix == "jpg" else {})
    )
    found = decode_image(tmp_path / f"a.{suffix}")
    np.testing.assert_allclose(found[..., 0].astype(int), CORNERS, atol=3)
    assert decode_image(tmp_path / f"a.{suffix}", (24, 12)).shape == (12, 24, 3)


@pytest.mark.filterwarnings("ignore:Corrupt EXIF")
@pytest.mark.parametrize(
    "exif", [b"Exif\0\0", b"Exif\0\0II*\0\xff\xff\xff\xff", b"Exif\0\0nonsense, this is"]
)
def test_exif_that_cannot_be_read_turns_nothing(tmp_path, exif):
    Image.fromarray(CORNERS).save(tmp_path / "a.jpg", exif=exif, quality=100)
    np.testing.assert_allclose(
        decode_image(tmp_path / "a.jpg")[..., 0].astype(int), CORNERS, atol=3
    )


@pytest.mark.process
def test_an_image_too_large_is_one_sentence_and_nothing_else_is_printed(tmp_path):
    Image.new("1", (10_000, 9500)).save(
        tmp_path / "large.png"
    )  # above the size that Pillow itself warns of
    script = (
        "import sys\nfrom rdh.datasets._tools.images import decode_image\ntry: "
        "decode_image(sys.argv[1])\nexcept ValueError as e: print(e)"
    )
    answer = subprocess.run(
        [sys.executable, "-c", script, tmp_path / "large.png"],
        capture_output=True,
        text=True,
        check=True,
    )
    assert "10000 x 9500 pixels, more than 50 million" in answer.stdout and answer.stderr == ""


AUTHORS = "/home/author/data"


def with_prefix(folder: Path, prefix: str = AUTHORS) -> Path:
    for name in ("test.txt", "train.txt", "database.txt"):
        text = (folder / name).read_text()
        (folder / name).write_text("".join(f"{prefix}/{line}\n" for line in text.splitlines()))
    return folder


@pytest.mark.parametrize("prefix", [AUTHORS, AUTHORS + "/", "../data", "C:\\data"])
def test_a_prefix_is_taken_off_the_paths_of_a_list(tmp_path, prefix):
    make_lists(tmp_path / "image_list")
    before = datasets.load("image_list", tmp_path)
    with_prefix(tmp_path / "image_list", prefix.rstrip("/"))
    with pytest.raises(UserError, match=r"must be relative .*; the switch strip_prefix takes"):
        datasets.load("image_list", tmp_path)
    data = datasets.load("image_list", tmp_path, strip_prefix=prefix)
    assert data.fingerprint == before.fingerprint
    with pytest.raises(UserError, match=r"strip_prefix must be a folder that paths in .* begin"):
        datasets.load("image_list", tmp_path, strip_prefix="/home/auth")


@pytest.mark.parametrize("name", ["nus_wide", "imagenet100"])
def test_the_published_sets_take_a_prefix_too(tmp_path, name):
    n_classes = {"nus_wide": 21, "imagenet100": 30}[name]
    with_prefix(make_lists(tmp_path / name, n_classes=n_classes))
    assert len(datasets.load(name, tmp_path, strip_prefix=AUTHORS)) == 30


def test_an_index_belongs_to_its_prefix(tmp_path, monkeypatch):
    monkeypatch.setenv("RDH_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(_index, "LEAST_BYTES", 0)
    with_prefix(make_lists(tmp_path / "image_list"), "a/b")
    long = datasets.load("image_list", tmp_path, strip_prefix="a/b")
    with pytest.raises(UserError, match=r"None of the 30 images .*such as b/images/000.jpg"):
        datasets.load("image_list", tmp_path, strip_prefix="a")
    again = datasets.load("image_list", tmp_path, strip_prefix="a/b")
    assert again.fingerprint == long.fingerprint


@pytest.mark.parametrize("text", ["01", "10", "0110"])
def test_label_text_with_two_readings_is_refused(tmp_path, text):
    folder = make_lists(tmp_path / "image_list", labels=np.arange(30) % 2)
    for path in folder.glob("*.txt"):
        lines = [f"{line.split()[0]} {text}\n" for line in path.read_text().splitlines()]
        path.write_text("".join(lines))
    with pytest.raises(UserError, match="can be class numbers or columns of 0 and 1: put a blank"):
        datasets.load("image_list", tmp_path)


def test_a_zero_before_a_class_number_is_refused(tmp_path):
    folder = make_lists(tmp_path / "image_list", labels=np.arange(30))
    text = (folder / "train.txt").read_text()
    (folder / "train.txt").write_text(text.replace(" 7\n", " 07\n"))
    with pytest.raises(UserError, match=r"without zeros before it, .* got '07'"):
        datasets.load("image_list", tmp_path)


def test_classes_without_any_item_are_a_note(tmp_path):
    make_lists(tmp_path / "image_list", labels=1 + np.arange(30) % 3 * 2)  # 1, 3, 5
    data = datasets.load("image_list", tmp_path)
    (note,) = [warning for warning in data.warnings if "have no item" in warning]
    assert note.startswith("3 of 6 classes of image_list have no item: 'class 0', 'class 2', ")
    assert note in datasets.data_card(data).warnings


def test_two_classes_of_one_name_are_refused(tmp_path):
    folder = make_lists(tmp_path / "image_list")
    (folder / "classes.txt").write_text("cat\ndog\ncat\nowl\n")
    with pytest.raises(UserError, match="class names of image_list must differ, got 'cat' 2 times"):
        datasets.load("image_list", tmp_path)
