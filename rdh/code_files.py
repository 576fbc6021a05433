"""Codes to use outside a run: packed bytes, the items' names and the run that made them, in one .npz read without pickle.

Codes of two networks have nothing to do with each other, so every file says whose they are, and whoever compares two asks `check_maker`.
"""

import json
import zipfile
import zlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from rdh import __version__
from rdh.errors import UserError
from rdh.retrieval.codes import check_packed, hamming_distances
from rdh.store import write_arrays

FORMAT = 1


@dataclass(frozen=True)
class CodeFile:
    """codes: packed uint8 (n, ceil(n_bits / 8)). ids: (n,) text, a file or an item. maker: run_id, config, network (a digest)."""

    codes: np.ndarray
    ids: np.ndarray
    n_bits: int
    maker: dict[str, Any]

    def __post_init__(self) -> None:
        check_packed(self.codes, self.n_bits, "codes")
        if self.ids.shape != (len(self.codes),) or self.ids.dtype.kind != "U":
            raise UserError(f"ids must be text, one for each of {len(self.codes)} codes, got {self.ids.shape}.")

    def arrays(self) -> dict[str, np.ndarray]:
        """What is written: codes, ids, and the rest as one JSON text."""
        about = {"format": FORMAT, "version": __version__, "n_bits": self.n_bits, "maker": self.maker}
        return {"codes": self.codes, "ids": self.ids, "about": np.array(json.dumps(about))}


def write_codes(path: Path, codes: CodeFile) -> None:
    """Whole or not at all. UserError where the file can't be written."""
    try:
        write_arrays(path, codes.arrays())
    except OSError as error:
        raise UserError(
            f"The codes can't be written to {path} ({error.strerror or error}); name another file by -o."
        ) from None


def read_codes(path: Path) -> CodeFile:
    """UserError where the file is missing, damaged, cut short, no code file or of a later version."""
    try:
        with np.load(path, allow_pickle=False) as file:
            arrays = {name: file[name] for name in ("codes", "ids", "about")}
        about = json.loads(str(arrays["about"]))
        is_known = about["format"] == FORMAT
        codes = CodeFile(arrays["codes"], arrays["ids"], about["n_bits"], about["maker"]) if is_known else None
    except (OSError, ValueError, KeyError, TypeError, EOFError, zlib.error, zipfile.BadZipFile) as error:
        reason = "it is not there" if isinstance(error, FileNotFoundError) else str(error).rstrip(".").splitlines()[0]
        raise UserError(
            f"{path} can't be read as codes ({reason}); `python -m rdh encode RUN IMAGES -o FILE` makes such a file."
        ) from None
    if codes is None:
        raise UserError(
            f"{path} has the format {about['format']}, this version reads {FORMAT}: encode the images again."
        )
    return codes


def check_maker(codes: CodeFile, maker: dict[str, Any], what: str) -> None:
    """UserError unless the codes were made by this very network: same run, same weights, same preprocessing."""
    if codes.maker.get("network") != maker["network"]:
        raise UserError(
            f"{what} holds {codes.n_bits}-bit codes of the run {codes.maker.get('run_id')}, the query would be encoded by "
            f"{maker['run_id']} as it is now: encode both with the same run."
        )


def nearest(query: np.ndarray, codes: CodeFile, top_k: int) -> tuple[np.ndarray, np.ndarray]:
    """(distances, positions), each int64 (min(top_k, n),): the nearest codes to one packed query (n_bytes,), ties in file order."""
    distances = hamming_distances(query[None], codes.codes, codes.n_bits)[0].astype(np.int64)
    order = np.argsort(distances, kind="stable")[:top_k]
    return distances[order], order
