"""What goes into the network: devices, splits without bad images, augmentation."""

import contextlib
import copy
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from rdh.config.run_config import RunConfig, make_config
from rdh.errors import Stopped, UserError
from rdh.inputs import image_cache
from rdh.inputs import load as inputs
from rdh.inputs.augmentation import augmented, stored_side
from rdh.inputs.load import choose_device, load_inputs
from rdh.training import loop
from rdh.training.state import TrainingState
from tests.toy_images import Pictures, expected_features, matrix_backbone, toy_backbone

__all__ = ["toy_backbone"]  # a fixture is used by its name
FROZEN = {"backbone": "efficientnet_lite0", "finetune": False, "image_size": 32}


@pytest.fixture
def pictures(monkeypatch: pytest.MonkeyPatch, tmp_path: Any, toy_backbone: None) -> Any:
    """(data set, **fields of the config) -> its inputs, through the toy backbone."""
    monkeypatch.setattr(inputs, "build", matrix_backbone)

    def make(dataset: Pictures, **fields: Any) -> inputs.Inputs:
        monkeypatch.setattr(inputs, "load", lambda *_, **__: dataset)
        config = make_config(**{"bad_images": "skip", "device": "cpu"} | fields)
        return load_inputs(
            config, data_root=tmp_path, cache_root=tmp_path / "cache", log=lambda text: None
        )

    return make


@pytest.mark.parametrize("name", ["", " cpu", "gpu", "CPU", "cuda:x", "meta", "0"])
def test_a_device_of_another_name_is_one_sentence(name):
    with pytest.raises(UserError, match=f"device must be auto, cpu, cuda or cuda:N, got '{name}'"):
        choose_device(name)


@pytest.mark.parametrize(
    "name", ["cuda", "cuda:0", "cuda:99", "cuda:128", "cuda:255", "cuda:99999"]
)
def test_a_gpu_that_is_not_there_is_one_sentence(name, monkeypatch):
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 0)
    with pytest.raises(
        UserError,
        match=rf"device {name} is not there \(GPUs that can be seen: 0\); use auto or cpu",
    ):
        choose_device(name)


def test_devices_that_are_there_are_taken(monkeypatch):
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    assert [str(choose_device(name)) for name in ("auto", "cpu", "cuda", "cuda:1")] == [
        "cuda",
        "cpu",
        "cuda",
        "cuda:1",
    ]
    with pytest.raises(UserError, match="cuda:2 is not there"):
        choose_device("cuda:2")


def test_features_of_the_batch_are_those_of_its_items(pictures):
    dataset = Pictures(bad=(3,))
    made = pictures(dataset, **FROZEN)
    expected = expected_features(dataset, 32)
    positions = torch.tensor([4, 0, 2])
    np.testing.assert_allclose(
        made.batch(positions), expected[made.split.train[positions]], rtol=2e-3, atol=2e-3
    )
    np.testing.assert_allclose(
        torch.cat(list(made.batches(made.split.gallery))),
        expected[made.split.gallery],
        rtol=2e-3,
        atol=2e-3,
    )
    assert made.n_features == 3


@pytest.mark.parametrize("finetune", [True, False])
def test_undecodable_items_are_in_no_part_of_the_split(pictures, finetune):
    made = pictures(Pictures(bad=(0, 3, 17)), **(FROZEN if not finetune else {}))
    assert not np.isin([0, 3, 17], np.concatenate([made.split.query, made.split.gallery])).any()
    assert len(made.train_labels) == len(made.split.train)


@pytest.mark.parametrize("finetune", [True, False])
def test_nothing_to_train_on_or_search_is_one_sentence(pictures, finetune):
    with pytest.raises(UserError, match="No query image of pictures can be decoded"):
        pictures(Pictures(bad=tuple(range(40))), **(FROZEN if not finetune else {}))


def test_images_of_unequal_sizes_can_be_finetuned_on(pictures):
    dataset = Pictures(sizes=True, bad=(2,))
    made = pictures(dataset, image_size=6)
    made.make_body()
    batch = made.batch(torch.arange(5))
    assert batch.shape == (5, 3, 6, 6) and made.n_features == 3


def test_image_batches_hold_the_items_asked_for(pictures):
    dataset = Pictures(bad=(1,))
    made = pictures(dataset, image_size=4)
    backbone = made.make_body()
    ids = made.split.gallery[:7]
    features = torch.cat([backbone(batch) for batch in made.batches(ids)]).detach()
    np.testing.assert_allclose(features, expected_features(dataset)[ids], rtol=2e-3, atol=2e-3)
    positions = torch.arange(4)
    features = backbone(made.batch(positions)).detach()
    np.testing.assert_allclose(
        features, expected_features(dataset)[made.split.train[:4]], rtol=2e-3, atol=2e-3
    )


def test_a_method_that_trains_on_the_gallery_gets_all_of_it(pictures):
    made = pictures(Pictures(), method="adsh")
    np.testing.assert_array_equal(made.split.train, made.split.gallery)
    assert len(made.train_labels) == len(made.split.gallery) == 36


def test_probe_items_are_the_same_for_every_run_of_a_split(pictures):
    first, second = (pictures(Pictures(), seed=seed).probe_ids(6) for seed in (0, 1))
    np.testing.assert_array_equal(first, second)
    assert len(set(first.tolist())) == 6 and (np.diff(first) > 0).all()
    made = pictures(Pictures())
    assert np.isin(first, made.split.train).all() and len(made.probe_ids(1000)) == 10


def test_augmentation_keeps_shape_and_range_and_follows_the_seed():
    images = torch.rand(16, 3, 9, 9, generator=torch.Generator().manual_seed(0)) * 4 - 2
    results = []
    for seed in (1, 1, 2):
        torch.manual_seed(seed)
        results.append(augmented(images, 9))
    assert results[0].shape == images.shape
    assert torch.equal(results[0], results[1]) and not torch.equal(results[0], results[2])
    low, high = images.amin((1, 2, 3), keepdim=True), images.amax((1, 2, 3), keepdim=True)
    assert (results[0] >= low - 1e-5).all() and (results[0] <= high + 1e-5).all()


def test_augmentation_leaves_a_constant_image_as_it_is_and_changes_others():
    torch.manual_seed(0)
    torch.testing.assert_close(
        augmented(torch.full((5, 1, 8, 8), 0.3), 8), torch.full((5, 1, 8, 8), 0.3)
    )
    ramp = torch.linspace(0, 1, 8).expand(40, 1, 8, 8)
    result = augmented(ramp, 8)
    is_flipped = result[:, 0, 0, 0] > result[:, 0, 0, -1]
    assert 5 < is_flipped.sum() < 35  # about half
    spans = (result[:, 0, 0, -1] - result[:, 0, 0, 0]).abs()
    assert spans.min() > 0.35 and spans.max() <= 1  # crops keep a quarter of the area at least


def test_only_training_batches_are_augmented(pictures):
    made = pictures(Pictures(), image_size=4, augment=True)
    made.make_body()
    position = torch.zeros(1, dtype=torch.int64)
    torch.manual_seed(0)
    assert not torch.equal(made.batch(position), made.batch(position))
    first, second = (next(made.batches(made.split.query)) for _ in range(2))
    assert torch.equal(first, second)


def test_training_images_are_kept_larger_where_crops_are_taken_from_them():
    assert stored_side(make_config(image_size=224, augment=True)) == 256
    assert stored_side(make_config(image_size=224)) == 224


@pytest.mark.parametrize("side", [4, 8, 32])
def test_crops_have_the_size_of_the_backbone_whatever_that_of_the_images(side):
    torch.manual_seed(0)
    blocks = torch.linspace(-1, 1, 4).repeat_interleave(side // 4).expand(6, 3, side, side)
    result = augmented(blocks, 8)
    assert result.shape == (6, 3, 8, 8) and result.min() >= -1 - 1e-5 and result.max() <= 1 + 1e-5


# From a disk


@pytest.fixture
def from_disk(monkeypatch: pytest.MonkeyPatch) -> Any:
    """From the next data set on, images are read from the cache."""
    return lambda: monkeypatch.setattr(image_cache, "DIRECT_BYTES", 0)


@pytest.mark.parametrize("sizes", [True, False])
@pytest.mark.parametrize("augment", [True, False])
def test_batches_from_a_disk_are_those_from_memory(pictures, from_disk, sizes, augment):
    def batches() -> list[torch.Tensor]:
        made = pictures(Pictures(sizes=sizes, bad=(1, 4)), image_size=6, augment=augment)
        made.make_body()
        torch.manual_seed(0)
        planned = torch.randperm(len(made.train_labels)).split(3)
        made.plan(planned)
        found = [made.batch(positions) for positions in planned]
        found.append(made.batch(torch.tensor([5, 2])))  # not planned
        made.plan(planned)
        found.append(made.batch(torch.tensor([1, 1])))  # between planned ones
        return [*found, made.batch(planned[0]), *made.batches(made.split.query)]

    expected = batches()
    from_disk()
    for a, b in zip(expected, batches(), strict=True):
        assert torch.equal(a, b)


def train(
    config: RunConfig, root: Path, stop_at: int | None = None, checkpoint: Any = None
) -> tuple[TrainingState, Any]:
    """(the run, its last checkpoint), stopped after stop_at steps."""
    saved: list[Any] = []
    run = loop.start(
        config,
        load_inputs(config, data_root=root, cache_root=root / "cache", log=lambda text: None),
    )
    with contextlib.suppress(Stopped):
        loop.fit(
            run,
            log=lambda record: None,
            save_checkpoint=lambda state: saved.append(copy.deepcopy(state)),
            save_codes=lambda name, arrays: None,
            should_stop=lambda: run.step == stop_at,
            checkpoint=checkpoint,
        )
    return run, saved[-1]


@pytest.mark.parametrize("augment", [True, False])
def test_runs_from_a_disk_equal_runs_from_memory_through_stops_too(tmp_path, from_disk, augment):
    config = make_config(
        augment=augment,
        image_size=12,
        epochs=2,
        batch_size=16,
        lr=0.3,
        n_bits=8,
        device="cpu",
        seed=5,
        dataset_options={"query_per_class": 2, "train_per_class": 6},
    )
    memory, _ = train(config, tmp_path)
    from_disk()
    disk, _ = train(config, tmp_path)
    half, checkpoint = train(config, tmp_path, stop_at=3)
    assert half.step == 3
    resumed, _ = train(config, tmp_path, checkpoint=checkpoint)
    assert (tmp_path / "cache").exists()
    for name, weight in memory.network.state_dict().items():
        assert torch.equal(weight, disk.network.state_dict()[name])
        assert torch.equal(weight, resumed.network.state_dict()[name])


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
@pytest.mark.parametrize("is_on_disk", [False, True])
def test_a_step_on_a_gpu_waits_for_nothing(tmp_path, from_disk, monkeypatch, is_on_disk):
    config = make_config(
        augment=True,
        backbone="torchvision:mobilenet_v3_small",
        weights="none",
        precision="bfloat16",
        image_size=32,
        epochs=1,
        batch_size=16,
        device="cuda",
        probe_every=10,
        amplifier=True,
        quantization="error_aware",
        dataset_options={"query_per_class": 2, "train_per_class": 8},
    )
    if is_on_disk:
        from_disk()
        monkeypatch.setattr(image_cache, "room_on", lambda device: 0)
    run = loop.start(config, load_inputs(config, data_root=tmp_path, cache_root=tmp_path / "cache"))
    steps = loop.train_epoch(run)
    next(steps)  # the epoch's order comes from the device once, kernels are chosen
    try:
        torch.cuda.set_sync_debug_mode("error")
        for _ in range(3):
            next(steps)
    finally:
        torch.cuda.set_sync_debug_mode("default")
    assert run.step == 4


# Data that are features already


def test_features_of_the_data_set_itself_are_trained_on_without_any_backbone(pictures, monkeypatch):
    monkeypatch.setattr(inputs, "build", None)
    dataset = Pictures()
    dataset.features = np.random.default_rng(0).normal(size=(40, 7)).astype(np.float32)
    made = pictures(dataset, backbone="none", finetune=False)
    assert made.n_features == 7 and dataset.read == []
    np.testing.assert_array_equal(
        made.batch(torch.tensor([3])), dataset.features[made.split.train[[3]]]
    )
    np.testing.assert_array_equal(
        torch.cat(list(made.batches(made.split.query))), dataset.features[made.split.query]
    )
    torch.testing.assert_close(
        made.make_body().mean, torch.from_numpy(dataset.features[made.split.train].mean(0))
    )


def test_images_need_a_backbone_and_features_need_none(pictures):
    with pytest.raises(
        UserError, match="pictures holds images, not features: set backbone to one that sees them"
    ):
        pictures(Pictures(), backbone="none", finetune=False)
    dataset = Pictures()
    dataset.features = np.zeros((40, 7), np.float32)
    with pytest.raises(
        UserError,
        match=r"holds features, .+ no backbone mlp to run: set backbone=none and finetune=false",
    ):
        pictures(dataset)
