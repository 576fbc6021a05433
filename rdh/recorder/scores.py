"""An evaluation of a watched run: MAP and curves, what dead entries cost, and the kept codes."""

import warnings
from typing import NamedTuple

import numpy as np
import torch

from rdh.errors import UserError
from rdh.retrieval import CodesWarning, Evaluation, evaluate, pack_codes
from rdh.retrieval.kernel import Codes
from rdh.retrieval.labels import are_class_numbers
from rdh.training.costs import retrieval_costs
from rdh.training.probes import Probes


class Scores(NamedTuple):
    """What an evaluation found, as a record and two files hold it."""

    evaluation: Evaluation
    scalars: dict[str, float]
    arrays: dict[str, np.ndarray]
    codes: dict[str, np.ndarray]
    split: dict[str, np.ndarray]


def multi_hot(labels: np.ndarray, n_classes: int) -> np.ndarray:
    """Labels of either kind as uint8 (n, n_classes); none has more classes."""
    if are_class_numbers(labels, "labels"):
        return (labels.reshape(-1, 1) == np.arange(n_classes)).astype(np.uint8)
    return np.pad((labels > 0).astype(np.uint8), ((0, 0), (0, n_classes - labels.shape[1])))


def count_classes(*sides: np.ndarray) -> int:
    """How many classes there are: columns of multi-hot labels, or the highest number and 1."""
    of_each = [
        int(one.max(initial=0)) + 1 if are_class_numbers(one, "labels") else one.shape[1]
        for one in sides
    ]
    return max(2, *of_each)


def score(
    query: tuple[np.ndarray, np.ndarray],
    gallery: tuple[np.ndarray, np.ndarray],
    train_labels: np.ndarray | None,
    n_bits: int,
    top_k: int | None,
    probes: Probes | None,
) -> Scores:
    """Ranks the gallery for each query.

    Args:
        query, gallery: Codes (n, n_bits) and labels of either kind, as `rdh.retrieval.evaluate`.
        train_labels: Of the training items, as they were given; None: unknown.
        n_bits: Of the run.
        top_k: Ranks that count; None: all.
        probes: They say which sides the training items call for; None: no costs.

    Raises:
        UserError: For input that does not fit.
    """
    for name, codes in (("query_codes", query[0]), ("gallery_codes", gallery[0])):
        if codes.ndim != 2 or codes.shape[1] != n_bits:
            raise UserError(f"{name} must be (n, {n_bits}) as the run's codes, got {codes.shape}.")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", CodesWarning)  # the notes say it
        evaluation = evaluate(query[0], gallery[0], query[1], gallery[1], top_k=top_k)
    given = [query[1], gallery[1]] + ([] if train_labels is None else [train_labels])
    n_classes = count_classes(*given)
    labels = [multi_hot(one, n_classes) for one in given]
    packed = pack_codes(query[0]), pack_codes(gallery[0])
    counted: dict[str, float] = {}
    arrays: dict[str, np.ndarray] = {}
    if probes is not None and train_labels is not None and _are_relaxed(query[0], gallery[0]):
        n_known = count_classes(train_labels)  # an item of no other class is of an unknown one
        sides = [
            (codes.astype(np.float32), _right_sides(probes, one[:, :n_known]))
            for codes, one in zip((query[0], gallery[0]), labels, strict=False)
        ]
        kept = Codes(*packed, n_bits, labels[0], labels[1], None)
        counted, arrays = retrieval_costs(kept, sides[0], sides[1], probes.tau, top_k)
    arrays |= {
        "precision_by_radius": evaluation.precision_by_radius,
        "recall_by_radius": evaluation.recall_by_radius,
    }
    return Scores(evaluation, evaluation.scalars() | counted, arrays, *_files(labels, packed))


def _right_sides(probes: Probes, labels: np.ndarray) -> np.ndarray:
    return probes.sides.of_labels(torch.from_numpy(labels)).numpy()


def _are_relaxed(*sides: np.ndarray) -> bool:
    """Whether these are codes h in [-1, 1]. Of signs nobody can say how saturated they are."""
    sizes = [np.abs(codes) for codes in sides]
    return all(one.dtype.kind == "f" and one.max(initial=0) <= 1 for one in sizes) and any(
        ((one > 0) & (one < 1)).any() for one in sizes
    )


def _files(
    labels: list[np.ndarray], packed: tuple[np.ndarray, np.ndarray]
) -> tuple[dict[str, np.ndarray], dict[str, np.ndarray]]:
    """codes/final.npz and split.npz: the training items first, then queries, then the gallery."""
    train = labels[2] if len(labels) > 2 else labels[0][:0]
    ends = np.cumsum([len(train), len(labels[0]), len(labels[1])])
    query, gallery = np.arange(ends[0], ends[1]), np.arange(ends[1], ends[2])
    ids = {"query_ids": query, "gallery_ids": gallery}
    return ids | {"query": packed[0], "gallery": packed[1]}, {
        "query": query,
        "gallery": gallery,
        "train": np.arange(ends[0]),
        "labels": np.concatenate([train, labels[0], labels[1]]),
        "class_names": np.array([str(place) for place in range(train.shape[1])]),
    }
