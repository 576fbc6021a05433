"""The torch kernel: blocks of distances by matrix product on a device, usually a GPU.

Training hands it to `evaluate`. It offers what `kernel.Kernel` asks for, with the same integers, on
any device that torch knows.
"""

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from rdh.errors import Progress
from rdh.retrieval.codes import unpack_codes
from rdh.retrieval.kernel import Codes, Ranking

PAIRS_AT_ONCE = {"cpu": 1 << 21, "cuda": 1 << 25}  # about 40 bytes each: 80 MB, or 1.3 GB


class TorchKernel:
    """Counts and ranks on a device. `threads` is torch's own affair."""

    def __init__(self, device: torch.device | str) -> None:
        self.device = torch.device(device)
        # products of signs sum exactly in half precision up to 2048; a CPU is faster in single
        self._dtype = torch.float16 if self.device.type == "cuda" else torch.float32
        self._pairs = PAIRS_AT_ONCE["cpu" if self.device.type == "cpu" else "cuda"]

    def distance_histograms(
        self, codes: Codes, *, threads: int | None = None, progress: Progress | None = None
    ) -> tuple[np.ndarray, np.ndarray]:
        """See `kernel.Kernel`.

        The gallery is walked in blocks, so memory does not grow with it.
        """
        sides = self._sides(codes)
        n_query, n_gallery = len(codes.query), len(codes.gallery)
        bins = torch.zeros(n_query, 2, codes.n_bits + 1, dtype=torch.int64, device=self.device)
        columns = min(n_gallery, self._pairs)
        for rows in _blocks(n_query, self._pairs // columns):
            for items in _blocks(n_gallery, columns):
                bins[rows] += _histograms(*sides.compared(rows, items), codes.n_bits)
            if progress:
                progress(rows.stop, n_query)
        return bins.sum(1).cpu().numpy(), bins[:, 1].contiguous().cpu().numpy()

    def stable_precision_sums(
        self,
        codes: Codes,
        *,
        top_k: int | None = None,
        threads: int | None = None,
        progress: Progress | None = None,
    ) -> Ranking:
        """See `kernel.Kernel`.

        At least one query is ranked at a time, so memory grows with galleries beyond a block.
        """
        sides, n_gallery = self._sides(codes), len(codes.gallery)
        limit = min(top_k or n_gallery, n_gallery)
        ranks = torch.arange(1, limit + 1, dtype=torch.float64, device=self.device)
        parts = []
        for rows in _blocks(len(codes.query), self._pairs // n_gallery):
            distances, relevant = sides.compared(rows, slice(0, n_gallery))
            bins = _histograms(distances, relevant, codes.n_bits)
            order = distances.sort(dim=1, stable=True).indices[:, :limit]
            met = relevant.gather(1, order)
            sums = (met.cumsum(1) / ranks * met).sum(1)
            parts.append([one.cpu().numpy() for one in (bins.sum(1), bins[:, 1], sums, met.sum(1))])
            if progress:
                progress(rows.stop, len(codes.query))
        return Ranking(*(np.concatenate(part) for part in zip(*parts, strict=True)))

    def _sides(self, codes: Codes) -> "_Sides":
        tables = (
            unpack_codes(codes.query, codes.n_bits),
            unpack_codes(codes.gallery, codes.n_bits),
            codes.query_labels,
            codes.gallery_labels,
        )
        own = None if codes.own is None else torch.from_numpy(codes.own).to(self.device)
        query, gallery, sets, gallery_sets = (self._on_device(table) for table in tables)
        return _Sides(query, gallery, sets, gallery_sets, own)

    def _on_device(self, table: np.ndarray) -> Tensor:
        small = torch.from_numpy(np.ascontiguousarray(table, dtype=np.int8))
        return small.to(self.device).to(self._dtype)


class _Sides(NamedTuple):
    """Both sides on the device: signs (n, n_bits) and multi-hot labels (n, n_classes)."""

    query: Tensor
    gallery: Tensor
    sets: Tensor
    gallery_sets: Tensor
    own: Tensor | None  # (n_query,)

    def compared(self, rows: slice, items: slice) -> tuple[Tensor, Tensor]:
        """Distances int16 and relevance bool, both (n_rows, n_items).

        A query's own item is not relevant and one farther away than any distance.
        """
        n_bits = self.query.shape[1]
        products = self.query[rows] @ self.gallery[items].T
        distances = ((n_bits - products) / 2).to(torch.int16)
        relevant = self.sets[rows] @ self.gallery_sets[items].T > 0
        if self.own is not None:
            place = self.own[rows] - items.start
            inside = ((place >= 0) & (place < distances.shape[1])).nonzero()[:, 0]
            distances[inside, place[inside]] = n_bits + 1
            relevant[inside, place[inside]] = False
        return distances, relevant


def _blocks(n: int, size: int) -> Iterator[slice]:
    for start in range(0, n, max(1, size)):
        yield slice(start, min(start + max(1, size), n))


def _histograms(distances: Tensor, relevant: Tensor, n_bits: int) -> Tensor:
    """Counts of the items that are not relevant, and that are: int64 (n_rows, 2, n_bits + 1)."""
    n_bins = n_bits + 2  # the last one holds what is left out
    rows = torch.arange(len(distances), device=distances.device)[:, None]
    bins = (2 * rows + relevant) * n_bins + distances
    counts = torch.bincount(bins.ravel(), minlength=2 * len(distances) * n_bins)
    return counts.reshape(-1, 2, n_bins)[..., :-1]
