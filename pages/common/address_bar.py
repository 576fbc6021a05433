"""What only the browser can do with a page's address: copy it, keep its history, go to a place.

The browser alone knows the whole address: run, other run, bit, step, tau and all.

A page that is opened without ?run= or ?vs= writes the runs that it shows into its address, and
Compare puts the run without RDH first. For each such change Streamlit makes a new entry in the
history, so that Back led to the same page once more, as if it were stuck. Python can't say that a
change is no step of the reader's; a script can.

A link to the page that is open is answered, but Streamlit leaves the address as it was. And no link
can name a place of a page. The script does both for links in a container "show-PLACE-NUMBER".
"""

from collections.abc import Callable
from functools import cache
from pathlib import Path

import streamlit as st

SCRIPT = Path(__file__).with_suffix(".js")


def draw_copy_link() -> None:
    """A button that copies the address. Without a clipboard it shows the address to copy."""
    _component()(key="copy-link", width="content")


@cache
def _component() -> Callable:
    return st.components.v2.component(
        "address_bar", js=SCRIPT.read_text(encoding="utf-8"), isolate_styles=False
    )
