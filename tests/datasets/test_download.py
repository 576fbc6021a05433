"""The download of COCO from a server on this machine: resumed, checked, unpacked."""

import hashlib
import http.server
import re
import stat
import threading
import zipfile
from pathlib import Path
from typing import ClassVar

import numpy as np
import pytest

from rdh import datasets
from rdh.datasets import coco
from rdh.datasets._tools import archives as _archives
from rdh.datasets._tools.archives import Archive, fetch, fetch_and_unpack, unpack
from rdh.errors import UserError
from tests.toy_archives import write_both


class Site(http.server.BaseHTTPRequestHandler):
    """Serves `files` with ranges.

    cut: bytes after which each answer ends; ranges: whether they are honoured.
    """

    files: ClassVar[dict[str, bytes]] = {}
    cut: ClassVar[int | None] = None
    ranges = True
    asked: ClassVar[list[tuple[str, str | None]]] = []

    def do_GET(self):
        name, wanted = self.path.rpartition("/")[2], self.headers.get("Range")
        type(self).asked.append((name, wanted))
        if name not in self.files:
            self.send_error(404)
            return
        start = int(re.fullmatch(r"bytes=(\d+)-", wanted)[1]) if wanted and self.ranges else 0
        body = self.files[name][start:]
        self.send_response(206 if start else 200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body if self.cut is None else body[: self.cut])

    def log_message(self, *args):
        pass


@pytest.fixture
def site(monkeypatch):
    """The server's class with empty files; `archive(name, content)` puts one there."""
    handler = type("OneSite", (Site,), {"files": {}, "asked": []})
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler)
    thread = threading.Thread(target=server.serve_forever, args=(0.02,))
    thread.start()
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    monkeypatch.setattr(_archives, "BLOCK", 1000)

    def archive(name: str, content: bytes) -> Archive:
        handler.files[name] = content
        url = f"http://127.0.0.1:{server.server_port}/zips/{name}"
        return Archive(url, len(content), hashlib.md5(content).hexdigest())

    handler.archive = staticmethod(archive)
    yield handler
    server.shutdown()
    thread.join()
    server.server_close()


CONTENT = np.random.default_rng(0).bytes(20_000)


def nothing(n_bytes):
    """No progress."""


def test_a_file_is_fetched_and_its_bytes_are_reported(site, tmp_path):
    seen = []
    fetch(site.archive("a.zip", CONTENT), tmp_path / "deep" / "a.zip", seen.append)
    assert (tmp_path / "deep" / "a.zip").read_bytes() == CONTENT
    assert seen[0] == 0 and seen[-1] == len(CONTENT) and seen == sorted(seen)
    assert [path.name for path in (tmp_path / "deep").iterdir()] == ["a.zip"]


def test_an_interrupted_download_goes_on_from_where_it_ended(site, tmp_path):
    class Stop(Exception):
        pass

    def stop(n_bytes):
        if n_bytes >= 7000:
            raise Stop

    archive, path = site.archive("a.zip", CONTENT), tmp_path / "a.zip"
    with pytest.raises(Stop):
        fetch(archive, path, stop)
    assert not path.exists() and (tmp_path / "a.zip.part").stat().st_size == 7000
    fetch(archive, path, nothing)
    assert path.read_bytes() == CONTENT and site.asked == [
        ("a.zip", None),
        ("a.zip", "bytes=7000-"),
    ]


def test_a_connection_that_breaks_off_is_taken_up_again(site, tmp_path):
    site.cut = 6000
    fetch(site.archive("a.zip", CONTENT), tmp_path / "a.zip", nothing)
    assert (tmp_path / "a.zip").read_bytes() == CONTENT
    assert [wanted for _, wanted in site.asked] == [
        None,
        "bytes=6000-",
        "bytes=12000-",
        "bytes=18000-",
    ]


def test_a_server_without_ranges_begins_anew(site, tmp_path):
    site.ranges = False
    (tmp_path / "a.zip.part").write_bytes(b"x" * 5000)
    fetch(site.archive("a.zip", CONTENT), tmp_path / "a.zip", nothing)
    assert (tmp_path / "a.zip").read_bytes() == CONTENT


def test_what_came_of_another_file_is_found_out_by_the_checksum(site, tmp_path):
    archive = site.archive("a.zip", CONTENT)
    (tmp_path / "a.zip.part").write_bytes(b"x" * 5000)
    with pytest.raises(UserError, match=r"a.zip has another checksum than the official file"):
        fetch(archive, tmp_path / "a.zip", nothing)
    fetch(archive, tmp_path / "a.zip", nothing)
    assert (tmp_path / "a.zip").read_bytes() == CONTENT
    (tmp_path / "b.zip.part").write_bytes(
        b"x" * 50_000
    )  # longer than it can be: begun anew at once
    fetch(site.archive("b.zip", CONTENT), tmp_path / "b.zip", nothing)
    assert (tmp_path / "b.zip").read_bytes() == CONTENT


def test_a_file_of_another_size_or_none_is_one_sentence(site, tmp_path):
    archive = site.archive("a.zip", CONTENT)
    with pytest.raises(
        UserError,
        match=r"could not be fetched into .* \(the server offers 20000 bytes instead of 19999\)",
    ):
        fetch(archive._replace(n_bytes=19_999), tmp_path / "a.zip", nothing)
    site.files.clear()
    with pytest.raises(
        UserError,
        match=r"could not be fetched .*404.*try again, which goes on .*or place the file there",
    ):
        fetch(archive, tmp_path / "a.zip", nothing)
    site.cut = 0
    site.archive("a.zip", CONTENT)
    with pytest.raises(UserError, match=r"the connection ended after 0 of 20000 bytes"):
        fetch(archive, tmp_path / "a.zip", nothing)
    assert len(site.asked) == 1 + 4 + 1 + _archives.MOST_FAILURES


def test_a_file_placed_by_hand_is_checked_and_never_removed(site, tmp_path):
    archive = site.archive("a.zip", CONTENT)
    (tmp_path / "a.zip").write_bytes(b"other")
    with pytest.raises(UserError, match="has another checksum than the official file: remove it"):
        fetch(archive, tmp_path / "a.zip", nothing)
    (tmp_path / "a.zip").write_bytes(CONTENT)
    fetch(archive, tmp_path / "a.zip", nothing)
    assert site.asked == [] and (tmp_path / "a.zip").read_bytes() == CONTENT


def zipped(path: Path, members: dict[str, bytes], modes: dict[str, int] | None = None) -> Path:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in members.items():
            member = zipfile.ZipInfo(name)
            member.external_attr = (modes or {}).get(name, 0o644) << 16
            archive.writestr(member, content)
    return path


def test_an_archive_is_unpacked_and_what_is_there_is_passed_over(tmp_path):
    path = zipped(
        tmp_path / "a.zip", {"x/": b"", "x/1.jpg": b"one", "x/y/2.jpg": b"two", "x/3.jpg": b"three"}
    )
    (tmp_path / "x").mkdir()
    (tmp_path / "x" / "1.jpg").write_bytes(b"ONE")  # whole, by its size
    (tmp_path / "x" / "3.jpg").write_bytes(b"th")  # not whole
    unpack(path, tmp_path)
    files = {str(one.relative_to(tmp_path)): one.read_bytes() for one in tmp_path.rglob("*.jpg")}
    assert files == {"x/1.jpg": b"ONE", "x/y/2.jpg": b"two", "x/3.jpg": b"three"}


@pytest.mark.parametrize(
    "name", ["../out.jpg", "x/../../out.jpg", "/out.jpg", "..\\out.jpg", "x/link", "."]
)
def test_a_member_that_would_leave_the_folder_stops_everything(tmp_path, name):
    modes = {"x/link": stat.S_IFLNK | 0o777}
    path = zipped(tmp_path / "a.zip", {"x/1.jpg": b"one", name: b"/etc/passwd"}, modes)
    folder = tmp_path / "in"
    folder.mkdir()
    with pytest.raises(UserError, match=r"which would be written outside its folder: don't use it"):
        unpack(path, folder)
    assert list(folder.iterdir()) == [] and not (tmp_path / "out.jpg").exists()


def test_a_damaged_archive_and_a_full_disk_are_one_sentence(tmp_path, monkeypatch):
    path = zipped(tmp_path / "a.zip", {"x/1.jpg": CONTENT})
    whole = path.read_bytes()
    for damaged in (b"<html>", whole[:-10], whole[:200] + b"\0" * 50 + whole[250:]):
        path.write_bytes(damaged)
        with pytest.raises(UserError, match=r"a.zip is damaged \(.*\): remove it and try again"):
            unpack(path, tmp_path)
        assert not list(tmp_path.rglob("*.part"))
    path.write_bytes(whole)
    monkeypatch.setattr(
        _archives.shutil, "disk_usage", lambda folder: type("Usage", (), {"free": 10})()
    )
    with pytest.raises(
        UserError, match=r"unpacks to 20000 bytes, but .* has 10 free: free some space"
    ):
        unpack(path, tmp_path)


def test_a_file_in_the_place_of_a_folder_is_not_called_a_full_disk(tmp_path):
    (tmp_path / "x").write_bytes(b"mine")
    with pytest.raises(
        UserError, match=r"could not be unpacked into .*: make room for its files there\.$"
    ):
        unpack(zipped(tmp_path / "a.zip", {"x/1.jpg": b"one"}), tmp_path)
    assert (tmp_path / "x").read_bytes() == b"mine"


@pytest.fixture
def coco_site(site, tmp_path, monkeypatch):
    """coco.ARCHIVES pointed at small ones with the official layout."""
    source = tmp_path / "source"
    labels = write_both(source)
    made = {}
    for brought in ("annotations", "train2014", "val2014"):
        members = {
            str(path.relative_to(source)): path.read_bytes()
            for path in sorted((source / brought).iterdir())
        }
        made[brought] = site.archive(
            f"{brought}.zip", zipped(source / f"{brought}.zip", members).read_bytes()
        )
    monkeypatch.setattr(coco, "ARCHIVES", made)
    return site, labels


def test_prepared_coco_is_ready_and_leaves_no_archive(coco_site, tmp_path):
    site, labels = coco_site
    seen = []
    coco.download(tmp_path / "data", lambda done, total: seen.append((done, total)))
    data = datasets.load("coco", tmp_path / "data")
    np.testing.assert_array_equal(data.labels, labels)
    assert len(data.images(np.arange(40))[1]) == 40
    total = sum(archive.n_bytes for archive in coco.ARCHIVES.values())
    assert seen[-1] == (total, total) and seen == sorted(seen)
    assert sorted(path.name for path in (tmp_path / "data" / "coco").iterdir()) == [
        "annotations",
        "train2014",
        "val2014",
    ]
    n_asked = len(site.asked)
    coco.download(tmp_path / "data")
    assert len(site.asked) == n_asked  # ready: nothing is fetched again


def test_a_download_that_fails_at_once_leaves_nothing(coco_site, tmp_path):
    site, _ = coco_site
    site.files.clear()
    (tmp_path / "there").mkdir()
    for root in (tmp_path / "data" / "deep", tmp_path / "there"):
        with pytest.raises(UserError, match="could not be fetched"):
            coco.download(root)
    assert not (tmp_path / "data").exists() and list((tmp_path / "there").iterdir()) == []


def test_a_download_stopped_anywhere_is_completed_by_the_next(coco_site, tmp_path):
    class Stop(Exception):
        pass

    site, _ = coco_site
    total = sum(archive.n_bytes for archive in coco.ARCHIVES.values())
    for share in (0.1, 0.5, 0.9):

        def stop(done, of, share=share):
            if done >= share * total:
                raise Stop

        with pytest.raises(Stop):
            coco.download(tmp_path / "data", stop)
    coco.download(tmp_path / "data")
    data = datasets.load("coco", tmp_path / "data")
    assert len(data.images(np.arange(40))[1]) == 40
    starts = [name for name, wanted in site.asked if wanted is None]
    assert sorted(starts) == sorted(set(starts))  # no archive was begun twice


def test_an_unpacking_that_was_interrupted_goes_on(coco_site, tmp_path, monkeypatch):
    write, left = _archives._write_member, iter(range(10))

    def fail_at_the_tenth(*arguments):
        if next(left, None) is None:
            raise OSError(28, "No space left on device")
        write(*arguments)

    monkeypatch.setattr(_archives, "_write_member", fail_at_the_tenth)
    with pytest.raises(
        UserError,
        match=r"could not be unpacked into .*No space left on device.*: free some space there",
    ):
        coco.download(tmp_path / "data")
    monkeypatch.setattr(_archives, "_write_member", write)
    coco.download(tmp_path / "data")
    assert len(datasets.load("coco", tmp_path / "data").images(np.arange(40))[1]) == 40


def test_coco_of_2017_that_is_there_is_left_alone(site, tmp_path):
    write_both(tmp_path, 2017)
    coco.download(tmp_path)
    assert site.asked == [] and not (tmp_path / "train2014").exists()


def test_the_official_archives_have_checksums_and_sizes():
    assert set(coco.ARCHIVES) == {"annotations", "train2014", "val2014"}
    for archive in coco.ARCHIVES.values():
        assert re.fullmatch(r"http://images\.cocodataset\.org/\w+/\w+2014\.zip", archive.url)
        assert re.fullmatch(r"[0-9a-f]{32}", archive.md5) and archive.n_bytes > 2e8


def test_fetching_reports_the_whole_even_where_an_archive_was_there(site, tmp_path):
    (tmp_path / "x").mkdir()
    seen = []
    archive = Archive("http://127.0.0.1:1/x.zip", 10, "")
    fetch_and_unpack({"x": archive}, tmp_path, lambda *pair: seen.append(pair))
    assert seen == [(10, 10)]
