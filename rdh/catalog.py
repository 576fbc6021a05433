"""Names, cards and switches of methods, data sets and backbones, read from their source text:
nothing is imported, torch stays away.

One call a kind: `methods()`, `datasets()`, `backbones()`, each a dict name -> Card in alphabetical
order.
"""

import ast
import importlib.util
import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

from rdh.errors import UserError

HOUSE = Path(__file__).parent
TORCHVISION = "torchvision:"  # before the name of a network that has no card
REGISTERED = re.compile(
    r"^@register_model\(\)\n(?:@.*\n)*def (\w+)\(", re.MULTILINE
)  # as torchvision marks its networks
COMMON_PARAMETERS = {"self", "n_bits", "labels", "seed", "root", "weights"}


@dataclass(frozen=True)
class Switch:
    """One keyword argument: its default, its type ("int", "float", "bool", "str") and, for a
    Literal, the choices.

    meaning: what the docstring says after "name: " ("" where it says nothing). least: of
    `at_least(least, name=name)` in the body.
    """

    name: str
    default: Any
    kind: str
    choices: tuple[Any, ...] = ()
    meaning: str = ""
    least: float | None = None


@dataclass(frozen=True)
class Card:
    """What is known of a method, data set or backbone without importing it.

    title: short name for tables. headline: the docstring's first line. text: the whole docstring.
    switches: keyword arguments.
    facts: literal attributes in small letters of the class, or of the module (activation,
    landscape, is_multi_label, ...).
    """

    name: str
    title: str
    headline: str
    text: str
    switches: tuple[Switch, ...] = ()
    facts: dict[str, Any] = field(default_factory=dict)


@cache
def methods() -> dict[str, Card]:
    """One card a file of `rdh/methods/`.

    UserError, here and below, for a file that can't be read, and for a title twice.
    """
    return _cards("methods", _class_card)


@cache
def datasets() -> dict[str, Card]:
    """One card a file of `rdh/datasets/`; switches are `load`'s keyword arguments."""
    return _cards("datasets", _module_card)


@cache
def backbones() -> dict[str, Card]:
    """One card a function in `rdh/backbones/` that is marked with `@backbone`; the fact `file` says
    where.
    """
    return _cards("backbones", _function_cards)


@cache
def torchvision_networks() -> list[str]:
    """Names of the classification networks in the installed torchvision, in alphabetical order;
    none where they can't be told.
    """
    found = importlib.util.find_spec("torchvision")
    folders = found.submodule_search_locations if found else None
    texts = (
        path.read_text(encoding="utf-8")
        for folder in folders or ()
        for path in Path(folder, "models").glob("*.py")
    )
    return sorted(name for text in texts for name in REGISTERED.findall(text))


def backbone(name: str) -> Card:
    """The card of a backbone; for torchvision:NAME one that promises pretrained weights."""
    if name.startswith(TORCHVISION):
        text = (
            f"{name.removeprefix(TORCHVISION)} of torchvision, up to its last layer; "
            f"torchvision's ImageNet weights."
        )
        return Card(name, name, text, text, facts={"pretrained": True})
    return backbones()[name]


def _cards(folder: str, read: Callable[[ast.Module, str], Iterable[Card]]) -> dict[str, Card]:
    cards: dict[str, Card] = {}
    for path in sorted(
        path for path in (HOUSE / folder).glob("*.py") if not path.stem.startswith("_")
    ):
        try:
            found = list(read(ast.parse(path.read_text(encoding="utf-8"), path.name), path.stem))
        except (OSError, SyntaxError, ValueError) as error:
            raise UserError(
                f"{path} can't be read ({error}): mend it, or move it out of rdh/{folder}."
            ) from error
        for card in found:
            if card.name in cards or card.title in {other.title for other in cards.values()}:
                raise UserError(
                    f"{path} must have a name and a title of its own, got {card.name!r} "
                    f"and {card.title!r}."
                )
            cards[card.name] = card
    return dict(sorted(cards.items()))


def _class_card(tree: ast.Module, name: str) -> Iterator[Card]:
    classes = [node for node in tree.body if isinstance(node, ast.ClassDef)]
    if not classes:
        raise ValueError("it defines no class")
    cls = classes[-1]
    facts = {"activation": "tanh"} | dict(_literals(cls.body))
    init = next(
        (
            node
            for node in cls.body
            if isinstance(node, ast.FunctionDef) and node.name == "__init__"
        ),
        None,
    )
    switches = tuple(_switches(init, ast.get_docstring(cls) or "")) if init else ()
    yield _card(name, facts.get("title") or cls.name, ast.get_docstring(tree), switches, facts)


def _module_card(tree: ast.Module, name: str) -> Iterator[Card]:
    load = next(
        (node for node in tree.body if isinstance(node, ast.FunctionDef) and node.name == "load"),
        None,
    )
    if load is None:
        raise ValueError("it defines no function load")
    facts = dict(_literals(tree.body))
    facts["has_download"] = any(
        isinstance(node, ast.FunctionDef) and node.name == "download" for node in tree.body
    )
    text = ast.get_docstring(tree)
    title = (text or name).splitlines()[0].split(":")[0].strip().rstrip(".")
    yield _card(name, title, text, tuple(_switches(load)), facts)


def _function_cards(tree: ast.Module, file: str) -> Iterator[Card]:
    for node in filter(_is_backbone, tree.body):
        facts = {
            keyword.arg: ast.literal_eval(keyword.value)
            for keyword in node.decorator_list[0].keywords
        }
        facts["file"] = file
        title = facts.get("title", node.name)
        yield _card(node.name, title, ast.get_docstring(node), tuple(_switches(node)), facts)


def _card(
    name: str, title: str, text: str | None, switches: tuple[Switch, ...], facts: dict[str, Any]
) -> Card:
    text = (text or title).strip()
    return Card(name, title, text.splitlines()[0], text, switches, facts)


def _is_backbone(node: ast.stmt) -> bool:
    if not isinstance(node, ast.FunctionDef) or not node.decorator_list:
        return False
    mark = node.decorator_list[0]
    return (
        isinstance(mark, ast.Call)
        and isinstance(mark.func, ast.Name)
        and mark.func.id == "backbone"
    )


def _literals(body: list[ast.stmt]) -> Iterator[tuple[str, Any]]:
    for node in body:
        targets = (
            node.targets
            if isinstance(node, ast.Assign)
            else [node.target]
            if isinstance(node, ast.AnnAssign)
            else []
        )
        if (
            len(targets) == 1
            and isinstance(targets[0], ast.Name)
            and targets[0].id.islower()
            and node.value is not None
        ):
            try:
                yield targets[0].id, ast.literal_eval(node.value)
            except ValueError:
                continue  # not a literal: no fact


def _switches(function: ast.FunctionDef, text: str = "") -> Iterator[Switch]:
    """Keyword-only arguments of a method or loader are its switches; text: where "name: meaning."
    stands.
    """
    parts = re.split(
        r"(?:^| )(\w+): ", " ".join(text.split())
    )  # before, name, meaning, name, meaning, ...
    meanings, least = (
        dict(zip(parts[1::2], parts[2::2], strict=True)),
        dict(_least_values(function)),
    )
    for argument, default in zip(function.args.kwonlyargs, function.args.kw_defaults, strict=True):
        if argument.arg in COMMON_PARAMETERS or default is None:
            continue
        kind, choices = _annotation(argument.annotation)
        meaning = meanings.get(argument.arg, "").rstrip(".")
        yield Switch(
            argument.arg, ast.literal_eval(default), kind, choices, meaning, least.get(argument.arg)
        )


def _least_values(function: ast.FunctionDef) -> Iterator[tuple[str, float]]:
    """(name, least) of every `at_least(least, name=name)`: the constructor's own check, for those
    who must not import it.
    """
    for node in ast.walk(function):
        if (
            isinstance(node, ast.Call)
            and isinstance(node.func, ast.Name)
            and node.func.id == "at_least"
        ):
            yield from ((keyword.arg, ast.literal_eval(node.args[0])) for keyword in node.keywords)


def _annotation(node: ast.expr | None) -> tuple[str, tuple[Any, ...]]:
    if (
        isinstance(node, ast.Subscript)
        and isinstance(node.value, ast.Name)
        and node.value.id == "Literal"
    ):
        choices = ast.literal_eval(node.slice)
        choices = choices if isinstance(choices, tuple) else (choices,)
        return type(choices[0]).__name__, choices
    return ast.unparse(node).split(" |")[0] if node else "str", ()
