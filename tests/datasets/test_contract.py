"""Promises of every data set, new ones included: one parametrized test each, on small archives."""

import numpy as np
import pytest

from rdh import catalog, datasets
from rdh.config.run_config import make_config
from rdh.datasets._tools.splits import Listed
from rdh.errors import UserError
from rdh.inputs.load import load_inputs

NAMES = datasets.names()


@pytest.fixture(scope="module", params=NAMES)
def name(request):
    return request.param


@pytest.fixture(scope="module")
def archive(name, tmp_path_factory):
    """(data folder with the set's own tiny archive, the switches that go with it)."""
    root = tmp_path_factory.mktemp(name)
    return root, datasets.example(name, root)


@pytest.fixture
def data(name, archive):
    root, options = archive
    return datasets.load(name, root, **options)


def test_no_query_is_searched_or_trained_on(data):
    split = data.split(0)
    assert not np.intersect1d(split.query, np.union1d(split.gallery, split.train)).size
    for part in vars(split).values():
        assert part.dtype == np.int64 and len(part) and (np.diff(part) > 0).all()
        assert part.min() >= 0 and part.max() < len(data)


def test_training_items_lie_in_the_gallery(data):
    split = data.split(1)
    assert np.isin(split.train, split.gallery).all()


def test_a_split_is_a_matter_of_its_seed(data, name, archive):
    root, options = archive
    again = datasets.load(name, root, **options)
    assert again.fingerprint == data.fingerprint
    for seed in (0, 7):
        for part, ids in vars(data.split(seed)).items():
            np.testing.assert_array_equal(ids, getattr(again.split(seed), part))
    is_given = isinstance(data.protocol, Listed)  # the files say it
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
    card = catalog.dataset(data.name)
    assert card.is_multi_label == data.is_multi_label
    assert card.top_k == data.top_k
    assert not any("eta" in warning for warning in data.warnings)


def test_an_empty_data_folder_says_what_to_do_if_the_set_needs_an_archive(name, archive, tmp_path):
    root, _ = archive
    if not any(root.iterdir()):  # it needs none
        assert len(datasets.load(name, tmp_path))
    else:
        with pytest.raises(UserError, match=r"(place|write|run `python).*\."):
            datasets.load(name, tmp_path)


def test_what_reaches_the_network_are_the_items_of_the_split(data, name, archive):
    root, options = archive
    config = make_config(
        dataset=name,
        dataset_options=options,
        backbone="mlp",
        image_size=8,
        device="cpu",
    )
    inputs = load_inputs(config, data_root=root, log=lambda text: None)
    split = data.split(0)
    np.testing.assert_array_equal(inputs.train_labels.numpy(), data.labels[split.train])
    inputs.make_body()
    rows = sum(len(batch) for batch in inputs.batches(split.query))
    assert rows == len(split.query) and inputs.top_k == data.top_k
