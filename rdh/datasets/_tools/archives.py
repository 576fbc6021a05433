"""Fetching archives: resumed where they were interrupted, compared with size and checksum, unpacked
without surprises.
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
SILENCE_S = 60  # a server that says nothing for so long is tried again
MOST_FAILURES = 5  # in a row, without a byte in between
FETCH_ERRORS = (OSError, http.client.HTTPException)


class Archive(NamedTuple):
    """A zip file: where it is, its bytes, its MD5 in hexadecimal."""

    url: str
    n_bytes: int
    md5: str


def fetch_and_unpack(
    archives: Mapping[str, Archive], folder: Path, progress: Progress | None
) -> None:
    """Bring archives into the folder: {the sub-folder that an archive brings: archive}; those there
    are passed over.

    An archive is removed once it is unpacked, so whatever was interrupted goes on from there.
    progress(bytes fetched, bytes in all). Raises UserError.
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
    """Download to `path`, complete and compared with its checksum, or not at all; what came so far
    waits in path.part.

    progress(bytes so far). Raises UserError for a server that fails, a full disk, and a file that
    is not the expected.
    """
    part = _part(path)
    if path.exists():
        part = path  # complete, but whoever stopped may have stopped before it was unpacked
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
        if part != path:  # what a person placed stays
            part.unlink()
        raise UserError(
            f"{path} has another checksum than the official file: remove it if it's "
            f"there, and try again."
        )
    part.replace(path)


def unpack(path: Path, folder: Path) -> None:
    """Unpack a zip file; files that are there with their full size are passed over.

    Raises UserError, before anything is written, for a member that is absolute, climbs by `..` or
    is a link, and for too little space; and for a damaged archive.
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
    """Append to the part until it has all bytes; a connection that breaks off is taken up again.

    Raises FETCH_ERRORS.
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
        except urllib.error.HTTPError:  # a server that says no says so again
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
        with part.open(
            "ab" if is_continued else "wb"
        ) as file:  # a server without ranges begins anew
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
