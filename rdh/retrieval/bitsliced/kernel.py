"""The bit-sliced kernel: 512 gallery items are compared with a query at once.

It is fast, exact, and built for the machine it runs on. Read in this order: `planes.py` (how codes
and labels lie in memory), `slices.py` (how 512 items are compared at once, and counted), `ranks.py`
(how relevant items find their ranks). The latter two are written as machine code. It is compiled
once in a process for each code length, in a tenth to a third of a second. This module shares out
the queries.

It offers what `kernel.Kernel` asks for; `is_available` says whether it can.
"""

import functools
from collections.abc import Callable

import numpy as np

from rdh.errors import Progress
from rdh.retrieval.bitsliced import ranks, slices
from rdh.retrieval.bitsliced.llvm import compiled
from rdh.retrieval.bitsliced.planes import (
    Queries,
    Scratch,
    label_bytes,
    order_by_bytes,
    places_in_eighths,
    slice_gallery,
    slicing_code,
)
from rdh.retrieval.codes import own_places, take_out_own, words_of
from rdh.retrieval.kernel import Codes, Ranking
from rdh.retrieval.threads import share_out

MOST_BITS = 256  # the bins of longer codes overflow the first-level cache
# planes walked by a run of queries at a time: half of a core's second-level cache
PIECE_BYTES = 1 << 19
HISTOGRAM_QUERIES, RANKING_QUERIES = 64, 32  # a run of queries for one thread


@functools.cache
def is_available(n_bits: int) -> bool:
    """Whether the kernel takes codes of n_bits and LLVM can build its code here."""
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
def _ranking_code(width: int, leaves_out: bool) -> Callable[..., None]:
    write = functools.partial(ranks.rank_relevant, n_bits=width, leaves_out=leaves_out)
    return compiled("rank_relevant", "pnpppppppppnnpppppppp", write)


def prepare(n_bits: int) -> None:
    """Compiles what `evaluate` needs for this code length, if it can be."""
    if is_available(n_bits):
        _histogram_code(_width(n_bits))
        _ranking_code(_width(n_bits), False)


def _width(n_bits: int) -> int:
    """Bits that the compiled code looks at: whole bytes, at least two for the decoding.

    Added bits are 0 on both sides.
    """
    return max(16, -(-n_bits // 8) * 8)


def distance_histograms(
    codes: Codes, *, threads: int | None = None, progress: Progress | None = None
) -> tuple[np.ndarray, np.ndarray]:
    """See `kernel.Kernel`.

    The gallery is sorted by its labels: most blocks are then relevant as a whole, or not at all.
    """
    n_bits, n_query = codes.n_bits, len(codes.query)
    width, gallery_sets = _width(n_bits), label_bytes(codes.gallery_labels)
    order = order_by_bytes(gallery_sets)
    planes, labels, valid = slice_gallery(
        codes.gallery.take(order, axis=0), width, gallery_sets.take(order, axis=0), eighths=False
    )
    queries = Queries.of(codes.query, codes.query_labels, width)
    bins = np.zeros((n_query, 2, width + 1), dtype=np.int64)
    code, n_blocks = _histogram_code(width), len(valid)
    step = max(1, PIECE_BYTES // (width * 64))

    def work(first: int, last: int) -> None:
        part = (
            queries.starts[first:],
            queries.numbers,
            queries.signs[first:],
            last - first,
            bins[first:],
        )
        for block in range(0, n_blocks, step):
            n = min(step, n_blocks - block)
            code(planes[block:], n, valid[block:], labels[:, block:], n_blocks, *part)

    share_out(work, n_query, size=HISTOGRAM_QUERIES, threads=threads, progress=progress)
    n_items, n_relevant = np.empty((2, n_query, n_bits + 1), dtype=np.int64)
    n_relevant[queries.order] = bins[:, 1, : n_bits + 1]
    n_items[queries.order] = bins[:, 0, : n_bits + 1]
    n_items += n_relevant
    take_out_own(codes, n_items, n_relevant)
    return n_items, n_relevant


def stable_precision_sums(
    codes: Codes,
    *,
    top_k: int | None = None,
    threads: int | None = None,
    progress: Progress | None = None,
) -> Ranking:
    """See `kernel.Kernel`.

    A thread needs 20 bytes, and 8 more for every 64 bits, of scratch memory for a relevant item.
    """
    n_bits, n_query, n_gallery = codes.n_bits, len(codes.query), len(codes.gallery)
    width, gallery_sets = _width(n_bits), label_bytes(codes.gallery_labels)
    planes, labels, valid = slice_gallery(codes.gallery, width, gallery_sets, eighths=True)
    words, query_words = words_of(codes.gallery), words_of(codes.query)
    queries = Queries.of(codes.query, codes.query_labels, width)
    query_words = query_words[queries.order]
    most_relevant = queries.most_relevant(labels)
    code, n_blocks = _ranking_code(width, codes.own is not None), len(valid)
    own = places_in_eighths(own_places(codes)[queries.order], n_blocks)
    bins = np.zeros((n_query, width + 1), dtype=np.int64)
    sums, n_hits = np.zeros(n_query), np.zeros(n_query, dtype=np.int64)
    limit = min(top_k or n_gallery, n_gallery)

    def work(first: int, last: int) -> None:
        most = int(most_relevant[first:last].max())
        scratch = Scratch.of(most, n_blocks, words.shape[1])
        part = (
            queries.starts[first:],
            queries.numbers,
            queries.sets[first:],
            queries.signs[first:],
            query_words[first:],
            own[first:],
        )
        found = (bins[first:], sums[first:], n_hits[first:])
        code(planes, n_blocks, valid, labels, words, *part, last - first, limit, *scratch, *found)

    share_out(work, n_query, size=RANKING_QUERIES, threads=threads, progress=progress)
    back = np.argsort(queries.order)
    bins = bins[back, : n_bits + 1]
    return Ranking(bins & 0xFFFFFFFF, bins >> 32, sums[back], n_hits[back])
