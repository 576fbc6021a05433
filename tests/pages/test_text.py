"""Text of people and files on a page is no Markdown; only what is to be typed is code."""

import pytest

from pages.common.text import as_sentence


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        (
            "run `python -m rdh data prepare coco` first",
            "run `python -m rdh data prepare coco` first",
        ),
        ("`a_b` and *c*", "`a_b` and \\*c\\*"),
        ("one ` alone", "one \\` alone"),
        ("``", "\\`\\`"),
    ],
)
def test_a_sentence_keeps_its_code_and_nothing_else(text, shown):
    assert as_sentence(text) == shown
