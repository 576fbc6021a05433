"""One bit of one run: the side on which each image lies."""

import numpy as np


def wrong_side_by_class(
    codes: np.ndarray, labels: np.ndarray, tau: float
) -> tuple[np.ndarray, np.ndarray]:
    """Finds items whose bit is saturated on the other side than most of their class.

    A class that is split evenly has no wrong side. An item counts for its first label.

    Args:
        codes: one bit of n items, (n,).
        labels: multi-hot, (n, n_classes).
        tau: saturation threshold.

    Returns:
        Whether each item is there, (n,), and counts of each class, (n_classes, 4): saturated at -1,
        free below 0, free from 0 on, saturated at +1.
    """
    class_of, sign = labels.argmax(1), np.where(codes >= 0, 1, -1)
    majority = np.sign(np.bincount(class_of, sign, minlength=labels.shape[1]))[class_of]
    column = np.where(codes >= 0, 2, 1) + (np.abs(codes) >= tau) * sign
    counts = np.bincount(class_of * 4 + column, minlength=4 * labels.shape[1]).reshape(-1, 4)
    return (np.abs(codes) >= tau) & (sign == -majority), counts
