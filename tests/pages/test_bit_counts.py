"""What a record says about bits that are the same for all items."""

from dataclasses import replace

import numpy as np

from pages.common.bit_counts import BitCounts, about_constant


def counts(saturated: np.ndarray, n_items: float = 10, n_saturated_of: float = 10) -> BitCounts:
    none = np.zeros_like(saturated)
    return BitCounts(none, saturated, saturated, n_items, n_saturated_of, None)


def test_a_bit_is_constant_if_all_items_are_saturated_on_one_side_and_not_on_both():
    # bit 0: all on +; 1: all saturated, on both sides; 2: all on -; 3: one item is not saturated
    saturated = np.array([[0, 4, 10, 9], [10, 6, 0, 0]])
    assert counts(saturated).constant == [0, 2]
    said = about_constant(counts(saturated))
    assert "2 of 4 bits (bits 0, 2)" in said and "none of their entries is dead" in said
    assert about_constant(counts(saturated[:, 1:2])) == ""
    said = about_constant(replace(counts(saturated), has_collapsed=True))
    assert "Training collapsed, so its dead entries say nothing: all classes" in said
    assert "flags" not in said


def test_it_is_not_known_of_runs_that_counted_saturated_entries_of_other_items():
    assert counts(np.array([[0], [10]]), n_items=50).constant == []
