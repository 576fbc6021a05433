"""What goes into the network: devices, splits without bad images, augmentation."""

from typing import Any

import numpy as np
import pytest
import torch

from rdh import inputs
from rdh.config import make_config
from rdh.errors import UserError
from rdh.inputs import augmented, choose_device, load_inputs
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
        return load_inputs(config, data_root=tmp_path, cache_root=tmp_path / "cache", log=lambda text: None)

    return make


@pytest.mark.parametrize("name", ["cuda", "cuda:0", "cuda:99", "cuda:128", "cuda:255", "cuda:99999"])
def test_a_gpu_that_is_not_there_is_one_sentence(name, monkeypatch):
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 0)
    with pytest.raises(UserError, match=rf"device {name} is not there \(GPUs that can be seen: 0\); use auto or cpu"):
        choose_device(name)


def test_devices_that_are_there_are_taken(monkeypatch):
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    assert [str(choose_device(name)) for name in ("auto", "cpu", "cuda", "cuda:1")] == ["cuda", "cpu", "cuda", "cuda:1"]
    with pytest.raises(UserError, match="cuda:2 is not there"):
        choose_device("cuda:2")


def test_features_of_the_batch_are_those_of_its_items(pictures):
    dataset = Pictures(bad=(3,))
    made = pictures(dataset, **FROZEN)
    expected = expected_features(dataset, 32)
    positions = torch.tensor([4, 0, 2])
    np.testing.assert_allclose(made.batch(positions), expected[made.split.train[positions]], rtol=2e-3, atol=2e-3)
    np.testing.assert_allclose(
        torch.cat(list(made.batches(made.split.gallery))), expected[made.split.gallery], rtol=2e-3, atol=2e-3
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
    np.testing.assert_allclose(features, expected_features(dataset)[made.split.train[:4]], rtol=2e-3, atol=2e-3)


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
        results.append(augmented(images))
    assert results[0].shape == images.shape
    assert torch.equal(results[0], results[1]) and not torch.equal(results[0], results[2])
    low, high = images.amin((1, 2, 3), keepdim=True), images.amax((1, 2, 3), keepdim=True)
    assert (results[0] >= low - 1e-5).all() and (results[0] <= high + 1e-5).all()


def test_augmentation_leaves_a_constant_image_as_it_is_and_changes_others():
    torch.manual_seed(0)
    torch.testing.assert_close(augmented(torch.full((5, 1, 8, 8), 0.3)), torch.full((5, 1, 8, 8), 0.3))
    ramp = torch.linspace(0, 1, 8).expand(40, 1, 8, 8)
    result = augmented(ramp)
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
