"""Files that a person names: what may take the place of what."""

import os
import socket
import stat
from pathlib import Path

import numpy as np
import pytest

from rdh.errors import UserError
from rdh.files import atomic, check_output, read_arrays, write_arrays

NULL, FULL = os.makedev(1, 3), os.makedev(1, 7)


def make_device(path: Path, device: int) -> None:
    """A node like /dev/null or /dev/full in a test's own folder."""
    try:
        os.mknod(path, 0o666 | stat.S_IFCHR, device)
        path.open("rb").close()
    except OSError:
        pytest.skip("no device can be made and opened here")


def kinds(folder: Path) -> list[Path]:
    """A pipe, a socket and a folder, and a link to each."""
    os.mkfifo(folder / "pipe")
    with socket.socket(socket.AF_UNIX) as made:
        made.bind(os.path.relpath(folder / "socket"))
    (folder / "folder").mkdir()
    named = [folder / name for name in ("pipe", "socket", "folder")]
    for path in named:
        path.with_suffix(".link").symlink_to(path)
    return [*named, *(path.with_suffix(".link") for path in named)]


def test_what_is_no_file_is_refused_and_stays_what_it_is(tmp_path):
    for path in kinds(tmp_path):
        before = path.lstat()
        with pytest.raises(UserError, match=rf"-o must name a file, {path} is a "):
            check_output(path)
        with pytest.raises(OSError), atomic(path) as draft:
            draft.write_text("new")
        after = path.lstat()
        assert (after.st_ino, after.st_mode) == (before.st_ino, before.st_mode)
    assert not list(tmp_path.glob(".draft-*"))


def test_a_device_is_refused_and_stays_a_device(tmp_path):
    path = tmp_path / "full"
    make_device(path, FULL)
    with pytest.raises(UserError, match=r"-o must name a file, .* is a device"):
        check_output(path)
    with pytest.raises(OSError, match="not a regular file"), atomic(path) as draft:
        draft.write_text("new")
    assert stat.S_ISCHR(path.stat().st_mode) and path.stat().st_rdev == FULL


def test_what_is_written_to_null_is_gone_and_null_stays_null(tmp_path):
    path = tmp_path / "null"
    make_device(path, NULL)
    check_output(path)
    with atomic(path) as draft:
        draft.write_text("new")
    assert stat.S_ISCHR(path.stat().st_mode) and [*tmp_path.iterdir()] == [path]


def test_a_link_is_followed_and_stays_a_link(tmp_path):
    (tmp_path / "elsewhere").mkdir()
    for content in ("first", "second"):
        link, target = tmp_path / "link.txt", tmp_path / "elsewhere" / "target.txt"
        link.unlink(missing_ok=True)
        link.symlink_to(target)
        check_output(link)
        with atomic(link) as draft:
            draft.write_text(content)
        assert link.is_symlink() and target.read_text() == content
    assert [*target.parent.iterdir()] == [target]


def test_links_in_a_circle_are_one_sentence(tmp_path):
    (tmp_path / "a").symlink_to(tmp_path / "b")
    (tmp_path / "b").symlink_to(tmp_path / "a")
    with pytest.raises(UserError, match=r"a can't be written \(too many levels of symbolic links"):
        check_output(tmp_path / "a")


def test_a_file_that_is_not_ours_is_left_alone(tmp_path):
    (tmp_path / "thesis.md").write_text("mine")
    with pytest.raises(UserError, match=r"would overwrite .*thesis\.md"):
        check_output(tmp_path / "thesis.md", is_ours=lambda path: False)
    check_output(tmp_path / "thesis.md")
    with pytest.raises(UserError, match=r"there is no folder .*no: make it"):
        check_output(tmp_path / "no" / "x.md")


def test_arrays_of_a_run_that_can_not_be_read_name_run_and_reason(tmp_path):
    path = tmp_path / "run-0" / "codes" / "final.npz"
    path.parent.mkdir(parents=True)
    begin = r"final.npz of run run-0 can't be read \("

    def told() -> str:
        with pytest.raises(UserError, match=begin) as error:
            read_arrays(path, needs=("gallery",))
        return str(error.value)

    assert "(no such file or directory); launch" in told()
    os.mkfifo(path)
    assert "(not a regular file)" in told()
    path.unlink()
    with path.open("wb") as file:
        np.save(file, np.zeros(3))  # one array, not a .npz
    assert "(it is damaged, or no file of a run)" in told()
    write_arrays(path, {"query": np.zeros(3)})
    assert "(it lacks gallery)" in told()
    assert list(read_arrays(path, needs=("query",))) == ["query"]
