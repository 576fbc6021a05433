"""Initial weights: torchvision's by download, a file of the user's, or none.

A file comes from torch.save or is a .safetensors file, with or without the wrapping of a training
script. Everything that can go wrong becomes one sentence.
"""

import hashlib
import io
import pickle
import re
import socket
import struct
import sys
from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager, redirect_stderr
from http.client import HTTPException
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from rdh.backbones._tools import safetensors
from rdh.errors import UserError
from rdh.files import check_regular

DOWNLOAD_SILENCE = 30.0  # seconds without a byte after which a download has failed
MOST_NAMED = 3  # tensors in a sentence
LARGEST = 4 * 1024**3  # bytes of a weights file
WRAPPERS = ("state_dict", "model_state_dict", "model", "net", "network")  # keys around the tensors
# what torch's unpickler raises on arbitrary bytes, by experience
DAMAGED = (
    OSError,
    RuntimeError,
    EOFError,
    TypeError,
    ValueError,
    LookupError,
    AttributeError,
    AssertionError,
    ArithmeticError,
    MemoryError,
    struct.error,
    pickle.UnpicklingError,
)


def fill(
    module: nn.Module, weights: str, url: str | None = None, dropped: tuple[str, ...] = ()
) -> str:
    """Puts the weights that a config names into the module.

    Args:
        module: the network.
        weights: "pretrained", "none" or the path of a file.
        url: of the pretrained weights; without one the module stays as it is.
        dropped: names of layers that the module is without, whose weights are passed over.

    Returns:
        What the weights are, for cache keys.

    Raises:
        UserError: they can't be loaded, or belong to another network.
    """
    if weights == "none" or (weights == "pretrained" and url is None):
        return "from scratch"
    if weights == "pretrained" and url is not None:
        return download_into(module, url, dropped)
    return read_into(module, Path(weights), dropped)


def read_into(module: nn.Module, path: Path, dropped: tuple[str, ...] = ()) -> str:
    """Fills the module with the user's own weights.

    Args:
        module: the network.
        path: a file of torch.save or a .safetensors file.
        dropped: names of layers that the module is without, whose weights are passed over.

    Returns:
        "NAME-HASH" of the file, for cache keys.

    Raises:
        UserError: the file is missing, too large, damaged or of another network.
    """
    content = _content(path)
    try:
        if safetensors.looks_like_it(content):
            state = safetensors.read_tensors(content)
        else:
            state = torch.load(io.BytesIO(content), map_location="cpu", weights_only=True)
        state = _tensors(state)
    except DAMAGED as error:
        raise UserError(
            f"The weights file {path} is damaged or holds more than tensors by name "
            f"({_why_unread(error)}); "
            "write it by torch.save(network.state_dict(), path)."
        ) from None
    wanted = _fitting(state, module.state_dict().keys(), dropped)
    try:
        module.load_state_dict(wanted)
    except RuntimeError:
        raise UserError(
            f"The weights file {path} is of another network than this backbone: it has "
            f"{len(state)} tensors; "
            f"{_difference(wanted, module.state_dict())}. Set weights to a file of this network."
        ) from None
    _check_finite(wanted, path)
    return f"{path.name}-{hashlib.sha256(content).hexdigest()[:16]}"


def _content(path: Path) -> bytes:
    try:
        check_regular(path)
        with path.open("rb") as file:
            content = file.read(LARGEST + 1)
    except OSError as error:
        raise UserError(
            f"The weights file {path} can't be read ({error.strerror or error}); set weights to "
            f"one that is there."
        ) from None
    if len(content) > LARGEST:
        raise UserError(
            f"The weights file {path} must be at most {LARGEST} bytes long; write the network's "
            f"state_dict alone."
        )
    return content


def download_into(module: nn.Module, url: str, dropped: tuple[str, ...] = ()) -> str:
    """Fills the module through torch hub's own cached download.

    torch hub checks the file by the hash in its name. Args and Returns are those of `read_into`.

    Raises:
        UserError: the download fails or the file is damaged; it names the ways out.
    """
    folder, name = Path(torch.hub.get_dir()) / "checkpoints", url.rsplit("/", 1)[-1]
    try:
        with redirect_stderr(sys.stderr if sys.stderr.isatty() else io.StringIO()), _impatient():
            state = torch.hub.load_state_dict_from_url(
                url, map_location="cpu", weights_only=True, check_hash=True
            )
        wanted = _without(state, dropped)
        module.load_state_dict(wanted)
    except (*DAMAGED, HTTPException) as error:
        if (folder / name).exists():
            raise UserError(
                f"The weights file {folder / name} is damaged ({_reason(error)}); "
                f"delete it to download it again."
            ) from None
        raise UserError(
            f"The weights {url} can't be downloaded ({_reason(error)}); put that file "
            f"into {folder}, or choose the backbone "
            "efficientnet_lite0, whose weights come with the installation."
        ) from None
    _check_finite(wanted, folder / name)
    return name


def _tensors(content: Any) -> dict[str, Tensor]:
    """The tensors in a weights file, out of the wrapping that training scripts put around them.

    Raises:
        TypeError: it holds anything else.
    """
    state = content
    while isinstance(state, dict):
        inner = next((state[key] for key in WRAPPERS if isinstance(state.get(key), dict)), None)
        if inner is None:
            break
        state = inner
    if not isinstance(state, dict):
        raise TypeError(f"its content is of type {type(state).__name__}")
    for name, value in state.items():
        if not isinstance(name, str):
            raise TypeError(f"a name in it is of type {type(name).__name__}")
        if not isinstance(value, Tensor):
            raise TypeError(f"{name[:60]!r} in it is of type {type(value).__name__}, no tensor")
    return dict(state)


def _fitting(
    state: dict[str, Tensor], names: Collection[str], dropped: tuple[str, ...]
) -> dict[str, Tensor]:
    """The state without a prefix that its names share and the module's names lack.

    DataParallel, torch.compile and wrapping modules put "module.", "_orig_mod." and the like
    before every name. The shortest prefix that leaves most of the module's names is taken off.
    """
    variants, stripped = [_without(state, dropped)], state
    while stripped and len({name.partition(".")[0] for name in stripped}) == 1:
        shorter = {name.partition(".")[2]: value for name, value in stripped.items()}
        if len(shorter) < len(stripped) or "" in shorter:
            break
        stripped = shorter
        variants.append(_without(stripped, dropped))
    return max(variants, key=lambda variant: sum(name in variant for name in names))


def _difference(state: dict[str, Tensor], expected: dict[str, Tensor]) -> str:
    """The names, or else the shapes, in which two sets of tensors differ."""
    lacks, more = (
        [one for one in expected if one not in state],
        [one for one in state if one not in expected],
    )
    shapes = [
        f"{name} of shape {tuple(state[name].shape)} instead of {tuple(expected[name].shape)}"
        for name in expected
        if name in state and state[name].shape != expected[name].shape
    ]
    parts = (("it lacks", lacks), ("it has besides", more), ("it has", shapes))
    return "; ".join(f"{words} {_first(names)}" for words, names in parts if names)


def _first(names: Sequence[str]) -> str:
    more = len(names) - MOST_NAMED
    return ", ".join(names[:MOST_NAMED]) + (f" and {more} more" if more > 0 else "")


def _check_finite(state: dict[str, Tensor], path: Path) -> None:
    wrong = [name for name, value in state.items() if not torch.isfinite(value).all()]
    if wrong:
        raise UserError(
            f"The weights file {path} holds NaN or infinite values, in {_first(wrong)}: "
            f"its training diverged; use an "
            "earlier state of it, or other weights."
        )


def _why_unread(error: Exception) -> str:
    """Puts torch's long advice on a file that it can't read into a few words."""
    if isinstance(error, TypeError):
        return _reason(error)
    pickled = re.search(r"GLOBAL (\S+)", str(error))
    return (
        f"it holds a pickled {pickled[1]}"
        if pickled
        else "it was not written by torch.save, or not to its end"
    )


def _without(state: dict[str, Any], dropped: tuple[str, ...]) -> dict[str, Any]:
    """The weights of all other layers.

    torchvision's files of DenseNets write norm.1 for what its code calls norm1.
    """
    layers = tuple(f"{name}." for name in dropped)
    renamed = {
        re.sub(r"(denselayer\d+\.(?:norm|conv))\.(\d\.)", r"\1\2", name): value
        for name, value in state.items()
    }
    return {name: value for name, value in renamed.items() if not name.startswith(layers)}


def _reason(error: Exception) -> str:
    return re.sub(r"\x1b\[[0-9;]*m", "", str(error) or type(error).__name__).splitlines()[0]


@contextmanager
def _impatient() -> Iterator[None]:
    """Sets a time limit for torch hub. It has none, so a silent server would hold a run forever."""
    before = socket.getdefaulttimeout()
    socket.setdefaulttimeout(DOWNLOAD_SILENCE)
    try:
        yield
    finally:
        socket.setdefaulttimeout(before)
