"""One bit of one run: on which side its images are."""

import numpy as np


def wrong_side_by_class(
    codes: np.ndarray, labels: np.ndarray, tau: float
) -> tuple[np.ndarray, np.ndarray]:
    """Which items have a bit saturated on the side that most of their class is not on.

    A class that is split evenly has no wrong side. The first label of an item counts.

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
