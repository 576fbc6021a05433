"""The one error that is meant for a person: a page shows it as a card, the command line prints it
and exits with 2.
"""

import unicodedata


class UserError(ValueError):
    """One clear sentence: the field, the rule, the value that came, and the way out."""


class Stopped(Exception):
    """A run ends early because somebody asked for it."""


def printable(text: str) -> str:
    """Files and labels may be called anything: control characters, line ends and half letters
    escaped, lest they reach the terminal.
    """
    return "".join(
        char.encode("unicode_escape").decode()
        if unicodedata.category(char) in ("Cc", "Cf", "Cs", "Zl", "Zp")
        else char
        for char in text
    )


def encodable(text: str) -> str:
    """Text without half letters, which UTF-8 and SQLite refuse; they come as `\\udcff`.

    File names that are not UTF-8 hold them. Line ends and control characters stay.
    """
    return text.encode("utf-8", "backslashreplace").decode("utf-8")
