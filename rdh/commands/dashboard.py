"""dashboard: serves the pages to this machine, from any current folder."""

import argparse
import os
import signal
import socket
import sys
from pathlib import Path
from typing import Any

from rdh.commands._common import add_verb, open_store
from rdh.errors import UserError
from rdh.execution import login
from rdh.folders import named_data_root

ABOUT = """The dashboard, in a browser on this machine.
It shows the runs of the runs folder, starts new ones, and ends with Ctrl-C; runs go on.
Your own processes on this machine may use it. Other users' must bring a token first, once per
browser: the one line of the file login-token in the runs folder, which only you can read.
RDH_LOGIN=1 asks every browser for it, RDH_LOGIN=0 none."""
PACKAGE = Path(__file__).resolve().parents[1]
IN_A_WHEEL, IN_A_CHECKOUT = PACKAGE / "_dashboard" / "app.py", PACKAGE.parent / "app.py"
SERVER = Path(__file__).with_name("_serve.py")
HOST = "127.0.0.1"  # as in .streamlit/config.toml


def add(verbs: Any, common: argparse.ArgumentParser) -> None:
    """dashboard."""
    parser = add_verb(verbs, common, "dashboard", ABOUT, ["", "--port 8600 --runs ~/hashing"])
    parser.add_argument(
        "--port", type=int, metavar="N", help="default: 8501, or the next one that is free"
    )
    parser.set_defaults(call=run)


def run(arguments: argparse.Namespace) -> int:
    """Becomes the web server's process. It returns only if the server can't start."""
    app = next((path for path in (IN_A_WHEEL, IN_A_CHECKOUT) if path.is_file()), None)
    if app is None:
        raise UserError(
            f"The dashboard's app.py must be {IN_A_WHEEL} or {IN_A_CHECKOUT}, and neither is a "
            f"file; install rdh again (`pip install .` in its folder)."
        )
    # -P: a module of the reader's own in the current folder must not hide one of the server's.
    command = [sys.executable, "-P", str(SERVER), "run", str(app)]
    if arguments.port is not None:
        check_port(arguments.port)
        command += ["--server.port", str(arguments.port)]
    runs = open_store(arguments, makes=True).root
    if login.who_is_asked() != login.NOBODY:
        login.read_token(runs)  # the server would say less clearly what is wrong with it
    roots = {
        "RDH_RUNS": runs,
        "RDH_DATA": named_data_root(arguments.data_root),
    }
    named = {name: str(root) for name, root in roots.items() if root}
    signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGINT])  # until the server's process is ready
    os.execve(sys.executable, command, os.environ | named)


def check_port(port: int) -> None:
    """Raises UserError if a server of this user can't listen on the port."""
    if not 1 <= port <= 65535:
        raise UserError(f"--port must be in [1, 65535], got {port}.")
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((HOST, port))
        except OSError as error:
            raise UserError(
                f"--port must be a port that is free, got {port} ({error.strerror}); name "
                f"another one."
            ) from error
