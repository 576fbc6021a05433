"""Initial weights: torchvision's by download, a file of the user's, or none. Whatever goes wrong is one sentence."""

import hashlib
import io
import pickle
import re
import socket
import sys
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stderr
from http.client import HTTPException
from pathlib import Path
from typing import Any

import torch
from torch import nn

from rdh.errors import UserError

DOWNLOAD_SILENCE = 30.0  # seconds without a byte after which a download has failed
DAMAGED = (OSError, RuntimeError, EOFError, TypeError, ValueError, KeyError, pickle.UnpicklingError)


def fill(module: nn.Module, weights: str, url: str | None = None, dropped: tuple[str, ...] = ()) -> str:
    """Puts the weights that a config names into the module and says what they are, for cache keys.

    weights: "pretrained" (those of url; without one the module stays as it is), "none", or the path of a file. dropped: names of
    layers that the module is without, whose weights are passed over.
    """
    if weights == "none" or (weights == "pretrained" and url is None):
        return "from scratch"
    return download_into(module, url, dropped) if weights == "pretrained" else read_into(module, Path(weights), dropped)


def read_into(module: nn.Module, path: Path, dropped: tuple[str, ...] = ()) -> str:
    """The user's own weights. Returns "NAME-HASH" of the file. UserError for one that is missing, damaged or of another network."""
    try:
        content = path.read_bytes()
    except OSError as error:
        raise UserError(
            f"The weights file {path} can't be read ({error.strerror}); set weights to one that is there."
        ) from None
    try:
        state = torch.load(io.BytesIO(content), map_location="cpu", weights_only=True)
        state = state.get("state_dict", state)
        names = {name: value.shape for name, value in state.items()}  # of anything else than tensors this fails
    except (*DAMAGED, AttributeError) as error:
        raise UserError(
            f"The weights file {path} is damaged or holds more than tensors by name ({_reason(error)}); "
            "write it by torch.save(network.state_dict(), path)."
        ) from None
    try:
        module.load_state_dict(_without(state, dropped))
    except RuntimeError as error:
        wrong = " ".join(str(error).splitlines()[1:2]).strip()[:300]
        raise UserError(
            f"The weights file {path} is of another network than this backbone: it has {len(names)} tensors. {wrong}"
        ) from None
    return f"{path.name}-{hashlib.sha256(content).hexdigest()[:16]}"


def download_into(module: nn.Module, url: str, dropped: tuple[str, ...] = ()) -> str:
    """Through torch hub's own cached download, checked by the hash in the file's name. UserError names the ways out."""
    folder, name = Path(torch.hub.get_dir()) / "checkpoints", url.rsplit("/", 1)[-1]
    try:
        with redirect_stderr(sys.stderr if sys.stderr.isatty() else io.StringIO()), _impatient():
            state = torch.hub.load_state_dict_from_url(url, map_location="cpu", weights_only=True, check_hash=True)
        module.load_state_dict(_without(state, dropped))
    except (*DAMAGED, HTTPException) as error:
        if (folder / name).exists():
            raise UserError(
                f"The weights file {folder / name} is damaged ({_reason(error)}); delete it to download it again."
            ) from None
        raise UserError(
            f"The weights {url} can't be downloaded ({_reason(error)}); put that file into {folder}, or choose the backbone "
            "efficientnet_lite0, whose weights come with the installation."
        ) from None
    return name


def _without(state: dict[str, Any], dropped: tuple[str, ...]) -> dict[str, Any]:
    """The weights of all other layers. torchvision's files of DenseNets write norm.1 for what its code calls norm1."""
    layers = tuple(f"{name}." for name in dropped)
    renamed = {re.sub(r"(denselayer\d+\.(?:norm|conv))\.(\d\.)", r"\1\2", name): value for name, value in state.items()}
    return {name: value for name, value in renamed.items() if not name.startswith(layers)}


def _reason(error: Exception) -> str:
    return (str(error) or type(error).__name__).splitlines()[0]


@contextmanager
def _impatient() -> Iterator[None]:
    """torch hub sets no time limit: a silent server would hold a run forever."""
    before = socket.getdefaulttimeout()
    socket.setdefaulttimeout(DOWNLOAD_SILENCE)
    try:
        yield
    finally:
        socket.setdefaulttimeout(before)
