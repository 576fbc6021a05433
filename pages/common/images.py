"""Images of a data set on a page, and the data sets, opened once for all pages and visitors."""

import io
from collections.abc import Sequence

import numpy as np
import streamlit as st
from PIL import Image

from rdh import datasets, folders
from rdh.config.run_config import RunConfig

THUMBNAIL = 72  # pixels


@st.cache_resource(max_entries=4, ttl=600, show_spinner="Opening the data set")
def dataset(name: str, root: str, options: tuple[tuple[str, object], ...]) -> datasets.Dataset:
    """`datasets.load`, kept for ten minutes.

    Args:
        name: of the data set.
        root: the data folder.
        options: switches as (name, value) pairs.
    """
    return datasets.load(name, root, **dict(options))


def draw_items(
    config: RunConfig, data_root: str | None, item_ids: np.ndarray, captions: list[str]
) -> None:
    """Items of a run's data set as `draw_thumbnails`, or one sentence with their numbers.

    Args:
        config: of the run.
        data_root: the data folder that the run was submitted with; None for the usual one.
        item_ids: (n,).
        captions: n sentences, as Markdown.
    """
    root = folders.data_root(data_root)
    if not datasets.loads_without_torch(config.dataset, root, **config.dataset_options):
        st.caption(
            "Images can't be shown here: this copy of the data set needs torchvision "
            "to be read. Items: " + ", ".join(map(str, item_ids))
        )
        return
    place = config.dataset, str(root), tuple(config.dataset_options.items())
    dataset(*place)  # opened here: a cached function shows no spinner
    _draw_row([_png(place, int(item)) for item in item_ids], item_ids, captions, THUMBNAIL)


def draw_thumbnails(
    data: datasets.Dataset,
    item_ids: np.ndarray | list[int],
    captions: list[str],
    width: int = THUMBNAIL,
) -> None:
    """Items in rows, each `width` pixels wide with its caption. A screen reader says its number."""
    pictures = [thumbnail(data, int(item), 2 * width) for item in item_ids]
    _draw_row(pictures, item_ids, captions, width)


def _draw_row(
    pictures: Sequence[bytes | np.ndarray],
    item_ids: np.ndarray | list[int],
    captions: list[str],
    width: int,
) -> None:
    with st.container(horizontal=True, gap="small"):
        for picture, item, caption in zip(pictures, item_ids, captions, strict=True):
            alt = f"item {item}"
            st.image(picture, caption=caption, width=width, alt=alt, output_format="PNG")


# A page that ticks shows the same items every two seconds.
@st.cache_data(max_entries=2000, ttl=600, show_spinner=False)
def _png(place: tuple[str, str, tuple[tuple[str, object], ...]], item_id: int) -> bytes:
    file = io.BytesIO()
    Image.fromarray(thumbnail(dataset(*place), item_id, 2 * THUMBNAIL)).save(file, "PNG")
    return file.getvalue()


def thumbnail(data: datasets.Dataset, item_id: int, side: int) -> np.ndarray:
    """An item as a picture of at most `side` pixels; a grey square if it can't be decoded.

    Pixels of a small image are repeated, so that the browser does not blur an 8 x 8 digit.
    """
    try:
        image = data.image(item_id)
    except datasets.BadImage:
        return np.full((side, side), 128, dtype=np.uint8)
    factor = max(1, side // max(image.shape[:2]))
    image = image.repeat(factor, 0).repeat(factor, 1)
    picture = Image.fromarray(image.squeeze(-1) if image.shape[-1] == 1 else image)
    picture.thumbnail((side, side))
    return np.asarray(picture)
