"""The keys of a presenter's remote, for buttons of a page, also while a slider has the focus.

Streamlit's shortcut of a button does not hear a key that a slider takes for itself.
"""

from collections.abc import Callable, Mapping
from functools import cache

import streamlit as st

SCRIPT = """export default ({ data }) => {
  const press = (event) => {
    const key = data[event.key];
    if (!key || !event.target.closest?.("[role=slider], [type=range]")) return;
    event.preventDefault();
    event.stopImmediatePropagation();
    document.querySelector(`.st-key-${CSS.escape(key)} button:not([disabled])`)?.click();
  };
  window.addEventListener("keydown", press, true);
  return () => window.removeEventListener("keydown", press, true);
}"""


def listen_on_sliders(buttons: Mapping[str, str]) -> None:
    """Presses a button when its key is pressed on a slider.

    Args:
        buttons: name of the key, as the browser says it, -> key of the button.
    """
    _listener()(key="remote", data=dict(buttons))


@cache
def _listener() -> Callable:
    return st.components.v2.component("remote", js=SCRIPT)
