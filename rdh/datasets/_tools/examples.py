"""Writers of tiny archives, for the `example` of a data set and for tests."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np


def write_image(
    path: Path, colour: tuple[int, int, int] = (1, 2, 3), size: tuple[int, int] = (12, 10)
) -> None:
    """Writes an image of one colour.

    Args:
        path: its file; missing folders are made.
        colour: red, green, blue from 0 to 255.
        size: (width, height) in pixels.
    """
    from PIL import Image  # here: importing a data set brings no image library

    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", size, colour).save(path)


def write_folders(folder: Path, per_class: dict[str, int]) -> Path:
    """Writes class folders of images, each of one colour that no other has; returns the folder.

    Args:
        folder: the folder to write.
        per_class: path of a class folder below it -> number of images.
    """
    for number, (name, n_images) in enumerate(per_class.items()):
        for item in range(n_images):
            write_image(folder / name / f"{item:03}.png", (number, item, 0))
    return folder


def multi_hot(n: int, n_classes: int, seed: int = 0) -> np.ndarray:
    """Random labels uint8 (n, n_classes), at least one a row; the later classes are rarer."""
    rng = np.random.default_rng(seed)
    labels = (rng.random((n, n_classes)) < np.linspace(0.4, 0.05, n_classes)).astype(np.uint8)
    labels[np.arange(n), np.arange(n) % n_classes] = 1
    return labels


def write_list(path: Path, paths: Sequence[str], labels: np.ndarray) -> None:
    """Writes a list file of the HashNet format: a path, then its labels (n_classes,) or number."""
    path.parent.mkdir(parents=True, exist_ok=True)
    rows = (
        f"{name} {' '.join(map(str, np.atleast_1d(row)))}\n"
        for name, row in zip(paths, labels, strict=True)
    )
    path.write_text("".join(rows))


def write_lists(
    folder: Path,
    n: int = 30,
    n_classes: int = 4,
    *,
    gallery: str | None = "database",
    labels: np.ndarray | None = None,
) -> Path:
    """Writes n images and their lists; returns the folder.

    The first 5 images are queries and the others the gallery. The first 10 of these are the
    training items.

    Args:
        folder: the folder to write.
        n: number of images.
        n_classes: number of label columns, if labels are not given.
        gallery: name of the gallery's list; None: it has none.
        labels: (n, n_classes) of 0 and 1, or (n,) class numbers.
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
