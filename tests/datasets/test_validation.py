"""Validation queries: other queries to choose settings by, apart from test and training."""

import numpy as np
import pytest

from rdh import datasets
from rdh.datasets import Split, validation_split
from rdh.errors import UserError


def of_digits(seed: int = 0, **switches: int) -> tuple[Split, Split, np.ndarray]:
    found = datasets.load("digits", ".", **switches)
    test = found.split(seed)
    return test, validation_split(test, found.labels, found.class_names, seed), found.labels


def test_validation_queries_lie_neither_in_the_test_queries_nor_in_training_nor_in_the_gallery():
    test, held_out, _ = of_digits()
    query = set(held_out.query.tolist())
    assert len(query) == len(test.query)
    assert not query & set(test.query.tolist())
    assert not query & set(test.train.tolist())
    assert query | set(held_out.gallery.tolist()) == set(test.gallery.tolist())
    assert not query & set(held_out.gallery.tolist())


def test_training_stays_the_same_and_the_test_queries_play_no_part():
    test, held_out, _ = of_digits()
    assert np.array_equal(held_out.train, test.train)
    assert not set(held_out.gallery.tolist()) & set(test.query.tolist())


def test_each_class_gives_as_many_as_it_gives_test_queries():
    test, held_out, labels = of_digits()
    assert np.array_equal(labels[held_out.query].sum(0), labels[test.query].sum(0))


def test_they_depend_on_the_split_seed_alone():
    (_, first, _), (_, again, _), (_, other, _) = of_digits(), of_digits(), of_digits(1)
    assert np.array_equal(first.query, again.query)
    assert not np.array_equal(first.query, other.query)
    assert np.array_equal(first.query, np.unique(first.query))


def test_multi_label_data_give_as_many_in_all():
    found = datasets.load("mosaic", ".", n_items=200)
    test = found.split(0)
    held_out = validation_split(test, found.labels, found.class_names, 0)
    assert len(held_out.query) == len(test.query)
    assert not set(held_out.query.tolist()) & set(test.train.tolist())


def test_a_gallery_without_room_is_one_sentence():
    with pytest.raises(
        UserError,
        match=r"queries=validation needs 10 gallery items of class '\d' outside the training set, "
        r"but there are \d+: train on fewer items, or use queries=test",
    ):
        of_digits(train_per_class=160)
