"""Images of a data set on a page, and the data sets, opened once for all pages and visitors."""

import base64
import io
from collections.abc import Sequence

import numpy as np
import streamlit as st
from PIL import Image

from pages.common.text import as_text
from rdh import datasets, folders
from rdh.config.run_config import RunConfig
from rdh.errors import UserError

THUMBNAIL = 72  # pixels
NOT_KNOWN = "the run was watched, and its loop alone knows where its images are."
Place = tuple[str, str, tuple[tuple[str, object], ...]]  # the arguments of `dataset`


@st.cache_resource(max_entries=4, ttl=600, show_spinner="Opening the data set")
def dataset(name: str, root: str, options: tuple[tuple[str, object], ...]) -> datasets.Dataset:
    """`datasets.load`, kept for ten minutes.

    Args:
        name: of the data set.
        root: the data folder.
        options: switches as (name, value) pairs.
    """
    return datasets.load(name, root, **dict(options))


class Album:
    """The pictures of a run's data set as `data:` addresses, for rows that a browser draws.

    Args:
        config: of the run.
        data_root: the data folder that the run was submitted with; None for the usual one.
        fingerprint: of the data that the run saw; None if it did not keep it.

    Attributes:
        missing: why there are no pictures, in one sentence; "" if there are.
    """

    def __init__(self, config: RunConfig, data_root: str | None, fingerprint: str | None) -> None:
        self.missing = NOT_KNOWN if config.is_watched else ""
        if self.missing:
            return
        try:
            root = folders.data_root(data_root)
            self._place: Place = config.dataset, str(root), tuple(config.dataset_options.items())
            if not datasets.loads_without_torch(config.dataset, root, **config.dataset_options):
                self.missing = "this copy of the data set needs torchvision to be read."
            elif fingerprint not in (None, dataset(*self._place).fingerprint):
                self.missing = "the data set has changed since the run saw it."
        except UserError as error:
            self.missing = str(error)

    def picture(self, item_id: int) -> str | None:
        """An item as a `data:` address of at most 144 pixels; None if there are no pictures."""
        return None if self.missing else _address(self._place, item_id)


@st.cache_data(max_entries=4000, ttl=600, show_spinner=False)
def _address(place: Place, item_id: int) -> str:
    try:
        image = dataset(*place).image(item_id)
    except datasets.BadImage:
        image = np.full((8, 8, 1), 128, dtype=np.uint8)
    return data_address(image)


def data_address(image: np.ndarray) -> str:
    """A picture, uint8 (height, width, 1 or 3), as a `data:` address of at most 144 pixels.

    Pixels of a small image are repeated, so that the browser does not blur them.
    """
    factor = max(1, 2 * THUMBNAIL // max(image.shape[:2]))
    image = image.repeat(factor, 0).repeat(factor, 1)
    picture = Image.fromarray(image.squeeze(-1) if image.shape[-1] == 1 else image)
    kind = "PNG" if max(picture.size) <= 2 * THUMBNAIL else "JPEG"  # a small one stays as it is
    picture.thumbnail((2 * THUMBNAIL, 2 * THUMBNAIL))
    file = io.BytesIO()
    picture.save(file, kind)
    return f"data:image/{kind.lower()};base64,{base64.b64encode(file.getvalue()).decode()}"


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
    if config.is_watched:
        st.caption(f"No images here: {NOT_KNOWN} Items: {', '.join(map(str, item_ids))}")
        return
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
    """Items in rows, each `width` pixels wide with its caption. A screen reader says its number.

    A sentence above them names those that can't be read; others of the data set may be like them.
    """
    pictures, bad = [], []
    for item in map(int, item_ids):
        try:
            pictures.append(_picture(data, item, 2 * width))
        except datasets.BadImage:
            pictures.append(_grey(2 * width))
            bad.append(item)
    if bad:
        st.warning(
            as_text(
                f"{len(bad)} of the {len(pictures)} images that were looked at can't be read: "
                f"{data.names_of(bad)}. Replace them; a run stops at such an image unless its "
                "bad_images is skip."
            ),
            icon=":material/broken_image:",
        )
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
def _png(place: Place, item_id: int) -> bytes:
    file = io.BytesIO()
    Image.fromarray(thumbnail(dataset(*place), item_id, 2 * THUMBNAIL)).save(file, "PNG")
    return file.getvalue()


def thumbnail(data: datasets.Dataset, item_id: int, side: int) -> np.ndarray:
    """An item as a picture of at most `side` pixels; a grey square if it can't be decoded.

    Pixels of a small image are repeated, so that the browser does not blur an 8 x 8 digit.
    """
    try:
        return _picture(data, item_id, side)
    except datasets.BadImage:
        return _grey(side)


def _grey(side: int) -> np.ndarray:
    return np.full((side, side), 128, dtype=np.uint8)


def _picture(data: datasets.Dataset, item_id: int, side: int) -> np.ndarray:
    """An item as `thumbnail`. Raises BadImage."""
    image = data.image(item_id)
    factor = max(1, side // max(image.shape[:2]))
    image = image.repeat(factor, 0).repeat(factor, 1)
    picture = Image.fromarray(image.squeeze(-1) if image.shape[-1] == 1 else image)
    picture.thumbnail((side, side))
    return np.asarray(picture)
