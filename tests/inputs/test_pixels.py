"""Images on the device and images read ahead from a file: the same batches in the same order."""

import threading
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

from rdh.inputs import pixels
from rdh.inputs.pixels import OnDevice, OnDisk, read_ahead

CPU = torch.device("cpu")
PATIENCE = 600.0  # seconds; far above what anything here takes


@pytest.fixture
def on_disk(tmp_path: Path) -> np.memmap:
    images = np.random.default_rng(0).integers(0, 256, (50, 4, 5, 3), np.uint8)
    np.save(tmp_path / "images.npy", images)
    return np.load(tmp_path / "images.npy", mmap_mode="r")


@pytest.mark.parametrize("kind", [OnDevice, OnDisk])
@pytest.mark.filterwarnings("ignore:The given NumPy array is not writable")
def test_batches_come_in_the_order_asked_for(on_disk, kind):
    rows = torch.randperm(50, generator=torch.Generator().manual_seed(0)).split(7)
    batches = list(kind(on_disk, CPU).stream(rows))
    assert [len(batch) for batch in batches] == [7] * 7 + [1]
    for wanted, batch in zip(rows, batches, strict=True):
        np.testing.assert_array_equal(batch.permute(0, 2, 3, 1), on_disk[wanted.numpy()])
        assert batch.dtype == torch.uint8 and batch.is_contiguous(memory_format=torch.channels_last)
    assert list(kind(on_disk, CPU).stream([])) == []


def test_many_batches_twice_are_the_same(on_disk):
    rows = torch.randint(0, 50, (300,), generator=torch.Generator().manual_seed(0)).split(2)
    store = OnDisk(on_disk, CPU)
    assert all(
        torch.equal(a, b) for a, b in zip(store.stream(rows), store.stream(rows), strict=True)
    )


def test_a_late_batch_is_waited_for_and_some_are_read_meanwhile():
    """The first batch comes last of all that are read ahead."""
    others = threading.Semaphore(0)
    started = []

    def read(rows: Tensor) -> Tensor:
        started.append(int(rows))
        if int(rows) == 0:
            for _ in range(pixels.AHEAD - 1):
                assert others.acquire(timeout=PATIENCE)
        else:
            others.release()
        return rows

    coming = read_ahead(read, torch.arange(40).split(1))
    assert int(next(coming)) == 0
    assert (
        pixels.AHEAD - 1 < len(started) <= pixels.AHEAD + 1
    )  # bounded, however far behind the caller is
    assert [int(rows) for rows in coming] == list(range(1, 40))


def test_what_reading_raises_comes_in_its_turn():
    def read(rows: Tensor) -> Tensor:
        if int(rows) == 2:
            raise OSError("the disk is gone")
        return rows

    coming = read_ahead(read, torch.arange(9).split(1))
    assert [int(next(coming)), int(next(coming))] == [0, 1]
    with pytest.raises(OSError, match="the disk is gone"):
        next(coming)


def test_an_epoch_given_up_reads_no_further():
    started = []
    coming = read_ahead(lambda rows: started.append(rows), torch.arange(1000).split(1))
    next(coming)
    coming.close()
    assert len(started) <= pixels.AHEAD + 1
