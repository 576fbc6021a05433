"""The protocols: which items are queries, gallery and training set, drawn from a seed alone.

A protocol is a frozen dataclass whose `split(labels, class_names, seed)` does the drawing; a data
set is handed one.
"""

import dataclasses
import numbers
from collections.abc import Sequence
from typing import Any, Protocol

import numpy as np

from rdh.errors import UserError


@dataclasses.dataclass(frozen=True, eq=False)
class Split:
    """Item ids, int64 and increasing: queries, the gallery they search, and the training items.

    No query is in the gallery or in train. Training items lie in the gallery unless the protocol
    says otherwise.
    """

    query: np.ndarray
    gallery: np.ndarray
    train: np.ndarray

    def without(self, item_ids: Sequence[int] | np.ndarray) -> "Split":
        """The same split less some items: those whose images cannot be decoded."""
        dropped = np.asarray(item_ids, dtype=np.int64)
        return Split(
            *(part[~np.isin(part, dropped)] for part in (self.query, self.gallery, self.train))
        )


class SplitProtocol(Protocol):
    """labels: uint8 (n_items, n_classes); seed: a whole number >= 0.

    Raises UserError for a set that is too small.
    """

    def split(self, labels: np.ndarray, class_names: Sequence[str], seed: int) -> Split: ...


@dataclasses.dataclass(frozen=True)
class PerClass:
    """query_per_class queries of each class, all else the gallery, train_per_class training items
    (None: all) of each
    class inside it; train_in_gallery=False takes them out of it. For single labels. Raises
    UserError for a bad number.
    """

    query_per_class: int
    train_per_class: int | None
    train_in_gallery: bool = True

    def __post_init__(self) -> None:
        check_at_least_1("query_per_class", self.query_per_class)
        if self.train_per_class is not None:
            check_at_least_1("train_per_class", self.train_per_class)

    def split(self, labels: np.ndarray, class_names: Sequence[str], seed: int) -> Split:
        """Raises UserError for a class with too few images."""
        rng, class_of = np.random.default_rng(seed), labels.argmax(axis=1)
        n_query, n_train = self.query_per_class, self.train_per_class
        query, train = [], []
        for number, name in enumerate(class_names):
            members = np.flatnonzero(class_of == number)
            needed = n_query + (1 if n_train is None else n_train)
            if len(members) < needed:
                raise UserError(
                    f"Class {name!r} has {len(members)} images, but the split needs "
                    f"{needed} ({n_query} queries and "
                    f"{needed - n_query} for training): add images, or lower "
                    f"query_per_class or train_per_class."
                )
            drawn = rng.permutation(members)
            query.append(drawn[:n_query])
            train.append(drawn[n_query:] if n_train is None else drawn[n_query:needed])
        return _gathered(
            len(labels),
            np.concatenate(query),
            np.concatenate(train),
            train_in_gallery=self.train_in_gallery,
        )


@dataclasses.dataclass(frozen=True)
class Drawn:
    """n_query items at random, all else the gallery, n_train of it at random. For any labels."""

    n_query: int
    n_train: int

    def split(self, labels: np.ndarray, class_names: Sequence[str], seed: int) -> Split:
        """Drawn from the seed alone."""
        order = np.random.default_rng(seed).permutation(len(labels))
        return _gathered(
            len(labels), order[: self.n_query], order[self.n_query : self.n_query + self.n_train]
        )


@dataclasses.dataclass(frozen=True)
class Quota:
    """n_query and n_train items of which each class brings its share: for multi-label sets "per
    class".

    Over a random order, an item counts for its first class with an open place, in train first and
    then in query (as the split scripts in use do). Places that a class can't fill go to items at
    random, so that the sizes hold on any set.
    """

    n_query: int
    n_train: int

    def split(self, labels: np.ndarray, class_names: Sequence[str], seed: int) -> Split:
        """Drawn from the seed alone."""
        order = np.random.default_rng(seed).permutation(len(labels))
        is_taken = np.zeros(len(labels), dtype=bool)
        train = self._fill(order, labels, self.n_train, is_taken)
        query = self._fill(order, labels, self.n_query, is_taken)
        return _gathered(len(labels), query, train)

    @staticmethod
    def _fill(
        order: np.ndarray, labels: np.ndarray, n_wanted: int, is_taken: np.ndarray
    ) -> np.ndarray:
        """n_wanted items that are not taken, marked as taken."""
        open_places = [n_wanted // labels.shape[1]] * labels.shape[1]
        taken, n_open = [], sum(open_places)
        for item in order[~is_taken[order]].tolist():
            if not n_open:
                break
            number = next(
                (one for one in labels[item].nonzero()[0].tolist() if open_places[one]), None
            )
            if number is not None:
                open_places[number] -= 1
                n_open -= 1
                taken.append(item)
        is_taken[taken] = True
        more = order[~is_taken[order]][: n_wanted - len(taken)]
        is_taken[more] = True
        return np.concatenate([np.array(taken, dtype=np.int64), more])


@dataclasses.dataclass(frozen=True, eq=False)
class Listed:
    """The split that the data bring themselves: the same for every seed."""

    parts: Split

    def split(self, labels: np.ndarray, class_names: Sequence[str], seed: int) -> Split:
        """The parts as they are."""
        return self.parts


def sizes(
    n_items: int, query: tuple[str, int, int], train: tuple[str, int, int], what: str = "images"
) -> tuple[int, int]:
    """(queries, training items) to draw from n_items; query and train: (switch, its value, official
    number).

    Where a switch is 0: the official number, but at most a tenth of the items as queries and at
    most half of the rest for training, so that a small set keeps a gallery to search. Raises
    UserError for a value that doesn't fit.
    """
    for name, value, _ in (query, train):
        if value != 0 or value is False:
            check_at_least_1(name, value)
    if n_items < 2:
        raise UserError(
            f"A query and a training item need 2 {what}, but there are {n_items}: add some."
        )
    n_query = query[1] or max(1, min(query[2], n_items // 10))
    n_train = train[1] or max(1, min(train[2], (n_items - n_query) // 2))
    if n_query + n_train > n_items:
        too_large = query[0] if n_query >= n_items else train[0]
        raise UserError(
            f"{query[0]} and {train[0]} need {n_query} + {n_train} {what}, but there "
            f"are {n_items}: lower {too_large}."
        )
    return int(n_query), int(n_train)


def checked_seed(seed: Any) -> int:
    """A split seed as int. Raises UserError unless it is a whole number >= 0."""
    if isinstance(seed, bool) or not isinstance(seed, numbers.Integral) or seed < 0:
        raise UserError(f"split_seed must be a whole number >= 0, got {seed!r}.")
    return int(seed)


def check_at_least_1(name: str, value: Any) -> None:
    """Raises UserError unless the switch is a whole number >= 1."""
    if isinstance(value, bool) or not isinstance(value, numbers.Integral) or value < 1:
        raise UserError(f"{name} must be a whole number >= 1, got {value!r}.")


def _gathered(
    n_items: int, query: np.ndarray, train: np.ndarray, *, train_in_gallery: bool = True
) -> Split:
    outside = query if train_in_gallery else np.concatenate([query, train])
    gallery = np.setdiff1d(np.arange(n_items), outside)
    return Split(*(ids.astype(np.int64) for ids in (np.sort(query), gallery, np.sort(train))))
