"""Methods, data sets and backbones: the folders are the registry, and this reads them.

Cards are read from source text without an import, so torch is not loaded. A file that can't be used
is left out and named by `broken` and `warnings`, and everything else goes on. If a file has
changed, it is read again, so a new or mended file is there at the next call.
"""

import importlib
import importlib.util
import os
import re
import sys
from collections.abc import Callable
from functools import cache, lru_cache
from pathlib import Path
from types import ModuleType
from typing import NamedTuple, TypeVar

from rdh.catalog.cards import (
    BackboneCard,
    Card,
    DatasetCard,
    MethodCard,
    PathBelow,
    Switch,
)
from rdh.catalog.complaints import shown
from rdh.catalog.left_out import left_out
from rdh.catalog.source import Unusable, read
from rdh.errors import UserError, kind_and_words, places_in

__all__ = [
    "BackboneCard",
    "Card",
    "DatasetCard",
    "MethodCard",
    "PathBelow",
    "Switch",
    "UnusableFile",
    "backbone",
    "backbones",
    "broken",
    "dataset",
    "datasets",
    "import_plug_in",
    "left_out",
    "lines_of",
    "method",
    "methods",
    "torchvision_networks",
    "unusable",
    "warnings",
    "what_failed",
]

PACKAGE = Path(__file__).parents[1]
TORCHVISION = "torchvision:"  # before the name of a network that has no card
KINDS = {"methods": "method", "datasets": "dataset", "backbones": "backbone"}
WORDS = {"method": "method", "dataset": "data set", "backbone": "backbone"}
REGISTERED = re.compile(
    r"^@register_model\(\)\n(?:@.*\n)*def (\w+)\(", re.MULTILINE
)  # as torchvision marks its networks


class UnusableFile(UserError):
    """A plug-in that is asked for and whose file can't be used: file, line, reason, way out."""


Stamp = tuple[int, int, int]  # inode, bytes, time of change in ns: another one, another file
AnyCard = TypeVar("AnyCard", bound=Card)


class Folder(NamedTuple):
    """What a folder holds: cards by name in alphabetical order, and path -> "line 3: reason"."""

    cards: dict[str, Card]
    broken: dict[str, str]


def methods() -> dict[str, MethodCard]:
    """One card for each usable file of `rdh/methods`, in alphabetical order."""
    return dict(_folder("methods").cards)  # type: ignore[arg-type]


def datasets() -> dict[str, DatasetCard]:
    """One card for each usable file of `rdh/datasets`, in alphabetical order."""
    return dict(_folder("datasets").cards)  # type: ignore[arg-type]


def backbones() -> dict[str, BackboneCard]:
    """One card for each marked function of the usable files of `rdh/backbones`."""
    return dict(_folder("backbones").cards)  # type: ignore[arg-type]


def state() -> int:
    """A number that changes with any card: a key for what was made of cards."""
    return hash(repr((methods(), datasets(), backbones())))


def method(name: str) -> MethodCard:
    """The card of a method.

    Raises:
        UserError: there is no method of this name, or its file can't be used.
    """
    return _find("method", name, methods())


def dataset(name: str) -> DatasetCard:
    """The card of a data set. Raises UserError like `method`."""
    return _find("dataset", name, datasets())


def backbone(name: str) -> BackboneCard:
    """The card of a backbone; for torchvision:NAME one that promises pretrained weights.

    Raises:
        UserError: there is no backbone of this name, or its file can't be used.
    """
    if re.fullmatch(rf"{TORCHVISION}[a-z0-9_]{{1,60}}", name):
        text = (
            f"{name.removeprefix(TORCHVISION)} of torchvision, up to its last layer; "
            f"torchvision's ImageNet weights."
        )
        file = "rdh/backbones/torchvision_nets.py"
        return BackboneCard(name=name, title=name, text=text, file=file, pretrained=True)
    return _find("backbone", name, backbones())


def broken() -> dict[str, str]:
    """The files that can't be used: "rdh/methods/mine.py" -> "line 3: invalid syntax"."""
    return {path: reason for folder in KINDS for path, reason in _folder(folder).broken.items()}


def warnings() -> list[str]:
    """A sentence for each file that can't be used."""
    return [
        f"{path} is left out, {reason}. Mend it, or move it out of {path.rpartition('/')[0]}."
        for path, reason in broken().items()
    ]


def unusable(file: str, error: BaseException) -> UnusableFile:
    """A sentence about a plug-in that raises, with the file, the line in it and the error.

    Args:
        file: "rdh/datasets/mine.py".
        error: what its code raised.
    """
    folder, _, name = file.removeprefix("rdh/").removesuffix(".py").rpartition("/")
    return UnusableFile(_refusal(KINDS[folder], name, file, what_failed(file, error)))


def lines_of(file: str, error: BaseException) -> list[int]:
    """The lines of a file that an error went through, the innermost last."""
    return [line for _, line in places_in(error, lambda path: path.as_posix().endswith(file))]


def what_failed(file: str, error: BaseException) -> str:
    """ "line 3: KeyError: 'x'": where in a file its code has raised, and what.

    Args:
        file: "rdh/diagnosis/mine.py".
        error: what its code raised.
    """
    line = (lines_of(file, error) or [getattr(error, "lineno", None) or 1])[-1]
    return f"line {line}: {kind_and_words(error)}"


_imported: dict[str, Stamp | None] = {}  # module -> its file when it was imported


def import_plug_in(file: str) -> ModuleType:
    """The module of a plug-in's file, imported again if the file has changed since.

    Args:
        file: "rdh/datasets/mine.py".

    Raises:
        UserError: its import raises.
    """
    name, stamp = file.removesuffix(".py").replace("/", "."), _stamp(PACKAGE.parent / file)
    if name in sys.modules and _imported.setdefault(name, stamp) != stamp:
        del sys.modules[name]
    if name not in sys.modules:
        importlib.invalidate_caches()  # of a folder's list, which may be as old as its clock ticks
    try:
        found = importlib.import_module(name)
    except UserError:
        raise
    except (Exception, SystemExit) as error:  # its exit is not ours
        raise unusable(file, error) from error
    _imported[name] = stamp
    return found


@cache
def torchvision_networks() -> list[str]:
    """Names of the classification networks in the installed torchvision, in alphabetical order.

    Empty if they can't be told.
    """
    found = importlib.util.find_spec("torchvision")
    folders = found.submodule_search_locations if found else None
    texts = (
        path.read_text(encoding="utf-8")
        for folder in folders or ()
        for path in Path(folder, "models").glob("*.py")
    )
    return sorted(name for text in texts for name in REGISTERED.findall(text))


def _find(kind: str, name: str, cards: dict[str, AnyCard]) -> AnyCard:
    if name in cards:
        return cards[name]
    folder = next(folder for folder, one in KINDS.items() if one == kind)
    left_out = _folder(folder).broken
    for path, reason in left_out.items():
        if Path(path).stem == name:
            raise UnusableFile(_refusal(kind, name, path, reason))
    more = f" or {TORCHVISION}NAME" if kind == "backbone" else ""
    sentence = f"{kind} must be one of {', '.join(cards)}{more}, got {shown(name)}"
    files = "; ".join(f"{path}, {reason}" for path, reason in left_out.items())
    raise UserError(f"{sentence}. These files are left out: {files}." if files else f"{sentence}.")


def _refusal(kind: str, name: str, path: str, reason: str) -> str:
    folder = path.rpartition("/")[0]
    end = "" if reason.endswith((".", "!", "?")) else "."
    return (
        f"The {WORDS[kind]} {name} can't be used: {path}, {reason}{end} Mend the file, or move it "
        f"out of {folder}."
    )


def _folder(folder: str) -> Folder:
    files = []
    with os.scandir(PACKAGE / folder) as entries:
        for entry in entries:
            if entry.name.endswith(".py") and not entry.name.startswith(("_", ".")):
                files.append((entry.path, _stamp(entry)))
    return _read(folder, tuple(sorted(files)))


def _stamp(file: Path | os.DirEntry[str]) -> Stamp | None:
    try:
        stat = file.stat()
    except OSError:
        return None
    return (stat.st_ino, stat.st_size, stat.st_mtime_ns)


@lru_cache(maxsize=8)
def _read(folder: str, files: tuple[tuple[str, Stamp | None], ...]) -> Folder:
    found: dict[str, list[Card]] = {}
    broken: dict[str, str] = {}
    for text, stamp in files:
        cards = _file(text, stamp, folder)
        path = f"rdh/{folder}/{Path(text).name}"
        if isinstance(cards, str):
            broken[path] = cards
        else:
            found[path] = cards
    usable: dict[str, Card] = {}
    for path in sorted(found, key=_own_name_first(found)):
        for card in found[path]:
            twin = next(
                (
                    one
                    for one in usable.values()
                    if card.name == one.name or card.title == one.title
                ),
                None,
            )
            if twin:
                broken[path] = f"line 1: its title {card.title!r} is that of {twin.file}"
                break
        else:
            usable |= {card.name: card for card in found[path]}
    return Folder(dict(sorted(usable.items())), dict(sorted(broken.items())))


def _own_name_first(found: dict[str, list[Card]]) -> Callable[[str], tuple[bool, str]]:
    """A sorting key: of files with the same title, the one that is named after it comes first."""

    def key(path: str) -> tuple[bool, str]:
        titles = {re.sub(r"[^a-z0-9]", "", card.title.lower()) for card in found[path]}
        return re.sub(r"[^a-z0-9]", "", Path(path).stem) not in titles, path

    return key


@lru_cache(maxsize=256)
def _file(path: str, stamp: Stamp | None, folder: str) -> list[Card] | str:
    try:
        return read(Path(path), folder)
    except Unusable as error:
        return str(error)
