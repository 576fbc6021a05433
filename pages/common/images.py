"""Images of a data set on a page, and the data sets, opened once for all pages and visitors."""

import numpy as np
import streamlit as st
from PIL import Image

from rdh import datasets

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


def draw_thumbnails(
    data: datasets.Dataset,
    item_ids: np.ndarray | list[int],
    captions: list[str],
    width: int = THUMBNAIL,
) -> None:
    """Items in rows, each `width` pixels wide with its caption."""
    with st.container(horizontal=True, gap="small"):
        for item, caption in zip(item_ids, captions, strict=True):
            st.image(thumbnail(data, int(item), 2 * width), caption=caption, width=width)


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
