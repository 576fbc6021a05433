"""The same picture in the queries and in the gallery or training set."""

import shutil

import numpy as np
import pytest

from rdh import datasets
from rdh.datasets._tools.examples import write_image, write_lists
from rdh.datasets._tools.sources import HEAD_BYTES
from rdh.datasets._tools.twins import Twin, twins


@pytest.fixture
def lists(tmp_path):
    write_lists(tmp_path / "image_list")  # items 0 to 4 are queries
    images = tmp_path / "image_list" / "images"
    for number in range(30):  # no two are equal: one colour each could be, as JPEG
        write_image(images / f"{number:03}.jpg", (8 * number, 255 - 8 * number, 0))
    return tmp_path


def found_in(root) -> list[Twin]:
    data = datasets.load("image_list", root)
    return twins(data, data.split(0))


def test_different_pictures_are_no_twins_and_copies_are(lists):
    images = lists / "image_list" / "images"
    assert found_in(lists) == []
    shutil.copy(images / "003.jpg", images / "020.jpg")
    shutil.copy(images / "003.jpg", images / "025.jpg")
    (images / "007.jpg").unlink()
    (images / "007.jpg").symlink_to("001.jpg")
    assert found_in(lists) == [Twin(1, 7), Twin(3, 20)]


def test_files_of_one_size_that_differ_only_at_the_end_are_told_apart(lists):
    images = lists / "image_list" / "images"
    start = (images / "002.jpg").read_bytes() + bytes(HEAD_BYTES)
    for name, end in (("002", b"a"), ("010", b"b"), ("011", b"a")):
        (images / f"{name}.jpg").write_bytes(start + end)
    assert found_in(lists) == [Twin(2, 11)]


def test_missing_files_have_no_twin(lists):
    images = lists / "image_list" / "images"
    for name in ("001", "002", "010", "011"):
        (images / f"{name}.jpg").unlink()
    assert found_in(lists) == []


@pytest.mark.parametrize("kind", ["images", "features"])
def test_equal_rows_of_arrays_are_twins(tmp_path, kind):
    rng = np.random.default_rng(0)
    values = rng.integers(0, 256, (40, 4, 4, 3), dtype=np.uint8)
    values = values if kind == "images" else rng.normal(size=(40, 8)).astype(np.float32)
    values[[12, 30]] = values[2]
    split = {"query": np.arange(5), "gallery": np.arange(5, 40), "train": np.arange(5, 20)}
    labels = np.arange(40) % 2
    np.savez(tmp_path / "arrays.npz", labels=labels, **{kind: values}, **split)
    data = datasets.load("arrays", tmp_path)
    assert twins(data, data.split(0)) == [Twin(2, 12)]


def test_the_sentence_names_how_many_and_an_example(lists):
    images = lists / "image_list" / "images"
    data = datasets.load("image_list", lists)
    n_found, sentence = datasets.same_pictures(data)
    assert n_found == 0 and sentence.startswith("No picture of image_list is a query and")
    shutil.copy(images / "003.jpg", images / "020.jpg")
    n_found, sentence = datasets.same_pictures(datasets.load("image_list", lists))
    assert n_found == 1 and "1 of 5 queries of image_list have the same picture" in sentence
    assert "such as images/003.jpg and images/020.jpg" in sentence
