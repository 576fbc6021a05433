"""What stands in a form's fields while the reader types, before the form is submitted.

The fields of a form reach Python when it is submitted, and that is how no click on its button is
ever lost: leaving a field runs nothing. But a plan of the runs should follow what is typed. So a
small script (typed.js) reads the fields in the browser and hands their content to a fragment, which
draws the plan and touches nothing else of the page.
"""

from collections.abc import Callable, Sequence
from functools import cache
from pathlib import Path

import streamlit as st

SCRIPT = Path(__file__).with_suffix(".js")
Content = str | bool | int | None  # a line's text, a toggle, the place of a choice, not there


def typed_in(form: str, keys: Sequence[str]) -> dict[str, Content]:
    """The content of fields as the reader sees it. Call it inside a fragment.

    Args:
        form: key of the container that holds the form.
        keys: of the widgets: lines of text, toggles, radios and lists.

    Returns:
        Key -> content, of the fields that the browser has; empty before the first change.
    """
    told = _listener()(
        key=f"{form}-typed",
        data={"form": form, "keys": list(keys)},
        default={"typed": {}},
        on_typed_change=lambda: None,
    )
    return dict(told.typed or {})


@cache
def _listener() -> Callable:
    return st.components.v2.component("typed", js=SCRIPT.read_text(encoding="utf-8"))
