"""Arrays: your own images or features with labels, in one .npz file.

Place DIR/arrays.npz, written by numpy.savez. The switch `file` names another file below DIR. Keys:
labels: (n,) or (n, 1) class numbers from 0, or (n, n_classes) of 0 and 1.
images: uint8 (n, height, width) or (n, height, width, 1 or 3).
features, instead of images: numbers (n, n_features). Only the hash layer is trained on them
(backbone=none finetune=false).
class_names, optional: (n_classes,).
query, gallery and train, optional, all three: row numbers, the split for every seed.

Protocol: without a split in the file, n_query queries and n_train training items are drawn by the
split seed, and the gallery is all but the queries. 0 stands for 1000 and 5000, but at most a tenth
of the rows and half of the gallery. MAP counts the ranks of the switch top_k, 0 = all. A row
without any label is left out. Files that hold pickled objects are refused.
"""

import hashlib
import zipfile
import zlib
from pathlib import Path
from typing import Annotated

import numpy as np
from pydantic import Field

from rdh.catalog import PathBelow
from rdh.catalog.complaints import shown
from rdh.datasets._tools.base import Dataset
from rdh.datasets._tools.paths import folder_below
from rdh.datasets._tools.sources import ArrayDataset, drop_unlabelled, one_hot
from rdh.datasets._tools.splits import Drawn, Listed, Split, SplitProtocol, sizes
from rdh.errors import UserError
from rdh.retrieval.labels import are_class_numbers

OFFICIAL = (1000, 5000)
PARTS = ("query", "gallery", "train")
MOST_CLASSES = 10_000
MOST_FEATURE = 1e15  # the squares of a million rows still add up in float32
DAMAGED = (OSError, ValueError, EOFError, zipfile.BadZipFile, zlib.error, MemoryError)

is_multi_label = False


class FeatureDataset(Dataset):
    """Features instead of images. An item is shown as grey values, a pixel each."""

    def __init__(
        self,
        features: np.ndarray,
        labels: np.ndarray,
        class_names: list[str],
        protocol: SplitProtocol,
        top_k: int | None,
    ) -> None:
        self.features = self._rows = features
        side = int(np.ceil(np.sqrt(features.shape[1])))
        mark = hashlib.sha256(self.features.tobytes()).hexdigest()
        super().__init__(
            "arrays", labels, class_names, mark, protocol, image_shape=(side, side, 1), top_k=top_k
        )
        self._low, self._high = float(self.features.min()), float(self.features.max())

    def read_image(self, item_id: int) -> np.ndarray:
        """The features as a grey square.

        Black is the smallest value of all features, white the largest. Pixels that are left over
        are black.
        """
        side = round(np.ceil(np.sqrt(self._rows.shape[1])))
        values = self._rows[item_id].astype(np.float64)
        shares = (values - self._low) / max(self._high - self._low, 1e-12)
        pixels = np.zeros(side * side, dtype=np.uint8)
        pixels[: len(shares)] = np.rint(255 * shares)
        return pixels.reshape(side, side, 1)

    def picture_key(self, item_id: int, *, is_quick: bool = False) -> bytes:
        """A digest of the features."""
        return hashlib.sha256(self._rows[item_id].tobytes()).digest()


def load(
    root: Path | str,
    *,
    file: Annotated[
        PathBelow, Field(description="the .npz file, below the data folder")
    ] = "arrays.npz",
    n_query: Annotated[int, Field(ge=0, description="queries to draw; 0: as the card says")] = 0,
    n_train: Annotated[
        int, Field(ge=0, description="training items to draw; 0: as the card says")
    ] = 0,
    top_k: Annotated[int, Field(ge=0, description="ranks that count in MAP; 0: all")] = 0,
) -> Dataset:
    """The arrays below the data folder `root`.

    Raises UserError for a missing or damaged file and for each bad key.
    """
    path = folder_below(Path(root), file, "file", Path(root))
    if not path.is_file():
        raise UserError(
            f"No arrays in {path}: write them there by numpy.savez(path, images=..., labels=...), "
            "or features=... instead of images; `python -m rdh data show arrays` tells the "
            "shapes."
        )
    content = _read(path)
    values, labels = _values(content, path), _labels(content, path)
    if len(values) != len(labels):
        raise UserError(
            f"{path} has {len(labels)} labels for {len(values)} items: both must be the "
            f"same number."
        )
    names = _class_names(content, labels.shape[1], path)
    rows, warnings = drop_unlabelled(labels)
    if not len(rows):
        raise UserError(
            f"labels in {path} must mark each label by a 1, got only 0: no row has a label."
        )
    protocol = _protocol(content, rows, len(labels), n_query, n_train, path)
    values, labels = values[rows], labels[rows]
    if "features" in content:
        dataset: Dataset = FeatureDataset(values, labels, names, protocol, top_k or None)
    else:
        mark = hashlib.sha256(
            np.ascontiguousarray(values).tobytes() + str(values.shape).encode()
        ).hexdigest()
        dataset = ArrayDataset("arrays", values, labels, names, mark, protocol, top_k=top_k or None)
    dataset.warnings += warnings
    dataset.warn_of_eta(is_multi_label)
    dataset.warn_of_one_class()
    return dataset


def example(root: Path) -> None:
    """60 grey images of 3 classes."""
    root.mkdir(parents=True, exist_ok=True)
    pixels = np.random.default_rng(0).integers(0, 256, (60, 5, 4), dtype=np.uint8)
    np.savez(root / "arrays.npz", images=pixels, labels=np.arange(60) % 3)


def _read(path: Path) -> dict[str, np.ndarray]:
    try:
        loaded = np.load(path, allow_pickle=False)
        if isinstance(loaded, np.ndarray):
            raise ValueError("it is one array, not an .npz file")
        with loaded as file:
            content = {key: file[key] for key in file.files}
        for key, value in content.items():
            if not isinstance(
                value, np.ndarray
            ):  # a member that is not an .npy file comes as its bytes
                raise ValueError(f"{key} is not an array")
    except DAMAGED as error:
        reason = (
            "it is not an .npz file, or holds pickled objects"
            if "pickle" in str(error)
            else shown(str(error), 200)[1:-1]  # the zip reader shows raw bytes of the file
        )
        raise UserError(
            f"{path} cannot be read ({reason}): write it anew by numpy.savez."
        ) from error
    known = {"images", "features", "labels", "class_names", *PARTS}
    if (
        not set(content) <= known
        or "labels" not in content
        or ("images" in content) == ("features" in content)
    ):
        raise UserError(
            f"{path} must hold labels, and images or features, and may hold class_names, query, "
            f"gallery and train, got {', '.join(content) or 'nothing'}."
        )
    return content


def _values(content: dict[str, np.ndarray], path: Path) -> np.ndarray:
    if "features" in content:
        values = content["features"]
        if values.ndim != 2 or 0 in values.shape or values.dtype.kind not in "fiu":
            raise UserError(
                f"features in {path} must be numbers (n, n_features), got {_form(values)}."
            )
        return _as_float32(values, path)
    values = content["images"]
    values = values[..., np.newaxis] if values.ndim == 3 else values
    if (
        values.dtype != np.uint8
        or values.ndim != 4
        or values.shape[3] not in (1, 3)
        or 0 in values.shape
    ):
        raise UserError(
            f"images in {path} must be uint8 (n, height, width) or (n, height, width, 1 or 3), got "
            f"{_form(content['images'])}."
        )
    return values


def _as_float32(values: np.ndarray, path: Path) -> np.ndarray:
    with np.errstate(over="ignore", invalid="ignore"):
        cast = np.ascontiguousarray(values, dtype=np.float32)
        is_fit = np.abs(cast) <= MOST_FEATURE  # False for NaN
    if not is_fit.all():
        raise UserError(
            f"features in {path} must be finite and from -{MOST_FEATURE:g} to {MOST_FEATURE:g}, "
            f"got {_first(values, ~is_fit)}: mend or scale them there."
        )
    return cast


def _labels(content: dict[str, np.ndarray], path: Path) -> np.ndarray:
    labels, name = content["labels"], f"labels in {path}"
    if not are_class_numbers(labels, name):
        return labels.astype(np.uint8)
    if not labels.size or labels.max() >= MOST_CLASSES:
        span = f"{labels.min()} to {labels.max()} in " if labels.size else ""
        raise UserError(
            f"{name} must be class numbers from 0 to {MOST_CLASSES - 1}, got {span}{_form(labels)}."
        )
    return one_hot(labels.reshape(-1).astype(np.int64), int(labels.max()) + 1)


def _class_names(content: dict[str, np.ndarray], n_classes: int, path: Path) -> list[str]:
    names = content.get("class_names", np.array([f"class {number}" for number in range(n_classes)]))
    if names.shape != (n_classes,):
        raise UserError(f"class_names in {path} must be {n_classes} names, got {_form(names)}.")
    return [str(name) for name in names]


def _protocol(
    content: dict[str, np.ndarray],
    rows: np.ndarray,
    n_all: int,
    n_query: int,
    n_train: int,
    path: Path,
) -> SplitProtocol:
    """rows: those that are kept. A given split is renumbered to them."""
    given = [key for key in PARTS if key in content]
    if not given:
        return Drawn(
            *sizes(
                len(rows),
                ("n_query", n_query, OFFICIAL[0]),
                ("n_train", n_train, OFFICIAL[1]),
                "rows",
            )
        )
    if len(given) < len(PARTS) or n_query or n_train:
        raise UserError(
            f"query, gallery and train in {path} must be all there, without n_query and "
            f"n_train, or none."
        )
    parts = []
    for key in PARTS:
        ids = content[key]
        is_row = np.isin(ids, np.arange(n_all))
        if ids.ndim != 1 or ids.dtype.kind not in "iu" or not is_row.all():
            got = _first(ids, ~is_row) if ids.ndim == 1 and ids.dtype.kind in "iu" else _form(ids)
            raise UserError(
                f"{key} in {path} must be row numbers from 0 to {n_all - 1}, got {got}."
            )
        parts.append(np.flatnonzero(np.isin(rows, ids)).astype(np.int64))
    if np.isin(parts[0], np.concatenate(parts[1:])).any():
        raise UserError(
            f"query in {path} must share no row with gallery or train: take the queries "
            f"out of them."
        )
    return Listed(Split(*parts))


def _first(values: np.ndarray, is_wrong: np.ndarray) -> str:
    return f"{values[is_wrong][0]} in row {np.argwhere(is_wrong)[0][0]} of {_form(values)}"


def _form(values: np.ndarray) -> str:
    return f"{values.dtype} {values.shape}"
