"""The torch kernel: blocks of distances by matrix product on a device, usually a GPU. Training
hands it to `evaluate`.

Offers what `kernels.Kernel` asks for, with the same integers, on any device that torch knows.
"""

from collections.abc import Iterator

import numpy as np
import torch
from torch import Tensor

from rdh.retrieval.codes import unpack_codes
from rdh.retrieval.kernel import Ranking
from rdh.retrieval.threads import Progress

PAIRS_AT_ONCE = {"cpu": 1 << 21, "cuda": 1 << 25}  # about 40 bytes each: 80 MB, or 1.3 GB


class TorchKernel:
    """Counts and ranks on a device. `threads` is torch's own affair."""

    def __init__(self, device: torch.device | str) -> None:
        self.device = torch.device(device)
        # +-1 products sum exactly in half precision up to 2048; on a CPU single precision is the
        # faster one
        self._dtype = torch.float16 if self.device.type == "cuda" else torch.float32
        self._pairs = PAIRS_AT_ONCE["cpu" if self.device.type == "cpu" else "cuda"]

    def distance_histograms(
        self,
        query_packed: np.ndarray,
        gallery_packed: np.ndarray,
        n_bits: int,
        query_labels: np.ndarray,
        gallery_labels: np.ndarray,
        *,
        threads: int | None = None,
        progress: Progress | None = None,
    ) -> tuple[np.ndarray, np.ndarray]:
        """See `kernels.Kernel`.

        The gallery is walked in blocks, so memory does not grow with it.
        """
        codes, gallery = self._signs(query_packed, n_bits), self._signs(gallery_packed, n_bits)
        sets, gallery_sets = self._on_device(query_labels), self._on_device(gallery_labels)
        bins = torch.zeros(len(codes), 2, n_bits + 1, dtype=torch.int64, device=self.device)
        columns = min(len(gallery), self._pairs)
        for rows in _blocks(len(codes), self._pairs // columns):
            for items in _blocks(len(gallery), columns):
                distances = self._distances(codes[rows], gallery[items])
                bins[rows] += _histograms(distances, sets[rows] @ gallery_sets[items].T > 0, n_bits)
            if progress:
                progress(rows.stop, len(codes))
        return bins.sum(1).cpu().numpy(), bins[:, 1].contiguous().cpu().numpy()

    def stable_precision_sums(
        self,
        query_packed: np.ndarray,
        gallery_packed: np.ndarray,
        n_bits: int,
        query_labels: np.ndarray,
        gallery_labels: np.ndarray,
        *,
        top_k: int | None = None,
        threads: int | None = None,
        progress: Progress | None = None,
    ) -> Ranking:
        """See `kernels.Kernel`.

        At least one query is ranked at a time, so memory grows with galleries beyond a block.
        """
        codes, gallery = self._signs(query_packed, n_bits), self._signs(gallery_packed, n_bits)
        sets, gallery_sets = self._on_device(query_labels), self._on_device(gallery_labels)
        limit = min(top_k or len(gallery), len(gallery))
        ranks = torch.arange(1, limit + 1, dtype=torch.float64, device=self.device)
        parts = []
        for rows in _blocks(len(codes), self._pairs // len(gallery)):
            distances = self._distances(codes[rows], gallery)
            relevant = sets[rows] @ gallery_sets.T > 0
            bins = _histograms(distances, relevant, n_bits)
            order = distances.sort(dim=1, stable=True).indices[:, :limit]
            met = relevant.gather(1, order)
            sums = (met.cumsum(1) / ranks * met).sum(1)
            parts.append([one.cpu().numpy() for one in (bins.sum(1), bins[:, 1], sums, met.sum(1))])
            if progress:
                progress(rows.stop, len(codes))
        return Ranking(*(np.concatenate(part) for part in zip(*parts, strict=True)))

    def _signs(self, packed: np.ndarray, n_bits: int) -> Tensor:
        return self._on_device(unpack_codes(packed, n_bits))

    def _on_device(self, table: np.ndarray) -> Tensor:
        return (
            torch.from_numpy(np.ascontiguousarray(table, dtype=np.int8))
            .to(self.device)
            .to(self._dtype)
        )

    def _distances(self, codes: Tensor, gallery: Tensor) -> Tensor:
        """Signs (rows, n_bits), (columns, n_bits) -> int16 (rows, columns)."""
        return ((codes.shape[1] - codes @ gallery.T) / 2).to(torch.int16)


def _blocks(n: int, size: int) -> Iterator[slice]:
    for start in range(0, n, max(1, size)):
        yield slice(start, min(start + max(1, size), n))


def _histograms(distances: Tensor, relevant: Tensor, n_bits: int) -> Tensor:
    """Distances and bool (rows, columns) -> int64 (rows, 2, n_bits + 1): items that are not
    relevant, and that are.
    """
    rows = torch.arange(len(distances), device=distances.device)[:, None]
    bins = (2 * rows + relevant) * (n_bits + 1) + distances
    return torch.bincount(bins.ravel(), minlength=2 * len(distances) * (n_bits + 1)).reshape(
        -1, 2, n_bits + 1
    )
