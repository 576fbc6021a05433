"""Every data set in small, written the way its makers distribute it: image files, label files,
folders.
"""

import json
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
from PIL import Image

from rdh.datasets import cifar10

CONCEPTS = 23  # of the NUS-WIDE made here
COCO_NAMES = ("person", "bicycle", "car", "cat")


def write_image(
    path: Path, colour: tuple[int, int, int] = (1, 2, 3), size: tuple[int, int] = (12, 10)
) -> None:
    """One plain image, its folders made."""
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", size, colour).save(path)


def multi_hot(n: int, n_classes: int, seed: int = 0) -> np.ndarray:
    """Random labels uint8 (n, n_classes), at least one a row, the later classes rarer."""
    rng = np.random.default_rng(seed)
    labels = (rng.random((n, n_classes)) < np.linspace(0.4, 0.05, n_classes)).astype(np.uint8)
    labels[np.arange(n), np.arange(n) % n_classes] = 1
    return labels


def make_class_folders(
    folder: Path, per_class: int = 6, parts: Sequence[str] = ("train", "test"), suffix="png"
) -> Path:
    """CIFAR-10: per_class images of every class split over the parts, each of one colour that no
    other image has.
    """
    for number, name in enumerate(cifar10.CLASS_NAMES):
        for item in range(per_class):
            place = folder / parts[item % len(parts)] / name / f"{item:04}.{suffix}"
            write_image(place, (number, item, 7), (32, 32))
    return folder


def make_folders(folder: Path, per_class: dict[str, int]) -> Path:
    """{path of a class folder: images in it}."""
    for number, (name, n_images) in enumerate(per_class.items()):
        for item in range(n_images):
            write_image(folder / name / f"{item:03}.png", (number, item, 0))
    return folder


def write_coco(
    folder: Path, part: str, labels: np.ndarray, names: Sequence[str], n_empty: int = 1
) -> dict:
    """One part (such as val2017) of COCO: images from number 1 on, one annotation a label, the last
    n_empty without any.
    """
    images, annotations = [], []
    for number, row in enumerate([*labels, *np.zeros((n_empty, labels.shape[1]))], 1):
        images.append({"id": number, "file_name": f"{number:012}.jpg", "height": 10, "width": 12})
        write_image(folder / part / f"{number:012}.jpg", (number, 0, 0))
        annotations += [
            {"id": 7, "image_id": number, "category_id": 10 * int(k) + 5, "bbox": []}
            for k in np.flatnonzero(row)
        ]
    categories = [{"id": 10 * k + 5, "name": name} for k, name in enumerate(names)][
        ::-1
    ]  # by number, whatever the order
    content = {"info": {}, "images": images, "annotations": annotations, "categories": categories}
    (folder / "annotations").mkdir(exist_ok=True)
    (folder / "annotations" / f"instances_{part}.json").write_text(json.dumps(content))
    return content


def write_both(folder: Path, year: int = 2014, n: int = 40) -> np.ndarray:
    """COCO's train and val parts, 25 images in train and one without annotation in each; the labels
    of the others.
    """
    labels = multi_hot(n, len(COCO_NAMES))
    write_coco(folder, f"train{year}", labels[:25], COCO_NAMES)
    write_coco(folder, f"val{year}", labels[25:], COCO_NAMES)
    return labels


def write_list(path: Path, paths: Sequence[str], labels: np.ndarray) -> None:
    """One list file of the HashNet format."""
    path.parent.mkdir(parents=True, exist_ok=True)
    rows = (
        f"{name} {' '.join(map(str, np.atleast_1d(row)))}\n"
        for name, row in zip(paths, labels, strict=True)
    )
    path.write_text("".join(rows))


def make_lists(
    folder: Path, n: int = 30, n_classes: int = 4, *, gallery: str | None = "database", labels=None
) -> Path:
    """n images; the first 5 are queries, the others the gallery, of which the first 10 are for
    training.
    """
    labels = multi_hot(n, n_classes) if labels is None else labels
    paths = [f"images/{number:03}.jpg" for number in range(n)]
    for number, path in enumerate(paths):
        write_image(folder / path, (number, 0, 0))
    write_list(folder / "test.txt", paths[:5], labels[:5])
    write_list(folder / "train.txt", paths[5:15], labels[5:15])
    if gallery:
        write_list(folder / f"{gallery}.txt", paths[5:], labels[5:])
    return folder


def write_nus(folder: Path, labels: np.ndarray, images: str = "Flickr") -> list[str]:
    """NUS-WIDE's official files; the list of images has backslashes, as the official one does.

    Concept names are returned.
    """
    names = [f"concept{number:02}" for number in range(labels.shape[1])]
    paths = [f"actor\\{number:04}.jpg" for number in range(len(labels))]
    for number, path in enumerate(paths):
        write_image(folder / images / path.replace("\\", "/"), (number % 256, 0, 0))
    tags = folder / "Groundtruth" / "AllLabels"
    tags.mkdir(parents=True)
    for name, column in zip(names, labels.T, strict=True):
        (tags / f"Labels_{name}.txt").write_text("".join(f"{tag}\r\n" for tag in column))
    (folder / "ImageList").mkdir()
    (folder / "ImageList" / "Imagelist.txt").write_text("".join(f"{path}\n" for path in paths))
    return names


def _arrays(root: Path) -> None:
    root.mkdir(exist_ok=True)
    pixels = np.random.default_rng(0).integers(0, 256, (60, 5, 4), dtype=np.uint8)
    np.savez(root / "arrays.npz", images=pixels, labels=np.arange(60) % 3)


def _imagenet(root: Path) -> None:
    wnids = [f"n0000000{number}" for number in range(4)]
    make_folders(
        root / "imagenet100",
        {f"train/{one}": 9 for one in wnids} | {f"val/{one}": 3 for one in wnids},
    )


MAKERS: dict[str, Callable[[Path], object]] = {  # data set -> writes it into a data folder, small
    "arrays": _arrays,
    "cifar10": lambda root: make_class_folders(root / "cifar10"),
    "coco": lambda root: write_both(root / "coco"),
    "digits": lambda root: None,
    "image_folder": lambda root: make_folders(
        root / "image_folder", {"ant": 12, "bee": 20, "cow": 15}
    ),
    "image_list": lambda root: make_lists(root / "image_list"),
    "imagenet100": _imagenet,
    "mosaic": lambda root: None,
    "nus_wide": lambda root: write_nus(root / "nus_wide", multi_hot(120, CONCEPTS)),
}
OPTIONS: dict[str, dict] = {
    "cifar10": {"query_per_class": 1, "train_per_class": 2}
}  # for what was made here
