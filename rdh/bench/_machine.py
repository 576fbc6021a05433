"""The machine that a benchmark runs on: what it is, and its free ports."""

import socket
from typing import Any

import torch

from rdh.training.provenance import provenance


def machine() -> dict[str, Any]:
    """The device and the origin of the numbers, as in every result.json."""
    found = provenance("cuda" if torch.cuda.is_available() else "cpu")
    return {"device": found["gpu"] or found["processor"], **found}


def free_ports(n: int) -> list[int]:
    """Ports of this machine on which nobody listens."""
    sockets = [socket.socket() for _ in range(n)]
    for one in sockets:
        one.bind(("127.0.0.1", 0))
    ports = [one.getsockname()[1] for one in sockets]
    for one in sockets:
        one.close()
    return ports
