"""NUS-WIDE: photographs from Flickr with the labels of 81 concepts, several an image.

Protocols (switch `n_labels`), drawn by the split seed; MAP@5000.
21 (default): the 21 most frequent concepts and the 195 834 images that have any of them. 2100
queries (100 a concept), a gallery of the other 193 734, 10 500 training items (500 a concept) from
it. An image counts for its first concept with an open place.
81: all concepts. 5000 queries and 10 000 training items at random.
n_query and n_train take other numbers. In a smaller pool, 0 stands for at most a tenth as queries
and half of the gallery for training. Copies of the images differ, so published numbers differ too.

Sources, placed in DIR/nus_wide by hand, because nobody may pass the images on. Either the official
tag files Groundtruth/AllLabels/Labels_<concept>.txt (81 files of 0 and 1) and
ImageList/Imagelist.txt, with the images in Flickr (or images) under the names of that list. Or the
list files train.txt, test.txt and database.txt of HashNet with as many columns as n_labels; their
split is taken as it is.
Source: Chua et al., NUS-WIDE: A Real-World Web Image Database, CIVR 2009; protocols of DPSH and
HashNet.
"""

from collections import Counter
from pathlib import Path
from typing import Annotated, Literal

import numpy as np
from pydantic import Field

from rdh.datasets._tools.examples import multi_hot, write_image
from rdh.datasets._tools.index import Arrays, indexed
from rdh.datasets._tools.lists import MARK, load_lists
from rdh.datasets._tools.paths import check_inside, read_text, relative_path
from rdh.datasets._tools.sources import FileDataset
from rdh.datasets._tools.splits import Drawn, Quota, sizes
from rdh.errors import UserError

N_OFFICIAL = 195_834  # images with any of the 21 most frequent concepts
PROTOCOLS: dict[int, tuple[type[Quota] | type[Drawn], int, int]] = {
    21: (Quota, 2100, 10_500),
    81: (Drawn, 5000, 10_000),
}
LABELS, IMAGES = "Groundtruth/AllLabels", "ImageList/Imagelist.txt"

is_multi_label = True
top_k = 5000


def load(
    root: Path | str,
    *,
    n_labels: Annotated[
        Literal[21, 81], Field(description="how many of the most frequent concepts are labels")
    ] = 21,
    n_query: Annotated[int, Field(ge=0, description="queries to draw; 0: as the card says")] = 0,
    n_train: Annotated[
        int, Field(ge=0, description="training items to draw; 0: as the card says")
    ] = 0,
    strip_prefix: Annotated[
        str, Field(description="a folder that the paths in the lists begin with, to be taken off")
    ] = "",
    follow_links: Annotated[
        bool, Field(description="follow links that lead out of the data folder")
    ] = False,
) -> FileDataset:
    """NUS-WIDE from the data folder `root`.

    Raises:
        UserError: Files are missing or damaged. It says which files to place in which folder.
    """
    place, inside = Path(root) / "nus_wide", None if follow_links else Path(root)
    check_inside(place, inside)
    if (place / MARK).is_file():
        if n_query or n_train:
            raise UserError(
                f"n_query and n_train must be left out because {place / MARK} gives the split, got "
                f"{n_query or n_train}."
            )
        return _from_lists(place, inside, n_labels, strip_prefix)
    if not (place / LABELS).is_dir() or not (place / IMAGES).is_file():
        raise UserError(
            f"No NUS-WIDE in {place}, and nobody may pass it on: place there "
            f"{LABELS}/Labels_<concept>.txt, {IMAGES} "
            "and the images in Flickr, or HashNet's train.txt, test.txt and "
            "database.txt with their images."
        )
    files = sorted((place / LABELS).glob("Labels_*.txt"))
    arrays = indexed([place / IMAGES, *files], lambda: read_tags(place / IMAGES, files))
    paths, labels, class_names = _most_frequent(arrays, n_labels, place)
    kind, official_query, official_train = PROTOCOLS[n_labels]
    numbers = sizes(
        len(labels), ("n_query", n_query, official_query), ("n_train", n_train, official_train)
    )
    folder = next((place / name for name in ("Flickr", "images") if (place / name).is_dir()), place)
    dataset = FileDataset(
        "nus_wide", folder, paths, labels, class_names, kind(*numbers), inside=inside, top_k=top_k
    )
    if n_labels == 21 and len(dataset) != N_OFFICIAL:
        dataset.warnings.append(
            f"This NUS-WIDE holds {len(dataset)} images with any of 21 labels instead "
            f"of {N_OFFICIAL}: scores are not "
            "comparable with published ones."
        )
    return dataset


def example(root: Path) -> None:
    """120 images of 23 concepts, in the official files; the paths have backslashes as there."""
    labels, place = multi_hot(120, 23), root / "nus_wide"
    paths = [f"actor\\{number:04}.jpg" for number in range(len(labels))]
    for number, path in enumerate(paths):
        write_image(place / "Flickr" / path.replace("\\", "/"), (number, 0, 0))
    for folder in (LABELS, "ImageList"):
        (place / folder).mkdir(parents=True)
    for number, column in enumerate(labels.T):
        text = "".join(f"{tag}\r\n" for tag in column)
        (place / LABELS / f"Labels_concept{number:02}.txt").write_text(text)
    (place / IMAGES).write_text("".join(f"{path}\n" for path in paths))


def read_tags(image_list: Path, files: list[Path]) -> Arrays:
    """Reads the official list of images and the tag files.

    Returns:
        The paths in the order of the list, the labels uint8 (n_images, n_files), and class_names
        from the names of the tag files.

    Raises:
        UserError: A tag file has another number of lines than the list, a tag is not 0 or 1, a
            path is bad, or an image is named twice.
    """
    lines = [line.strip() for line in read_text(image_list).splitlines() if line.strip()]
    paths = [
        relative_path(line, f"{image_list} line {number}") for number, line in enumerate(lines, 1)
    ]
    if len(set(paths)) < len(paths):
        twice = Counter(paths).most_common(1)[0][0]
        raise UserError(
            f"{image_list} names {twice!r} twice: remove one of them, and its line in "
            f"every label file."
        )
    labels = np.empty((len(paths), len(files)), dtype=np.uint8)
    for column, path in enumerate(files):
        tags = read_text(path).split()
        if len(tags) != len(paths):
            raise UserError(
                f"{path} has {len(tags)} lines, but {image_list.name} has {len(paths)}: "
                f"place official files of one kind."
            )
        if not set(tags) <= {"0", "1"}:
            raise UserError(
                f"{path} must hold 0 and 1, one a line, got {min(set(tags) - {'0', '1'})[:80]!r}."
            )
        labels[:, column] = np.array(tags) == "1"
    names = [path.stem.removeprefix("Labels_") for path in files]
    return {"paths": np.array(paths), "labels": labels, "class_names": np.array(names)}


def _most_frequent(
    arrays: Arrays, n_labels: int, place: Path
) -> tuple[list[str], np.ndarray, list[str]]:
    """Keeps the n_labels most frequent concepts and the images that have any of them.

    Of equally frequent concepts the first by name is taken.
    """
    counts = arrays["labels"].sum(axis=0)
    if len(counts) < n_labels:
        raise UserError(
            f"{place / LABELS} must hold at least {n_labels} files Labels_*.txt, got {len(counts)}."
        )
    chosen = np.sort(np.argsort(-counts.astype(np.int64), kind="stable")[:n_labels])
    labels = arrays["labels"][:, chosen]
    rows = np.flatnonzero(labels.any(axis=1))
    if not len(rows):
        raise UserError(
            f"No image in {place / LABELS} has a label: place the official files there."
        )
    return arrays["paths"][rows].tolist(), labels[rows], arrays["class_names"][chosen].tolist()


def _from_lists(place: Path, inside: Path | None, n_labels: int, strip_prefix: str) -> FileDataset:
    dataset = load_lists("nus_wide", place, inside, top_k=top_k, strip_prefix=strip_prefix)
    if dataset.labels.shape[1] != n_labels:
        raise UserError(
            f"The lists in {place} have {dataset.labels.shape[1]} label columns, but "
            f"n_labels is {n_labels}."
        )
    return dataset
