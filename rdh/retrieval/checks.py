"""What `evaluate` refuses, one sentence each."""

import numbers
from collections.abc import Iterable
from typing import Any

import numpy as np

from rdh.errors import UserError

MAX_BITS = 1024
MOST = 2**53  # items: more than any gallery has, and far from where int64 ends


def as_array(value: Any, name: str) -> np.ndarray:
    """The value as an array. A torch tensor, known by its methods, loses its gradient.

    Raises:
        UserError: If NumPy can make no array of it.
    """
    kind = type(value).__name__
    if np.ma.is_masked(value):
        raise UserError(f"{name} must have no masked entries: fill them, or leave their items out.")
    try:
        if hasattr(value, "detach"):
            value = value.detach().cpu()
            is_bfloat16 = "bfloat16" in str(value.dtype)  # NumPy has no such type
            value = value.float() if is_bfloat16 else value
        found = np.asarray(value)
        if found.dtype == object and not found.ndim:  # a dict, a sparse matrix of SciPy
            raise TypeError("NumPy sees one object")
        return found
    except (TypeError, ValueError, RuntimeError) as error:  # of a tensor without data, too
        reason = str(error).splitlines()[0].rstrip(".")
        raise UserError(
            f"{name} must be an array, got a {kind} that makes none ({reason})."
        ) from None


def check_inputs(
    query_codes: np.ndarray,
    gallery_codes: np.ndarray,
    query_labels: np.ndarray,
    gallery_labels: np.ndarray,
    *,
    packed: bool,
) -> None:
    """Refuses empty sides, unequal code lengths, and sides with more or fewer labels than codes.

    Real values that all lie in [0, 1] are refused too: they are bits or probabilities, and their
    signs are all +1. Other values are looked at when they are packed.

    Raises:
        UserError: For each of these.
    """
    for side, codes, labels in (
        ("query", query_codes, query_labels),
        ("gallery", gallery_codes, gallery_labels),
    ):
        if codes.ndim != 2:
            raise UserError(
                f"{side}_codes must be a table of items x bits, got {codes.ndim} dimension(s)."
            )
        if len(codes) == 0:
            raise UserError(f"{side}_codes are empty: at least one item is needed to rank.")
        if labels.ndim and len(labels) != len(codes):
            raise UserError(
                f"{side}_labels have {len(labels)} rows for {len(codes)} codes: one row per code "
                f"is needed."
            )
    if not packed:
        _check_signs(query_codes, gallery_codes)
    if not packed and query_codes.shape[1] != gallery_codes.shape[1]:
        raise UserError(
            f"query_codes have {query_codes.shape[1]} bits and gallery_codes "
            f"{gallery_codes.shape[1]}: both must come from the same code length."
        )


def _check_signs(*sides: np.ndarray) -> None:
    """Refuses two sides of bits or probabilities given as real values.

    A few real codes may well be all positive, so both sides are judged as one. Collapsed codes,
    equal by any threshold, pass.
    """
    if any(side.dtype.kind != "f" for side in sides) or not all(side.size for side in sides):
        return
    least, most = min(side.min() for side in sides), max(side.max() for side in sides)
    if 0 <= least <= 0.5 < most <= 1:  # False for NaN, which is refused by its own sentence
        raise UserError(
            "query_codes and gallery_codes are judged by their signs, got real values from "
            f"{least:.4g} to {most:.4g}, all +1: of bits or probabilities p pass booleans (p > "
            "0.5) or 2 p - 1."
        )


def checked_positions(positions: object, n_query: int, n_gallery: int) -> np.ndarray | None:
    """Each query's own place in the gallery, int64 (n_query,); None if none were given.

    Raises:
        UserError: For other shapes or types, places outside the gallery, and a gallery of one item.
    """
    if positions is None:
        return None
    positions = as_array(positions, "query_positions")
    if positions.shape != (n_query,) or positions.dtype.kind not in "iu":
        raise UserError(
            f"query_positions must be integers ({n_query},), the place of each query in the "
            f"gallery, got {positions.dtype} {positions.shape}."
        )
    outside = (positions < 0) | (positions >= n_gallery)
    if outside.any():
        raise UserError(
            f"query_positions must lie in 0..{n_gallery - 1}, the rows of gallery_codes, got "
            f"{positions[outside][0]}."
        )
    if n_gallery == 1:
        raise UserError(
            "gallery_codes hold the query alone: leaving it out leaves nothing to rank."
        )
    return positions.astype(np.int64)


def check_switches(headline: bool, by_rank: bool, progress: object) -> None:
    """Refuses switches that are not True or False, and a progress that can't be called.

    Raises:
        UserError: For each of these.
    """
    for name, value in (("headline", headline), ("by_rank", by_rank)):
        if not isinstance(value, bool | np.bool_):
            raise UserError(f"{name} must be True or False, got {value!r}.")
    if progress is not None and not callable(progress):
        raise UserError(f"progress must be a function (done, total), or None, got {progress!r}.")


def checked_numbers(
    top_k: int | None, order_seed: int, list_lengths: Iterable[int]
) -> tuple[int | None, int, tuple[int, ...]]:
    """Cut-off, seed and list lengths as Python's whole numbers, none beyond MOST.

    Raises:
        UserError: For anything else.
    """
    if top_k is not None and not _is_whole(top_k, 1):
        raise UserError(
            f"top_k must be a whole number >= 1, or None for the whole gallery, got {top_k!r}."
        )
    if not _is_whole(order_seed, 0):
        raise UserError(f"order_seed must be a whole number >= 0, got {order_seed!r}.")
    try:
        list_lengths = tuple(list_lengths)
    except TypeError:
        raise UserError(
            f"list_lengths must be several whole numbers >= 1, such as (10, 100), got "
            f"{list_lengths!r}."
        ) from None
    for length in list_lengths:
        if not _is_whole(length, 1):
            raise UserError(f"list_lengths must hold whole numbers >= 1, got {length!r}.")
    lengths = tuple(min(int(length), MOST) for length in list_lengths)
    return None if top_k is None else min(int(top_k), MOST), int(order_seed), lengths


def check_n_bits(n_bits: int) -> None:
    """Raises UserError unless n_bits is a whole number in 1..MAX_BITS."""
    if not _is_whole(n_bits, 1) or n_bits > MAX_BITS:
        raise UserError(f"n_bits must be a whole number in 1..{MAX_BITS}, got {n_bits!r}.")


def _is_whole(value: Any, least: int) -> bool:
    is_whole = isinstance(value, numbers.Integral) and not isinstance(value, bool)
    return is_whole and value >= least
