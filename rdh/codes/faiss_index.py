"""A FAISS index of packed codes with its names beside it, for programs that search with FAISS.

Needs `pip install faiss-cpu`.
"""

from importlib import import_module
from pathlib import Path
from types import ModuleType

import numpy as np

from rdh.codes.files import CodeFile, check_output, read_codes, write_codes
from rdh.errors import UserError

MAGIC = b"IBxF"  # an IndexBinaryFlat
BLOCK = 1 << 16  # codes held against the index's at a time


def write_index(path: Path, codes: CodeFile) -> Path:
    """Exact Hamming search over all codes (IndexBinaryFlat); position i is codes.ids[i] in
    `names_file(path)`, which is returned.

    FAISS counts bits in whole bytes: the unused ones of the last byte are 0 on both sides.
    UserError where a file can't be written.
    """
    faiss = _faiss()
    index = faiss.IndexBinaryFlat(8 * codes.codes.shape[1])
    index.add(np.ascontiguousarray(codes.codes))
    draft = path.with_name(f".{path.name}.draft")
    try:
        faiss.write_index_binary(index, str(draft))
        write_codes(names_file(draft), codes)
        names_file(draft).replace(
            names_file(path)
        )  # both are whole now, and their places were checked
        draft.replace(path)
    except (OSError, RuntimeError) as error:
        reason = getattr(error, "strerror", None) or "FAISS failed: is there room on the disk?"
        raise UserError(
            f"The index can't be written to {path} ({reason}); name another file by -o."
        ) from None
    finally:
        draft.unlink(missing_ok=True)
        names_file(draft).unlink(missing_ok=True)
    return names_file(path)


def check_index_output(path: Path, source: Path | None) -> None:
    """UserError where `write_index` could not write its two files, or one would take the place of
    another's file or of source.
    """
    for place in (path, names_file(path)):
        if source and place.exists() and source.exists() and place.samefile(source):
            raise UserError(
                f"-o would overwrite {source}, the codes to index: name another file by -o."
            )
    check_output(path, is_ours=_is_index)
    check_output(names_file(path))


def _is_index(path: Path) -> bool:
    """By the four letters that FAISS writes first."""
    try:
        with path.open("rb") as file:
            return file.read(4) == MAGIC
    except OSError:
        return False


def names_file(path: Path) -> Path:
    """Where an index's names, codes and maker are: beside it."""
    return path.with_name(path.name + ".npz")


class Index:
    """An index that `write_index` wrote.

    UserError where one of its two files is missing, damaged or not the other's.
    """

    def __init__(self, path: Path) -> None:
        faiss = _faiss()
        for part in (path, names_file(path)):
            if not part.is_file():
                raise UserError(
                    f"{part} is not there: an index is two files, {path.name} and "
                    f"{names_file(path).name}; "
                    "`python -m rdh index RUN -o FILE` writes both."
                )
        self.codes = read_codes(names_file(path))
        try:
            self._index = faiss.read_index_binary(str(path)) if _is_index(path) else None
        except RuntimeError:
            self._index = None
        if self._index is None:
            reason = "it is no index of `python -m rdh index`, or cut short"
            raise UserError(f"{path} can't be read as a FAISS index ({reason}); write it again.")
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
        """As `code_files.nearest`; the order among equal distances is FAISS's own."""
        distances, positions = self._index.search(query[None], min(top_k, self._index.ntotal))
        return distances[0].astype(np.int64), positions[0]


def _faiss() -> ModuleType:
    try:
        return import_module("faiss")
    except ImportError as error:
        raise UserError(
            f"A FAISS index needs a package that is missing ({error}): pip install faiss-cpu."
        ) from None
