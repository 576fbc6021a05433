"""The protocols, which draw queries, gallery and training set from a seed.

A protocol is a frozen dataclass with a method `split(labels, class_names, seed)`. Each data set has
one. The same seed always gives the same split.
"""

import dataclasses
import numbers
from collections.abc import Sequence
from typing import Any, Protocol

import numpy as np

from rdh.errors import UserError


@dataclasses.dataclass(frozen=True, eq=False)
class Split:
    """The queries, the gallery they search, and the training items, as increasing int64 ids.

    No query is in the gallery or among the training items. Training items are also in the gallery,
    unless the protocol says otherwise.
    """

    query: np.ndarray
    gallery: np.ndarray
    train: np.ndarray

    def without(self, item_ids: Sequence[int] | np.ndarray) -> "Split":
        """The same split without some items, such as images that can't be decoded."""
        dropped = np.asarray(item_ids, dtype=np.int64)
        return Split(
            *(part[~np.isin(part, dropped)] for part in (self.query, self.gallery, self.train))
        )


class SplitProtocol(Protocol):
    """What a data set needs of its protocol."""

    def split(self, labels: np.ndarray, class_names: Sequence[str], seed: int) -> Split:
        """Draws a split.

        Args:
            labels: uint8 (n_items, n_classes).
            class_names: The names of the columns.
            seed: A whole number >= 0.

        Raises:
            UserError: The data set is too small.
        """


@dataclasses.dataclass(frozen=True)
class PerClass:
    """A fixed number of queries and training items of each class, for single-label data sets.

    All items that are not queries are the gallery.

    Args:
        query_per_class: Queries of each class, at least 1.
        train_per_class: Training items of each class, at least 1. None takes all of the gallery.
        train_in_gallery: Whether training items stay in the gallery.

    Raises:
        UserError: A number is not a whole number >= 1.
    """

    query_per_class: int
    train_per_class: int | None
    train_in_gallery: bool = True

    def __post_init__(self) -> None:
        check_at_least_1("query_per_class", self.query_per_class)
        if self.train_per_class is not None:
            check_at_least_1("train_per_class", self.train_per_class)

    def split(self, labels: np.ndarray, class_names: Sequence[str], seed: int) -> Split:
        """Draws the items of each class.

        Raises:
            UserError: A class has too few images.
        """
        rng, class_of = np.random.default_rng(seed), labels.argmax(axis=1)
        n_query, n_train = self.query_per_class, self.train_per_class
        query, train = [], []
        for number, name in enumerate(class_names):
            members = np.flatnonzero(class_of == number)
            needed = n_query + (1 if n_train is None else n_train)
            if len(members) < needed:
                raise UserError(
                    f"Class {name!r} has {len(members)} images, but the split needs {needed} "
                    f"({n_query} queries and {needed - n_query} for training): add images, or "
                    "lower query_per_class or train_per_class."
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
    """Queries and training items at random, for any labels. All but the queries is the gallery."""

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
    """Queries and training items with an equal share of each class, for multi-label data sets.

    Items come in random order. Each counts for its first class that still has an open place. The
    training set is filled first and then the queries, as in the split scripts of published work.
    If a class can't fill its places, random items do, so that the sizes hold on any data set.
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
        """Takes n_wanted items that are not taken yet, and marks them in `is_taken`."""
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
    """A split that comes with the data. It is the same for every seed."""

    parts: Split

    def split(self, labels: np.ndarray, class_names: Sequence[str], seed: int) -> Split:
        """The parts as they are."""
        return self.parts


def validation_split(
    split: Split, labels: np.ndarray, class_names: Sequence[str], seed: int
) -> Split:
    """Other queries to choose settings by, so that nobody looks at the test queries for that.

    They are drawn from the gallery outside the training set: as many of each class as the test
    queries have, or for multi-label data as many in all. They leave the gallery. The training items
    stay the same, and the test queries play no part.

    Args:
        split: The split of the protocol.
        labels: uint8 (n_items, n_classes).
        class_names: The names of the columns.
        seed: The split seed.

    Raises:
        UserError: The gallery has too few items outside the training set.
    """
    rng, candidates = np.random.default_rng([seed, 1]), np.setdiff1d(split.gallery, split.train)
    if (labels.sum(axis=1) > 1).any():
        groups = {"the gallery": (candidates, len(split.query))}
    else:
        class_of = labels.argmax(axis=1)
        wanted = np.bincount(class_of[split.query], minlength=labels.shape[1])
        groups = {
            f"class {name!r}": (candidates[class_of[candidates] == number], int(wanted[number]))
            for number, name in enumerate(class_names)
        }
    chosen = []
    for name, (members, n_wanted) in groups.items():
        if len(members) < n_wanted:
            raise UserError(
                f"queries=validation needs {n_wanted} gallery items of {name} outside the training "
                f"set, but there are {len(members)}: train on fewer items, or use queries=test."
            )
        chosen.append(rng.permutation(members)[:n_wanted])
    query = np.sort(np.concatenate(chosen)).astype(np.int64)
    return Split(query, np.setdiff1d(split.gallery, query), split.train)


def sizes(
    n_items: int, query: tuple[str, int, int], train: tuple[str, int, int], what: str = "images"
) -> tuple[int, int]:
    """The numbers of queries and training items to draw from a data set.

    A value of 0 means the official number. But at most a tenth of the items become queries, and at
    most half of the rest training items, so that a small data set keeps a gallery to search.

    Args:
        n_items: Size of the data set.
        query: The name of the switch, its value, and the official number of queries.
        train: The same for the training items.
        what: What the items are called in messages.

    Raises:
        UserError: A value is not a whole number >= 0, or there are too few items for it.
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
    """The split seed as an int.

    Raises:
        UserError: It is not a whole number >= 0.
    """
    if isinstance(seed, bool) or not isinstance(seed, numbers.Integral) or seed < 0:
        raise UserError(f"split_seed must be a whole number >= 0, got {seed!r}.")
    return int(seed)


def check_at_least_1(name: str, value: Any) -> None:
    """Checks the value of a switch.

    Raises:
        UserError: It is not a whole number >= 1.
    """
    if isinstance(value, bool) or not isinstance(value, numbers.Integral) or value < 1:
        raise UserError(f"{name} must be a whole number >= 1, got {value!r}.")


def _gathered(
    n_items: int, query: np.ndarray, train: np.ndarray, *, train_in_gallery: bool = True
) -> Split:
    outside = query if train_in_gallery else np.concatenate([query, train])
    gallery = np.setdiff1d(np.arange(n_items), outside)
    return Split(*(ids.astype(np.int64) for ids in (np.sort(query), gallery, np.sort(train))))
