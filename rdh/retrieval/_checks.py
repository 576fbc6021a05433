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


def check_cutoff(name: str, value: int | None) -> None:
    """Refuse a cut-off that is neither None nor a whole number >= 1. Raises UserError."""
    if value is None:
        return
    if isinstance(value, bool) or not isinstance(value, numbers.Integral) or value < 1:
        raise UserError(f"{name} must be a whole number >= 1, or None for the whole gallery, got {value!r}.")
