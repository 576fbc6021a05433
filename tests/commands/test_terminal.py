"""Text of files and people is shown, never obeyed; a named command can be copied as it is."""

import contextlib
import io

import pytest

from rdh import cli
from rdh.commands._progress import ProgressLine
from rdh.commands.terminal import START_OF_LINE, Shown, print_exactly, shown, with_options


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_control_characters_are_escaped_and_lines_and_tabs_stay(capsys):
    with shown():
        print("a\x1b[31mred\x07\n\tb\r\u202e\udcff")
    assert capsys.readouterr().out == "a\\x1b[31mred\\x07\n\tb\\r\\u202e\\udcff\n"


@pytest.mark.parametrize("line", ["train --method x\x1b[31m", "fr\x07ob", "runs show \x1b]0;t\x07"])
def test_what_a_person_typed_comes_back_escaped(line, tmp_path, capsys):
    with contextlib.suppress(SystemExit):
        cli.main(["--runs", str(tmp_path), *line.split()])
    assert "\\x" in (said := capsys.readouterr().err)
    assert not any(char in said for char in "\x1b\x07")


def test_a_progress_line_is_drawn_over_itself_and_its_text_escaped(monkeypatch):
    stream = Terminal()
    monkeypatch.setattr("sys.stderr", Shown(stream))
    ProgressLine().show("a\x1b[2J")
    assert stream.getvalue() == f"{START_OF_LINE}a\\x1b[2J"


@pytest.mark.parametrize(
    ("kind", "text"), [(io.StringIO, "\x1b,1\r\n"), (Terminal, "\\x1b,1\\r\n")]
)
def test_a_pipe_gets_every_byte_of_a_file_and_a_terminal_what_it_can_show(kind, text, monkeypatch):
    stream = kind()
    monkeypatch.setattr("sys.stdout", Shown(stream))
    print_exactly("\x1b,1\r\n")
    assert stream.getvalue() == text


def test_a_named_command_repeats_the_options_quoted_and_once():
    options = ("--runs", "my runs", "--data-root", "d")
    said = with_options(
        "`python -m rdh runs` lists; `python -m rdh data --data-root x` too", options
    )
    assert said == (
        "`python -m rdh runs --runs 'my runs' --data-root d` lists; "
        "`python -m rdh data --data-root x --runs 'my runs'` too"
    )
    assert with_options("`python -m rdh runs`", ()) == "`python -m rdh runs`"
