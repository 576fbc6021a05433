"""Labels of items, and the one rule for what an array of them means.

`rdh.rescue.similarity` states the same rule for torch tensors; a test holds the two together.
"""

import numpy as np

from rdh.errors import UserError

RULE = (
    "must be class numbers >= 0, integers (n,) or (n, 1), or multi-hot labels of 0 and 1, "
    "(n, 2 or more classes)"
)


def are_class_numbers(labels: np.ndarray, name: str) -> bool:
    """Whether the labels are class numbers; otherwise they are multi-hot.

    Integers (n,) or (n, 1) are class numbers, an array (n, n_classes) with at least two classes is
    multi-hot. A single column that does not hold integers might be either, so it is refused.

    Args:
        labels: Any array.
        name: What the error calls them.

    Raises:
        UserError: For any other shape or type, negative numbers, and marks other than 0 and 1.
    """
    is_column = labels.ndim == 2 and labels.shape[1] == 1
    if labels.ndim == 1 or is_column:
        if labels.dtype.kind not in "iu":
            wide = "; of marks of one class, add a second column of 0" if is_column else ""
            raise UserError(
                f"{name} {RULE}, got {_form(labels)}: of class numbers pass integers{wide}."
            )
        if labels.size and labels.min() < 0:
            raise UserError(f"{name} {RULE}, got {labels.min()} in {_form(labels)}.")
        return True
    if labels.ndim != 2 or labels.shape[1] == 0 or labels.dtype.kind not in "biuf":
        raise UserError(f"{name} {RULE}, got {_form(labels)}.")
    wrong = (labels != 0) & (labels != 1)
    if wrong.any():
        raise UserError(f"{name} {RULE}, got {labels[wrong][0]} in {_form(labels)}.")
    return False


def as_multi_hot(
    query_labels: np.ndarray, gallery_labels: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Both sides' labels as multi-hot arrays with the same columns.

    Class numbers become a column for each class that a query has: items of other classes are
    relevant to no query.

    Args:
        query_labels, gallery_labels: See `are_class_numbers`; both of the same kind.

    Returns:
        Two arrays of 0 and 1, (n_query, n_columns) and (n_gallery, n_columns).

    Raises:
        UserError: For labels that break the rule, or two sides that do not fit each other.
    """
    kinds = {
        are_class_numbers(labels, name)
        for name, labels in (("query_labels", query_labels), ("gallery_labels", gallery_labels))
    }
    if kinds == {True, False}:
        raise UserError(
            f"query_labels and gallery_labels must both be class numbers or both be multi-hot, got "
            f"{_form(query_labels)} and {_form(gallery_labels)}."
        )
    if kinds == {True}:
        classes = np.unique(query_labels)
        return query_labels.reshape(-1, 1) == classes, gallery_labels.reshape(-1, 1) == classes
    if query_labels.shape[1] != gallery_labels.shape[1]:
        raise UserError(
            f"query_labels have {query_labels.shape[1]} classes and gallery_labels "
            f"{gallery_labels.shape[1]}: both must use the same class list."
        )
    return query_labels, gallery_labels


def _form(labels: np.ndarray) -> str:
    return f"{labels.dtype} {labels.shape}"
