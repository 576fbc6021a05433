"""Ray Jobs' REST interface, by the standard library: Ray itself is never imported."""

import errno
import http.client
import json
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from rdh.errors import UserError
from rdh.execution.engine.base import EngineUnreachable
from rdh.files import check_regular

ADDRESS, TOKEN_FILE = "http://127.0.0.1:8265", "~/.ray/auth_token"
SECONDS_TO_ANSWER = 10.0
SECONDS_OF_SILENCE = 3.0  # after no answer, before the next question


class Client:
    """The REST interface of Ray Jobs. It always sends the token.

    Args:
        address: "http://HOST:PORT" of the dashboard.
        token_file: A file with the token, for its owner only.
    """

    def __init__(self, address: str, token_file: Path) -> None:
        self.address, self.token_file = address, token_file
        self._silent_until, self._silence = 0.0, ""

    @classmethod
    def of(cls, env: Mapping[str, str]) -> "Client":
        """As the environment says.

        Raises:
            UserError: RDH_RAY_ADDRESS is no address.
        """
        address = env.get("RDH_RAY_ADDRESS") or ADDRESS
        try:
            parts = urlsplit(address)
            has_port = parts.port is not None
        except ValueError:
            parts, has_port = urlsplit(""), False
        is_bare = not (parts.path.strip("/") or parts.query or parts.username)
        if parts.scheme not in ("http", "https") or not (parts.hostname and has_port and is_bare):
            raise UserError(
                f"RDH_RAY_ADDRESS must look like {ADDRESS}, the dashboard of the cluster's head, "
                f"got {address!r}; correct it."
            )
        return cls(address.rstrip("/"), Path(env.get("RDH_RAY_TOKEN_FILE") or TOKEN_FILE))

    def token(self) -> str:
        """The token of the cluster, read again each time: it may be renewed.

        Raises:
            UserError: The file is not there, open to others, or holds no token.
        """
        path = self.token_file.expanduser()
        way_out = "write the token of the cluster there, for your eyes only, or set another file"
        try:
            check_regular(path)
            mode, text = path.stat().st_mode, path.read_text(encoding="utf-8").strip()
        except (OSError, ValueError) as error:
            cause = getattr(error, "strerror", None) or "it is not text"
            raise UserError(
                f"RDH_RAY_TOKEN_FILE: {path} can't be read ({cause}); {way_out}."
            ) from None
        if mode & 0o077:
            raise UserError(
                f"RDH_RAY_TOKEN_FILE: {path} must be for its owner only, got mode "
                f"{mode & 0o777:o}; run chmod 600 on it."
            )
        if not text or not text.isascii() or not text.isprintable():
            raise UserError(f"RDH_RAY_TOKEN_FILE: {path} holds no token; {way_out}.")
        return text

    def ask(self, method: str, path: str, body: Mapping[str, Any] | None = None) -> Any:
        """What the cluster answers, as JSON. None for what it does not know (404).

        Raises:
            EngineUnreachable: No answer, or one that refuses the token.
            OSError: It refuses the request, in its words.
        """
        if time.monotonic() < self._silent_until:
            raise EngineUnreachable(self._silence)
        status, text = self._send(method, path, body)
        if status in (401, 403):
            raise self._silent(f"it refuses the token of {self.token_file}")
        if status == 404:
            return None
        if status >= 400:
            lines = [line for line in text.splitlines() if line.strip(" .")] or ["no reason given"]
            # what a server can't do now (5xx) it may be able to do later
            number = errno.EAGAIN if status >= 500 else errno.EINVAL
            raise OSError(number, f"Ray refuses it (status {status}): {lines[-1].strip()}")
        try:
            return json.loads(text or "null")
        except ValueError:
            raise self._silent("its answer is not Ray's") from None

    def _send(self, method: str, path: str, body: Mapping[str, Any] | None) -> tuple[int, str]:
        # Not urllib.request: it would send the token along to wherever an answer redirects it.
        parts = urlsplit(self.address)
        secure = parts.scheme == "https"
        kind = http.client.HTTPSConnection if secure else http.client.HTTPConnection
        connection = kind(parts.hostname or "", parts.port, timeout=SECONDS_TO_ANSWER)
        try:
            headers = {"Authorization": f"Bearer {self.token()}"}
            headers["Content-Type"] = "application/json"
            connection.request(method, path, json.dumps(body) if body else None, headers)
            answer = connection.getresponse()
            return answer.status, answer.read().decode("utf-8", errors="replace")
        except (OSError, http.client.HTTPException, UserError) as error:
            cause = getattr(error, "strerror", None) or str(error) or type(error).__name__
            raise self._silent(cause) from None
        finally:
            connection.close()

    def _silent(self, cause: str) -> EngineUnreachable:
        """An error, repeated for a while without a question: each may take ten seconds."""
        self._silent_until = time.monotonic() + SECONDS_OF_SILENCE
        self._silence = f"Ray at {self.address} can't be reached ({cause})"
        return EngineUnreachable(self._silence)
