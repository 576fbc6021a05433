"""What `evaluate` refuses, one sentence each."""

import numbers

import numpy as np

from rdh.errors import UserError


def check_inputs(
    query_codes: np.ndarray,
    gallery_codes: np.ndarray,
    query_labels: np.ndarray,
    gallery_labels: np.ndarray,
    *,
    packed: bool,
) -> None:
    """Refuse empty sides, unequal code lengths, and labels that don't fit their codes or each other. Raises UserError.

    The values of the codes are looked at where they are packed; packed ones are held against n_bits there.
    """
    for side, codes, labels in (
        ("query", query_codes, query_labels),
        ("gallery", gallery_codes, gallery_labels),
    ):
        if codes.ndim != 2:
            raise UserError(f"{side}_codes must be a table of items x bits, got {codes.ndim} dimension(s).")
        if len(codes) == 0:
            raise UserError(f"{side}_codes are empty: at least one item is needed to rank.")
        _check_labels(f"{side}_labels", labels, len(codes))
    if not packed and query_codes.shape[1] != gallery_codes.shape[1]:
        raise UserError(
            f"query_codes have {query_codes.shape[1]} bits and gallery_codes {gallery_codes.shape[1]}: "
            "both must come from the same code length."
        )
    if query_labels.shape[1] != gallery_labels.shape[1]:
        raise UserError(
            f"query_labels have {query_labels.shape[1]} classes and gallery_labels {gallery_labels.shape[1]}: "
            "both must use the same class list."
        )


def _check_labels(name: str, labels: np.ndarray, n_items: int) -> None:
    if labels.ndim != 2 or labels.shape[1] == 0:
        raise UserError(f"{name} must be multi-hot, items x classes, got shape {tuple(labels.shape)}.")
    if len(labels) != n_items:
        raise UserError(f"{name} have {len(labels)} rows for {n_items} codes: one row per code is needed.")
    wrong = (labels != 0) & (labels != 1)
    if wrong.any():
        raise UserError(f"{name} must hold 0 and 1 only, got {labels[wrong][0]}.")


def check_numbers(top_k: int | None, order_seed: int, list_lengths: tuple[int, ...]) -> None:
    """Refuse a cut-off, a seed or list lengths that are no whole numbers of their range. Raises UserError."""
    if top_k is not None and not _is_whole(top_k, 1):
        raise UserError(f"top_k must be a whole number >= 1, or None for the whole gallery, got {top_k!r}.")
    if not _is_whole(order_seed, 0):
        raise UserError(f"order_seed must be a whole number >= 0, got {order_seed!r}.")
    for length in list_lengths:
        if not _is_whole(length, 1):
            raise UserError(f"list_lengths must hold whole numbers >= 1, got {length!r}.")


def _is_whole(value: object, least: int) -> bool:
    return isinstance(value, numbers.Integral) and not isinstance(value, bool) and value >= least
