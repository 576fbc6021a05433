"""The three roots, the folders of data, caches and runs; and the browser of this machine.

This is the only module that reads RDH_DATA, RDH_CACHE, RDH_RUNS, RDH_CHROMIUM and BROWSER_PATH. A
verb or a page asks for a root once and passes it on. A worker learns its roots from the run's
submission.
"""

import contextlib
import os
import shutil
from pathlib import Path

from rdh.errors import UserError, os_reason, short_path

DATA_OPTION, RUNS_OPTION = "--data-root or RDH_DATA", "--runs or RDH_RUNS"
BROWSER_NAMED_BY = ("RDH_CHROMIUM", "BROWSER_PATH")  # in this order
HOME = Path(".cache", "rdh")  # below the user's home, unless somebody names another folder


def data_root(given: Path | str | None = None) -> Path:
    """The data folder: the one given, else RDH_DATA, else ~/.cache/rdh/data.

    Raises:
        UserError: What was given is not a path.
    """
    return named_data_root(given) or Path.home() / HOME / "data"


def named_data_root(given: Path | str | None = None) -> Path | None:
    """The data folder that somebody named, by `given` or RDH_DATA; None: nobody did.

    Raises:
        UserError: What was given is not a path.
    """
    path = given if given is not None else os.environ.get("RDH_DATA") or None
    return None if path is None else as_folder(path, "data folder", DATA_OPTION)


def cache_root() -> Path:
    """The cache folder: RDH_CACHE, else ~/.cache/rdh. `cache_folder` names its sub-folders.

    Raises:
        UserError: RDH_CACHE is not a path.
    """
    return named_cache_root() or Path.home() / HOME


def named_cache_root() -> Path | None:
    """RDH_CACHE, if it is set.

    Raises:
        UserError: It is not a path.
    """
    path = os.environ.get("RDH_CACHE")
    return as_folder(path, "cache folder", "RDH_CACHE") if path else None


def cache_folder(kind: str, root: Path | None = None) -> Path:
    """The sub-folder of the cache for one kind of content, "features" or "labels".

    Args:
        kind: The kind.
        root: The cache folder. None means `cache_root`.
    """
    return (cache_root() if root is None else root) / kind


def runs_root(given: Path | str | None = None) -> Path:
    """The runs folder: the one given, else RDH_RUNS, else ./runs.

    Raises:
        UserError: What was given is not a path.
    """
    path = given if given is not None else os.environ.get("RDH_RUNS") or "runs"
    return as_folder(path, "runs folder", RUNS_OPTION)


def as_folder(path: Path | str, what: str, option: str) -> Path:
    """The absolute path of a folder that a person named, with ~ expanded.

    Args:
        path: As it was given.
        what: For the sentence, for example "runs folder".
        option: Where a person can name another one.

    Raises:
        UserError: It is empty, not a path, or in the home of an unknown user.
    """
    if not isinstance(path, str | Path) or not str(path):
        raise UserError(f"The {what} must be a path, got {path!r}; name one by {option}.")
    try:
        folder = Path(path).expanduser().resolve()
        with contextlib.suppress(PermissionError):  # who reads or writes there says it better
            folder.exists()
        return folder
    except (OSError, RuntimeError, ValueError) as error:  # RuntimeError: ~nobody, or a circle
        reason = os_reason(error) if isinstance(error, OSError) else str(error).rstrip(".")
        raise UserError(
            f"The {what} {str(path)[:200]!r} is not a path ({reason}); name another by {option}."
        ) from None


def named_browser() -> Path | None:
    """The Chromium that somebody named by RDH_CHROMIUM or BROWSER_PATH; None: nobody did.

    Raises:
        UserError: It is not there.
    """
    for name in BROWSER_NAMED_BY:
        if text := os.environ.get(name):
            path = Path(text).expanduser()
            if not (path.is_file() and os.access(path, os.X_OK)):
                raise UserError(
                    f"{name} must name a browser that can be started, got {short_path(text)}; "
                    f"mend or unset it."
                )
            return path
    return None


def browser() -> Path | None:
    """`named_browser`, else the Chromium that this machine can start by its name, if there is one.

    Raises:
        UserError: The named one is not there.
    """
    found = shutil.which("chromium") or shutil.which("chromium-browser")
    return named_browser() or (Path(found) if found else None)
