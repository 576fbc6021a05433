"""Image folder: your own single-label images, one sub-folder a class.

Place in DIR/image_folder (or the sub-folder of DIR that the switch `folder` names) the images as
<class>/FILE, or as train/<class>/FILE with test/<class>/FILE, val/<class>/FILE or
validation/<class>/FILE. JPEG, PNG, WebP, BMP and TIFF are read, in sub-folders of a class too. What
is passed over is counted.

All images are one pool. query_per_class queries and train_per_class training items of each class
are drawn by the split seed, the gallery is all but the queries, and MAP counts all ranks. If these
numbers are 0, they are CIFAR-10's (100 and 500), but at most a tenth of the smallest class and half
of its rest.
"""

from pathlib import Path
from typing import Annotated

from pydantic import Field

from rdh.catalog import PathBelow
from rdh.datasets._tools.examples import write_folders
from rdh.datasets._tools.folders import class_folders, parts_of, scan_class_folders
from rdh.datasets._tools.paths import folder_below
from rdh.datasets._tools.sources import FileDataset, one_hot
from rdh.datasets._tools.splits import PerClass, sizes
from rdh.datasets._tools.walk import KINDS
from rdh.errors import UserError

OFFICIAL = (100, 500)  # of each class
is_multi_label = False


def load(
    root: Path | str,
    *,
    folder: Annotated[
        PathBelow, Field(description="the folder of class folders, below the data folder")
    ] = "image_folder",
    query_per_class: Annotated[
        int, Field(ge=0, description="queries of each class; 0: as the card says")
    ] = 0,
    train_per_class: Annotated[
        int, Field(ge=0, description="training items of each class; 0: as the card says")
    ] = 0,
    follow_links: Annotated[
        bool, Field(description="follow links that lead out of the data folder")
    ] = False,
) -> FileDataset:
    """The class folders below the data folder `root`.

    Raises:
        UserError: Folders are missing, a class is empty, or a link leads out.
    """
    inside = None if follow_links else Path(root)
    place = folder_below(Path(root), folder, "folder", inside)
    if not place.is_dir():
        raise UserError(
            f"There is no folder {place}: place the class folders of your images there, or set "
            f"the switch folder to where they are below the data folder {root}."
        )
    parts = parts_of(place, inside)
    class_names = class_folders(place, parts)
    if len(class_names) < 2:
        raise UserError(
            f"{place} must hold at least 2 class folders of images (<class>/*.jpg or *.png, or "
            f"train/<class>/... and test/<class>/...), got {len(class_names)}: place them there."
        )
    scan = scan_class_folders(place, class_names, inside, parts)
    labels = one_hot(scan.class_of, len(class_names))
    smallest, name = int(labels.sum(axis=0).min()), class_names[int(labels.sum(axis=0).argmin())]
    if smallest < 2:
        has = (
            "1 image, but needs 2, a query and one to train on" if smallest else f"no {KINDS} image"
        )
        raise UserError(f"Class {name!r} in {place} has {has}: add some, or remove its folder.")
    numbers = sizes(
        smallest,
        ("query_per_class", query_per_class, OFFICIAL[0]),
        ("train_per_class", train_per_class, OFFICIAL[1]),
        f"images of class {name!r}, the smallest",
    )
    return FileDataset(
        "image_folder",
        place,
        scan.paths,
        labels,
        class_names,
        PerClass(*numbers),
        inside=inside,
        stats=scan.stats,
        passed_over=scan.passed_over,
    )


def example(root: Path) -> None:
    """47 images of 3 classes."""
    write_folders(root / "image_folder", {"ant": 12, "bee": 20, "cow": 15})
