"""Fetches and reads the batches of CIFAR-10 with torchvision, and keeps them as plain arrays.

The batches are the only pickles that this project ever reads. torchvision compares their checksums
first. Later processes read the plain arrays and need neither pickle nor torch.
"""

import hashlib
import http.client
import json
import shutil
import socket
import tarfile
import tempfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from rdh.datasets._tools.base import Progress
from rdh.datasets._tools.paths import without_empty_folders
from rdh.errors import UserError

BATCHES = "cifar-10-batches-py"  # torchvision's name
ARRAYS = "cifar-10-arrays"
SILENCE_S = 60  # seconds without an answer before a server is given up
FETCH_ERRORS = (
    OSError,
    EOFError,
    RuntimeError,
    tarfile.TarError,
    zlib.error,
    http.client.HTTPException,
)


class Images(NamedTuple):
    """All images of CIFAR-10, the training part first.

    Args:
        pixels: uint8 (n, 32, 32, 3).
        class_of: int64 (n,).
        fingerprint: sha256 of the checksums of the batches.
    """

    pixels: np.ndarray
    class_of: np.ndarray
    fingerprint: str


def fetch_batches(place: Path, progress: Progress | None = None) -> None:
    """Downloads the batches into place / BATCHES, unless they are there and complete.

    Args:
        place: The folder of the data set.
        progress: Called with (bytes so far, bytes in all). The second is 0 if it is not known.

    Raises:
        UserError: The download failed, or the archive is damaged.
    """
    cifar10 = _torchvision_cifar10()
    try:
        with without_empty_folders(place), _reported(progress), _without_endless_wait():
            place.mkdir(parents=True, exist_ok=True)
            cifar10(str(place), download=True)
    except FETCH_ERRORS as error:
        raise UserError(
            f"CIFAR-10 could not be fetched into {place} ({error}): try again, or bring "
            f"{BATCHES} from another "
            f"machine, or place class folders of images (train/<class>/*.png and "
            f"test/<class>/*.png) in {place}."
        ) from error


def read_batches(place: Path) -> Images:
    """Reads the batches in place / BATCHES with torchvision, which compares their checksums.

    Raises:
        UserError: The batches are damaged or incomplete.
    """
    cifar10 = _torchvision_cifar10()
    try:
        parts = [cifar10(str(place), train=train) for train in (True, False)]
    except (OSError, RuntimeError) as error:
        raise UserError(
            f"The batches in {place / BATCHES} are damaged or not complete: run `python "
            f"-m rdh data prepare cifar10 "
            f"--data-root {place}` to fetch them again, or remove that folder."
        ) from error
    checksums = "\n".join(checksum for _, checksum in cifar10.train_list + cifar10.test_list)
    return Images(
        np.concatenate([part.data for part in parts]),
        np.concatenate([part.targets for part in parts]).astype(np.int64),
        hashlib.sha256(checksums.encode()).hexdigest(),
    )


def write_arrays(images: Images, place: Path) -> None:
    """Writes the images to place / ARRAYS, completely or not at all.

    Raises:
        UserError: They can't be written.
    """
    try:
        with tempfile.TemporaryDirectory(prefix=f".{ARRAYS}-", dir=place) as temporary:
            folder = Path(temporary) / ARRAYS
            folder.mkdir()
            np.save(folder / "pixels.npy", images.pixels)
            np.save(folder / "class_of.npy", images.class_of)
            (folder / "about.json").write_text(json.dumps({"fingerprint": images.fingerprint}))
            if (place / ARRAYS).is_dir():
                shutil.rmtree(place / ARRAYS)
            folder.rename(place / ARRAYS)
    except OSError as error:
        raise UserError(
            f"CIFAR-10 could not be written to {place} ({error}): free some space or "
            f"choose another folder by --data-root."
        ) from error


def open_arrays(place: Path) -> Images:
    """Opens what `write_arrays` wrote. The pixels are memory-mapped and read-only.

    Raises:
        UserError: The files are damaged.
    """
    folder = place / ARRAYS
    try:
        pixels = np.load(folder / "pixels.npy", mmap_mode="r", allow_pickle=False)
        class_of = np.load(folder / "class_of.npy", allow_pickle=False)
        fingerprint = json.loads((folder / "about.json").read_text())["fingerprint"]
    except (OSError, ValueError, KeyError, EOFError) as error:
        raise _damaged(folder, place) from error
    if pixels.dtype != np.uint8 or pixels.shape != (len(class_of), 32, 32, 3):
        raise _damaged(folder, place)
    return Images(pixels, class_of, fingerprint)


def _damaged(folder: Path, place: Path) -> UserError:
    return UserError(
        f"The arrays in {folder} are damaged: run `python -m rdh data prepare cifar10 "
        f"--data-root {place}` "
        "to make them again."
    )


def _torchvision_cifar10() -> Any:
    try:
        from torchvision.datasets import CIFAR10
    except ImportError as error:
        raise UserError(
            f"CIFAR-10's batches are read by torchvision, which cannot be imported "
            f"({error}): pip install torch "
            "torchvision, as a pair from one index, or use class folders of images."
        ) from error
    return CIFAR10


@contextmanager
def _reported(progress: Progress | None) -> Iterator[None]:
    """Reports the progress of a download by torchvision.

    torchvision offers no callback and draws a tqdm bar. Within this context, a class that calls
    `progress` takes the place of that bar.
    """
    from torchvision.datasets import utils

    # A version of torchvision without a bar still downloads, but reports no progress.
    if not hasattr(utils, "tqdm"):
        yield
        return

    class Bar:
        def __init__(self, *args: Any, total: int | None = None, **options: Any) -> None:
            self.done, self.total = 0, total or 0

        def __enter__(self) -> "Bar":
            return self

        def __exit__(self, *error: object) -> None:
            pass

        def update(self, n_bytes: int) -> None:
            self.done += n_bytes
            if progress:
                progress(self.done, self.total)

    original, utils.tqdm = utils.tqdm, Bar
    try:
        yield
    finally:
        utils.tqdm = original


@contextmanager
def _without_endless_wait() -> Iterator[None]:
    """Sets a time limit for connections, since torchvision opens its own without one."""
    before = socket.getdefaulttimeout()
    socket.setdefaulttimeout(SILENCE_S)
    try:
        yield
    finally:
        socket.setdefaulttimeout(before)
