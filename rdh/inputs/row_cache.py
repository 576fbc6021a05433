"""Rows that are computed once for every item of a data set and kept on disk.

Rows are features or small images. A cache folder is named after everything its rows depend on. Work
that was interrupted goes on from there. A second run that needs the same rows waits for the first.
"""

import contextlib
import errno
import hashlib
import io
import json
import math
import os
import shutil
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from rdh.datasets import Progress
from rdh.errors import UserError, counted
from rdh.files import read_json, write_json
from rdh.folders import cache_folder
from rdh.locks import holding_lock

FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
# item ids -> (rows (n, *row_shape), ids that could be decoded)
Compute = Callable[[np.ndarray], tuple[np.ndarray, np.ndarray]]


def folder_of(start: str, description: dict[str, Any], root: Path | None = None) -> Path:
    """The folder of one cache, below `features` in the cache folder.

    Args:
        start: The readable start of its name.
        description: Everything the rows depend on; a digest of it ends the name.
        root: The cache folder. None means the one of `rdh.folders`.

    Returns:
        The folder. If an earlier version made it directly below the cache folder, it is that one.
    """
    digest = hashlib.sha256(json.dumps(description, sort_keys=True).encode()).hexdigest()[:12]
    name = f"{start}-{digest}".replace(":", "_")
    folder = cache_folder("features", root)
    earlier = folder.parent / name
    return earlier if earlier.is_dir() else folder / name


@dataclass(frozen=True)
class RowCache:
    """One cache.

    Args:
        folder: As `folder_of` names it.
        what: "features" or "images"; the noun in sentences, and the name of the file.
        description: Everything the rows depend on.
        n_items: Of the data set.
        row_shape: Of one row.
        dtype: As NumPy writes it, for example "<f2".
        batch: Items between two states on disk.
        names_of: Item ids -> what a person calls the first few of these images.
    """

    folder: Path
    what: str
    description: dict[str, Any]
    n_items: int
    row_shape: tuple[int, ...]
    dtype: str
    batch: int
    names_of: Callable[[Sequence[int]], str]

    def rows(
        self, compute: Compute, *, bad_images: str, progress: Progress, log: Callable[[str], None]
    ) -> tuple[np.memmap, list[int]]:
        """All rows, from the disk or computed now.

        Args:
            compute: Item ids -> their rows, and the ids that could be decoded.
            bad_images: "stop" refuses items that can't be decoded, "skip" gives them rows of 0.
            progress: Called after every batch and while waiting. It may raise to stop the work.
            log: Gets a sentence if another run makes the same rows.

        Returns:
            Rows (n_items, *row_shape), memory-mapped and read-only, and the ids of items that could
            not be decoded.

        Raises:
            UserError: The cache is damaged, can't be written or belongs to other data, or an item
                can't be decoded.
        """
        with self._writing():
            self.folder.mkdir(parents=True, exist_ok=True)
        with self._locked(lambda: progress(0, self.n_items), log):
            if not self._whole.exists():
                bad = self._fill(compute, progress)
                with self._writing():
                    write_json(self.folder / "meta.json", self.description | {"bad": bad})
                    self._partial.replace(self._whole)
                    (self.folder / "partial.json").unlink(missing_ok=True)
        rows, bad = self._open()
        if bad and bad_images == "stop":
            raise UserError(
                f"{counted(len(bad), 'image')} of {self.description['dataset']} can't be decoded: "
                f"{self.names_of(bad)}; replace them, which is enough, or set bad_images=skip to "
                "leave them out."
            )
        return rows, bad

    @property
    def _whole(self) -> Path:
        return self.folder / f"{self.what}.npy"

    @property
    def _partial(self) -> Path:
        return self.folder / "partial.npy"

    @property
    def _row_bytes(self) -> int:
        return math.prod(self.row_shape) * np.dtype(self.dtype).itemsize

    def _fill(self, compute: Compute, progress: Progress) -> list[int]:
        """Appends batches to partial.npy until it holds all items. Returns undecodable ids.

        partial.json says how many it holds. The file is written and not memory-mapped: on a full
        disk a write raises, but a page of a map kills the process.
        """
        header = self._header()
        done, bad = self._resume()
        self._check_space(done)
        with self._writing(), self._partial.open("r+b" if done else "wb") as file:
            file.write(header)
            file.truncate(len(header) + done * self._row_bytes)
            file.seek(0, os.SEEK_END)
            while done < self.n_items:
                ids = np.arange(done, min(done + self.batch, self.n_items))
                rows, kept = compute(ids)
                file.write(np.ascontiguousarray(rows, self.dtype).data)
                file.flush()
                os.fsync(file.fileno())
                done, bad = done + len(ids), bad + np.setdiff1d(ids, kept).tolist()
                write_json(self.folder / "partial.json", {"done": done, "bad": bad})
                progress(done, self.n_items)
        return bad

    def _check_space(self, done: int) -> None:
        """Checks that the disk has room for all rows, before an hour of work is wasted."""
        needed, free = (self.n_items - done) * self._row_bytes, shutil.disk_usage(self.folder).free
        if needed > free:
            raise UserError(
                f"{self.what.capitalize()} of {self.description['dataset']} need "
                f"{needed / 1e9:.1f} GB in {self.folder}, {free / 1e9:.1f} GB are free; free "
                "space there, or name another folder by RDH_CACHE."
            )

    def _header(self) -> bytes:
        """The header of an .npy file that holds all rows."""
        buffer = io.BytesIO()
        shape = (self.n_items, *self.row_shape)
        np.lib.format.write_array_header_1_0(
            buffer, {"descr": self.dtype, "fortran_order": False, "shape": shape}
        )
        return buffer.getvalue()

    def _resume(self) -> tuple[int, list[int]]:
        """What an interrupted attempt has done.

        Returns:
            The number of items done, and the ids among them that could not be decoded. (0, []) if
            the files don't fit each other.
        """
        header, saved = self._header(), read_json(self.folder / "partial.json") or {}
        try:
            done, bad = int(saved["done"]), [int(item_id) for item_id in saved["bad"]]
            with self._partial.open("rb") as file:
                is_whole = file.read(len(header)) == header
                is_whole &= file.seek(0, os.SEEK_END) >= len(header) + done * self._row_bytes
        except (OSError, KeyError, TypeError, ValueError):
            return 0, []
        return (done, bad) if is_whole and 0 <= done <= self.n_items else (0, [])

    def _open(self) -> tuple[np.memmap, list[int]]:
        """(rows, undecodable ids) of a finished folder whose description is the one expected."""
        way_out = f"delete the folder {self.folder} to make them again."
        meta = read_json(self.folder / "meta.json")
        if meta is None or not isinstance(meta.get("bad"), list):
            raise UserError(f"The cached {self.what} have no readable meta.json; {way_out}")
        bad = meta.pop("bad")
        if meta != json.loads(json.dumps(self.description)):
            raise UserError(
                f"The cached {self.what} belong to other data or were made in another "
                f"way; {way_out}"
            )
        try:
            rows = np.load(self._whole, mmap_mode="r", allow_pickle=False)
        except (OSError, ValueError, EOFError):
            raise UserError(f"The cached {self.what} are damaged; {way_out}") from None
        if rows.shape != (self.n_items, *self.row_shape) or rows.dtype != np.dtype(self.dtype):
            raise UserError(f"The cached {self.what} are damaged; {way_out}")
        return rows, bad

    @contextlib.contextmanager
    def _writing(self) -> Iterator[None]:
        """Turns a full disk, or a folder that can't be written, into a UserError."""
        try:
            yield
        except OSError as error:
            start = (
                f"{self.what.capitalize()} can't be written to {self.folder} "
                f"({error.strerror or error}); "
            )
            if error.errno in FULL:
                way_out = (
                    "free space there, or name another folder by RDH_CACHE. What is done "
                    "so far is kept."
                )
            else:
                way_out = "set RDH_CACHE to a folder that can be made and written."
            raise UserError(start + way_out) from None

    @contextlib.contextmanager
    def _locked(self, wait: Callable[[], None], log: Callable[[str], None]) -> Iterator[None]:
        """Holds the folder's lock. Calls `wait` repeatedly while another process holds it."""
        is_told = False

        def waiting() -> None:
            nonlocal is_told
            if not is_told:
                log(f"waiting: another run is making the same {self.what}")
            is_told = True
            wait()

        with contextlib.ExitStack() as stack:
            with self._writing():
                stack.enter_context(holding_lock(self.folder / "lock", waiting))
            yield
