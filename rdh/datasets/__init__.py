"""The data sets: one public file each, and the folder is the registry.

A file offers `load(root, *, ...) -> Dataset`, whose keyword arguments are the data set's switches;
where there is something to fetch, `download(root, progress)`, which does nothing where all is
there; and, where `load` may need torch, `loads_without_torch(root, **switches)`. Its docstring is
its card. Importing this package imports none of them.
"""

import os
from importlib import import_module
from pathlib import Path
from typing import Any

from rdh.datasets._tools.base import BadImage, Dataset
from rdh.datasets._tools.card import DataCard, data_card
from rdh.datasets._tools.splits import Split
from rdh.errors import UserError

__all__ = [
    "BadImage",
    "DataCard",
    "Dataset",
    "Split",
    "as_folder",
    "data_card",
    "data_root",
    "load",
    "loads_without_torch",
    "loose_images",
    "names",
]


def names() -> list[str]:
    """Names of all data sets, in alphabetical order."""
    return sorted(
        path.stem for path in Path(__file__).parent.glob("*.py") if not path.stem.startswith("_")
    )


def data_root() -> Path:
    """RDH_DATA, or ~/.cache/rdh/data."""
    return Path(os.environ.get("RDH_DATA") or Path.home() / ".cache" / "rdh" / "data")


def as_folder(path: Path | str, what: str, option: str) -> Path:
    """The absolute path, ~ expanded. UserError where it is empty, no path, or in the home of a user
    that there is not.

    what: "runs folder"; option: where a person names another one.
    """
    if not isinstance(path, str | Path) or not str(path):
        raise UserError(f"The {what} must be a path, got {path!r}; name one by {option}.")
    try:
        return Path(path).expanduser().resolve()
    except (
        OSError,
        RuntimeError,
        ValueError,
    ) as error:  # RuntimeError: ~nobody, or links in a circle
        reason = str(error).rstrip(".")
        raise UserError(
            f"The {what} {str(path)[:200]!r} is no path ({reason}); name another by {option}."
        ) from None


def load(name: str, root: Path | str, **options: Any) -> Dataset:
    """The data set `name` from the data folder `root`.

    Raises UserError: unknown name, missing or damaged data.
    """
    module = _module(name)
    try:
        return module.load(Path(root), **options)
    except OSError as error:
        raise UserError(f"The data folder {root} cannot be read ({error}).") from error


def loads_without_torch(name: str, root: Path | str, **options: Any) -> bool:
    """Whether `load` with these options would leave torch alone: what a process that draws pages
    asks first.
    """
    check = getattr(_module(name), "loads_without_torch", None)
    return check is None or check(Path(root), **options)


def loose_images(path: Path) -> Dataset:
    """An image file, or the images of a folder and those below it, by name and without labels.

    UserError where there is none.
    """
    return import_module("rdh.datasets._tools.loose").LooseImages(
        path
    )  # importing this package brings no image library


def _module(name: str) -> Any:
    if name not in names():
        raise UserError(f"dataset must be one of {', '.join(names())}, got {name!r}.")
    return import_module(f"rdh.datasets.{name}")
