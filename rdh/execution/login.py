"""Who may use the dashboard: this user's own processes, and browsers that have brought the token.

Every user of a machine can connect to its ports, so listening on 127.0.0.1 is no login. Linux tells
which user opened a connection on this machine. Another user's, or one from elsewhere, needs the
token: one line in RUNS/login-token, which only its owner can read. A browser is asked for it once
and then brings a cookie, which is made from the token and does not contain it. Without that file
there is a new token, and each browser is asked again.

RDH_LOGIN=1 asks every browser: right if others can use the machine whose ssh leads here, since
what comes by ssh looks like the owner's. RDH_LOGIN=0 asks none.
"""

import contextlib
import hashlib
import hmac
import ipaddress
import os
import secrets
import stat
from collections.abc import Mapping
from pathlib import Path

from rdh.errors import UserError
from rdh.execution.connections import Address, opener

FILE = "login-token"
NOBODY, STRANGERS, EVERYBODY = "nobody", "strangers", "everybody"  # who is asked for the token
OVERFLOW_USER = 65534  # how the kernel names every user that this container does not know
MOST_TYPED = 1000  # characters


def who_is_asked(env: Mapping[str, str] | None = None) -> str:
    """NOBODY, STRANGERS or EVERYBODY.

    Args:
        env: The environment with RDH_LOGIN. None: this process's.

    Raises:
        UserError: RDH_LOGIN is neither 0 nor 1.
    """
    value = (os.environ if env is None else env).get("RDH_LOGIN") or None
    if value not in (None, "0", "1"):
        raise UserError(f"RDH_LOGIN must be 0 or 1, got {value!r}; correct it or unset it.")
    return {"0": NOBODY, "1": EVERYBODY}.get(value or "", STRANGERS)


def is_loopback(host: str | None) -> bool:
    """Whether a server that listens on the host can be reached from this machine alone."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host or "").is_loopback
    except ValueError:
        return False


def check_may_change(address: str | None, env: Mapping[str, str] | None = None) -> None:
    """Refuses to start or change anything for whoever can connect from elsewhere.

    Args:
        address: The host on which the server listens; None: all.
        env: As in `who_is_asked`.

    Raises:
        UserError: RDH_LOGIN=0, and the server listens beyond this machine.
    """
    if who_is_asked(env) == NOBODY and not is_loopback(address):
        raise UserError(
            f"Nothing is launched or changed from these pages, because the server listens beyond "
            f"this machine (on {address or 'all addresses'}) and RDH_LOGIN=0 lets everybody in; "
            f"unset RDH_LOGIN, or listen on 127.0.0.1."
        )


def read_token(root: Path) -> str:
    """The token of a runs folder. It is made if there is none.

    Args:
        root: The runs folder.

    Raises:
        UserError: It can't be read or written, is empty, or others could have read or written it.
    """
    path = root / FILE
    try:
        descriptor = _opened(path)
        try:
            about = os.fstat(descriptor)
            token = os.read(descriptor, 200).decode("ascii", errors="replace").strip()
        finally:
            os.close(descriptor)
    except OSError as error:
        raise UserError(
            f"The token of the login can't be kept in {path}: {error.strerror}; mend this, or "
            f"name another runs folder by RDH_RUNS."
        ) from None
    if not stat.S_ISREG(about.st_mode) or about.st_uid != os.geteuid() or about.st_mode & 0o077:
        raise UserError(
            f"{path} must be a file that only its owner can read, got mode "
            f"{stat.S_IMODE(about.st_mode):04o} and owner {about.st_uid}; delete it, and a new "
            f"token is made. If that does not help, name a runs folder by RDH_RUNS on a disk that "
            f"keeps modes."
        )
    if len(token) < 20:
        raise UserError(f"{path} must hold a token of at least 20 characters; delete it.")
    return token


def _opened(path: Path) -> int:
    """The file, open for reading. A new one gets its name when it is whole."""
    # A link could lead to a file of another user's choice, and a pipe would be waited for.
    how = os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK
    with contextlib.suppress(FileNotFoundError):
        return os.open(path, how)
    draft = path.with_name(f".draft-{FILE}-{secrets.token_hex(4)}")
    descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    try:
        os.write(descriptor, f"{secrets.token_urlsafe(32)}\n".encode())
        with contextlib.suppress(FileExistsError):  # another server of this folder was quicker
            os.link(draft, path)
    finally:
        os.close(descriptor)
        draft.unlink()
    return os.open(path, how)


def is_token(token: str, typed: str) -> bool:
    """Whether a reader typed the token; the time this takes tells nothing about it."""
    said = typed[:MOST_TYPED].strip().encode(errors="replace")
    return hmac.compare_digest(said, token.encode())


def cookie_of(token: str) -> tuple[str, str]:
    """Name and value of the cookie by which a browser shows that it has brought the token.

    The name differs from folder to folder, because a browser sends the cookies of 127.0.0.1 to
    every port.
    """
    return f"rdh-{_digest(token, 'name')[:8]}", _digest(token, "value")


def has_cookie(token: str, cookies: Mapping[str, str]) -> bool:
    """Whether the cookies of a request hold the right one."""
    name, value = cookie_of(token)
    return hmac.compare_digest(cookies.get(name, "").encode(errors="replace"), value.encode())


def _digest(token: str, what: str) -> str:
    return hmac.new(token.encode(), f"rdh login {what}".encode(), hashlib.sha256).hexdigest()


def is_own(client: Address | None, server: Address | None) -> bool:
    """Whether a connection was opened on this machine by a process of this user.

    Args:
        client: The address that it comes from.
        server: The address that it came to.

    Returns:
        False too if nobody can tell.
    """
    if client is None or server is None or os.geteuid() == OVERFLOW_USER:
        return False
    return is_loopback(client[0]) and opener(client, server) == os.geteuid()
