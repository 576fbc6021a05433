"""Arrays from an .npz file, mosaics of other data sets, and damaged images of every kind."""

import pickle
import struct
import subprocess
import sys
import zipfile
import zlib

import numpy as np
import pytest
from PIL import Image

from rdh import datasets
from rdh.config.run_config import make_config
from rdh.datasets import BadImage
from rdh.errors import UserError
from rdh.inputs.load import load_inputs
from tests.toy_archives import make_class_folders, make_lists, multi_hot

PIXELS = np.random.default_rng(0).integers(0, 256, (60, 5, 4, 3), dtype=np.uint8)
CLASS_OF = np.arange(60) % 3


@pytest.fixture
def given(tmp_path):
    """Keys and values -> the data set of that file; switches as `options`."""

    def make(options=None, **content):
        np.savez(tmp_path / "arrays.npz", **({"labels": CLASS_OF} | content))
        return datasets.load("arrays", tmp_path, **(options or {}))

    return make


@pytest.mark.parametrize("images", [PIXELS, PIXELS[..., :1], PIXELS[..., 0]])
def test_images_with_class_numbers_are_a_data_set(given, images):
    data = given(images=images, class_names=np.array(["ant", "bee", "cow"]))
    expected = images if images.ndim == 4 else images[..., np.newaxis]
    np.testing.assert_array_equal(data.images(np.arange(60))[0], expected)
    np.testing.assert_array_equal(data.labels.argmax(axis=1), CLASS_OF)
    assert data.class_names == ("ant", "bee", "cow") and data.warnings == []
    assert [len(part) for part in vars(data.split(0)).values()] == [6, 54, 27]
    assert given({"top_k": 10, "n_query": 20, "n_train": 5}, images=images).top_k == 10


def test_rows_with_several_labels_say_what_eta_fits_them(given):
    data = given(images=PIXELS, labels=multi_hot(60, 4))
    assert (
        data.is_multi_label
        and "The items of arrays have several labels: set eta=0.1" in data.warnings[0]
    )


@pytest.mark.parametrize("n_classes", [2, 3])
def test_a_single_column_of_labels_holds_class_numbers(given, n_classes):
    data = given(images=PIXELS, labels=(np.arange(60) % n_classes)[:, None])
    assert len(data) == 60 and data.warnings == []
    np.testing.assert_array_equal(
        data.labels, np.eye(n_classes, dtype=np.uint8)[np.arange(60) % n_classes]
    )


@pytest.mark.parametrize(
    "labels", [np.zeros(60, int), np.ones((60, 1), int), np.ones((60, 2), int)]
)
def test_one_class_in_the_whole_set_is_told(given, labels):
    told = [
        text for text in given(images=PIXELS, labels=labels).warnings if "every MAP is 1" in text
    ]
    assert len(told) == 1 and told[0].startswith("All items of arrays have the label 'class ")


def test_labels_that_no_two_items_share_are_told(given):
    warnings = given(images=PIXELS, labels=np.arange(60)).warnings
    assert sum("share a label, so every MAP is 0" in text for text in warnings) == 1
    assert not given(images=PIXELS, labels=np.arange(60) // 2).warnings


@pytest.mark.parametrize(
    ("fields", "is_told"),
    [
        ({}, True),  # the default, 1 by the name of the data set
        ({"eta": 0.5}, True),
        ({"eta": 0.1}, False),
        ({"quantization": "plain"}, False),
        ({"quantization": "none", "amplifier": True}, False),
    ],
)
def test_a_run_hears_of_eta_where_it_has_another_than_fits(given, tmp_path, fields, is_told):
    given(features=PIXELS[:, 0, 0] / 1, labels=multi_hot(60, 4))
    fields = {
        "quantization": "error_aware",
        "backbone": "none",
        "finetune": False,
        "device": "cpu",
    } | fields
    lines = []
    load_inputs(make_config(dataset="arrays", **fields), data_root=tmp_path, log=lines.append)
    assert any("set eta=0.1" in line for line in lines) == is_told


def test_features_are_trained_on_as_they_are(given, tmp_path):
    features = np.random.default_rng(1).normal(size=(60, 7))
    data = given(features=features)
    np.testing.assert_allclose(data.features, features, rtol=1e-6)
    assert data.features.dtype == np.float32
    config = make_config(dataset="arrays", backbone="none", finetune=False, device="cpu")
    inputs = load_inputs(config, data_root=tmp_path, log=lambda text: None)
    split = data.split(0)
    assert inputs.n_features == 7
    np.testing.assert_allclose(next(inputs.batches(split.query)), features[split.query], rtol=1e-6)


def test_features_have_a_picture_of_grey_values(given):
    features = np.tile(np.linspace(-1, 3, 60)[:, None], (1, 5))
    image = given(features=features).image(59)
    assert image.shape == (3, 3, 1) and image.ravel().tolist() == [255] * 5 + [0] * 4
    assert given(features=np.zeros((60, 4))).image(0).max() == 0


def test_a_split_in_the_file_is_the_split_and_follows_dropped_rows(given):
    labels = multi_hot(60, 4)
    labels[[0, 20]] = 0
    parts = {"query": np.arange(10), "gallery": np.arange(10, 60), "train": np.arange(15, 30)}
    data = given(images=PIXELS, labels=labels, **parts)
    split = data.split(5)
    assert [len(part) for part in vars(split).values()] == [9, 49, 14] and len(data) == 58
    np.testing.assert_array_equal(data.image(0), PIXELS[1])
    np.testing.assert_array_equal(data.labels[split.query], labels[1:10])
    assert "2 of 60 items have no label and are left out" in data.warnings[0]


def test_the_fingerprint_follows_the_values(given):
    other = PIXELS.copy()
    other[3, 2, 1, 0] ^= 1
    marks = {
        given(images=PIXELS).fingerprint,
        given(images=other).fingerprint,
        given(features=PIXELS[:, 0, 0] / 1).fingerprint,
    }
    assert len(marks) == 3 and given(images=PIXELS).fingerprint in marks


BAD = [
    ({"images": PIXELS / 255}, r"images in .* must be uint8 .* got float64 \(60, 5, 4, 3\)"),
    (
        {"images": PIXELS[..., [0, 1]]},
        r"images in .* must be uint8 .*1 or 3\), got uint8 \(60, 5, 4, 2\)",
    ),
    ({"images": PIXELS[:, 0, 0]}, r"images in .* must be uint8"),
    ({"images": PIXELS[:50]}, r"has 60 labels for 50 items"),
    ({"images": PIXELS, "features": np.ones((60, 2))}, r"must hold labels, and images or features"),
    ({}, r"must hold labels, and images or features, .* got labels"),
    (
        {"images": PIXELS, "weights": np.ones(3)},
        r"may hold class_names, query, gallery and train, got .*weights",
    ),
    (
        {"features": np.full((60, 2), np.nan)},
        r"features in .* must be finite .* got nan in row 0 of float64",
    ),
    (
        {"features": np.full((60, 2), -1e300)},
        r"features in .* from -1e\+15 to 1e\+15, got -1e\+300 in row 0",
    ),
    (
        {"images": PIXELS, "labels": np.zeros((60, 3), int)},
        r"labels in .* must mark each label by a 1, got only 0",
    ),
    (
        {"features": np.ones((60, 0))},
        r"features in .* must be numbers \(n, n_features\), got float64 \(60, 0\)",
    ),
    (
        {"images": PIXELS, "labels": CLASS_OF - 1},
        r"labels in .* must be class numbers >= 0, .*, got -1 in int64 \(60,\)",
    ),
    (
        {"images": PIXELS, "labels": CLASS_OF / 1},
        r"labels in .* must be class numbers .* got float64 \(60,\): .* pass integers",
    ),
    ({"images": PIXELS, "labels": 2 * multi_hot(60, 4)}, r"labels in .* of 0 and 1"),
    (
        {"images": PIXELS, "labels": CLASS_OF * 10**9},
        r"labels in .* from 0 to 9999, got 0 to 2000000000 in int64",
    ),
    ({"images": PIXELS, "class_names": np.array(["a"])}, r"class_names in .* must be 3 names"),
    (
        {"images": PIXELS, "query": np.arange(3)},
        r"must be all there, without n_query and n_train, or none",
    ),
    (
        {"images": PIXELS, "query": [60], "gallery": [1], "train": [1]},
        r"query in .* numbers from 0 to 59, got 60 in row 0",
    ),
    (
        {"images": PIXELS, "query": [1], "gallery": [1, 2], "train": [2]},
        r"query in .* must share no row with gallery",
    ),
]


@pytest.mark.parametrize(("content", "message"), BAD)
def test_a_bad_key_is_one_sentence(given, content, message):
    with pytest.raises(UserError, match=message):
        given(**content)


@pytest.mark.parametrize("options", [{"n_query": 60}, {"n_train": 60}, {"top_k": -1}])
def test_switches_that_do_not_fit_are_named(given, options):
    with pytest.raises(UserError, match=next(iter(options))):
        given(options, images=PIXELS)


def test_pickles_are_never_opened(tmp_path):
    class Trap:
        def __reduce__(self):
            return (open, (str(tmp_path / "trapped"), "w"))

    np.savez(tmp_path / "arrays.npz", images=PIXELS, labels=np.array([Trap()] * 60))
    with pytest.raises(
        UserError, match=r"arrays.npz cannot be read \(.*pickled objects\): write it anew"
    ):
        datasets.load("arrays", tmp_path)
    (tmp_path / "arrays.npz").write_bytes(pickle.dumps(Trap()))
    with pytest.raises(UserError, match="cannot be read"):
        datasets.load("arrays", tmp_path)
    assert not (tmp_path / "trapped").exists()


def test_a_damaged_file_is_one_sentence(tmp_path, given):
    given(images=PIXELS)
    path = tmp_path / "arrays.npz"
    whole = path.read_bytes()
    for content in (b"", whole[:500], whole[:-30], b"not an archive"):
        path.write_bytes(content)
        with pytest.raises(UserError, match=r"arrays.npz cannot be read"):
            datasets.load("arrays", tmp_path)
    np.save(path.with_suffix(".npy"), PIXELS)
    with pytest.raises(
        UserError,
        match=r"arrays.npy cannot be read \(it is one array, not an .npz file\): write it anew",
    ):
        datasets.load("arrays", tmp_path, file="arrays.npy")
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("images.npy", whole[:10])
        archive.writestr("labels", b"0 1 2")
    with pytest.raises(UserError, match=r"arrays.npz cannot be read"):
        datasets.load("arrays", tmp_path)
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("labels", b"0 1 2")
    with pytest.raises(
        UserError, match=r"arrays.npz cannot be read \(labels is not an array\): write it anew"
    ):
        datasets.load("arrays", tmp_path)


# Mosaics


@pytest.mark.parametrize("grid", [2, 3])
def test_a_mosaic_shows_images_of_its_labels(grid):
    data, source = (
        datasets.load("mosaic", "unused", grid=grid, n_items=300),
        datasets.load("digits", "unused"),
    )
    class_of = {
        source.image(item).tobytes(): label
        for item, label in enumerate(source.labels.argmax(axis=1))
    }
    for item in range(0, 300, 7):
        image = data.image(item)
        assert image.shape == (8 * grid, 8 * grid, 1)
        cells = [
            image[8 * r : 8 * r + 8, 8 * c : 8 * c + 8] for r in range(grid) for c in range(grid)
        ]
        assert {class_of[cell.tobytes()] for cell in cells} == set(
            np.flatnonzero(data.labels[item])
        )


def test_mosaics_are_multi_label_and_about_a_third_of_their_pairs_similar():
    data = datasets.load("mosaic", "unused")
    assert len(data) == 5000 and data.is_multi_label
    assert np.bincount(data.labels.sum(axis=1)).tolist()[1:] == pytest.approx([1667] * 3, abs=150)
    split = data.split(0)
    assert [len(part) for part in vars(split).values()] == [500, 4500, 2250]
    labels = data.labels[split.train].astype(int)
    assert (labels @ labels.T > 0).mean() == pytest.approx(0.36, abs=0.02)


def test_the_gallery_shows_no_image_that_a_query_shows():
    data = datasets.load("mosaic", "unused", n_items=500)
    split = data.split(0)
    assert not np.intersect1d(data._cells[split.query], data._cells[split.gallery]).size


@pytest.mark.process
def test_map_of_a_mosaic_counts_all_ranks_or_as_many_as_its_switch_says():
    assert datasets.load("mosaic", "unused", n_items=100).top_k is None
    assert datasets.load("mosaic", "unused", n_items=100, top_k=50).top_k == 50


@pytest.mark.process
def test_a_mosaic_is_the_same_in_every_process():
    code = "from rdh import datasets; print(datasets.load('mosaic', 'x', n_items=100).fingerprint)"
    answers = {
        subprocess.run([sys.executable, "-c", code], capture_output=True, text=True).stdout
        for _ in range(2)
    }
    assert answers == {datasets.load("mosaic", "x", n_items=100).fingerprint + "\n"}
    assert datasets.load("mosaic", "x", n_items=100, grid=3).fingerprint + "\n" not in answers


def test_mosaics_of_photographs_need_cifar10(tmp_path):
    with pytest.raises(UserError, match="No CIFAR-10 in"):
        datasets.load("mosaic", tmp_path, source="cifar10")
    make_class_folders(tmp_path / "cifar10")
    data = datasets.load("mosaic", tmp_path, source="cifar10", n_items=40)
    assert data.image(39).shape == (64, 64, 3) and "60 images instead of 60000" in data.warnings[0]
    assert set(data.image(39)[::32, ::32, 0].ravel().tolist()) == set(
        np.flatnonzero(data.labels[39])
    )  # red: the class
    path = next((tmp_path / "cifar10" / "train").rglob("*.png"))
    for path in (tmp_path / "cifar10").rglob("*.png"):
        path.write_bytes(b"")
    with pytest.raises(BadImage, match=r"\.png cannot be decoded"):
        data.image(0)


def test_whether_a_mosaic_needs_torch_depends_on_its_source(tmp_path):
    (tmp_path / "cifar10" / "cifar-10-batches-py").mkdir(parents=True)
    assert datasets.loads_without_torch("mosaic", tmp_path, source="digits")
    assert not datasets.loads_without_torch("mosaic", tmp_path, source="cifar10", grid=3)
    assert not datasets.loads_without_torch("mosaic", tmp_path)  # unsaid: to be on the safe side


@pytest.mark.parametrize(
    ("switches", "rule"),
    [
        ({"source": "coco"}, "source must be one of digits, cifar10, got 'coco'"),
        ({"grid": 4}, "grid must be one of 2, 3, got 4"),
        ({"n_items": 19}, r"n_items must be in \[20, 1000000\], got 19"),
        ({"n_items": 10**12}, r"n_items must be in \[20, 1000000\], got 1000000000000"),
    ],
)
def test_switches_of_a_mosaic_are_checked(switches, rule):
    with pytest.raises(UserError, match=rule):
        datasets.load("mosaic", "unused", **switches)


# Images of every kind


def bomb(width: int, height: int) -> bytes:
    """A PNG file of a hundred bytes that claims to be that large."""

    def chunk(kind: bytes, content: bytes) -> bytes:
        return (
            struct.pack(">I", len(content))
            + kind
            + content
            + struct.pack(">I", zlib.crc32(kind + content))
        )

    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return (
        b"\x89PNG\r\n\x1a\n"
        + chunk(b"IHDR", header)
        + chunk(b"IDAT", zlib.compress(b"\0"))
        + chunk(b"IEND", b"")
    )


KINDS = [
    ("L", 90),
    ("LA", (90, 10)),
    ("P", 7),
    ("1", 1),
    ("I;16", 40_000),
    ("RGBA", (1, 2, 3, 4)),
    ("CMYK", (0, 255, 255, 0)),
]


@pytest.mark.parametrize(("mode", "colour"), KINDS)
def test_every_colour_mode_becomes_rgb_of_its_own_size(tmp_path, mode, colour):
    folder = make_lists(tmp_path / "image_list")
    image = Image.new(mode, (17, 9), colour)
    image.save(folder / "images" / "003.jpg", format="JPEG" if mode == "CMYK" else "PNG")
    image = datasets.load("image_list", tmp_path).image(3)
    assert image.shape == (9, 17, 3) and image.dtype == np.uint8 and image.flags.writeable


def test_images_that_cannot_be_decoded_stop_the_run_or_are_skipped_and_counted(tmp_path):
    folder = make_lists(tmp_path / "image_list") / "images"
    whole = (folder / "005.jpg").read_bytes()
    (folder / "006.jpg").write_bytes(b"")
    (folder / "007.jpg").write_bytes(whole[: len(whole) // 2])
    (folder / "008.jpg").write_bytes(b"GIF89a and so on")
    (folder / "009.jpg").write_bytes(bomb(8000, 8000))
    (folder / "010.jpg").write_bytes(bomb(60_000, 60_000))
    (folder / "011.jpg").write_bytes(bomb(10, 10))  # its pixels are missing
    (folder / "012.jpg").unlink()
    (folder / "013.jpg").unlink()
    (folder / "013.jpg").mkdir()
    data = datasets.load("image_list", tmp_path)
    images, kept = data.images(np.arange(30), bad_images="skip")
    assert sorted(set(range(30)) - set(kept.tolist())) == list(range(6, 14)) and len(images) == 22
    told = "\n".join(data.warnings)
    assert "009.jpg cannot be decoded (8000 x 8000 pixels, more than 50 million)" in told
    assert "006.jpg cannot be decoded (not a JPEG, PNG, WebP, BMP or TIFF image)" in told
    for item in range(6, 14):
        with pytest.raises(BadImage, match=rf"{item:03}\.jpg cannot be decoded \(.+\)"):
            data.image(item)
    with pytest.raises(
        BadImage, match=r"006.jpg .*Replace them, or set bad_images=skip to leave them out"
    ):
        data.images(np.arange(30))
    config = {"dataset": "image_list", "image_size": 8, "device": "cpu"}
    lines = []
    inputs = load_inputs(
        make_config(**config, bad_images="skip"), data_root=tmp_path, log=lines.append
    )
    names = ", ".join(f"images/{number:03}.jpg" for number in range(6, 11))
    said = f"8 of 30 images can't be decoded and are left out: {names} and 3 more."
    assert inputs.left_out == said and said in lines
    assert (
        len(inputs.split.train) == 10 - 8
        and not np.isin(inputs.split.gallery, np.arange(6, 14)).any()
    )
    with pytest.raises(BadImage):
        load_inputs(make_config(**config), data_root=tmp_path, log=lambda text: None)


def test_a_sentence_about_a_damaged_file_shows_no_bytes_of_it(tmp_path):
    path = tmp_path / "arrays.npz"
    np.savez(path, images=np.zeros((60, 30, 30), np.uint8), labels=np.arange(60) % 3)
    content = bytearray(path.read_bytes())
    content[26:28] = b"\xff\x7f"  # how long the name of the first member is
    path.write_bytes(content)
    with pytest.raises(UserError, match=r"cannot be read .*: write it anew") as told:
        datasets.load("arrays", tmp_path)
    assert len(str(told.value)) < 500
