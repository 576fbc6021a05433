"""What each bit is worth, against dropping its column and evaluating again."""

import numpy as np
import pytest

from rdh.errors import UserError
from rdh.retrieval import evaluate, pack_codes
from rdh.retrieval.bit_costs import bit_costs, scores_without_bits
from tests.retrieval.test_kernels import packed, random_data


def map_tie(data, bits):
    return evaluate(data[0][:, bits], data[1][:, bits], *data[2:], headline=False).map_tie


@pytest.mark.parametrize("multi_label", [False, True])
@pytest.mark.parametrize("n_bits", [2, 9, 16, 65])
def test_leaving_out_a_bit_equals_dropping_its_column(n_bits, multi_label):
    data = random_data(np.random.default_rng(n_bits), 6, 700, n_bits, 3, multi_label, noise=0.2)
    found = bit_costs(*data)
    every = np.arange(n_bits)
    assert found.map_tie == pytest.approx(map_tie(data, every), rel=1e-12)
    expected = [map_tie(data, np.delete(every, bit)) for bit in every]
    np.testing.assert_allclose(found.without, expected, rtol=1e-12)
    np.testing.assert_allclose(found.changes, np.array(expected) - found.map_tie, atol=1e-12)


def test_the_first_bits_score_as_shorter_codes():
    data = random_data(np.random.default_rng(0), 6, 300, 20, 3, noise=0.2)
    expected = [map_tie(data, np.arange(n)) for n in range(1, 21)]
    np.testing.assert_allclose(bit_costs(*data).of_first, expected, rtol=1e-12)


def test_without_its_only_bit_a_code_ranks_nothing():
    data = random_data(np.random.default_rng(1), 4, 50, 1, 3)
    constant = (np.ones((4, 1)), np.ones((50, 1)), *data[2:])  # all items tie, as without any bit
    assert bit_costs(*data).without == pytest.approx([map_tie(constant, [0])])


def test_a_bit_that_never_differs_costs_nothing_and_a_bit_of_noise_less_than_nothing():
    rng = np.random.default_rng(2)
    classes = rng.integers(0, 4, 400)
    bits = (
        np.stack([classes & 1, classes >> 1, np.ones(400, int), rng.integers(0, 2, 400)], axis=1)
        * 2
        - 1
    )
    labels = np.eye(4, dtype=np.uint8)[classes]
    changes = bit_costs(bits[:50], bits, labels[:50], labels).changes
    assert changes[0] < -0.1 and changes[1] < -0.1
    assert changes[2] == pytest.approx(0, abs=1e-12) and changes[3] > 0.1


def test_more_items_at_a_distance_than_a_byte_counts_and_threads_change_nothing():
    rng = np.random.default_rng(3)
    codes = np.repeat(
        rng.choice([-1, 1], (2, 12)), 1500, axis=0
    )  # every distance holds thousands or nothing
    labels = np.eye(2, dtype=np.uint8)[rng.integers(0, 2, 3000)]
    data = (codes[::60], codes, labels[::60], labels)
    every = np.arange(12)
    expected = [map_tie(data, np.delete(every, bit)) for bit in every]
    np.testing.assert_allclose(bit_costs(*data, threads=3).without, expected, rtol=1e-12)
    alone = scores_without_bits(packed(data), threads=1)
    np.testing.assert_array_equal(scores_without_bits(packed(data), threads=3), alone)


def test_a_query_in_the_gallery_is_left_out_of_every_score():
    rng = np.random.default_rng(6)
    data, own = random_data(rng, 6, 300, 18, 3, noise=0.2), rng.integers(0, 300, 6)

    def leaving_out(bits):
        """One query at a time, its own row deleted from the gallery."""
        scores = [
            evaluate(
                *(
                    data[0][[query]][:, bits],
                    np.delete(data[1], item, axis=0)[:, bits],
                    data[2][[query]],
                    np.delete(data[3], item, axis=0),
                ),
                headline=False,
            ).map_tie
            for query, item in enumerate(own)
        ]
        return np.mean(scores)

    found, every = bit_costs(*data, query_positions=own), np.arange(18)
    expected = [leaving_out(np.delete(every, bit)) for bit in every]
    np.testing.assert_allclose(found.without, expected, rtol=1e-12)
    expected = [leaving_out(every[:n]) for n in range(1, 19)]
    np.testing.assert_allclose(found.of_first, expected, rtol=1e-12)


def test_queries_without_relevant_items_count_zero():
    data = random_data(np.random.default_rng(4), 3, 60, 8, 3)
    data[2][:] = 0
    found = bit_costs(*data)
    assert found.map_tie == 0 and not found.without.any() and not found.of_first.any()


def test_packed_codes_give_the_same_and_bad_input_is_refused():
    data = random_data(np.random.default_rng(5), 3, 60, 10, 3)
    same = bit_costs(pack_codes(data[0]), pack_codes(data[1]), *data[2:], n_bits=10)
    np.testing.assert_array_equal(same.without, bit_costs(*data).without)
    with pytest.raises(UserError, match="query_codes have 10 bits and gallery_codes 9"):
        bit_costs(data[0], data[1][:, :9], *data[2:])
    with pytest.raises(UserError, match="gallery_codes are empty"):
        bit_costs(data[0], data[1][:0], data[2], data[3][:0])
