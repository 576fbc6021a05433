"""A web server of the pages, and a browser's side of its protocol: run a page, or tick."""

import contextlib
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psutil

from rdh.bench._machine import free_ports
from rdh.execution import login
from rdh.execution.engine import processes

HOST = "127.0.0.1"
WITHIN = 120.0  # seconds for a page
EMPTY = 'import streamlit as st\n\nst.title("Empty")\n'


class Server:
    """The dashboard of some runs, or a page with nothing but a title, in a process of its own.

    Args:
        runs: the runs folder; None: the empty page.
        folder: where the empty page is written.

    Attributes:
        cookie: name and value, that it wants of each browser; None if it wants none.
    """

    def __init__(self, runs: Path | None, folder: Path) -> None:
        (self.port,) = free_ports(1)
        self.is_empty = runs is None
        command, place = ["rdh", "dashboard"], Path(processes.PACKAGE_PARENT)
        if runs is None:
            (folder / "empty.py").write_text(EMPTY, encoding="utf-8")
            command, place = ["streamlit", "run", "empty.py", "--server.headless", "true"], folder
        port = ["--server.port" if runs is None else "--port", str(self.port)]
        named = ["--runs", str(runs)] if runs else []
        self._process = subprocess.Popen(
            [sys.executable, "-m", *command, *port, *named],
            cwd=place,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        self._seen = psutil.Process(self._process.pid)
        # what a browser brings that has logged in: RDH_LOGIN=1 asks this process too
        token = login.read_token(runs) if runs else None
        self.cookie = login.cookie_of(token) if token else None
        self.headers = {"Cookie": "=".join(self.cookie)} if self.cookie else {}
        deadline = time.monotonic() + WITHIN
        while not self._answers():
            if self._process.poll() is not None or time.monotonic() > deadline:
                self.close()
                raise RuntimeError("The web server did not start.")
            time.sleep(0.05)

    def _answers(self) -> bool:
        address = f"http://{HOST}:{self.port}/_stcore/health"
        with contextlib.suppress(OSError):
            return bool(urllib.request.urlopen(urllib.request.Request(address, None, self.headers)))
        return False

    def seconds(self) -> float:
        """Of processor time, so far."""
        spent = self._seen.cpu_times()
        return spent.user + spent.system

    def megabytes(self) -> float:
        """Of memory that it holds now."""
        return self._seen.memory_info().rss / 2**20

    def has_torch(self) -> bool:
        """Whether it has loaded torch."""
        return any("libtorch" in one.path for one in self._seen.memory_maps())

    def close(self) -> None:
        """Ends it."""
        self._process.terminate()
        self._process.wait()


class Counted(socket.socket):
    """A socket that counts what arrives."""

    n_bytes = 0

    def recv(self, *given: Any) -> bytes:
        data = super().recv(*given)
        self.n_bytes += len(data)
        return data


class Visit:
    """One browser's connection to a page.

    Args:
        server: to connect to.
        page: the last part of its address.
        query: of the address.
    """

    def __init__(self, server: Server, page: str = "", query: str = "") -> None:
        from websockets.sync.client import connect

        self._socket = Counted()
        self._socket.connect((HOST, server.port))
        self._open = contextlib.ExitStack()
        self._ws = self._open.enter_context(
            connect(
                f"ws://{HOST}:{server.port}/_stcore/stream",
                sock=self._socket,
                max_size=None,
                additional_headers=server.headers,
                subprotocols=["streamlit"],  # type: ignore[list-item]
            )
        )
        self._asked = {"page_name": page, "query_string": query}
        self._kept: set[str] = set()  # what the browser has kept of earlier messages
        self._fragment, self._script = "", ""

    def run(self) -> int:
        """Runs the whole page. Returns the bytes that arrived.

        Raises:
            RuntimeError: the page shows an exception.
        """
        return self._run()

    def tick(self) -> int:
        """Runs the part of the page that the browser asks for every second."""
        return self._run(
            fragment_id=self._fragment, page_script_hash=self._script, is_auto_rerun=True
        )

    def _run(self, **more: Any) -> int:
        from streamlit.proto.BackMsg_pb2 import BackMsg

        wanted = BackMsg()
        for name, value in (self._asked | more).items():
            setattr(wanted.rerun_script, name, value)
        wanted.rerun_script.cached_message_hashes.extend(self._kept)
        self._socket.n_bytes = 0
        self._ws.send(wanted.SerializeToString())
        for message in self._messages():
            kind = message.WhichOneof("type")
            if kind == "auto_rerun":
                self._fragment = message.auto_rerun.fragment_id
            elif kind == "new_session":
                self._script = message.new_session.page_script_hash
            elif kind == "script_finished":
                break
            if message.metadata.cacheable:
                self._kept.add(message.hash)
            if kind == "delta" and message.delta.new_element.HasField("exception"):
                raise RuntimeError(message.delta.new_element.exception.message)
        return self._socket.n_bytes

    def _messages(self) -> Iterator[Any]:
        from streamlit.proto.ForwardMsg_pb2 import ForwardMsg

        while True:
            message = ForwardMsg()
            message.ParseFromString(self._ws.recv(timeout=WITHIN))
            yield message

    def close(self) -> None:
        """Leaves."""
        self._open.close()
