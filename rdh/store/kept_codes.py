"""The codes that a finished run kept, with the labels of their items."""

from typing import NamedTuple

import numpy as np

from rdh.files import read_arrays
from rdh.store.run_store import RunStore


class KeptCodes(NamedTuple):
    """In the order of the first arguments of `rdh.retrieval.evaluate`.

    Attributes:
        query, gallery: packed codes, (n, bytes).
        query_labels, gallery_labels: (n, n_classes).
    """

    query: np.ndarray
    gallery: np.ndarray
    query_labels: np.ndarray
    gallery_labels: np.ndarray


def kept_codes(store: RunStore, run_id: str) -> KeptCodes:
    """Reads codes/final.npz and the labels of split.npz.

    Raises:
        UserError: A file is missing or damaged.
        KeyError, IndexError: A file is whole, but not one of this program.
    """
    folder = store.run_dir(run_id)
    codes = read_arrays(folder / "codes" / "final.npz")
    labels = read_arrays(folder / "split.npz", only=["labels"])["labels"]
    sides = ("query", "gallery")
    return KeptCodes(
        *(codes[side] for side in sides), *(labels[codes[f"{side}_ids"]] for side in sides)
    )
