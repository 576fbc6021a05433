"""CIFAR-10: 60 000 colour photographs of 32 x 32 pixels, 10 classes of 6000.

Protocols (switch `protocol`): the official train and test parts are one pool, and MAP counts the
whole gallery.
cifar10-1 (default; DPSH, DSDH, ADSH, RDH): 1000 queries (100 a class), a gallery of the other
59 000, 5000 training items (500 a class) inside it.
cifar10 (DeepHash): the same, but the gallery leaves the training items out: 54 000.
cifar10-2 (GreedyHash): 10 000 queries (1000 a class), a gallery of the other 50 000, all of them
training items.
query_per_class and train_per_class take other numbers of each class; 0 is the protocol's. A smaller
pool keeps the protocol's numbers if every class has enough images. Its results are not comparable
with published ones.

Sources, in DIR/cifar10 or in DIR itself: what `data prepare cifar10` fetched; torchvision's folder
cifar-10-batches-py; or class folders of JPEG or PNG files, train/<class>/FILE and test/<class>/FILE
or plain <class>/FILE. Other sizes are resized.
Source: Krizhevsky, Learning Multiple Layers of Features from Tiny Images, 2009.
"""

from pathlib import Path
from typing import Annotated, Any, Literal, NamedTuple

from pydantic import Field

from rdh.datasets._tools.base import Dataset, Progress
from rdh.datasets._tools.batches import (
    ARRAYS,
    BATCHES,
    fetch_batches,
    open_arrays,
    read_batches,
    write_arrays,
)
from rdh.datasets._tools.examples import write_image
from rdh.datasets._tools.folders import parts_with, scan_class_folders
from rdh.datasets._tools.paths import check_inside
from rdh.datasets._tools.sources import ArrayDataset, FileDataset, one_hot
from rdh.datasets._tools.splits import PerClass
from rdh.errors import UserError

CLASS_NAMES = (
    "airplane",
    "automobile",
    "bird",
    "cat",
    "deer",
    "dog",
    "frog",
    "horse",
    "ship",
    "truck",
)
N_OFFICIAL = 60_000
SIDE = 32  # pixels

# (queries of each class, training items of each class or all, whether these are in the gallery)
PROTOCOLS = {
    "cifar10-1": (100, 500, True),
    "cifar10": (100, 500, False),
    "cifar10-2": (1000, None, True),
}

is_multi_label = False


class Source(NamedTuple):
    """kind: "arrays", "batches" or "folders". place: the folder that holds them."""

    kind: str
    place: Path


def load(
    root: Path | str,
    *,
    protocol: Annotated[
        Literal["cifar10-1", "cifar10", "cifar10-2"],
        Field(description="how query, gallery and training items are drawn"),
    ] = "cifar10-1",
    query_per_class: Annotated[
        int, Field(ge=0, description="queries of each class; 0: as the card says")
    ] = 0,
    train_per_class: Annotated[
        int, Field(ge=0, description="training items of each class; 0: as the card says")
    ] = 0,
    follow_links: Annotated[
        bool, Field(description="follow links that lead out of the data folder")
    ] = False,
) -> Dataset:
    """CIFAR-10 from the data folder `root`.

    Raw batches are read through torchvision, which needs torch and a few seconds. Other sources
    need neither.

    Raises:
        UserError: Data are missing or damaged; it says what to do.
    """
    root, inside = Path(root), None if follow_links else Path(root)
    source = _find(root, inside)
    if source is None:
        raise UserError(
            f"No CIFAR-10 in {root}: run `python -m rdh data prepare cifar10 "
            f"--data-root {root}` to fetch it, or place "
            f"{BATCHES} or class folders of images (train/<class>/*.png and "
            f"test/<class>/*.png) in {root / 'cifar10'}."
        )
    dataset = _open(source, inside, _protocol(protocol, query_per_class, train_per_class))
    if len(dataset) != N_OFFICIAL:
        dataset.warnings.append(
            f"This CIFAR-10 holds {len(dataset)} images instead of {N_OFFICIAL}: scores "
            f"are not comparable with "
            "published ones."
        )
    return dataset


def example(root: Path) -> dict[str, Any]:
    """Class folders with 6 images of each class."""
    for number, name in enumerate(CLASS_NAMES):
        for item in range(6):
            place = root / "cifar10" / ("train", "test")[item % 2] / name
            write_image(place / f"{item:04}.png", (number, item, 7), (SIDE, SIDE))
    return {"query_per_class": 1, "train_per_class": 2}


def _protocol(name: str, query_per_class: int, train_per_class: int) -> PerClass:
    if name not in PROTOCOLS:
        raise UserError(f"protocol must be one of {', '.join(PROTOCOLS)}, got {name!r}.")
    n_query, n_train, train_in_gallery = PROTOCOLS[name]
    return PerClass(query_per_class or n_query, train_per_class or n_train, train_in_gallery)


def _open(source: Source, inside: Path | None, protocol: PerClass) -> Dataset:
    if source.kind == "folders":
        scan = scan_class_folders(
            source.place, CLASS_NAMES, inside, parts_with(source.place, CLASS_NAMES)
        )
        labels = one_hot(scan.class_of, len(CLASS_NAMES))
        return FileDataset(
            "cifar10",
            source.place,
            scan.paths,
            labels,
            CLASS_NAMES,
            protocol,
            inside=inside,
            stats=scan.stats,
            size=(SIDE, SIDE),
            passed_over=scan.passed_over,
        )
    images = open_arrays(source.place) if source.kind == "arrays" else read_batches(source.place)
    labels = one_hot(images.class_of, len(CLASS_NAMES))
    return ArrayDataset("cifar10", images.pixels, labels, CLASS_NAMES, images.fingerprint, protocol)


def loads_without_torch(root: Path | str, **options: Any) -> bool:
    """Whether `load` leaves torch alone. It needs torch if only raw batches are there."""
    source = _find(Path(root), None)
    return source is None or source.kind != "batches"


def download(root: Path | str, progress: Progress | None = None) -> None:
    """Makes CIFAR-10 ready in the data folder.

    torchvision fetches the batches unless they are there, and checks them. They are kept as plain
    arrays. Nothing is done if prepared arrays or class folders are found.

    Args:
        root: The data folder.
        progress: Called with (bytes, bytes in all or 0).

    Raises:
        UserError: A download fails, an archive is damaged, or the disk is full.
    """
    root = Path(root)
    source = _find(root, None)
    if source and source.kind == "folders":
        return
    place = source.place if source else root / "cifar10"
    if source and source.kind == "arrays":
        try:
            open_arrays(place)
            return
        except UserError:
            pass  # damaged: made again below
    fetch_batches(place, progress)
    write_arrays(read_batches(place), place)


def _find(root: Path, inside: Path | None) -> Source | None:
    """The first source in root / cifar10, then in root itself.

    Raises:
        UserError: A link leads out of `inside`.
    """
    for place in (root / "cifar10", root):
        for kind, name in (("arrays", ARRAYS), ("batches", BATCHES)):
            if (place / name).is_dir():
                check_inside(place / name, inside)
                return Source(kind, place)
        if parts_with(place, CLASS_NAMES):
            check_inside(place, inside)
            return Source("folders", place)
    return None
