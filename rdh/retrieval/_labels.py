"""Relevance at evaluation: a gallery item is relevant to a query where they share a label."""

import numpy as np


def label_words(labels: np.ndarray) -> np.ndarray:
    """Multi-hot labels (n, n_classes) as bit sets: unsigned integers (n_words, n).

    The narrowest word that holds all classes is chosen, since the time of `relevance` is the memory it reads.
    """
    n, n_classes = labels.shape
    width = next((bits for bits in (8, 16, 32) if n_classes <= bits), 64)
    padded = np.zeros((n, -(-n_classes // width) * width), dtype=bool)
    padded[:, :n_classes] = labels != 0
    packed = np.packbits(padded, axis=1, bitorder="little")
    return np.ascontiguousarray(packed.view(f"uint{width}").T)


def relevance(query_words: np.ndarray, gallery_words: np.ndarray) -> np.ndarray:
    """Label bit sets (n_words, n_query) and (n_words, n_gallery) -> bool (n_query, n_gallery)."""
    relevant = (query_words[0][:, None] & gallery_words[0][None, :]) != 0
    for query_word, gallery_word in zip(query_words[1:], gallery_words[1:], strict=True):
        relevant |= (query_word[:, None] & gallery_word[None, :]) != 0
    return relevant
