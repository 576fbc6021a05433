"""The card of a data set that is ready: sizes, label statistics, share of similar pairs.

Numbers only, no torch.
"""

import dataclasses

import numpy as np

from rdh.datasets._tools.base import Dataset
from rdh.datasets._tools.twins import twins
from rdh.retrieval.evaluation import few_items_said

MOST_ROWS = 3000  # distinct label rows that are compared exactly; of more, a sample of so many is
N_SAMPLES = 12


@dataclasses.dataclass(frozen=True)
class DataCard:
    """What a person wants to know before training on it.

    Attributes:
        items_per_label: Class name -> items.
        items_by_n_labels: Items with 0, 1, 2, ... labels.
        labels_per_item: Their mean.
        similar_share: Share of pairs of different training items that share a label.
        map_floor: Share of the gallery that is relevant to a query, on average. That is about the
            MAP of random codes.
        sample_ids: Training items to show, one of each class first.
        passed_over: Reason -> number of files and folders that were not taken.
        warnings: What a person should know, one sentence each.
    """

    name: str
    n_items: int
    n_query: int
    n_gallery: int
    n_train: int
    n_classes: int
    items_per_label: dict[str, int]
    items_by_n_labels: list[int]
    labels_per_item: float
    similar_share: float
    map_floor: float
    sample_ids: list[int]
    top_k: int | None
    image_shape: tuple[int, int, int] | None
    n_features: int | None
    fingerprint: str
    passed_over: dict[str, int]
    warnings: list[str]


def data_card(dataset: Dataset, split_seed: int = 0) -> DataCard:
    """The card of a data set, for the split of one seed.

    Raises:
        UserError: The split can't be drawn.
    """
    split, labels = dataset.split(split_seed), dataset.labels
    n_labels = labels.sum(axis=1, dtype=np.int64)
    counts = labels.sum(axis=0, dtype=np.int64).tolist()
    return DataCard(
        name=dataset.name,
        n_items=len(dataset),
        n_query=len(split.query),
        n_gallery=len(split.gallery),
        n_train=len(split.train),
        n_classes=len(dataset.class_names),
        items_per_label=dict(zip(dataset.class_names, counts, strict=True)),
        items_by_n_labels=np.bincount(n_labels).tolist(),
        labels_per_item=float(n_labels.mean()),
        similar_share=similar_share(labels[split.train]),
        map_floor=relevant_share(labels[split.query], labels[split.gallery]),
        sample_ids=_samples(labels, split.train),
        top_k=dataset.top_k,
        image_shape=dataset.image_shape,
        n_features=None if dataset.features is None else dataset.features.shape[1],
        fingerprint=dataset.fingerprint,
        passed_over=dict(dataset.passed_over),
        warnings=[*dataset.warnings, *filter(None, [few_items_said(len(split.gallery))])],
    )


def same_pictures(dataset: Dataset, split_seed: int = 0) -> tuple[int, str]:
    """How many queries have the same picture in the gallery or the training set.

    Returns:
        Their number, and a sentence that says it. The 60 000 JPEG files of CIFAR-10 take about
        three seconds.

    Raises:
        UserError: The split can't be drawn.
    """
    split = dataset.split(split_seed)
    found = twins(dataset, split)
    if not found:
        return 0, f"No picture of {dataset.name} is a query and in the gallery or training set too."
    query, other = (dataset.image_name(one) for one in found[0])
    return len(found), (
        f"{len(found):,} of {len(split.query):,} queries of {dataset.name} have the same picture "
        f"in the gallery or the training set, such as {query} and {other}: remove one of each."
    )


def similar_share(labels: np.ndarray) -> float:
    """Share of pairs of different items that have a label in common.

    Args:
        labels: Multi-hot, (n, n_classes).

    Returns:
        A share in [0, 1]; 0 if there are fewer than 2 items.
    """
    rows, counts = _distinct(labels)
    n = counts.sum()
    with_itself = counts[rows.any(axis=1)].sum()
    return (
        float((_similar_weight(rows, counts, rows, counts) - with_itself) / (n * (n - 1)))
        if n > 1
        else 0.0
    )


def relevant_share(query_labels: np.ndarray, gallery_labels: np.ndarray) -> float:
    """Share of (query, gallery item) pairs that have a label in common, in [0, 1]."""
    query, gallery = _distinct(query_labels), _distinct(gallery_labels)
    return float(_similar_weight(*query, *gallery) / (query[1].sum() * gallery[1].sum()))


def _similar_weight(
    rows: np.ndarray, counts: np.ndarray, others: np.ndarray, other_counts: np.ndarray
) -> float:
    shares_label = rows.astype(np.float32) @ others.astype(np.float32).T > 0  # (n_rows, n_others)
    return float(counts @ (shares_label @ other_counts))


def _distinct(labels: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Distinct label rows, uint8 (m, n_classes), and how often each occurs, float64 (m,).

    If there are more than MOST_ROWS of them, both come from a random sample of the items.
    """
    if not len(labels):
        return labels, np.zeros(0)
    packed, counts = np.unique(np.packbits(labels, axis=1), axis=0, return_counts=True)
    if len(packed) > MOST_ROWS:
        sample = np.random.default_rng(0).choice(len(labels), MOST_ROWS, replace=False)
        packed, counts = np.unique(np.packbits(labels[sample], axis=1), axis=0, return_counts=True)
    return np.unpackbits(packed, axis=1, count=labels.shape[1]), counts.astype(np.float64)


def _samples(labels: np.ndarray, item_ids: np.ndarray) -> list[int]:
    """Up to N_SAMPLES of the items: first one of each class, then others in their order."""
    chosen = [
        int(item_ids[members[0]])
        for column in labels[item_ids].T
        if len(members := np.flatnonzero(column))
    ]
    chosen = list(dict.fromkeys(chosen))[:N_SAMPLES]
    others = (item for item in item_ids.tolist() if item not in chosen)
    return chosen + [item for item, _ in zip(others, range(N_SAMPLES - len(chosen)), strict=False)]
