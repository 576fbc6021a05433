"""The one error that is meant for a person, and how errors of the file system become it.

A page shows a `UserError` as a card. The command line prints it and exits with 2.
"""

import re
import traceback
import unicodedata
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

LONGEST_PATH = 160  # characters of a path in a sentence: longer ones lose their middle


# What long work calls with (done, total): images, queries or bytes. A total of 0 is unknown. It may
# raise to stop the work.
Progress = Callable[[int, int], None]


LONG_VALUES = re.compile(r"""(?<!\w)'[^']{200,}'(?!\w)|(?<!\w)"[^"]{200,}"(?!\w)|\S{400,}""")


class UserError(ValueError):
    """One clear sentence: the field, the rule, the value that came, and the way out.

    A value that came with hundreds of characters loses its middle.
    """

    def __init__(self, sentence: str) -> None:
        super().__init__(shortened(sentence))


class Stopped(Exception):
    """Raised if a run ends early because somebody asked for it."""


class PeerLost(Exception):
    """Raised in a process of a run on several devices if another one of them has ended."""


@contextmanager
def reading(
    path: Path | str, way_out: str = "check its permissions, or name another"
) -> Iterator[None]:
    """Turns an OSError inside the block into one sentence, "PATH can't be read (reason): WAY OUT.".

    Use it around everything that touches a path of a user's: looking (`exists`, `is_dir`), listing
    and reading. Looking may raise too, if a folder above forbids it or the name is too long.

    Args:
        path: Named in the sentence, unless the error itself names a file.
        way_out: What to do about it, without a full stop.

    Raises:
        UserError: For an OSError in the block. Other errors pass.
    """
    try:
        yield
    except OSError as error:
        place = error.filename if isinstance(error.filename, str | Path) else path
        raise UserError(
            f"{short_path(place)} can't be read ({os_reason(error)}): {way_out}."
        ) from error


@contextmanager
def writing(path: Path | str, way_out: str = "name another file by -o") -> Iterator[None]:
    """Turns an OSError inside the block into one sentence, "PATH can't be written (...): ...".

    Args:
        path: Named in the sentence; an error often names a draft that nobody knows of.
        way_out: What to do about it, without a full stop.

    Raises:
        UserError: For an OSError in the block. Other errors pass.
    """
    try:
        yield
    except OSError as error:
        raise UserError(
            f"{short_path(path)} can't be written ({os_reason(error)}): {way_out}."
        ) from error


def os_reason(error: OSError) -> str:
    """The operating system's own words in lower case, for example "permission denied"."""
    words = error.strerror or str(error) or "unknown reason"
    return (words[0].lower() + words[1:]).rstrip(".")


def kind_and_words(error: BaseException) -> str:
    """ "KeyError: 'x'": an error in one line, cut after 300 characters."""
    text = " ".join(str(error).split())[:300]
    return type(error).__name__ + (f": {text}" if text else "")


def places_in(error: BaseException, is_ours: Callable[[Path], bool]) -> list[tuple[Path, int]]:
    """The files, of those asked for, and lines that an error went through, the innermost last."""
    frames = traceback.extract_tb(error.__traceback__)
    places = [(Path(frame.filename), frame.lineno or 1) for frame in frames]
    return [place for place in places if is_ours(place[0])]


def short_path(path: Path | str) -> str:
    """The path, without its middle if it is longer than a sentence can carry."""
    text = str(path)
    half = LONGEST_PATH // 2
    return text if len(text) <= LONGEST_PATH else f"{text[:half]}...{text[-half:]}"


def shortened(sentence: str) -> str:
    """The sentence, with the middle taken out of quoted values and words that fill a screen."""
    return LONG_VALUES.sub(lambda found: short_path(found[0]), sentence)


def count(number: float) -> str:
    """A whole number with its thousands apart: "60 000"."""
    return f"{number:,.0f}".replace(",", " ")


def counted(number: float, noun: str) -> str:
    """A count with its noun, as pages say it: "1 bit", "160,000 entries".

    Args:
        number: A whole number.
        noun: In the singular.
    """
    if round(number) == 1:
        return f"1 {noun}"
    return f"{number:,.0f} {noun[:-1]}ies" if noun.endswith("y") else f"{number:,.0f} {noun}s"


def printable(text: str) -> str:
    """The text with control characters, line ends and lone surrogates escaped.

    Files and labels may be called anything; none of it may reach the terminal as a command.
    """
    return "".join(
        char.encode("unicode_escape").decode()
        if unicodedata.category(char) in ("Cc", "Cf", "Cs", "Zl", "Zp")
        else char
        for char in text
    )


def encodable(text: str) -> str:
    """Text with lone surrogates written as `\\udcff`, since UTF-8 and SQLite refuse them.

    File names that are not UTF-8 hold them. Line ends and control characters stay.
    """
    return text.encode("utf-8", "backslashreplace").decode("utf-8")
