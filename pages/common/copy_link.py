"""A button that copies the address of what is on the page: run, other run, bit, step, tau and all.

The browser does it, because only it knows the whole address.
"""

from collections.abc import Callable
from functools import cache
from pathlib import Path

import streamlit as st

SCRIPT = Path(__file__).with_suffix(".js")


def draw_copy_link() -> None:
    """The button. It says what was copied; without a clipboard it shows the address to copy."""
    _component()(key="copy-link", width="content")


@cache
def _component() -> Callable:
    return st.components.v2.component(
        "copy_link", js=SCRIPT.read_text(encoding="utf-8"), isolate_styles=False
    )
