"""What every data set keeps to, new ones included: one parametrized test a promise, on a small
archive of each.
"""

import numpy as np
import pytest

from rdh import catalog, datasets
from rdh.config.run_config import make_config
from rdh.errors import UserError
from rdh.inputs.load import load_inputs
from tests.toy_archives import MAKERS, OPTIONS

NAMES = datasets.names()


@pytest.fixture(scope="module")
def archives(tmp_path_factory):
    """name -> data folder with a small archive of it."""
    made = {}
    for name in NAMES:
        made[name] = tmp_path_factory.mktemp(name)
        MAKERS[name](made[name])
    return made


@pytest.fixture(params=NAMES)
def data(request, archives):
    return datasets.load(request.param, archives[request.param], **OPTIONS.get(request.param, {}))


def test_every_data_set_has_a_small_archive_here():
    assert set(MAKERS) == set(NAMES) == set(catalog.datasets())


def test_no_query_is_searched_or_trained_on(data):
    split = data.split(0)
    assert not np.intersect1d(split.query, np.union1d(split.gallery, split.train)).size
    for part in vars(split).values():
        assert part.dtype == np.int64 and len(part) and (np.diff(part) > 0).all()
        assert part.min() >= 0 and part.max() < len(data)


def test_training_items_lie_in_the_gallery(data):
    split = data.split(1)
    assert np.isin(split.train, split.gallery).all()


def test_a_split_is_a_matter_of_its_seed(data, archives):
    again = datasets.load(data.name, archives[data.name], **OPTIONS.get(data.name, {}))
    assert again.fingerprint == data.fingerprint
    for seed in (0, 7):
        for part, ids in vars(data.split(seed)).items():
            np.testing.assert_array_equal(ids, getattr(again.split(seed), part))
    is_given = data.name == "image_list"  # the files say it
    assert np.array_equal(data.split(0).train, data.split(7).train) == is_given


@pytest.mark.parametrize("seed", [-1, 1.5, None, True])
def test_a_seed_that_is_none_is_refused(data, seed):
    with pytest.raises(UserError, match="split_seed must be a whole number >= 0"):
        data.split(seed)


def test_labels_are_multi_hot_and_every_item_has_one(data):
    assert data.labels.dtype == np.uint8 and data.labels.shape == (len(data), len(data.class_names))
    assert data.labels.max() == 1 and data.labels.any(axis=1).all()
    assert len(set(data.class_names)) == len(data.class_names)


def test_images_are_bytes_with_one_or_three_channels(data):
    images, kept = data.images([len(data) - 1, 0])
    assert kept.tolist() == [len(data) - 1, 0]
    for image, item_id in zip(images, kept, strict=True):
        assert (
            image.dtype == np.uint8 and image.ndim == 3 and image.shape[2] in (1, 3) and image.size
        )
        assert data.image_shape in (None, image.shape)
        np.testing.assert_array_equal(image, data.image(item_id))
        assert isinstance(data.image_name(item_id), str)


def test_the_card_says_what_the_data_are(data):
    card = catalog.datasets()[data.name]
    assert card.facts["is_multi_label"] == data.is_multi_label
    assert card.facts.get("top_k") == data.top_k
    assert not any("eta" in warning for warning in data.warnings)


@pytest.mark.parametrize("name", [name for name in NAMES if name not in ("digits", "mosaic")])
def test_an_empty_data_folder_says_what_to_do(name, tmp_path):
    with pytest.raises(UserError, match=r"(place|write|run `python).*\."):
        datasets.load(name, tmp_path)


@pytest.mark.parametrize("name", NAMES)
def test_what_reaches_the_network_are_the_items_of_the_split(name, archives):
    data = datasets.load(name, archives[name], **OPTIONS.get(name, {}))
    config = make_config(
        dataset=name,
        dataset_options=OPTIONS.get(name, {}),
        backbone="mlp",
        image_size=8,
        device="cpu",
    )
    inputs = load_inputs(config, data_root=archives[name], log=lambda text: None)
    split = data.split(0)
    np.testing.assert_array_equal(inputs.train_labels.numpy(), data.labels[split.train])
    inputs.make_body()
    rows = sum(len(batch) for batch in inputs.batches(split.query))
    assert rows == len(split.query) and inputs.top_k == data.top_k
