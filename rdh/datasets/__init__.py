"""The data sets: one public file each, and the folder is the registry.

To add a data set, write one file in this folder. No other file changes. `rdh.catalog` reads its
card from the source text, without an import. The file holds:

    a docstring, the card that people read. It starts with "NAME: what it is", then tells the
        protocol, and what to place where. A switch that it names is explained at the switch.
    load(root, *, ...) -> Dataset. Each keyword argument is a switch:
        `n_query: Annotated[int, Field(ge=0, description="what it does")] = 0`; types are int,
        float, bool, str, PathBelow (a path in the data folder) and Literal.
    is_multi_label: whether items have several labels. It sets the default of eta.
    top_k: the ranks that count in MAP. Left out: all.
    download(root, progress), if there is something to fetch. It does nothing if all is there.
    loads_without_torch(root, **switches), if `load` may need torch.
    example(root) -> dict, unless `load` works on an empty folder. It writes a tiny archive into the
        data folder and returns the switches that go with it. Tests of all data sets run on it.

Importing this package imports none of them.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from importlib import import_module
from pathlib import Path
from typing import Any

from rdh import catalog
from rdh.datasets._tools.base import BadImage, Dataset, Progress
from rdh.datasets._tools.card import DataCard, data_card, same_pictures
from rdh.datasets._tools.splits import Split, validation_split
from rdh.errors import UserError, reading

__all__ = [
    "BadImage",
    "DataCard",
    "Dataset",
    "Progress",
    "Split",
    "data_card",
    "download",
    "example",
    "load",
    "loads_without_torch",
    "loose_images",
    "names",
    "same_pictures",
    "validation_split",
]


UNREADABLE = "check its permissions, or name another data folder by --data-root or RDH_DATA"


def names() -> list[str]:
    """Names of all usable data sets, in alphabetical order."""
    return list(catalog.datasets())


def load(name: str, root: Path | str, **options: Any) -> Dataset:
    """The data set `name` from the data folder `root`.

    Args:
        name: of a card.
        root: the data folder.
        options: switches of the data set.

    Raises:
        UserError: the name is unknown, a switch is out of range, data are missing or damaged, or
            the data set's own file can't be used.
    """
    card = catalog.dataset(name)
    try:
        options = card.checked(options, "dataset_options")
    except ValueError as error:
        raise UserError(f"{error}.") from None
    with _told(card.file), reading(root, UNREADABLE):
        found: Dataset = catalog.import_plug_in(card.file).load(Path(root), **options)
        if not isinstance(found, Dataset):
            raise TypeError(f"load must return a Dataset, got {type(found).__name__}")
    found.warn_of_what_is_left_out()
    return found


def download(name: str, root: Path | str, progress: Progress) -> None:
    """Fetches what the data set can fetch. Does nothing if all is there or nothing can be fetched.

    Raises:
        UserError: a download fails, or the data set's own file can't be used.
    """
    card = catalog.dataset(name)
    if card.has_download:
        with _told(card.file), reading(root, UNREADABLE):
            catalog.import_plug_in(card.file).download(Path(root), progress)


def example(name: str, root: Path | str) -> dict[str, Any]:
    """Writes a tiny archive of the data set into the data folder, for tests and for a first look.

    Returns:
        The switches that go with it.
    """
    make = getattr(catalog.import_plug_in(catalog.dataset(name).file), "example", None)
    return (make(Path(root)) or {}) if make else {}


def loads_without_torch(name: str, root: Path | str, **options: Any) -> bool:
    """Whether `load` with these options leaves torch alone; pages ask before they load."""
    card = catalog.dataset(name)
    with _told(card.file), reading(root, UNREADABLE):
        check = getattr(catalog.import_plug_in(card.file), "loads_without_torch", None)
        return check is None or check(Path(root), **options)


def loose_images(path: Path, *, follow_links: bool = False) -> Dataset:
    """An image file, or the images of a folder and those below it, by name and without labels.

    Args:
        path: The file or folder.
        follow_links: Whether links may lead out of the folder.

    Raises:
        UserError: There is no image, or a folder can't be read.
    """
    loose = import_module("rdh.datasets._tools.loose")  # here, since it brings an image library
    found: Dataset = loose.LooseImages(path, None if follow_links else path)
    return found


@contextmanager
def _told(file: str) -> Iterator[None]:
    """An error of a data set's own code becomes one sentence that names its file and line."""
    try:
        yield
    except (UserError, MemoryError):
        raise
    except (Exception, SystemExit) as error:  # its exit is not ours
        raise catalog.unusable(file, error) from error
