"""Fetches and unpacks zip archives.

A download that was interrupted goes on from there. Size and checksum are compared before anything
is unpacked, and nothing is written outside the folder.
"""

import errno
import hashlib
import http.client
import shutil
import stat
import urllib.error
import urllib.request
import zipfile
import zlib
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path, PurePosixPath
from typing import NamedTuple

from rdh.datasets._tools.base import Progress
from rdh.datasets._tools.paths import without_empty_folders
from rdh.errors import UserError

BLOCK = 1 << 20  # bytes
SILENCE_S = 60  # seconds without an answer before a server is tried again
MOST_FAILURES = 5  # in a row, without a single byte received
FETCH_ERRORS = (OSError, http.client.HTTPException)


class Archive(NamedTuple):
    """A zip file to fetch: its address, its size in bytes and its MD5 in hexadecimal."""

    url: str
    n_bytes: int
    md5: str


def fetch_and_unpack(
    archives: Mapping[str, Archive], folder: Path, progress: Progress | None
) -> None:
    """Fetches and unpacks the archives that are not in the folder yet.

    Each archive is removed after it is unpacked. If this is interrupted, the next call goes on.

    Args:
        archives: The sub-folder that an archive brings -> the archive.
        folder: The folder to unpack into.
        progress: Called with (bytes fetched, bytes in all).

    Raises:
        UserError: As for `fetch` and `unpack`.
    """
    total = sum(archive.n_bytes for archive in archives.values())
    done = 0
    for brought, archive in archives.items():
        path = folder / PurePosixPath(archive.url).name
        if path.exists() or _part(path).exists() or not (folder / brought).is_dir():
            with without_empty_folders(folder):
                fetch(archive, path, partial(_report, progress, done, total))
            unpack(path, folder)
            path.unlink()
        done += archive.n_bytes
        if progress:
            progress(done, total)


def _report(progress: Progress | None, before: int, total: int, n: int) -> None:
    if progress:
        progress(before + n, total)


def fetch(archive: Archive, path: Path, progress: Callable[[int], object]) -> None:
    """Downloads an archive to `path`, complete and with the right checksum, or not at all.

    An incomplete download is kept beside it with the suffix .part.

    Args:
        archive: What to fetch.
        path: The file to write.
        progress: Called with the bytes so far.

    Raises:
        UserError: The server fails, the disk is full, or the checksum is wrong.
    """
    part = _part(path)
    if path.exists():
        part = path  # it is complete: an earlier call was interrupted before unpacking it
    else:
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            _fetch_rest(archive, part, progress)
        except FETCH_ERRORS as error:
            raise UserError(
                f"{archive.url} could not be fetched into {path.parent} ({error}): try "
                f"again, which goes on from "
                f"where this ended, or place the file there as {path.name}."
            ) from error
    if _md5(part) != archive.md5:
        if part != path:  # a file that a person placed is kept
            part.unlink()
        raise UserError(
            f"{path} has another checksum than the official file: remove it if it's "
            f"there, and try again."
        )
    part.replace(path)


def unpack(path: Path, folder: Path) -> None:
    """Unpacks a zip file, except for files that are there with their full size.

    Raises:
        UserError: A member is a link or would lie outside the folder, or the disk is too small. In
            these cases nothing is written. Or the archive is damaged.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            members = [member for member in archive.infolist() if not member.is_dir()]
            for member in members:
                _check_member(member, path)
            missing = [
                one for one in members if not _is_there(folder / one.filename, one.file_size)
            ]
            needed, free = sum(one.file_size for one in missing), shutil.disk_usage(folder).free
            if needed > free:
                raise UserError(
                    f"{path} unpacks to {needed} bytes, but {folder} has {free} free: "
                    f"free some space."
                )
            for member in missing:
                _write_member(archive, member, folder)
    except (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError, RuntimeError) as error:
        raise UserError(f"{path} is damaged ({error}): remove it and try again.") from error
    except OSError as error:
        way_out = (
            "free some space there"
            if error.errno in (errno.ENOSPC, errno.EDQUOT)
            else "make room for its files there"
        )
        raise UserError(
            f"{path} could not be unpacked into {folder} ({error}): {way_out}."
        ) from error


def _fetch_rest(archive: Archive, part: Path, progress: Callable[[int], object]) -> None:
    """Appends to the part until it has all bytes. A connection that breaks off is opened again.

    Raises:
        FETCH_ERRORS: The server refuses, or fails MOST_FAILURES times in a row.
    """
    failures = 0
    while (size := part.stat().st_size if part.exists() else 0) != archive.n_bytes:
        if size > archive.n_bytes:  # of another file
            part.unlink()
            continue
        progress(size)
        try:
            _append(archive, part, size, progress)
            failures = 0
        except urllib.error.HTTPError:  # a server that refuses will refuse again
            raise
        except FETCH_ERRORS:
            has_moved = part.exists() and part.stat().st_size > size
            failures = 0 if has_moved else failures + 1
            if failures == MOST_FAILURES:
                raise


def _append(archive: Archive, part: Path, start: int, progress: Callable[[int], object]) -> None:
    request = urllib.request.Request(
        archive.url, headers={"Range": f"bytes={start}-"} if start else {}
    )
    with urllib.request.urlopen(request, timeout=SILENCE_S) as answer:
        is_continued = answer.status == http.client.PARTIAL_CONTENT
        size = (start if is_continued else 0) + int(answer.headers.get("Content-Length") or -1)
        if size != archive.n_bytes and answer.headers.get("Content-Length"):
            raise OSError(f"the server offers {size} bytes instead of {archive.n_bytes}")
        # A server without support for ranges sends the whole file again.
        with part.open("ab" if is_continued else "wb") as file:
            done = file.tell()
            while block := answer.read(BLOCK):
                file.write(block)
                done += len(block)
                progress(done)
                if done > archive.n_bytes:
                    raise OSError(f"the server sent more than the {archive.n_bytes} bytes expected")
    if done < archive.n_bytes:
        raise OSError(f"the connection ended after {done} of {archive.n_bytes} bytes")


def _md5(path: Path) -> str:
    digest = hashlib.md5(usedforsecurity=False)
    with path.open("rb") as file:
        for block in iter(lambda: file.read(BLOCK), b""):
            digest.update(block)
    return digest.hexdigest()


def _part(path: Path) -> Path:
    return path.with_name(f"{path.name}.part")


def _check_member(member: zipfile.ZipInfo, path: Path) -> None:
    name = PurePosixPath(member.filename)
    is_link = stat.S_ISLNK(member.external_attr >> 16)
    if (
        not name.parts
        or name.is_absolute()
        or ".." in name.parts
        or "\\" in member.filename
        or is_link
    ):
        raise UserError(
            f"{path} holds {member.filename!r}, which would be written outside its "
            f"folder: don't use it."
        )


def _is_there(path: Path, size: int) -> bool:
    return path.is_file() and path.stat().st_size == size


def _write_member(archive: zipfile.ZipFile, member: zipfile.ZipInfo, folder: Path) -> None:
    target = folder / member.filename
    target.parent.mkdir(parents=True, exist_ok=True)
    temporary = target.with_name(f".{target.name}.part")
    try:
        with archive.open(member) as source, temporary.open("wb") as file:
            shutil.copyfileobj(source, file, BLOCK)
        temporary.replace(target)
    finally:
        temporary.unlink(missing_ok=True)
