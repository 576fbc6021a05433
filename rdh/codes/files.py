"""Codes to use outside a run: packed bytes, the items' names and the run that made them, in one
.npz read without pickle.

Codes of two networks have nothing to do with each other, so every file says whose they are, and
whoever compares two asks `check_maker`.
"""

import json
import os
import zipfile
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from rdh import __version__
from rdh.errors import UserError
from rdh.files import write_arrays
from rdh.retrieval.codes import check_packed, hamming_distances

FORMAT = 1
# What NumPy and the zip reader raise on damaged files and on files of other programs, ValueError
# apart.
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
    """codes: packed uint8 (n, ceil(n_bits / 8)). ids: (n,) text, a file or an item.

    maker: run_id, config, network (a digest).
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

    def arrays(self) -> dict[str, np.ndarray]:
        """What is written: codes, ids, and the rest as one JSON text."""
        about = {
            "format": FORMAT,
            "version": __version__,
            "n_bits": self.n_bits,
            "maker": self.maker,
        }
        return {"codes": self.codes, "ids": self.ids, "about": np.array(json.dumps(about))}


def check_output(path: Path, *, is_ours: Callable[[Path], bool] | None = None) -> None:
    """UserError where a file can't be written to path, or would take the place of one that is not
    of our own kind.

    is_ours(path): whether an existing file is; None: whether it is a code file.
    """
    if path.is_dir():
        raise UserError(f"-o must name a file, {path} is a folder: name one in it.")
    if not path.parent.is_dir():
        raise UserError(
            f"-o can't be written to {path}, there is no folder {path.parent}: make it, "
            f"or name another file by -o."
        )
    if not os.access(path.parent, os.W_OK | os.X_OK):
        raise UserError(
            f"-o can't be written to {path}, its folder allows no writing: name another file by -o."
        )
    if path.exists() and not (is_ours or _is_code_file)(path):
        raise UserError(
            f"-o would overwrite {path}, which this program has not written: name "
            f"another file by -o."
        )


def _is_code_file(path: Path) -> bool:
    """By its list of contents."""
    try:
        with zipfile.ZipFile(path) as file:
            return set(file.namelist()) == {"codes.npy", "ids.npy", "about.npy"}
    except (OSError, ValueError, NotImplementedError, zipfile.BadZipFile):
        return False


def write_codes(path: Path, codes: CodeFile) -> None:
    """Whole or not at all. UserError where the file can't be written."""
    try:
        write_arrays(path, codes.arrays())
    except OSError as error:
        raise UserError(
            f"The codes can't be written to {path} ({error.strerror or error}); name "
            f"another file by -o."
        ) from None


def read_codes(path: Path) -> CodeFile:
    """UserError where the file is missing, damaged, cut short, no code file or of a later version."""
    try:
        if path.is_file() and not zipfile.is_zipfile(path):
            raise ValueError("it is no code file, or cut short")
        with np.load(path, allow_pickle=False) as file:
            arrays = {name: file[name] for name in ("codes", "ids", "about")}
        about = _about(str(arrays["about"]))
        codes = CodeFile(arrays["codes"], arrays["ids"], about["n_bits"], about["maker"])
    except (*DAMAGES, OSError, ValueError) as error:
        raise UserError(
            f"{path} can't be read as codes ({_reason(error)}); `python -m rdh encode "
            f"RUN IMAGES -o FILE` makes such a file."
        ) from None
    return codes


def _about(text: str) -> dict[str, Any]:
    """The description, of a known format and with a maker that says who it is. ValueError else."""
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
    if isinstance(error, DAMAGES) or "pickle" in str(error):
        return "it is no code file, or damaged"
    return str(error).rstrip(".").splitlines()[0]


def check_maker(codes: CodeFile, maker: dict[str, Any], what: str) -> None:
    """UserError unless the codes were made by this very network: same run, same weights, same
    preprocessing.
    """
    if codes.maker.get("network") != maker["network"]:
        raise UserError(
            f"{what} holds {codes.n_bits}-bit codes of the run "
            f"{codes.maker.get('run_id')}, not of {maker['run_id']} as it is "
            "now: encode again, or name the run that made them."
        )


def nearest(query: np.ndarray, codes: CodeFile, top_k: int) -> tuple[np.ndarray, np.ndarray]:
    """(distances, positions), each int64 (min(top_k, n),): the nearest codes to one packed query
    (n_bytes,), ties in file order.
    """
    distances = hamming_distances(query[None], codes.codes, codes.n_bits)[0].astype(np.int64)
    order = np.argsort(distances, kind="stable")[:top_k]
    return distances[order], order
