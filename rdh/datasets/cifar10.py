"""CIFAR-10: 60 000 colour photographs of 32 x 32 pixels, 10 classes of 6000.

Protocol (cifar10-1 of the literature): the official train and test parts are one pool; 1000 queries (100 a class), a
gallery of the other 59 000, 5000 training items (500 a class) inside it, MAP over the whole gallery. A smaller pool
keeps these numbers, as far as every class has enough images, and is not comparable with published results.

Sources, in DIR/cifar10 or in DIR itself: what `download` prepared; torchvision's folder cifar-10-batches-py; class
folders of JPEG or PNG files, train/<class>/FILE and test/<class>/FILE or plain <class>/FILE, other sizes are resized.
Source: Krizhevsky, Learning Multiple Layers of Features from Tiny Images, 2009.
"""

from pathlib import Path
from typing import NamedTuple

import numpy as np

from rdh.datasets._base import Dataset, Progress, one_hot
from rdh.datasets._batches import ARRAYS, BATCHES, Images, fetch_batches, open_arrays, read_batches, write_arrays
from rdh.datasets._folders import FolderScan, check_inside, decode_image, has_class_folders, scan_class_folders
from rdh.errors import UserError

CLASS_NAMES = ("airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck")
N_OFFICIAL = 60_000
SIDE = 32  # pixels

is_multi_label = False


class Cifar10(Dataset):
    """What both kinds of source share; draws says how many of each class the split takes."""

    def __init__(self, class_of: np.ndarray, fingerprint: str, draws: dict[str, int]) -> None:
        labels, shape = one_hot(class_of, len(CLASS_NAMES)), (SIDE, SIDE, 3)
        super().__init__("cifar10", labels, CLASS_NAMES, fingerprint, image_shape=shape, **draws)
        if len(self) != N_OFFICIAL:
            self.warnings.append(
                f"This CIFAR-10 holds {len(self)} images instead of {N_OFFICIAL}: scores are not comparable with "
                "published ones."
            )


class ArrayCifar10(Cifar10):
    """The official images, in memory or memory-mapped."""

    def __init__(self, images: Images, draws: dict[str, int]) -> None:
        super().__init__(images.class_of, images.fingerprint, draws)
        self._pixels = images.pixels

    def read_image(self, item_id: int) -> np.ndarray:
        return self._pixels[item_id]


class FolderCifar10(Cifar10):
    """Image files, decoded when they are asked for."""

    def __init__(self, folder: Path, scan: FolderScan, draws: dict[str, int]) -> None:
        super().__init__(scan.class_of, scan.fingerprint, draws)
        self._folder, self._paths = str(folder), scan.paths

    def read_image(self, item_id: int) -> np.ndarray:
        return decode_image(f"{self._folder}/{self._paths[item_id]}", (SIDE, SIDE))

    def image_name(self, item_id: int) -> str:
        return self._paths[self.checked_ids(item_id)[0]]


class Source(NamedTuple):
    """kind: "arrays", "batches" or "folders". place: the folder that holds them."""

    kind: str
    place: Path


def load(root: Path | str, *, query_per_class: int = 100, train_per_class: int = 500) -> Cifar10:
    """CIFAR-10 from the data folder `root`. Raises UserError for missing or damaged data, with the way out.

    Raw batches are read through torchvision, which takes torch and seconds; everything else needs neither.
    """
    root = Path(root)
    draws = {"query_per_class": query_per_class, "train_per_class": train_per_class}
    try:
        source = _find(root)
        scan = scan_class_folders(source.place, CLASS_NAMES, root) if source and source.kind == "folders" else None
    except OSError as error:
        raise UserError(f"The data folder {root} cannot be read ({error}).") from error
    if source is None:
        raise UserError(
            f"No CIFAR-10 in {root}: run `python -m rdh data prepare cifar10 --root {root}` to fetch it, or place "
            f"{BATCHES} or class folders of images (train/<class>/*.png and test/<class>/*.png) in {root / 'cifar10'}."
        )
    if scan:
        return FolderCifar10(source.place, scan, draws)
    return ArrayCifar10(open_arrays(source.place) if source.kind == "arrays" else read_batches(source.place), draws)


def loads_without_torch(root: Path | str) -> bool:
    """Whether `load` leaves torch alone: not where only raw batches are there; `download` prepares them."""
    source = _find(Path(root))
    return source is None or source.kind != "batches"


def download(root: Path | str, progress: Progress | None = None) -> None:
    """Make CIFAR-10 ready in the data folder `root`: fetch the batches by torchvision unless they are there, check
    them, and keep them as plain arrays. Nothing is done where prepared arrays or class folders are found.

    progress(bytes, bytes in all or 0). Raises UserError for a failed download, a damaged archive, a full disk.
    """
    root = Path(root)
    source = _find(root)
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


def _find(root: Path) -> Source | None:
    """The first source in root / cifar10, then in root itself. Raises UserError for a link that leads out of root."""
    for place in (root / "cifar10", root):
        for kind, name in (("arrays", ARRAYS), ("batches", BATCHES)):
            if (place / name).is_dir():
                check_inside(place / name, root)
                return Source(kind, place)
        if has_class_folders(place, CLASS_NAMES):
            check_inside(place, root)
            return Source("folders", place)
    return None
