"""A FAISS index of packed codes with its names beside it, for programs that search with FAISS.

Needs `pip install faiss-cpu`.
"""

from importlib import import_module
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np

from rdh.codes.files import CodeFile, is_code_file, read_codes
from rdh.errors import UserError, reading, short_path, writing
from rdh.files import atomic, check_output, write_arrays

MAGIC = b"IBxF"  # an IndexBinaryFlat
BLOCK = 1 << 16  # codes held against the index's at a time


def write_index(path: Path, codes: CodeFile) -> Path:
    """Writes an index for exact Hamming search (IndexBinaryFlat) and, beside it, the names.

    Position i of the index is codes.ids[i]. FAISS counts bits in whole bytes: the unused ones of
    the last byte are 0 on both sides.

    Returns:
        The file of the names, `names_file(path)`.

    Raises:
        UserError: If a file can't be written. Then there is neither.
    """
    faiss = _faiss()
    index = faiss.IndexBinaryFlat(8 * codes.codes.shape[1])
    index.add(np.ascontiguousarray(codes.codes))
    try:
        # both drafts are whole before either takes its place
        with writing(path), atomic(path) as draft, atomic(names_file(path)) as names:
            write_arrays(names, codes.arrays())
            faiss.write_index_binary(index, str(draft))
    except RuntimeError:
        raise UserError(
            f"{short_path(path)} can't be written (FAISS failed: is there room on the disk?): "
            "name another file by -o."
        ) from None
    return names_file(path)


def check_index_output(path: Path, source: Path | None) -> None:
    """Raises UserError if `write_index` can't write its two files.

    Neither may take the place of `source` or of another program's file.
    """
    check_output(path)
    for place in (path, names_file(path)):
        with writing(place):
            is_source = source and place.exists() and source.exists() and place.samefile(source)
        if is_source:
            raise UserError(
                f"-o would overwrite {source}, the codes to index: name another file by -o."
            )
    check_output(path, is_ours=_is_index)
    check_output(names_file(path), is_ours=is_code_file)


def _is_index(path: Path) -> bool:
    """By the four letters that FAISS writes first."""
    try:
        with path.open("rb") as file:
            return file.read(4) == MAGIC
    except OSError:
        return False


def names_file(path: Path) -> Path:
    """The file beside an index that holds its names, codes and maker."""
    return path.with_name(path.name + ".npz")


class Index:
    """An index that `write_index` wrote.

    Raises:
        UserError: If one of its two files is missing, damaged, or belongs to another.
    """

    def __init__(self, path: Path) -> None:
        faiss = _faiss()
        with reading(path, "name another by --index"):
            missing = [part for part in (path, names_file(path)) if not part.is_file()]
        if missing:
            raise UserError(
                f"{short_path(missing[0])} is not there: an index is two files, {path.name} and "
                f"{names_file(path).name}; `python -m rdh index RUN -o FILE` writes both."
            )
        self.codes = read_codes(names_file(path))
        try:
            index = faiss.read_index_binary(str(path)) if _is_index(path) else None
        except RuntimeError:
            index = None
        if index is None:
            reason = "it is no index of `python -m rdh index`, or cut short"
            raise UserError(f"{path} can't be read as a FAISS index ({reason}); write it again.")
        self._index: Any = index
        n, n_bytes = self.codes.codes.shape
        is_same_size = (self._index.ntotal, self._index.d) == (n, 8 * n_bytes)
        if is_same_size and not self._holds(self.codes.codes):
            raise UserError(
                f"{path} holds other codes than {names_file(path).name}: they do not "
                f"belong together; write the index again."
            )
        if not is_same_size:
            raise UserError(
                f"{path} holds {self._index.ntotal} codes of {self._index.d // 8} "
                f"bytes, {names_file(path).name} names {n} of {n_bytes}: "
                "they do not belong together; write the index again."
            )

    def _holds(self, codes: np.ndarray) -> bool:
        starts = range(0, len(codes), BLOCK)
        blocks = ((codes[start : start + BLOCK], start) for start in starts)
        return all(
            np.array_equal(self._index.reconstruct_n(start, len(block)), block)
            for block, start in blocks
        )

    def nearest(self, query: np.ndarray, top_k: int) -> tuple[np.ndarray, np.ndarray]:
        """As `files.nearest`, but the order among equal distances is FAISS's own."""
        distances, positions = self._index.search(query[None], min(top_k, self._index.ntotal))
        return distances[0].astype(np.int64), positions[0]


def _faiss() -> ModuleType:
    try:
        return import_module("faiss")
    except ImportError as error:
        raise UserError(
            f"A FAISS index needs a package that is missing ({error}): pip install faiss-cpu."
        ) from None
