"""Codes and labels like those of a trained hash: each code scatters around a class centre."""

import numpy as np

from rdh.retrieval.kernel import Codes

# Of the multi-label data. The most frequent label is on 42 % of the items.
N_LABELS, MEAN_LABELS = 80, 2.9


def draw(n_query: int, n_gallery: int, n_bits: int, multi_label: bool, seed: int = 0) -> Codes:
    """Codes for a kernel. A quarter of the bits differ from the centre of the item's class."""
    rng = np.random.default_rng(seed)
    n_classes, n_bytes = (N_LABELS if multi_label else 10), -(-n_bits // 8)
    centres = rng.integers(0, 256, (n_classes, n_bytes), dtype=np.uint8)

    def side(n: int) -> tuple[np.ndarray, np.ndarray]:
        labels, classes = _labels(rng, n, n_classes, multi_label)
        noise = rng.integers(0, 256, (2, n, n_bytes), dtype=np.uint8)
        return centres[classes] ^ (noise[0] & noise[1]), labels

    (query, query_labels), (gallery, gallery_labels) = side(n_query), side(n_gallery)
    return Codes(query, gallery, n_bits, query_labels, gallery_labels)


def _labels(
    rng: np.random.Generator, n: int, n_classes: int, multi_label: bool
) -> tuple[np.ndarray, np.ndarray]:
    """Multi-hot uint8 (n, n_classes), and the class whose centre each item scatters around."""
    if not multi_label:
        classes = rng.integers(0, n_classes, n)
        return np.eye(n_classes, dtype=np.uint8)[classes], classes
    frequency = 1 / np.arange(1, n_classes + 1)
    frequency = np.minimum(frequency * MEAN_LABELS / frequency.sum(), 0.42)
    labels = (rng.random((n, n_classes), dtype=np.float32) < frequency).astype(np.uint8)
    labels[~labels.any(axis=1), 0] = 1
    return labels, n_classes - 1 - labels[:, ::-1].argmax(axis=1)  # its rarest label
