"""A FAISS index of packed codes with its names beside it, for programs that search with FAISS. Needs `pip install faiss-cpu`."""

from importlib import import_module
from pathlib import Path
from types import ModuleType

import numpy as np

from rdh.code_files import CodeFile, read_codes, write_codes
from rdh.errors import UserError


def write_index(path: Path, codes: CodeFile) -> Path:
    """Exact Hamming search over all codes (IndexBinaryFlat); position i is codes.ids[i] in `names_file(path)`, which is returned.

    FAISS counts bits in whole bytes: the unused ones of the last byte are 0 on both sides. UserError where a file can't be written.
    """
    faiss = _faiss()
    index = faiss.IndexBinaryFlat(8 * codes.codes.shape[1])
    index.add(np.ascontiguousarray(codes.codes))
    draft = path.with_name(f".{path.name}.draft")
    try:
        faiss.write_index_binary(index, str(draft))
        write_codes(names_file(path), codes)
        draft.replace(path)
    except (OSError, RuntimeError) as error:
        reason = str(error).splitlines()[0]
        raise UserError(f"The index can't be written to {path} ({reason}); name another file by -o.") from None
    finally:
        draft.unlink(missing_ok=True)
    return names_file(path)


def names_file(path: Path) -> Path:
    """Where an index's names, codes and maker are: beside it."""
    return path.with_name(path.name + ".npz")


class Index:
    """An index that `write_index` wrote. UserError where one of its two files is missing, damaged or not the other's."""

    def __init__(self, path: Path) -> None:
        faiss = _faiss()
        self.codes = read_codes(names_file(path))
        try:
            self._index = faiss.read_index_binary(str(path))
        except RuntimeError as error:
            raise UserError(f"{path} can't be read as a FAISS index ({str(error).splitlines()[-1][:200]}).") from None
        n, n_bytes = self.codes.codes.shape
        if (self._index.ntotal, self._index.d) != (n, 8 * n_bytes):
            raise UserError(
                f"{path} holds {self._index.ntotal} codes of {self._index.d // 8} bytes, {names_file(path).name} names {n} of {n_bytes}: "
                "they do not belong together; write the index again."
            )

    def nearest(self, query: np.ndarray, top_k: int) -> tuple[np.ndarray, np.ndarray]:
        """As `code_files.nearest`; the order among equal distances is FAISS's own."""
        distances, positions = self._index.search(query[None], min(top_k, self._index.ntotal))
        return distances[0].astype(np.int64), positions[0]


def _faiss() -> ModuleType:
    try:
        return import_module("faiss")
    except ImportError as error:
        raise UserError(f"A FAISS index needs a package that is missing ({error}): pip install faiss-cpu.") from None
