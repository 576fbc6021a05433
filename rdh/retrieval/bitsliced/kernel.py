"""The bit-sliced kernel: 512 gallery items are compared with a query at once. Fast, exact, and
built for the machine it
runs on.

Read in this order: `_planes.py` (how codes and labels lie in memory), `slices.py` (how 512 items
are compared at once, and counted), `ranks.py` (how relevant items find their ranks). The latter two
are written as machine code that is compiled once in a process for each code length, in a tenth to a
third of a second. Here the queries are shared out.

Offers what `kernels.Kernel` asks for; `is_available` says whether it can.
"""

import functools
from collections.abc import Callable

import numpy as np

from rdh.retrieval.bitsliced import ranks, slices
from rdh.retrieval.bitsliced.llvm import compiled
from rdh.retrieval.bitsliced.planes import (
    Queries,
    Scratch,
    label_bytes,
    order_by_bytes,
    slice_gallery,
    slicing_code,
)
from rdh.retrieval.codes import words_of
from rdh.retrieval.kernel import Ranking
from rdh.retrieval.threads import Progress, share_out

MOST_BITS = 256  # the bins of longer codes overflow the first-level cache
PIECE_BYTES = (
    1 << 19
)  # planes walked by a run of queries at a time: half of a core's second-level cache
HISTOGRAM_QUERIES, RANKING_QUERIES = 64, 32  # a run of queries for one thread


@functools.cache
def is_available(n_bits: int) -> bool:
    """Whether codes of n_bits are within reach and LLVM can build the code here."""
    try:
        return n_bits <= MOST_BITS and bool(slicing_code())
    except RuntimeError:  # what LLVM raises, for example for a processor that it does not know
        return False


@functools.cache
def _histogram_code(width: int) -> Callable[..., None]:
    return compiled(
        "add_histograms", "pnppnpppnp", functools.partial(slices.add_histograms, n_bits=width)
    )


@functools.cache
def _ranking_code(width: int) -> Callable[..., None]:
    return compiled(
        "rank_relevant",
        "pnppppppppnnpppppppp",
        functools.partial(ranks.rank_relevant, n_bits=width),
    )


def _width(n_bits: int) -> int:
    """Bits that the compiled code looks at: whole bytes; the decoding needs two.

    Added bits are 0 on both sides.
    """
    return max(16, -(-n_bits // 8) * 8)


def distance_histograms(
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

    The gallery is sorted by its labels: most blocks are then relevant as a whole, or not at all.
    """
    width, gallery_sets = _width(n_bits), label_bytes(gallery_labels)
    order = order_by_bytes(gallery_sets)
    planes, labels, valid = slice_gallery(
        gallery_packed.take(order, axis=0), width, gallery_sets.take(order, axis=0), eighths=False
    )
    queries = Queries.of(query_packed, query_labels, width)
    bins = np.zeros((len(query_packed), 2, width + 1), dtype=np.int64)
    code, n_blocks = _histogram_code(width), len(valid)
    step = max(1, PIECE_BYTES // (width * 64))

    def work(first: int, last: int) -> None:
        own = (
            queries.starts[first:],
            queries.numbers,
            queries.signs[first:],
            last - first,
            bins[first:],
        )
        for block in range(0, n_blocks, step):
            n = min(step, n_blocks - block)
            code(planes[block:], n, valid[block:], labels[:, block:], n_blocks, *own)

    share_out(work, len(bins), size=HISTOGRAM_QUERIES, threads=threads, progress=progress)
    n_items, n_relevant = np.empty((2, len(bins), n_bits + 1), dtype=np.int64)
    n_relevant[queries.order] = bins[:, 1, : n_bits + 1]
    n_items[queries.order] = bins[:, 0, : n_bits + 1]
    n_items += n_relevant
    return n_items, n_relevant


def stable_precision_sums(
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

    Scratch memory of a thread: 20 bytes, and 8 more for every 64 bits, an item that is relevant.
    """
    width, n_gallery = _width(n_bits), len(gallery_packed)
    gallery_sets = label_bytes(gallery_labels)
    planes, labels, valid = slice_gallery(gallery_packed, width, gallery_sets, eighths=True)
    words, query_words = words_of(gallery_packed), words_of(query_packed)
    queries = Queries.of(query_packed, query_labels, width)
    query_words = query_words[queries.order]
    most_relevant = queries.most_relevant(labels)
    n_query, code, n_blocks = len(query_packed), _ranking_code(width), len(valid)
    bins = np.zeros((n_query, width + 1), dtype=np.int64)
    sums, n_hits = np.zeros(n_query), np.zeros(n_query, dtype=np.int64)
    limit = min(top_k or n_gallery, n_gallery)

    def work(first: int, last: int) -> None:
        most = int(most_relevant[first:last].max())
        scratch = Scratch.of(most, n_blocks, words.shape[1])
        own = (
            queries.starts[first:],
            queries.numbers,
            queries.sets[first:],
            queries.signs[first:],
            query_words[first:],
        )
        found = (bins[first:], sums[first:], n_hits[first:])
        code(planes, n_blocks, valid, labels, words, *own, last - first, limit, *scratch, *found)

    share_out(work, n_query, size=RANKING_QUERIES, threads=threads, progress=progress)
    back = np.argsort(queries.order)
    bins = bins[back, : n_bits + 1]
    return Ranking(bins & 0xFFFFFFFF, bins >> 32, sums[back], n_hits[back])
