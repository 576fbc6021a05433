"""One run on several devices: two processes on the CPU give what one gives with the whole batch."""

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
import torch.distributed as dist
from torch import Tensor

from rdh.errors import PeerLost, UserError
from rdh.training import ranks
from rdh.training.ranks import ALONE, Ranks
from tests.training import one_rank
from tests.training.one_rank import METHODS, PROBED, Found, join, walk

pytestmark = pytest.mark.process


@pytest.fixture(scope="module")
def one() -> Found:
    """What one process finds."""
    return walk(ALONE)


@pytest.fixture(scope="module")
def two(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Found]:
    """What the first of two ranks finds; `others` is what the second one has kept."""
    folder, n_threads = tmp_path_factory.mktemp("ranks"), torch.get_num_threads()
    meeting, kept = folder / "store", folder / "kept.pt"
    command = [sys.executable, "-m", "tests.training.one_rank", str(meeting), str(kept)]
    house = Path(__file__).parents[2]
    with (folder / "log").open("wb") as log:
        other = subprocess.Popen(command, stdout=log, stderr=subprocess.STDOUT, cwd=house)
    try:
        found = walk(join(0, str(meeting)))
        assert other.wait(60) == 0, (folder / "log").read_text()
        yield found | {"others": torch.load(kept)}
    finally:
        ranks.leave()
        other.kill()
        other.wait()
        torch.set_num_threads(n_threads)


def test_the_parts_of_a_batch_are_all_of_it_once_and_in_order():
    for n_ranks in (1, 2, 3, 5):
        for n in (1, 2, 7, 64):
            parts = [np.arange(n)[Ranks(rank, n_ranks).rows(n)] for rank in range(n_ranks)]
            assert np.concatenate(parts).tolist() == list(range(n))
            assert max(map(len, parts)) - min(map(len, parts)) <= 1


def test_a_rank_without_an_item_gets_one_that_does_not_count():
    last, items = Ranks(0, 2), torch.tensor([7])
    assert last.own(items).tolist() == [7] and last.rows(1) == slice(0, 0)
    assert last.part(torch.ones(1, 4)).tolist() == [[0.0] * 4]
    assert Ranks(1, 2).part(torch.ones(1, 4)).tolist() == [[1.0] * 4]


def test_each_rank_has_the_gpu_of_its_number_and_too_few_are_refused(monkeypatch):
    chosen: list[int] = []
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    monkeypatch.setattr(torch.cuda, "set_device", chosen.append)
    assert (ranks.device_of("auto", 1, 2), ranks.device_of("cuda", 0, 2)) == ("cuda:1", "cuda:0")
    assert chosen == [1, 0] and ranks.device_of("cpu", 1, 2) == "cpu"
    with pytest.raises(UserError, match="devices is 3, but this run sees 2 GPUs; set devices to 2"):
        ranks.device_of("auto", 0, 3)


def cosine(a: Tensor, b: Tensor) -> float:
    return float(torch.nn.functional.cosine_similarity(a, b, dim=0))


@pytest.mark.parametrize("method", METHODS)
def test_two_ranks_have_the_gradient_of_the_whole_batch(one, two, method):
    whole, shared = one[method]["gradient"], two[method]["gradient"]
    assert float(shared.norm() / whole.norm()) == pytest.approx(1, abs=1e-5)
    assert cosine(shared, whole) == pytest.approx(1, abs=1e-5)


@pytest.mark.parametrize("method", METHODS)
def test_two_ranks_train_as_one_process(one, two, method):
    for name in ("weights", "memory", "logits"):
        torch.testing.assert_close(
            torch.as_tensor(two[method][name]),
            torch.as_tensor(one[method][name]),
            rtol=1e-3,
            atol=1e-4,
        )
    assert two[method]["loss"] == pytest.approx(one[method]["loss"], rel=1e-4)


def test_every_pair_counts_so_a_part_alone_has_another_gradient(one):
    """What plain data parallel would take: the mean of gradients of pairs within each part."""
    parts = [one_rank.gradient_of_rows(rows) for rows in (slice(0, 10), slice(10, 21))]
    within = (parts[0] + parts[1]) / 2
    assert cosine(within, one[PROBED]["gradient"]) < 0.99


def test_counts_of_the_probes_are_those_of_all_items(one, two):
    alone, shared = one[PROBED]["record"], two[PROBED]["record"]
    assert shared.scalars["window_entries"] == 12 * sum(one_rank.BATCHES)
    assert alone.scalars["amplified"] > 0
    assert alone.scalars.keys() == shared.scalars.keys()
    for name, value in alone.scalars.items():
        assert shared.scalars[name] == pytest.approx(value, rel=1e-3, abs=1e-4), name
    for name, values in alone.arrays.items():
        np.testing.assert_allclose(shared.arrays[name], values, rtol=1e-3, atol=1e-4, err_msg=name)


def test_batch_norms_see_the_whole_batch(one, two):
    for name, values in one["norm"].items():
        torch.testing.assert_close(two["norm"][name], values, rtol=1e-4, atol=1e-5)


def test_all_ranks_have_the_same_bits(two):
    assert torch.equal(two["others"]["weights"], two[PROBED]["weights"])
    assert torch.equal(two["others"]["resumed"], two["resumed"]["all"])


def test_a_stop_that_one_rank_hears_ends_all_at_the_same_step(two):
    assert (two["stopped"]["stopped"], two["stopped"]["step"]) == (True, 2)
    assert two["disagreed"] == (True, False)


def test_a_stopped_run_goes_on_with_the_same_bits(two):
    assert not two["resumed"]["stopped"] and two["resumed"]["step"] > 2
    assert torch.equal(two["resumed"]["all"], two["undisturbed"]["all"])


def test_a_rank_that_lost_another_one_says_so(monkeypatch):
    def broken(*_: object) -> None:
        raise RuntimeError("Connection closed by peer")

    monkeypatch.setattr(dist, "all_reduce", broken)
    with pytest.raises(PeerLost, match="closed by peer"):
        Ranks(0, 2).any(False)
