"""Code files: packed codes, the items' names and the run that made them, in one .npz.

They are read without pickle. Codes of two networks can't be compared, so every file says whose they
are; `check_maker` compares that.
"""

import hashlib
import json
import zipfile
import zlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from rdh import __version__
from rdh.errors import UserError, os_reason, short_path, writing
from rdh.files import check_regular, write_arrays
from rdh.retrieval.codes import check_packed, hamming_distances

FORMAT = 1
# What NumPy and the zip reader raise on damaged files and files of other programs, besides
# ValueError.
DAMAGES = (
    KeyError,
    EOFError,
    RecursionError,
    MemoryError,
    RuntimeError,
    zlib.error,
    zipfile.BadZipFile,
)


@dataclass(frozen=True)
class CodeFile:
    """Codes with names and origin.

    Args:
        codes: Packed, uint8 (n, ceil(n_bits / 8)).
        ids: Text (n,), each a file or an item.
        n_bits: The code length.
        maker: run_id, config and network (a digest of its weights).

    Raises:
        UserError: If the parts don't fit each other.
    """

    codes: np.ndarray
    ids: np.ndarray
    n_bits: int
    maker: dict[str, Any]

    def __post_init__(self) -> None:
        if not (
            isinstance(self.codes, np.ndarray)
            and isinstance(self.ids, np.ndarray)
            and isinstance(self.maker, dict)
        ):
            raise UserError(
                "codes and ids must be arrays and maker a dict; make them again by encode."
            )
        check_packed(self.codes, self.n_bits, "codes")
        if self.ids.shape != (len(self.codes),) or self.ids.dtype.kind != "U":
            raise UserError(
                f"ids must be text, one for each of {len(self.codes)} codes, got {self.ids.shape}."
            )

    def digest(self) -> str:
        """16 hex digits over everything in the file.

        They show accidents. They are no signature: whoever edits a file can make new ones.
        """
        text = json.dumps([self.n_bits, self.maker, self.ids.tolist()], sort_keys=True)
        return hashlib.sha256(text.encode() + self.codes.tobytes()).hexdigest()[:16]

    def arrays(self) -> dict[str, np.ndarray]:
        """What is written: codes, ids, and the rest as one JSON text."""
        about = {
            "format": FORMAT,
            "version": __version__,
            "n_bits": self.n_bits,
            "maker": self.maker,
            "digest": self.digest(),
        }
        return {"codes": self.codes, "ids": self.ids, "about": np.array(json.dumps(about))}


def is_code_file(path: Path) -> bool:
    """Whether a file is one of codes, by its list of contents."""
    try:
        with zipfile.ZipFile(path) as file:
            return set(file.namelist()) == {"codes.npy", "ids.npy", "about.npy"}
    except (OSError, ValueError, NotImplementedError, zipfile.BadZipFile):
        return False


def write_codes(path: Path, codes: CodeFile) -> None:
    """Writes a code file, whole or not at all.

    Raises:
        UserError: If the file can't be written.
    """
    with writing(path):
        write_arrays(path, codes.arrays())


def read_codes(path: Path) -> CodeFile:
    """Reads a code file and checks its digest, if it has one.

    Raises:
        UserError: If the file is missing, damaged, changed, empty, of another kind or of a later
            version.
    """
    try:
        check_regular(path)  # a pipe would never end
        if not zipfile.is_zipfile(path):
            raise ValueError("it is no code file, or cut short")
        with np.load(path, allow_pickle=False) as file:
            arrays = {name: file[name] for name in ("codes", "ids", "about")}
        about = _about(str(arrays["about"]))
        codes = CodeFile(arrays["codes"], arrays["ids"], about["n_bits"], about["maker"])
        if about.get("digest", codes.digest()) != codes.digest():
            raise ValueError("its content does not fit its digest: it was changed or damaged")
        if not len(codes.ids):
            raise ValueError("it holds no codes")
    except (*DAMAGES, OSError, ValueError) as error:
        raise UserError(
            f"{short_path(path)} can't be read as codes ({_reason(error)}); `python -m rdh encode "
            f"RUN IMAGES -o FILE` makes such a file."
        ) from None
    return codes


def _about(text: str) -> dict[str, Any]:
    """The description. ValueError for an unknown format or an incomplete maker."""
    about = json.loads(text)
    maker = about.get("maker") if isinstance(about, dict) else None
    if not isinstance(maker, dict) or "format" not in about:
        raise ValueError("its description lacks the format, n_bits or the maker")
    if about["format"] != FORMAT:
        raise ValueError(
            f"it has the format {about['format']!r}, this version reads {FORMAT}: "
            f"encode the images again"
        )
    for name in ("run_id", "network"):
        if not isinstance(maker.get(name), str):
            raise ValueError(f"its maker's {name} must be text, got {maker.get(name)!r}")
    return about | {"n_bits": about.get("n_bits")}


def _reason(error: Exception) -> str:
    if isinstance(error, FileNotFoundError | IsADirectoryError):
        return "it is not there" if isinstance(error, FileNotFoundError) else "it is a folder"
    if isinstance(error, OSError) and error.errno:
        return os_reason(error)
    if isinstance(error, DAMAGES) or "pickle" in str(error):
        return "it is no code file, or damaged"
    return str(error).rstrip(".").splitlines()[0]


def check_maker(codes: CodeFile, maker: dict[str, Any], what: str) -> None:
    """Raises UserError unless this very network made the codes.

    Args:
        maker: As in `CodeFile`.
        what: The file, for the sentence.
    """
    if codes.maker.get("network") != maker["network"]:
        raise UserError(
            f"{what} holds {codes.n_bits}-bit codes of the run {codes.maker.get('run_id')}, not "
            f"of {maker['run_id']} as it is now: encode again, or name the run that made them."
        )


def nearest(query: np.ndarray, codes: CodeFile, top_k: int) -> tuple[np.ndarray, np.ndarray]:
    """The nearest codes to one query, ties in file order.

    Args:
        query: Packed, uint8 (n_bytes,).
        top_k: How many.

    Returns:
        Distances and positions, each int64 (min(top_k, n),).

    >>> codes = CodeFile(np.array([[7], [1], [0]], np.uint8), np.array(["a", "b", "c"]), 3, {})
    >>> nearest(np.array([1], np.uint8), codes, 2)
    (array([0, 1]), array([1, 2]))
    """
    distances = hamming_distances(query[None], codes.codes, codes.n_bits)[0].astype(np.int64)
    order = np.argsort(distances, kind="stable")[:top_k]
    return distances[order], order
