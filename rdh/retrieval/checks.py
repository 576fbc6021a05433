"""What `evaluate` refuses, one sentence each."""

import numbers
from collections.abc import Iterable

import numpy as np

from rdh.errors import UserError

MAX_BITS = 1024
MOST = 2**53  # items: more than any gallery has, and far from where int64 ends


def as_array(value: object, name: str) -> np.ndarray:
    """The value as an array; a torch tensor, known by its methods, without its gradient.

    UserError where it is none.
    """
    if hasattr(value, "detach"):
        value = value.detach().cpu()
        value = value.float() if "bfloat16" in str(value.dtype) else value  # NumPy has no such type
    try:
        return np.asarray(value)
    except (TypeError, ValueError, RuntimeError) as error:
        reason = str(error).splitlines()[0].rstrip(".")
        raise UserError(
            f"{name} must be an array, got a {type(value).__name__} that makes none ({reason})."
        ) from None


def check_inputs(
    query_codes: np.ndarray,
    gallery_codes: np.ndarray,
    query_labels: np.ndarray,
    gallery_labels: np.ndarray,
    *,
    packed: bool,
) -> None:
    """Refuse empty sides, unequal code lengths, and labels that don't fit their codes or each
    other. Raises UserError.

    The values of the codes are looked at where they are packed, packed ones are held against n_bits
    there; but here real values that are all in [0, 1] are refused, as those are bits or
    probabilities, whose signs are all +1.
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
        _check_labels(f"{side}_labels", labels, len(codes))
    if not packed:
        _check_signs(query_codes, gallery_codes)
    if not packed and query_codes.shape[1] != gallery_codes.shape[1]:
        raise UserError(
            f"query_codes have {query_codes.shape[1]} bits and gallery_codes "
            f"{gallery_codes.shape[1]}: "
            "both must come from the same code length."
        )
    if query_labels.shape[1] != gallery_labels.shape[1]:
        raise UserError(
            f"query_labels have {query_labels.shape[1]} classes and gallery_labels "
            f"{gallery_labels.shape[1]}: "
            "both must use the same class list."
        )


def _check_signs(*sides: np.ndarray) -> None:
    """A few real codes may well be all positive, so both sides are judged as one; those that would
    be equal anyway pass.
    """
    if any(side.dtype.kind != "f" for side in sides) or not all(side.size for side in sides):
        return
    least, most = min(side.min() for side in sides), max(side.max() for side in sides)
    if 0 <= least <= 0.5 < most <= 1:  # False for NaN, which is refused by its own sentence
        raise UserError(
            f"query_codes and gallery_codes are judged by their signs, got real values "
            f"from {least:.4g} to {most:.4g}, "
            "all +1: of bits or probabilities p pass booleans (p > 0.5) or 2 p - 1."
        )


def _check_labels(name: str, labels: np.ndarray, n_items: int) -> None:
    if labels.ndim != 2 or labels.shape[1] == 0:
        raise UserError(
            f"{name} must be multi-hot, items x classes, got shape {tuple(labels.shape)}."
        )
    if len(labels) != n_items:
        raise UserError(
            f"{name} have {len(labels)} rows for {n_items} codes: one row per code is needed."
        )
    wrong = (labels != 0) & (labels != 1)
    if wrong.any():
        raise UserError(f"{name} must hold 0 and 1 only, got {labels[wrong][0]}.")


def checked_numbers(
    top_k: int | None, order_seed: int, list_lengths: Iterable[int]
) -> tuple[int | None, int, tuple[int, ...]]:
    """Cut-off, seed and list lengths as Python's whole numbers, none beyond MOST.

    Raises UserError for others.
    """
    if top_k is not None and not _is_whole(top_k, 1):
        raise UserError(
            f"top_k must be a whole number >= 1, or None for the whole gallery, got {top_k!r}."
        )
    if not _is_whole(order_seed, 0):
        raise UserError(f"order_seed must be a whole number >= 0, got {order_seed!r}.")
    if not isinstance(list_lengths, Iterable):
        raise UserError(
            f"list_lengths must be several whole numbers >= 1, such as (10, 100), got "
            f"{list_lengths!r}."
        )
    list_lengths = tuple(list_lengths)
    for length in list_lengths:
        if not _is_whole(length, 1):
            raise UserError(f"list_lengths must hold whole numbers >= 1, got {length!r}.")
    lengths = tuple(min(int(length), MOST) for length in list_lengths)
    return None if top_k is None else min(int(top_k), MOST), int(order_seed), lengths


def check_n_bits(n_bits: int) -> None:
    """Refuse a code length that is no whole number in 1..MAX_BITS. Raises UserError."""
    if not _is_whole(n_bits, 1) or n_bits > MAX_BITS:
        raise UserError(f"n_bits must be a whole number in 1..{MAX_BITS}, got {n_bits!r}.")


def _is_whole(value: object, least: int) -> bool:
    return isinstance(value, numbers.Integral) and not isinstance(value, bool) and value >= least
