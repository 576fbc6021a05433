"""Mosaic: grids of single-label images, a real multi-label set that any machine has.

Each item shows one to three classes, equally likely, in a grid of 2 x 2 or 3 x 3 images of another
data set (switches `source` and `grid`). The classes share out the cells, and each cell is an image
of its class at random. About a third of all pairs share a label, as in MS-COCO.
Protocol: a tenth of the n_items are queries, the rest is the gallery. At most 5000 and at most half
of the gallery are training items, drawn by the split seed. MAP counts the ranks of the switch
top_k, 0 = all. The queries are the same for every seed: they are made of images of their own, a
fifth of the source, which the gallery never shows.
Sources: digits (no download), or cifar10, which must be ready.
"""

import dataclasses
import hashlib
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any, Literal

import numpy as np
from pydantic import Field

from rdh.datasets import cifar10, digits
from rdh.datasets._tools.base import Dataset
from rdh.datasets._tools.splits import Split
from rdh.errors import UserError

SOURCES = {"digits": digits, "cifar10": cifar10}
MOST_LABELS, MOST_TRAIN = 3, 5000
QUERY_IMAGES = 5  # one in five images of the source is for queries

is_multi_label = True


@dataclasses.dataclass(frozen=True)
class FirstAreQueries:
    """Items 0..n_query - 1 are the queries; n_train of the others are drawn."""

    n_query: int
    n_train: int

    def split(self, labels: np.ndarray, class_names: Sequence[str], seed: int) -> Split:
        """Drawn from the seed alone."""
        gallery = np.arange(self.n_query, len(labels), dtype=np.int64)
        train = np.random.default_rng(seed).choice(gallery, self.n_train, replace=False)
        return Split(np.arange(self.n_query, dtype=np.int64), gallery, np.sort(train))


class Mosaic(Dataset):
    """cells: int64 (n_items, grid * grid), the source's item that each cell shows, row by row."""

    def __init__(
        self,
        source: Dataset,
        cells: np.ndarray,
        labels: np.ndarray,
        protocol: FirstAreQueries,
        top_k: int | None = None,
    ) -> None:
        self._grid = round(cells.shape[1] ** 0.5)
        assert source.image_shape is not None, "all images of a source have one shape"
        height, width, channels = source.image_shape
        mark = hashlib.sha256(source.fingerprint.encode() + cells.tobytes()).hexdigest()
        shape = (self._grid * height, self._grid * width, channels)
        super().__init__(
            "mosaic", labels, source.class_names, mark, protocol, image_shape=shape, top_k=top_k
        )
        self.stamp = source.stamp
        self._source, self._cells = source, cells

    def read_image(self, item_id: int) -> np.ndarray:
        """Puts the cells together. Raises BadImage for one that can't be decoded."""
        cells = [self._source.read_image(cell) for cell in self._cells[item_id].tolist()]
        rows = [cells[start : start + self._grid] for start in range(0, len(cells), self._grid)]
        return np.concatenate([np.concatenate(row, axis=1) for row in rows], axis=0)

    def picture_key(self, item_id: int, *, is_quick: bool = False) -> bytes:
        """The images in its cells."""
        return self._cells[item_id].tobytes()


def load(
    root: Path | str,
    *,
    source: Annotated[
        Literal["digits", "cifar10"], Field(description="the data set whose images fill the cells")
    ] = "digits",
    grid: Annotated[Literal[2, 3], Field(description="cells a side")] = 2,
    n_items: Annotated[int, Field(ge=20, le=1_000_000, description="number of mosaics")] = 5000,
    top_k: Annotated[int, Field(ge=0, description="ranks that count in MAP; 0: all")] = 0,
) -> Mosaic:
    """Mosaics of a source in the data folder `root`: always the same for the same switches.

    Raises UserError.
    """
    base = SOURCES[source].load(root)
    cells, labels = compose(base.labels.argmax(axis=1), n_items, grid * grid)
    n_query = n_items // 10
    n_train = min(MOST_TRAIN, (n_items - n_query) // 2)
    mosaic = Mosaic(base, cells, labels, FirstAreQueries(n_query, n_train), top_k or None)
    mosaic.warnings += base.warnings
    return mosaic


def loads_without_torch(root: Path | str, *, source: str | None = None, **options: Any) -> bool:
    """Whether `load` works without torch. If no source is named, whether every source does."""
    return source == "digits" or cifar10.loads_without_torch(root)


def compose(class_of: np.ndarray, n_items: int, n_cells: int) -> tuple[np.ndarray, np.ndarray]:
    """Chooses the source images that each mosaic shows.

    The first tenth of the mosaics, which are the queries, shows every QUERY_IMAGESth image of a
    class. The others show the rest.

    Args:
        class_of: The class of each source image, (n_source,).
        n_items: The number of mosaics.
        n_cells: The source images in each mosaic.

    Returns:
        The source images as cells, int64 (n_items, n_cells), and the labels, uint8 (n_items,
        n_classes).
    """
    rng = np.random.default_rng(0)
    members = [np.flatnonzero(class_of == number) for number in range(class_of.max() + 1)]
    order = rng.permuted(np.tile(np.arange(len(members)), (n_items, 1)), axis=1)
    n_labels = rng.integers(1, MOST_LABELS + 1, (n_items, 1))
    place = np.arange(n_cells)
    chosen = np.where(
        place < n_labels, place, rng.integers(0, n_labels, (n_items, n_cells))
    )  # each class has a cell
    cell_class = rng.permuted(np.take_along_axis(order, chosen, axis=1), axis=1)
    labels = np.zeros((n_items, len(members)), dtype=np.uint8)
    labels[np.arange(n_items)[:, np.newaxis], cell_class] = 1
    share = rng.random((n_items, n_cells))
    is_query = np.arange(n_items)[:, np.newaxis] < n_items // 10
    cells = np.empty((n_items, n_cells), dtype=np.int64)
    for number, ids in enumerate(members):
        if len(ids) < 2:
            raise UserError(
                "Each class of the mosaic's source must have at least 2 images: add some."
            )
        for part, pool in (
            (is_query, ids[::QUERY_IMAGES]),
            (~is_query, np.delete(ids, slice(None, None, QUERY_IMAGES))),
        ):
            here = part & (cell_class == number)
            cells[here] = pool[(share[here] * len(pool)).astype(np.int64)]
    return cells, labels
