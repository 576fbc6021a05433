"""Gradients without a step: against sums over pairs by hand, and without a trace in the method."""

import copy

import numpy as np
import pytest
import torch

from rdh import catalog
from rdh.methods import method_class
from rdh.training import pair_gradients
from rdh.training.pair_gradients import all_pairs_gradient, batch_gradients, sees_single_items
from tests.naive_judge import one_batch_gradient, pair_gradient

DEEP = [name for name, card in catalog.methods().items() if not card.is_shallow]
# compare with stored codes, V, or what the item's labels call for
SINGLE = {
    *("dpsh", "dsdh", "adsh", "dihn", "daph"),
    *("csq", "dpn", "mdsh", "cnnh", "greedyhash", "orthohash"),
}
N, K = 40, 6


def made(name: str, **switches):
    rng = np.random.default_rng(0)
    labels = torch.eye(4)[torch.from_numpy(rng.integers(0, 4, N))]
    method = method_class(name)(K, labels, 0, **switches)
    normal = rng.normal(size=(N, method.width)).astype(np.float32)
    codes = torch.tanh(torch.from_numpy(normal) * 2)
    method.on_epoch_start(0)
    if method.stored_codes is not None:
        method.stored_codes.copy_(torch.rand(N, method.width) - 0.5)  # what they were long ago
    return method, codes, labels


def seeded() -> torch.Generator:
    return torch.Generator().manual_seed(0)


@pytest.mark.parametrize("name", DEEP)
def test_nothing_of_the_method_changes(name):
    method, codes, labels = made(name)
    method.batch_similarity(labels)
    before, batch = copy.deepcopy(vars(method)), method._batch
    random_state = torch.get_rng_state()
    batch_gradients(method, codes, labels, 16, seeded())
    all_pairs_gradient(method, codes, labels, seeded())
    sees_single_items(method, codes, labels, torch.arange(N))
    assert method._batch is batch and torch.equal(torch.get_rng_state(), random_state)
    for key, value in vars(method).items():
        if isinstance(value, torch.Tensor):
            assert torch.equal(value, before[key]), key
        elif isinstance(value, torch.nn.Module):
            state = before[key].state_dict()
            assert all(torch.equal(one, state[part]) for part, one in value.state_dict().items())
        elif key != "_batch" and not isinstance(value, torch.Generator):
            assert value == before[key], key


@pytest.mark.parametrize("name", DEEP)
def test_all_pairs_are_those_of_all_items_as_one_batch_with_the_present_codes(name):
    method, codes, labels = made(name)
    found = all_pairs_gradient(method, codes, labels, seeded())
    method.remember(codes, torch.arange(N))
    expected = one_batch_gradient(method, codes, labels, torch.arange(N))
    torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-7)


@pytest.mark.parametrize("name", ["dpsh", "dsdh", "dhn"])
def test_all_pairs_are_the_sum_over_pairs_by_hand(name):
    method, codes, labels = made(name)
    found = all_pairs_gradient(method, codes, labels, seeded()) * N * N
    similar = (labels @ labels.T > 0).float().numpy()
    expected = pair_gradient(codes.numpy(), codes.numpy(), similar, 0.5)
    both = 2 if name == "dhn" else 1  # within a batch, an item is in each pair on both sides
    np.testing.assert_allclose(found.numpy(), both * expected, rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize("name", DEEP)
def test_blocks_and_some_of_the_items_change_nothing_if_items_are_seen_alone(name, monkeypatch):
    method, codes, labels = made(name)
    items = torch.tensor([3, 4, 17, 30, 31])
    whole = all_pairs_gradient(method, codes, labels, seeded())
    assert sees_single_items(method, codes, labels, torch.arange(N)) == (name in SINGLE)
    if name in SINGLE:
        some = all_pairs_gradient(method, codes, labels, seeded(), items) * len(items)
        torch.testing.assert_close(some, whole[items] * N, rtol=1e-4, atol=1e-6)
        monkeypatch.setattr(pair_gradients, "MOST_PAIRS", 8 * N)
        monkeypatch.setattr(type(method), "most_at_once", 8)
        blocks = all_pairs_gradient(method, codes, labels, seeded()) * 8
        torch.testing.assert_close(blocks, whole * N, rtol=1e-4, atol=1e-6)


def test_random_batches_are_those_of_the_generator():
    method, codes, labels = made("hashnet")
    found = batch_gradients(method, codes, labels, 16, seeded())
    order = torch.randperm(N, generator=seeded())
    for batch in order.split(16):
        torch.testing.assert_close(found[batch], one_batch_gradient(method, codes, labels, batch))
    items = torch.tensor([1, 5, 9, 20])
    some = batch_gradients(method, codes, labels, 3, seeded(), items)
    for batch in torch.randperm(4, generator=seeded()).split(3):
        expected = one_batch_gradient(method, codes, labels, items[batch])
        torch.testing.assert_close(some[batch], expected)


def test_too_many_items_for_one_batch_are_compared_in_random_groups(monkeypatch):
    method, codes, labels = made("hashnet")
    monkeypatch.setattr(type(method), "most_at_once", 15)
    found = all_pairs_gradient(method, codes, labels, seeded())
    for group in torch.randperm(N, generator=seeded()).split(15):
        torch.testing.assert_close(found[group], one_batch_gradient(method, codes, labels, group))


def test_an_item_that_was_not_looked_at_takes_no_part_in_the_memory():
    method, codes, labels = made("dpsh")
    seen = torch.arange(0, N, 2)
    known = torch.zeros_like(codes)
    known[seen] = codes[seen]
    found = batch_gradients(method, known, labels, 64, seeded(), seen) * len(seen) * N
    similar = (labels @ labels.T > 0).float().numpy()[::2, ::2]
    expected = pair_gradient(codes[seen].numpy(), codes[seen].numpy(), similar, 0.5)
    np.testing.assert_allclose(found.numpy(), expected, rtol=1e-3, atol=1e-4)


def test_triplets_are_looked_for_beyond_the_items_of_the_first_class():
    labels = torch.eye(2).repeat_interleave(100, 0)
    codes = torch.tanh(torch.randn(200, K, generator=seeded()))
    method = method_class("dtsh")(K, labels, 0)
    assert not sees_single_items(method, codes, labels, torch.arange(200))
