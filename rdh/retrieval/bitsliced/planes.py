"""How codes and labels lie in memory for the bit-sliced kernel.

Both are tables of bits. A gallery of n items is cut into blocks of 512; for every bit there is a
plane, and block i of a plane is 8 words (lanes) of 64 bits: that bit of the block's 512 items.
Which items a lane holds is `slice_gallery`'s choice. Places that no item fills are 0, and `valid`
says which are filled.
"""

import functools
from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from rdh.retrieval.bitsliced.llvm import compiled
from rdh.retrieval.bitsliced.slices import slice_bits

BLOCK = 512


@functools.cache
def slicing_code() -> Callable[..., None]:
    """Compiled `slice_bits`, the same for codes of every length.

    Raises:
        RuntimeError: If LLVM can't build it.
    """
    return compiled("slice_bits", "pnnnnpnn", slice_bits)


class Queries(NamedTuple):
    """Queries sorted by their labels, so that those with the same ones follow each other."""

    order: np.ndarray  # (n,): where each stood
    sets: np.ndarray  # int64 (n,): equal if the labels are
    starts: np.ndarray  # int64 (n + 1,): labels of query i are numbers[starts[i] : starts[i + 1]]
    numbers: np.ndarray  # int64
    signs: np.ndarray  # int64 (n, width): all bits set if the code's bit is

    @classmethod
    def of(cls, packed: np.ndarray, labels: np.ndarray, width: int) -> "Queries":
        sets = label_bytes(labels)
        order = order_by_bytes(sets)
        sets = sets.take(order, axis=0)
        is_new = (sets[1:] != sets[:-1]).any(axis=1)
        rows, numbers = np.nonzero(labels.take(order, axis=0))
        starts = np.searchsorted(rows, np.arange(len(order) + 1))
        signs = np.zeros((len(order), width), dtype=np.int64)
        bits = np.unpackbits(packed.take(order, axis=0), axis=1, bitorder="little")
        signs[:, : bits.shape[1]] = -bits.view(np.int8)
        return cls(
            order,
            np.concatenate([[0], np.cumsum(is_new)]),
            starts,
            np.ascontiguousarray(numbers),
            signs,
        )

    def most_relevant(self, label_planes: np.ndarray) -> np.ndarray:
        """An upper bound of each query's relevant items, (n,): those of all its labels together."""
        per_label = np.bitwise_count(label_planes.view(np.uint64)).sum(axis=(1, 2), dtype=np.int64)
        sums = np.concatenate([[0], np.cumsum(per_label[self.numbers])])
        return np.minimum(sums[self.starts[1:]] - sums[self.starts[:-1]], 64 * label_planes[0].size)


class Scratch(NamedTuple):
    """What a thread writes down about the relevant items of a query."""

    positions: np.ndarray  # lane and bit in its block
    ends: np.ndarray  # of each block's items
    codes: np.ndarray
    bins_of: np.ndarray
    places: np.ndarray

    @classmethod
    def of(cls, n_relevant: int, n_blocks: int, n_words: int) -> "Scratch":
        n = n_relevant + 8  # the sums are made 8 at a time
        return cls(
            np.empty(n, np.uint16),
            np.empty(n_blocks + 1, np.int64),
            np.empty((n, n_words), np.uint64),
            np.empty(n, np.uint16),
            np.empty(n, np.uint64),
        )


def label_bytes(labels: np.ndarray) -> np.ndarray:
    """Multi-hot (n, n_classes) -> uint8 (n, even number of bytes), a bit for each label."""
    n, n_labels = labels.shape
    padded = np.zeros((n, -(-n_labels // 16) * 16), dtype=bool)
    padded[:, :n_labels] = labels
    # row by row it takes 10 times as long
    return np.packbits(padded.ravel(), bitorder="little").reshape(n, -1)


def order_by_bytes(rows: np.ndarray) -> np.ndarray:
    """An order of rows (n, even number of bytes) in which equal ones stand together.

    A radix sort, 2 bytes at a time.
    """
    order = np.arange(len(rows))
    for column in np.ascontiguousarray(rows.view(np.uint16).T):
        order = order[np.argsort(column.take(order), kind="stable")]
    return order


def slice_gallery(
    packed: np.ndarray, width: int, label_bytes: np.ndarray, *, eighths: bool
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Planes of the codes, of the labels, and of the places that an item fills.

    Args:
        packed: uint8 (n, n_bytes).
        width: Bits of a plane set, see `kernel._width`.
        label_bytes: As `label_bytes` makes them.
        eighths: True: lane l holds the l-th eighth of the items. False: each block holds 512 in a
            row.

    Returns:
        int64 (n_blocks, width, 8), (n_labels, n_blocks, 8) and (n_blocks, 8).
    """
    n_blocks = -(-len(packed) // BLOCK)
    steps = (64, 64 * n_blocks) if eighths else (BLOCK, 64)
    planes = _aligned((n_blocks, width, 8))
    labels = _aligned((label_bytes.shape[1] * 8, n_blocks, 8))
    valid = _aligned((8, n_blocks, 8))
    for rows, target, strides in (
        (packed, planes, (1, width)),
        (label_bytes, labels, (n_blocks, 1)),
        (np.ones((len(packed), 1), dtype=np.uint8), valid, (n_blocks, 1)),
    ):
        columns = np.zeros((rows.shape[1], n_blocks * BLOCK), dtype=np.uint8)
        columns[:, : len(rows)] = rows.T
        slicing_code()(columns, len(columns), n_blocks, *steps, target, *strides)
    return planes, labels, valid[0]


def places_in_eighths(positions: np.ndarray, n_blocks: int) -> np.ndarray:
    """Where `slice_gallery` with eighths puts items: (block, 64 * lane + bit), int64 (n, 2)."""
    lane, rest = np.divmod(positions, 64 * n_blocks)
    return np.stack([rest // 64, 64 * lane + rest % 64], axis=1)


def _aligned(shape: tuple[int, ...]) -> np.ndarray:
    """Zeros, int64, from an address on at which a cache line begins."""
    n = int(np.prod(shape))
    words = np.zeros(n + 8, dtype=np.int64)
    start = -(words.ctypes.data // 8) % 8
    return words[start : start + n].reshape(shape)
