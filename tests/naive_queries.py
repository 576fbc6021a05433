"""The paired differences over queries as slow loops: references for `rdh.studies`."""

import numpy as np

from tests.naive_retrieval import average_precision, hamming_distance, is_relevant


def shuffled_average_precision(
    query: np.ndarray, gallery: np.ndarray, labels: np.ndarray, gallery_labels: np.ndarray
) -> float:
    """AP of one query: ties in the order of the shuffle with seed 0."""
    order = np.random.default_rng(0).permutation(len(gallery))
    ranked = sorted(order, key=lambda item: hamming_distance(query, gallery[item]))  # stable
    return average_precision(
        [int(is_relevant(labels, gallery_labels[item])) for item in ranked], None, "M-ret"
    )


def mean_difference(differences: list[np.ndarray], drawn: list[np.ndarray]) -> float:
    """The mean over all pairs of query and seed, if these queries were drawn of each split."""
    total = [
        rows[seed, query]
        for rows, queries in zip(differences, drawn, strict=True)
        for query in queries
        for seed in range(len(rows))
    ]
    return sum(total) / len(total)
