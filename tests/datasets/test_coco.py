"""COCO from files in its own format: both layouts, refusals, and the real data if given."""

import json
import os
from pathlib import Path

import numpy as np
import pytest

from rdh import datasets
from rdh.datasets import coco
from rdh.datasets._tools.splits import Drawn, sizes
from rdh.errors import UserError
from tests.toy_archives import COCO_NAMES, multi_hot, write_both, write_coco


@pytest.mark.parametrize("year", [2014, 2017])
@pytest.mark.parametrize("below", ["coco", ""])
def test_both_layouts_are_read_and_images_without_annotation_left_out(tmp_path, year, below):
    labels = write_both(tmp_path / below, year)
    data = datasets.load("coco", tmp_path)
    np.testing.assert_array_equal(data.labels, labels)
    assert data.class_names == tuple(COCO_NAMES) and data.top_k == 5000 and data.is_multi_label
    assert data.image_name(0) == f"train{year}/000000000001.jpg"
    assert data.image_name(25) == f"val{year}/000000000001.jpg"
    assert data.image(3).shape == (10, 12, 3)
    assert "holds 40 annotated images instead of 122218" in data.warnings[0]


def test_2014_goes_first_and_one_part_is_enough(tmp_path):
    write_both(tmp_path / "coco", 2017)
    write_coco(tmp_path / "coco", "val2014", multi_hot(12, 4), COCO_NAMES)
    data = datasets.load("coco", tmp_path)
    assert len(data) == 12 and data.image_name(0).startswith("val2014/")


def test_a_small_set_keeps_a_gallery_unless_the_switches_say_otherwise(tmp_path):
    write_both(tmp_path)
    sizes = [len(part) for part in vars(datasets.load("coco", tmp_path).split(0)).values()]
    assert sizes == [4, 36, 18]
    sizes = [
        len(part)
        for part in vars(datasets.load("coco", tmp_path, n_query=10, n_train=7).split(0)).values()
    ]
    assert sizes == [10, 30, 7]


@pytest.mark.parametrize(
    ("switches", "message"),
    [
        (
            {"n_query": 40},
            r"n_query and n_train need 40 \+ 1 images, but there are 40: lower n_query\.",
        ),
        (
            {"n_query": 10, "n_train": 31},
            r"need 10 \+ 31 images, but there are 40: lower n_train\.",
        ),
        ({"n_train": -1}, r"n_train must be at least 0, got -1"),
        ({"n_query": 2.5}, r"n_query must be a whole number, got 2.5"),
    ],
)
def test_sizes_that_do_not_fit_name_their_switch(tmp_path, switches, message):
    write_both(tmp_path)
    with pytest.raises(UserError, match=message):
        datasets.load("coco", tmp_path, **switches)


def test_the_official_numbers_come_from_the_official_count():
    numbers = sizes(coco.N_OFFICIAL, ("n_query", 0, coco.N_QUERY), ("n_train", 0, coco.N_TRAIN))
    split = Drawn(*numbers).split(np.ones((coco.N_OFFICIAL, 1)), [], 0)
    assert [len(part) for part in vars(split).values()] == [5000, 117_218, 10_000]


def edited(folder, change):
    """The annotations of train2014 after `change` had them."""
    path = folder / "annotations" / "instances_train2014.json"
    content = json.loads(path.read_text())
    change(content)
    path.write_text(json.dumps(content))


BAD_JSON = [
    (
        lambda one: one.pop("categories"),
        r"does not have COCO's instances format \(at 'categories'\)",
    ),
    (
        lambda one: one["annotations"].append({"image_id": 999, "category_id": 5}),
        r"instances format \(at 999\)",
    ),
    (
        lambda one: one["annotations"].append({"image_id": 1, "category_id": 6}),
        r"instances format \(at 'category_id'\)",
    ),
    (lambda one: one["images"].append(3), r"instances format"),
    (
        lambda one: one["images"][3].update(file_name=one["images"][2]["file_name"]),
        r"names an image twice",
    ),
    (
        lambda one: one["categories"][0].update(name="dog"),
        r"val2014.json has other categories than .*train2014.json",
    ),
    (
        lambda one: one["images"][0].update(file_name="../../../etc/passwd"),
        r"names the path '../../../etc/passwd'",
    ),
    (lambda one: one["images"][0].update(file_name="/etc/passwd"), r"names the path '/etc/passwd'"),
    (lambda one: one["images"][0].update(file_name=None), r"the file_name 'None', which is not"),
    (lambda one: one["images"][0].update(id=0.5), r"the id '0.5', which is not a whole number"),
    (lambda one: one["images"][0].update(id=float("inf")), r"the id 'inf', which is not a whole"),
    (lambda one: one["images"][0].update(id=True), r"the id 'True', which is not a whole number"),
    (lambda one: one["images"][0].update(id="0"), r"the id '0', which is not a whole number"),
    (lambda one: one["annotations"][0].update(image_id=[1]), r"the id '\[1\]', which is not"),
    (
        lambda one: one["categories"].append(one["categories"][0] | {"name": "yak"}),
        r"two categories with one id",
    ),
]


@pytest.mark.parametrize(("change", "message"), BAD_JSON)
def test_annotations_that_are_not_right_are_named(tmp_path, change, message):
    write_both(tmp_path)
    edited(tmp_path, change)
    with pytest.raises(UserError, match=message):
        datasets.load("coco", tmp_path)


def test_ids_that_are_whole_floats_are_read(tmp_path):
    write_both(tmp_path)
    before = datasets.load("coco", tmp_path)

    def as_floats(one):
        for image in one["images"]:
            image["id"] = float(image["id"])

    edited(tmp_path, as_floats)
    np.testing.assert_array_equal(datasets.load("coco", tmp_path).labels, before.labels)


@pytest.mark.parametrize(
    "text",
    [
        *("", "{", "[1, 2]", '{"id": 1' + "0" * 5000 + "}", '"x"', "[" * 5000),
        '{"images": ' + "[" * 100_000,
        '{"images": ' + "[" * 100_000 + "]" * 100_000 + "}",
    ],
    ids=["empty", "cut", "list", "long number", "text", "deep list", "deep, cut", "deep"],
)
def test_a_file_that_is_no_such_json_is_one_sentence(tmp_path, text):
    write_both(tmp_path)
    (tmp_path / "annotations" / "instances_val2014.json").write_text(text)
    with pytest.raises(
        UserError, match=r"instances_val2014.json (cannot be read as JSON|does not have COCO's)"
    ):
        datasets.load("coco", tmp_path)


def test_images_that_are_not_there_are_told(tmp_path):
    write_both(tmp_path)
    for path in (tmp_path / "val2014").iterdir():
        path.unlink()
    assert "15 of 40 images of coco are missing" in datasets.load("coco", tmp_path).warnings[0]
    for path in (tmp_path / "train2014").iterdir():
        path.unlink()
    with pytest.raises(UserError, match=r"None of the 40 images of coco .* is in"):
        datasets.load("coco", tmp_path)


def test_missing_coco_names_the_command_and_the_files(tmp_path):
    with pytest.raises(
        UserError,
        match=r"No COCO in .*: run `python -m rdh data prepare coco .*instances_train2014.json",
    ):
        datasets.load("coco", tmp_path)


@pytest.fixture(scope="module")
def real_coco():
    folder = Path(os.environ.get("RDH_TEST_DATA") or ".") / "coco-tiny"
    if not folder.is_dir():
        pytest.skip("RDH_TEST_DATA names no folder with coco-tiny")
    return folder


def test_real_coco_images_reach_the_split_with_their_labels(real_coco):
    data = datasets.load("coco", real_coco)
    assert len(data) == 160 and len(data.class_names) == 80 and data.class_names[0] == "person"
    assert 3.5 < data.labels.sum(axis=1).mean() < 4.1
    images, kept = data.images(np.arange(160))
    assert len(kept) == 160 and all(max(image.shape[:2]) <= 320 for image in images)
    split = data.split(0)
    assert [len(part) for part in vars(split).values()] == [16, 144, 72]


def test_real_coco_labels_are_those_of_the_annotations(real_coco):
    content = json.loads((real_coco / "annotations" / "instances_val2017.json").read_text())
    data = datasets.load("coco", real_coco)
    names, files = (
        {one["id"]: one[key] for one in content[part]}
        for part, key in (("categories", "name"), ("images", "file_name"))
    )
    shown = {(files[one["image_id"]], names[one["category_id"]]) for one in content["annotations"]}
    rows = [item for item in range(len(data)) if data.image_name(item).startswith("val2017/")]
    ours = {
        (data.image_name(row)[8:], data.class_names[k])
        for row in rows
        for k in np.flatnonzero(data.labels[row])
    }
    assert ours == shown


def test_official_coco_has_its_counts():
    root = Path(os.environ.get("RDH_TEST_DATA") or ".")
    if not any(
        (root / "coco" / "annotations" / f"instances_train{year}.json").is_file()
        for year in coco.YEARS
    ):
        pytest.skip("RDH_TEST_DATA holds no official COCO in the folder coco")
    data = datasets.load("coco", root)
    assert len(data) == coco.N_OFFICIAL and data.warnings == []
    assert [len(part) for part in vars(data.split(0)).values()] == [5000, 117_218, 10_000]
