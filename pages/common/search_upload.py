"""An image of the reader's own as a query: it is encoded by the run's network in a process apart.

The image stays in the reader's session; nothing is written to the runs folder.
"""

import tempfile
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import streamlit as st
from streamlit.delta_generator import DeltaGenerator

from pages.common.guard import check_may_change
from pages.common.images import data_address
from pages.common.text import as_text
from rdh import datasets
from rdh.codes.files import read_codes
from rdh.errors import UserError
from rdh.execution.command import run_command
from rdh.store.run_store import RunStore

UPLOAD = "upload"  # ?q= of an image of one's own
KINDS = ["jpg", "jpeg", "png", "webp", "bmp", "tif", "tiff"]
MOST_MB = 5
SECONDS = 300.0  # for torch to load, and one image


@dataclass
class Upload:
    """An uploaded image.

    Attributes:
        name: of the file.
        content: its bytes.
        picture: as a `data:` address.
        codes: packed code by run, or the sentence that says why there is none.
    """

    name: str
    content: bytes
    picture: str
    codes: dict[str, np.ndarray | str] = field(default_factory=dict)


def current() -> Upload | None:
    """The image of this session."""
    return st.session_state.get(UPLOAD)


def draw_upload() -> None:
    """A place for a file. One that is an image becomes the query."""
    with st.popover("Search with your own image", icon=":material/upload:"):
        file = st.file_uploader("An image", type=KINDS, max_upload_size=MOST_MB, key="upload-file")
        st.caption(
            f"JPEG, PNG, WebP, BMP or TIFF, at most {MOST_MB} MB. It stays in this browser tab: a "
            "link does not carry it."
        )
        if file is None:
            return
        before, content = current(), file.getvalue()
        if before is not None and before.content == content:
            if st.query_params.get("q") != UPLOAD:
                st.button("Search with it again", on_click=_choose)
            return
        try:
            st.session_state[UPLOAD] = _checked(file.name, content)
        except UserError as error:
            st.error(as_text(str(error)), icon=":material/error:")
            return
        _choose()
        st.rerun(scope="fragment")


def _choose() -> None:
    st.query_params["q"] = UPLOAD
    st.query_params.pop("to", None)


def _checked(name: str, content: bytes) -> Upload:
    """The upload, if it can be decoded; UserError with one sentence if not."""
    if len(content) > MOST_MB * 2**20:
        raise UserError(
            f"The image must have at most {MOST_MB} MB, {name} has {len(content) / 2**20:.1f}; "
            "choose a smaller one."
        )
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / f"image{Path(name).suffix.lower()[:6] or '.png'}"
        path.write_bytes(content)
        try:
            image = datasets.loose_images(path).image(0)
        except UserError as error:
            said = str(error).replace(str(path), name)
            raise UserError(f"{said} Choose another image.") from None
    return Upload(name, content, data_address(image))


def place_for_results(
    runs: RunStore, upload: Upload | None, labels: Mapping[str, str]
) -> DeltaGenerator:
    """The container of all that follows from a query; an upload is encoded first.

    Meanwhile nothing of the query before is to be seen there.

    Args:
        runs: the run store.
        upload: the query; None for an item, whose codes are kept.
        labels: of the runs that need its code, by run.
    """
    missing = [] if upload is None else [one for one in labels if one not in upload.codes]
    if upload is None or not missing:
        return st.container()
    place = st.empty()  # at the same place as the container, so that charts stay what they are
    for run_id in missing:
        with (
            place,
            st.spinner(f"{as_text(labels[run_id])} encodes your image, which takes seconds"),
        ):
            try:
                upload.codes[run_id] = _encoded(runs, upload, run_id)
            except UserError as error:
                upload.codes[run_id] = str(error)
    return place.container()


def code_of(upload: Upload, run_id: str) -> np.ndarray | None:
    """The image's code by a run's network. None, and a card with the reason, if there is none."""
    code = upload.codes[run_id]
    if isinstance(code, str):
        st.error(as_text(code), icon=":material/error:")
        if st.button("Try again", key=f"encode-again-{run_id}"):
            del upload.codes[run_id]
            st.rerun(scope="fragment")
        return None
    return code


def _encoded(runs: RunStore, upload: Upload, run_id: str) -> np.ndarray:
    check_may_change()  # it starts a process
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / f"image{Path(upload.name).suffix.lower()[:6] or '.png'}"
        path.write_bytes(upload.content)
        output = Path(folder) / "codes.npz"
        arguments = ["encode", run_id, str(path), "-o", str(output), "--runs", str(runs.root)]
        run_command(runs.root, [*arguments, "--device", "cpu"], time_limit=SECONDS)
        return read_codes(output).codes[0]
