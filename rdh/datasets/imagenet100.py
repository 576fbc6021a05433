"""ImageNet-100: photographs of 100 of ImageNet's classes, one label an image.

Protocol: the validation images of the classes are the queries (5000), the training images the
gallery (about 128 500). 130 a class of these are the training items: 13 000 as in HashNet's lists
(its paper says 10 000: train_per_class=100). MAP@1000. The split seed draws the training items.
List files bring their own split.

Sources, placed in DIR/imagenet100 by hand, because ImageNet asks everybody to register. Either
HashNet's lists train.txt, test.txt and database.txt with the images that they name. Or the class
folders train/<wnid>/* and val/<wnid>/*; if these hold more than 100 classes, classes.txt names
those to take, one a line.
Source: Russakovsky et al., ImageNet Large Scale Visual Recognition Challenge, IJCV 2015; protocol
of HashNet, ICCV 2017.
"""

import dataclasses
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import numpy as np
from pydantic import Field

from rdh.datasets._tools.examples import write_folders
from rdh.datasets._tools.folders import scan_class_folders
from rdh.datasets._tools.lists import MARK, load_lists
from rdh.datasets._tools.paths import check_inside, read_text, relative_path
from rdh.datasets._tools.sources import FileDataset, one_hot
from rdh.datasets._tools.splits import Split, check_at_least_1
from rdh.datasets._tools.walk import sub_folders
from rdh.errors import UserError

N_CLASSES = 100
N_TRAIN = 130  # of each class

is_multi_label = False
top_k = 1000


@dataclasses.dataclass(frozen=True, eq=False)
class TrainFromGallery:
    """The queries are given; train_per_class items of each class are drawn from the rest."""

    query: np.ndarray
    train_per_class: int

    def split(self, labels: np.ndarray, class_names: Sequence[str], seed: int) -> Split:
        """Raises UserError for a class with too few images."""
        rng = np.random.default_rng(seed)
        gallery = np.setdiff1d(np.arange(len(labels)), self.query)
        train = []
        for number, name in enumerate(class_names):
            members = gallery[labels[gallery, number] == 1]
            if len(members) < self.train_per_class:
                raise UserError(
                    f"Class {name!r} has {len(members)} training images, but "
                    f"train_per_class is {self.train_per_class}: "
                    "add images or lower it."
                )
            train.append(rng.permutation(members)[: self.train_per_class])
        return Split(self.query, gallery, np.sort(np.concatenate(train)))


def load(
    root: Path | str,
    *,
    train_per_class: Annotated[
        int, Field(ge=0, description="training items of each class; 0: as the card says")
    ] = 0,
    strip_prefix: Annotated[
        str, Field(description="a folder that the paths in the lists begin with, to be taken off")
    ] = "",
    follow_links: Annotated[
        bool, Field(description="follow links that lead out of the data folder")
    ] = False,
) -> FileDataset:
    """ImageNet-100 from the data folder `root`.

    train_per_class 0 means 130, but at most half of the smallest class.

    Raises:
        UserError: Files are missing. It says which files to place in which folder.
    """
    place, inside = Path(root) / "imagenet100", None if follow_links else Path(root)
    check_inside(place, inside)
    if (place / MARK).is_file():
        if train_per_class:
            raise UserError(
                f"train_per_class must be left out because {place / MARK} gives the "
                f"split, got {train_per_class}."
            )
        dataset = load_lists("imagenet100", place, inside, top_k=top_k, strip_prefix=strip_prefix)
    elif (place / "train").is_dir() and (place / "val").is_dir():
        dataset = _from_folders(place, inside, train_per_class)
    else:
        raise UserError(
            f"No ImageNet-100 in {place}, and only its makers may pass it on "
            f"(image-net.org): place there the class "
            "folders train/<wnid>/*.JPEG and val/<wnid>/*.JPEG of the 100 classes, or "
            "HashNet's train.txt, test.txt "
            "and database.txt with their images."
        )
    if len(dataset.class_names) != N_CLASSES:
        dataset.warnings.append(
            f"This ImageNet-100 has {len(dataset.class_names)} classes instead of "
            f"{N_CLASSES}: scores are not "
            "comparable with published ones."
        )
    return dataset


def example(root: Path) -> None:
    """4 classes with 9 training and 3 validation images each."""
    wnids = [f"n0000000{number}" for number in range(4)]
    sizes = {f"train/{one}": 9 for one in wnids} | {f"val/{one}": 3 for one in wnids}
    write_folders(root / "imagenet100", sizes)


def _from_folders(place: Path, inside: Path | None, train_per_class: int) -> FileDataset:
    wnids = _classes(place)
    scan = scan_class_folders(place, wnids, inside, ("train", "val"))
    is_query = np.array([path.startswith("val/") for path in scan.paths], dtype=bool)
    labels = one_hot(scan.class_of, len(wnids))
    smallest = int(labels[~is_query].sum(axis=0).min())
    n_train = train_per_class or min(N_TRAIN, max(1, smallest // 2))
    check_at_least_1("train_per_class", n_train)
    protocol = TrainFromGallery(np.flatnonzero(is_query), n_train)
    return FileDataset(
        "imagenet100",
        place,
        scan.paths,
        labels,
        wnids,
        protocol,
        inside=inside,
        stats=scan.stats,
        top_k=top_k,
        passed_over=scan.passed_over,
    )


def _classes(place: Path) -> list[str]:
    """The classes of classes.txt, else all class folders, of which there must be 2 to 100."""
    path = place / "classes.txt"
    if path.is_file():
        lines = enumerate(read_text(path).splitlines(), 1)
        wnids = sorted(
            relative_path(line.strip(), f"{path} line {number}")
            for number, line in lines
            if line.strip()
        )
        if len(set(wnids)) == len(wnids) >= 2:
            return wnids
        raise UserError(f"{path} must name at least 2 classes, each once, got {len(wnids)} lines.")
    wnids = sub_folders(place / "train")
    if not 2 <= len(wnids) <= N_CLASSES:
        raise UserError(
            f"{place / 'train'} must hold 2 to {N_CLASSES} class folders, got "
            f"{len(wnids)}: name the {N_CLASSES} to take "
            f"in {path}, one a line."
        )
    return wnids
