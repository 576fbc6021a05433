"""Errors of the file system become one sentence."""

import os

import pytest

from rdh.errors import LONGEST_PATH, UserError, os_reason, reading, short_path, writing


def said(context, act) -> str:
    with pytest.raises(UserError) as caught, context:
        act()
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_what_cannot_be_read_is_named_with_the_reason_and_the_way_out(tmp_path):
    missing = tmp_path / "gone.txt"
    assert said(reading(missing), missing.read_text) == (
        f"{missing} can't be read (no such file or directory): check its permissions, or name "
        "another."
    )
    assert "(is a directory): do this." in said(reading(tmp_path, "do this"), tmp_path.read_text)


def test_a_value_that_fills_a_screen_loses_its_middle_and_prose_stays_whole():
    for value in ("x" * 5000, "a b " * 900, 'say "' + "y" * 900):
        sentence = str(UserError(f"lr must be a number, got {value!r}; it can't be more."))
        assert sentence.startswith("lr must be a number, got '") and len(sentence) < 300
        assert "..." in sentence and sentence.endswith("'; it can't be more.")
    prose = "It can't be, " + "since so it is, " * 40 + "and isn't."
    assert str(UserError(prose)) == prose


def test_the_file_that_an_error_names_is_the_one_in_the_sentence(tmp_path):
    inside = tmp_path / "a" / "b.txt"
    assert said(reading(tmp_path), inside.read_text).startswith(f"{inside} can't be read")


def test_a_name_that_no_file_system_takes_is_one_short_sentence(tmp_path):
    endless = tmp_path / ("x" * 300)
    for context, act in (
        (reading(endless), endless.stat),
        (writing(endless), lambda: endless.write_text("")),
    ):
        sentence = said(context, act)
        assert "(file name too long)" in sentence and len(sentence) < LONGEST_PATH + 120


def test_a_draft_that_cannot_be_written_is_called_by_the_name_that_was_asked_for(tmp_path):
    wanted = tmp_path / "no folder" / "codes.npz"
    draft = wanted.with_name(".codes.npz.7")
    assert said(writing(wanted), lambda: draft.write_text("")) == (
        f"{wanted} can't be written (no such file or directory): name another file by -o."
    )


def test_an_error_of_another_kind_passes():
    with pytest.raises(ZeroDivisionError), reading("x"), writing("x"):
        raise ZeroDivisionError


def test_an_error_without_words_still_has_a_reason():
    assert os_reason(OSError()) == "unknown reason"
    assert os_reason(OSError("Broken.")) == "broken"
    assert os_reason(PermissionError(13, os.strerror(13))) == "permission denied"


def test_a_short_path_stays_as_it_is():
    assert short_path("a/b") == "a/b"
