"""Shows text that comes from a person or a file on a page."""

import re

from rdh.errors import encodable


def as_text(text: str) -> str:
    """The text so that Streamlit shows it as it is: no Markdown, colour, icon or formula in it.

    Half letters, of a file name that is not UTF-8, are escaped: they can't go to a browser.
    """
    return re.sub(r"([\\`*_~\[\]<>$:#|])", r"\\\1", encodable(text))


def as_sentence(text: str) -> str:
    """`as_text` of a sentence for people, in which `what to type` stands as code."""
    parts = re.split(r"`([^`\n]+)`", text)
    return "".join(
        f"`{encodable(part)}`" if place % 2 else as_text(part) for place, part in enumerate(parts)
    )
