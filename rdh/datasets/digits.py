"""Digits: 1797 handwritten digits of 8 x 8 pixels, 10 classes, shipped with scikit-learn.

They are few enough for a run of seconds, and real enough to show dead bits.
Protocol: 100 queries (10 a class), a gallery of the other 1697, 1000 training items (100 a class)
inside it. MAP counts the whole gallery. Grey values 0..16 become 0..255.
Source: Alpaydin and Kaynak, Optical Recognition of Handwritten Digits (test part), UCI repository,
1998.
"""

import functools
import hashlib
import importlib.util
from pathlib import Path
from typing import Annotated

import numpy as np
from pydantic import Field

from rdh.datasets._tools.sources import ArrayDataset, one_hot
from rdh.datasets._tools.splits import PerClass
from rdh.errors import UserError

is_multi_label = False


def load(
    root: Path | None = None,
    *,
    query_per_class: Annotated[int, Field(ge=1, description="queries of each class")] = 10,
    train_per_class: Annotated[int, Field(ge=1, description="training items of each class")] = 100,
) -> ArrayDataset:
    """The digits; `root` plays no part. Raises UserError if scikit-learn is missing."""
    values, class_of = _table()
    pixels = np.rint(values * 255 / 16).astype(np.uint8).reshape(-1, 8, 8, 1)
    names = [str(digit) for digit in range(10)]
    fingerprint = hashlib.sha256(pixels.tobytes()).hexdigest()
    protocol = PerClass(query_per_class, train_per_class)
    return ArrayDataset("digits", pixels, one_hot(class_of, 10), names, fingerprint, protocol)


@functools.cache
def _table() -> tuple[np.ndarray, np.ndarray]:
    """Grey values 0..16, float64 (1797, 64), and classes, int64 (1797,).

    They are read from the file that scikit-learn's own `load_digits` reads. Importing scikit-learn
    takes two seconds, and starts a thread, which no process may have that is forked.
    """
    package = importlib.util.find_spec("sklearn")
    if package is None or package.origin is None:
        raise UserError(
            "The digits ship with scikit-learn, which is missing: pip install scikit-learn."
        )
    path = Path(package.origin).parent / "datasets" / "data" / "digits.csv.gz"
    if not path.is_file():  # another version keeps it elsewhere
        from sklearn.datasets import load_digits

        values, class_of = load_digits(return_X_y=True)
        return values, class_of
    table = np.loadtxt(path, delimiter=",")
    return table[:, :-1], table[:, -1].astype(np.int64)
