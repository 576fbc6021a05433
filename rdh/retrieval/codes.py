"""Binary codes in memory and on disk: signs, packed bytes, machine words; labels as bit sets.

Bit k of an item lies in byte k // 8 at place k % 8 (little bit order). The unused bits of the last
byte are 0. A set bit stands for +1, a cleared bit for -1, and sgn(0) = +1. Call `pack_codes` and
`unpack_codes`.
"""

import warnings
from collections.abc import Iterator

import numpy as np

from rdh.errors import UserError
from rdh.retrieval.checks import (
    MAX_BITS,
    as_array,
    check_inputs,
    check_n_bits,
    checked_positions,
)
from rdh.retrieval.kernel import Codes
from rdh.retrieval.labels import as_multi_hot


def pack_codes(codes: np.ndarray, name: str = "codes") -> np.ndarray:
    """Packs the signs of codes into bytes.

    Args:
        codes: (n, n_bits), torch tensors too: -1 / +1 integers, booleans (True is +1), or real
            values such as logits, whose sign counts.
        name: What the error calls them.

    Returns:
        uint8 (n, ceil(n_bits / 8)).

    Raises:
        UserError: For another shape or type, NaN, and integers other than -1 and +1: a 0 / 1 array
            would otherwise become all +1.

    >>> pack_codes(np.array([[1, -1, 1], [-1, 1, 1]]))
    array([[5],
           [6]], dtype=uint8)
    """
    codes = as_array(codes, name)
    if codes.ndim != 2:
        raise UserError(f"{name} must be a table of items x bits, got {codes.ndim} dimension(s).")
    if not 1 <= codes.shape[1] <= MAX_BITS:
        raise UserError(f"{name} must have 1 to {MAX_BITS} bits, got {codes.shape[1]}.")
    return np.packbits(_positive(codes, name), axis=1, bitorder="little")


def _positive(codes: np.ndarray, name: str) -> np.ndarray:
    if codes.dtype.kind == "b":
        return codes
    if codes.dtype.kind == "f":
        if np.isnan(codes).any():
            row = int(np.flatnonzero(np.isnan(codes).any(axis=1))[0])
            raise UserError(
                f"{name} hold NaN (first in row {row}): they have no sign; look for a "
                f"diverged training."
            )
        return codes >= 0
    if codes.dtype.kind in "iu":
        wrong = (codes != 1) & (codes != -1) if codes.dtype.kind == "i" else codes != 1
        if wrong.any():
            raise UserError(
                f"Integer {name} must be -1 or +1, got {codes[wrong][0]}; for 0 / 1 "
                f"bits pass booleans instead."
            )
        return codes > 0
    raise UserError(f"{name} must be booleans, -1 / +1 integers or real values, got {codes.dtype}.")


def unpack_codes(packed: np.ndarray, n_bits: int) -> np.ndarray:
    """Packed bytes, uint8 (n, ceil(n_bits / 8)), as signs -1 / +1, int8 (n, n_bits).

    Raises:
        UserError: If the bytes are not codes of n_bits.

    >>> unpack_codes(np.array([[5]], dtype=np.uint8), 3)
    array([[ 1, -1,  1]], dtype=int8)
    """
    packed = as_array(packed, "packed codes")
    check_packed(packed, n_bits, "packed codes")
    bits = np.unpackbits(packed, axis=1, count=n_bits, bitorder="little")
    return bits.astype(np.int8) * 2 - 1


class CodesWarning(UserWarning):
    """The codes of one side cannot be told apart, so the scores mean little."""


def checked_inputs(
    query_codes: np.ndarray,
    gallery_codes: np.ndarray,
    query_labels: np.ndarray,
    gallery_labels: np.ndarray,
    n_bits: int | None,
    query_positions: np.ndarray | None,
) -> tuple[Codes, tuple[str, ...]]:
    """What `evaluate` is given, as its kernels take it, and what a person should know about it.

    Codes are packed here if n_bits is None, else checked. Each note is also a `CodesWarning`.

    Raises:
        UserError: For input that does not fit.
    """
    given = {"query_codes": query_codes, "gallery_codes": gallery_codes}
    given |= {"query_labels": query_labels, "gallery_labels": gallery_labels}
    query, gallery, *labels = (as_array(part, name) for name, part in given.items())
    check_inputs(query, gallery, *labels, packed=n_bits is not None)
    own = checked_positions(query_positions, len(query), len(gallery))
    query_labels, gallery_labels = as_multi_hot(*labels)
    if n_bits is None:
        packed = pack_codes(query, "query_codes"), pack_codes(gallery, "gallery_codes")
    else:
        check_packed(query, n_bits, "query_codes")
        check_packed(gallery, n_bits, "gallery_codes")
        packed = query, gallery
    n_bits = n_bits or query.shape[1]
    codes = Codes(*packed, n_bits, query_labels, gallery_labels, own)
    notes = (
        *_sameness("query_codes", codes.query, codes.n_bits, query),
        *_sameness("gallery_codes", codes.gallery, codes.n_bits, gallery),
    )
    for note in notes:
        warnings.warn(note, CodesWarning, stacklevel=3)
    return codes, notes


def _sameness(name: str, packed: np.ndarray, n_bits: int, given: np.ndarray) -> Iterator[str]:
    """One sentence if all items of a side have the same code. A single item says nothing."""
    if len(packed) == 1 or (packed[0] != packed[-1]).any() or (packed != packed[0]).any():
        return
    signs = unpack_codes(packed[:1], n_bits)
    what, way_out = "are all the same code", "look for a collapsed training"
    if abs(signs.mean()) == 1:
        what = f"have one sign, all {signs[0, 0]:+d}"
    if given.dtype.kind == "f" and given.min() >= 0:
        is_bits = ((given == 0) | (given == 1)).all()
        span = "0 and 1 only" if is_bits else f"values from {given.min():.4g} to {given.max():.4g}"
        what += f" ({span})"
        way_out = "of bits, probabilities or features >= 0 pass booleans, values > a threshold"
    effect = (
        "all items tie and the scores are those of chance"
        if name == "gallery_codes"
        else "every query ranks the gallery alike"
    )
    yield f"{name} {what}, so {effect}; {way_out}."


def own_places(codes: Codes) -> np.ndarray:
    """The gallery item that each query leaves out, int64 (n_query,); -1 for none."""
    return np.full(len(codes.query), -1) if codes.own is None else codes.own


def take_out_own(codes: Codes, n_items: np.ndarray, n_relevant: np.ndarray) -> None:
    """Takes each query's own item out of its counts (n_query, n_bits + 1), in place."""
    if codes.own is None:
        return
    differing = codes.query ^ codes.gallery[codes.own]
    distances = np.bitwise_count(differing).sum(axis=1, dtype=np.int64)
    relevant = (codes.query_labels.astype(bool) & codes.gallery_labels[codes.own].astype(bool)).any(
        axis=1
    )
    rows = np.arange(len(distances))
    n_items[rows, distances] -= 1
    n_relevant[rows, distances] -= relevant


def check_packed(packed: np.ndarray, n_bits: int, name: str) -> None:
    """Raises UserError for packed codes whose type, shape or unused bits don't fit n_bits."""
    check_n_bits(n_bits)
    n_bytes = -(-n_bits // 8)
    if packed.dtype != np.uint8 or packed.ndim != 2 or packed.shape[1] != n_bytes:
        raise UserError(
            f"{name} of {n_bits} bits must be uint8 (n, {n_bytes}), got {packed.dtype} "
            f"{tuple(packed.shape)}."
        )
    n_used = n_bits % 8  # bits used in the last byte; 0 means all 8
    if n_used and packed.size and int(packed[:, -1].max()) >> n_used:
        raise UserError(
            f"{name} have bits set beyond bit {n_bits - 1}: they were packed for "
            f"another code length."
        )


def words_of(packed: np.ndarray) -> np.ndarray:
    """Packed bytes (n, n_bytes) as machine words, uint64 (n, n_words), padded with zeros."""
    n, n_bytes = packed.shape
    padded = np.zeros((n, -(-n_bytes // 8) * 8), dtype=np.uint8)
    padded[:, :n_bytes] = packed
    return padded.view(np.uint64)


def label_words(labels: np.ndarray) -> np.ndarray:
    """Multi-hot labels (n, n_classes) as bit sets, uint64 (n, n_words)."""
    return words_of(np.packbits(labels != 0, axis=1, bitorder="little"))


def hamming_distances(
    query_packed: np.ndarray, gallery_packed: np.ndarray, n_bits: int
) -> np.ndarray:
    """Hamming distances of a few queries to a gallery; the whole table is in memory.

    Args:
        query_packed, gallery_packed: uint8 (n_query, n_bytes) and (n_gallery, n_bytes), as
            `pack_codes` makes them.
        n_bits: The code length.

    Returns:
        Distances 0..n_bits, uint16 (n_query, n_gallery).

    Raises:
        UserError: If the bytes are not codes of n_bits.

    >>> hamming_distances(pack_codes([[1, 1]]), pack_codes([[1, 1], [1, -1], [-1, -1]]), 2)
    array([[0, 1, 2]], dtype=uint16)
    """
    check_packed(query_packed, n_bits, "query codes")
    check_packed(gallery_packed, n_bits, "gallery codes")
    distances = np.zeros((len(query_packed), len(gallery_packed)), dtype=np.uint16)
    for query_word, gallery_word in zip(
        words_of(query_packed).T, words_of(gallery_packed).T, strict=True
    ):
        distances += np.bitwise_count(query_word[:, None] ^ gallery_word)
    return distances


def code_counts(packed: np.ndarray) -> np.ndarray:
    """How often each distinct code of packed (n, n_bytes) occurs, int64 (n_distinct,).

    >>> code_counts(np.array([[5], [6], [5]], dtype=np.uint8))
    array([2, 1])
    """
    words = words_of(packed)
    return np.unique(words[:, 0] if words.shape[1] == 1 else words, axis=0, return_counts=True)[1]


def effective_number(counts: np.ndarray) -> float:
    """exp(entropy) of the frequencies: so many equally frequent codes would be as varied.

    >>> round(effective_number(np.array([5, 5])), 6)
    2.0
    """
    shares = counts / counts.sum()
    return float(np.exp(-(shares * np.log(shares)).sum()))


def bit_balance(packed: np.ndarray, n_bits: int) -> float:
    """Mean over bits of |mean over items of the -1 / +1 bit|, in [0, 1].

    0: every bit splits the items in half. 1: all bits are constant.

    >>> bit_balance(pack_codes([[1, 1], [1, -1]]), 2)
    0.5
    """
    bits = np.unpackbits(np.arange(256, dtype=np.uint8)[:, None], axis=1, bitorder="little")
    counts = np.concatenate([np.bincount(column, minlength=256) @ bits for column in packed.T])
    return float(np.abs(2 * counts[:n_bits] / len(packed) - 1).mean())
