"""A row of pictures that can be pressed: one element, however many pictures.

Each picture is a button, so that it is reached by the keyboard and has an accessible name. Texts go
to the browser as text, never as HTML.
"""

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from functools import cache
from pathlib import Path

import streamlit as st

from rdh.errors import encodable

SCRIPT = Path(__file__).with_suffix(".js")


@dataclass(frozen=True)
class Picture:
    """One picture of a row.

    Attributes:
        id: of the item; unique in the row.
        src: the picture as a data: address; None shows the item's number instead.
        alt: what a screen reader says, and what the pointer shows.
        lines: below the picture; the first one is bold.
        mark: "right" or "wrong" sets the frame; "" draws none.
        chosen: whether it is the one that the page is about.
    """

    id: int
    src: str | None
    alt: str
    lines: tuple[str, ...]
    mark: str = ""
    chosen: bool = False


def picture_strip(
    pictures: Sequence[Picture], *, key: str, label: str, on_pick: Callable[[int], None]
) -> None:
    """Draws the row, or updates it in place.

    Args:
        pictures: from left to right.
        key: unique on the page and constant over time.
        label: of the whole row, for screen readers.
        on_pick: called with the id of a picture that is pressed, before the page runs again.
    """
    cells = [asdict(one) | {"lines": [encodable(text) for text in one.lines]} for one in pictures]
    for one in cells:
        one["alt"] = encodable(one["alt"])

    def deliver() -> None:
        picked = st.session_state[key].get("picked")
        if picked is not None:
            on_pick(int(picked["id"]))

    _component()(key=key, data={"cells": cells, "label": label}, on_picked_change=deliver)


@cache
def _component() -> Callable:
    return st.components.v2.component(
        "picture_strip",
        js=SCRIPT.read_text(encoding="utf-8"),
        css=SCRIPT.with_suffix(".css").read_text(encoding="utf-8"),
    )
