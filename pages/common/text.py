"""Shows text that comes from a person or a file on a page."""

import re


def as_text(text: str) -> str:
    """The text so that Streamlit shows it as it is: no Markdown, colour, icon or formula in it."""
    return re.sub(r"([\\`*_~\[\]<>$:#|])", r"\\\1", text)
