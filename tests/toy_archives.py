"""Every data set in small, in the files and folders in which its makers distribute it."""

import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from rdh.datasets import cifar10
from rdh.datasets._tools.examples import multi_hot, write_image, write_list
from rdh.datasets._tools.examples import write_folders as make_folders
from rdh.datasets._tools.examples import write_lists as make_lists

__all__ = [
    "make_class_folders",
    "make_folders",
    "make_lists",
    "multi_hot",
    "write_both",
    "write_coco",
    "write_image",
    "write_list",
    "write_nus",
]

CONCEPTS = 23  # of the NUS-WIDE made here
COCO_NAMES = ("person", "bicycle", "car", "cat")


def make_class_folders(
    folder: Path, per_class: int = 6, parts: Sequence[str] = ("train", "test"), suffix="png"
) -> Path:
    """CIFAR-10 with per_class images of every class, split over the parts.

    Each image has one colour that no other image has.
    """
    for number, name in enumerate(cifar10.CLASS_NAMES):
        for item in range(per_class):
            place = folder / parts[item % len(parts)] / name / f"{item:04}.{suffix}"
            write_image(place, (number, item, 7), (32, 32))
    return folder


def write_coco(
    folder: Path, part: str, labels: np.ndarray, names: Sequence[str], n_empty: int = 1
) -> dict:
    """One part of COCO, such as val2017, with one annotation for each label.

    Images are numbered from 1. The last n_empty have no annotation.
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
    """COCO's train and val parts. Returns the labels of the images that have annotations.

    25 images are in train, and each part has one image without an annotation.
    """
    labels = multi_hot(n, len(COCO_NAMES))
    write_coco(folder, f"train{year}", labels[:25], COCO_NAMES)
    write_coco(folder, f"val{year}", labels[25:], COCO_NAMES)
    return labels


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
