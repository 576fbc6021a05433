"""What reaches the terminal: text of files and people is shown, never obeyed."""

import re
import shlex
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from typing import Any, TextIO

from rdh.errors import printable

START_OF_LINE = "\r\x1b[2K"  # back to the start of the line, and clear it
COMMAND = re.compile(r"`python -m rdh ([^`]+)`")


class Shown:
    """A stream that escapes control characters, all but ends of lines and tabs.

    Args:
        stream: where the text goes.
        options: added to every command that a sentence names, so that it can be copied.
    """

    def __init__(self, stream: TextIO, options: Sequence[str] = ()) -> None:
        self.stream, self.options = stream, options

    def write(self, text: str) -> int:
        """Writes text of any origin."""
        parts = re.split(r"([\n\t])", with_options(text, self.options))
        self.stream.write("".join(one if one in "\n\t" else printable(one) for one in parts))
        return len(text)

    def __getattr__(self, name: str) -> Any:
        return getattr(self.stream, name)


@contextmanager
def shown(options: Sequence[str] = ()) -> Iterator[None]:
    """Inside, stdout and stderr are `Shown`; sentences on stderr repeat these options."""
    out: Any = Shown(sys.stdout)
    err: Any = Shown(sys.stderr, options)
    with redirect_stdout(out), redirect_stderr(err):
        yield


def with_options(text: str, options: Sequence[str]) -> str:
    """The text, with options added to each "`python -m rdh VERB ...`" in it, quoted for a shell."""
    if not options:
        return text

    def repeat(found: re.Match[str]) -> str:
        command = found[1]
        pairs = zip(options[::2], options[1::2], strict=True)
        more = [word for pair in pairs if pair[0] not in command for word in pair]
        return f"`python -m rdh {' '.join([command, *map(shlex.quote, more)])}`"

    return COMMAND.sub(repeat, text)


def clear_line() -> None:
    """Takes the line away that is being drawn on stderr."""
    _under(sys.stderr).write(START_OF_LINE)


def print_exactly(text: str) -> None:
    """Prints a file's content: a pipe or a file gets every byte, a terminal what it can show."""
    (sys.stdout if sys.stdout.isatty() else _under(sys.stdout)).write(text)


def _under(stream: Any) -> Any:
    """The stream that takes text as it is."""
    return stream.stream if isinstance(stream, Shown) else stream
