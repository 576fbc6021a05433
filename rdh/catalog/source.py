"""Cards read from source text: the syntax tree of a file, never an import.

A file that can't be read as one of its kind raises `Unusable` with the line and the reason.
"""

import ast
from collections.abc import Mapping
from pathlib import Path
from typing import Any, TypeVar

from pydantic import ValidationError

from rdh.catalog.cards import TYPES, BackboneCard, Card, DatasetCard, MethodCard, Switch
from rdh.catalog.complaints import complaint, shown

BOUNDS = ("ge", "gt", "le", "lt")
LARGEST = 2_000_000  # bytes of a source file
AnyCard = TypeVar("AnyCard", bound=Card)
Facts = dict[str, tuple[Any, int]]  # name -> (value, line)


class Unusable(Exception):
    """Why a file gives no card.

    Args:
        line: of the file, from 1.
        reason: a few words, without a full stop.
    """

    def __init__(self, line: int, reason: str) -> None:
        super().__init__(f"line {line}: {reason}")


def parsed(path: Path) -> ast.Module:
    """The syntax tree of a source file."""
    try:
        if not path.is_file():  # a pipe would never end
            raise Unusable(1, "it is not a file")
        with path.open("rb") as file:
            content = file.read(LARGEST + 1)
    except OSError as error:
        raise Unusable(1, f"it can't be read ({error.strerror or error})") from None
    if len(content) > LARGEST:
        raise Unusable(1, f"it is longer than {LARGEST} bytes")
    try:
        return ast.parse(content.decode("utf-8-sig"), path.name)
    except UnicodeDecodeError as error:
        line = content[: error.start].count(b"\n") + 1
        raise Unusable(line, "it is not UTF-8 text") from None
    except SyntaxError as error:
        raise Unusable(error.lineno or 1, error.msg) from None
    except (ValueError, RecursionError, MemoryError) as error:
        raise Unusable(1, f"it can't be parsed ({str(error) or type(error).__name__})") from None


def method_cards(tree: ast.Module, name: str, file: str) -> list[Card]:
    """The card of the last class of a file of `rdh/methods`."""
    classes = [node for node in tree.body if isinstance(node, ast.ClassDef)]
    if not classes:
        raise Unusable(1, "it defines no class")
    cls = classes[-1]
    facts = _facts(cls.body, MethodCard)
    init = _function(cls.body, "__init__")
    switches = _switches(init, 4, "self, n_bits, labels, seed") if init else ()
    title, line = facts.setdefault("title", (cls.name, cls.lineno))
    card = _card(MethodCard, name, file, _text(tree, title), switches, facts, line)
    weights = [switch.name for switch in switches if switch.kind == "float"]
    if card.plain_weight not in (None, *weights):
        line = facts["plain_weight"][1]
        raise Unusable(line, f"plain_weight must name a float switch, got {card.plain_weight!r}")
    return [card]


def dataset_cards(tree: ast.Module, name: str, file: str) -> list[Card]:
    """The card of a file of `rdh/datasets`; its switches are those of `load`."""
    load = _function(tree.body, "load")
    if load is None:
        raise Unusable(1, "it defines no function load")
    facts = _facts(tree.body, DatasetCard)
    facts["has_download"] = (_function(tree.body, "download") is not None, 1)
    text = _text(tree, name)
    facts["title"] = (text.splitlines()[0].split(":")[0].strip().rstrip("."), 1)
    return [_card(DatasetCard, name, file, text, _switches(load, 1, "root"), facts, 1)]


def backbone_cards(tree: ast.Module, name: str, file: str) -> list[Card]:
    """One card for each function of a file of `rdh/backbones` that is marked by `@backbone`."""
    cards: list[Card] = []
    for node in tree.body:
        mark = _mark(node)
        if isinstance(node, ast.FunctionDef) and mark is not None:
            facts: Facts = {
                keyword.arg: (_literal(keyword.arg, keyword.value), keyword.value.lineno)
                for keyword in mark.keywords
                if keyword.arg
            }
            facts.setdefault("title", (node.name, node.lineno))
            switches = _switches(node, 2, "image_size, weights")
            if switches:
                raise Unusable(node.lineno, "a backbone takes image_size and weights only")
            text = (ast.get_docstring(node) or str(facts["title"][0])).strip()
            cards.append(_card(BackboneCard, node.name, file, text, (), facts, node.lineno))
    return cards


def _mark(node: ast.stmt) -> ast.Call | None:
    marks = node.decorator_list if isinstance(node, ast.FunctionDef) else []
    for mark in marks:
        if isinstance(mark, ast.Call) and getattr(mark.func, "id", None) == "backbone":
            return mark
    return None


def _card(
    kind: type[AnyCard],
    name: str,
    file: str,
    text: str,
    switches: tuple[Switch, ...],
    facts: Mapping[str, tuple[Any, int]],
    line: int,
) -> AnyCard:
    values = {fact: value for fact, (value, _) in facts.items()}
    try:
        return kind(name=name, file=file, text=text, switches=switches, **values)
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        fact = str(first["loc"][0])
        where = facts[fact][1] if fact in facts else line
        if fact not in kind.model_fields:
            raise Unusable(where, f"{fact} is not a fact of a {kind.__name__}") from None
        rule = complaint(first, kind.model_fields[fact])
        raise Unusable(where, f"{fact} {rule}, got {shown(first['input'])}") from None


def _text(tree: ast.Module, title: Any) -> str:
    return (ast.get_docstring(tree) or "").strip() or str(title)


def _function(body: list[ast.stmt], name: str) -> ast.FunctionDef | None:
    found = [node for node in body if isinstance(node, ast.FunctionDef) and node.name == name]
    return found[-1] if found else None


def _facts(body: list[ast.stmt], kind: type[Card]) -> Facts:
    """The assignments whose names are fields of this kind of card, which must be literals."""
    known = set(kind.model_fields) - set(Card.model_fields) | {"title"}
    found: Facts = {}
    for node in body:
        targets = (
            node.targets
            if isinstance(node, ast.Assign)
            else [node.target]
            if isinstance(node, ast.AnnAssign)
            else []
        )
        names = [target.id for target in targets if isinstance(target, ast.Name)]
        for name in known.intersection(names):
            if isinstance(node, ast.Assign | ast.AnnAssign) and node.value is not None:
                found[name] = (_literal(name, node.value), node.lineno)
    return found


def _literal(name: str, node: ast.expr) -> Any:
    try:
        return ast.literal_eval(node)
    except (ValueError, TypeError, SyntaxError, MemoryError, RecursionError):
        raise Unusable(node.lineno, f"{name} must be a literal, got {ast.unparse(node)}") from None


def _switches(function: ast.FunctionDef, n_fixed: int, fixed: str) -> tuple[Switch, ...]:
    """The keyword-only arguments. The first n_fixed arguments are the same for all of a kind."""
    given = function.args
    positional = [*given.posonlyargs, *given.args]
    if len(positional) != n_fixed or given.vararg or given.kwarg:
        extra = [*positional[n_fixed:], *filter(None, (given.vararg, given.kwarg))]
        what = f", got {', '.join(one.arg for one in extra)}" if extra else ""
        line = extra[0].lineno if extra else function.lineno
        raise Unusable(
            line, f"{function.name} must take {fixed}, then `*` and each switch by name{what}"
        )
    pairs = zip(given.kwonlyargs, given.kw_defaults, strict=True)
    return tuple(_switch(argument, default) for argument, default in pairs)


def _switch(argument: ast.arg, default: ast.expr | None) -> Switch:
    name, line = argument.arg, argument.lineno
    if default is None:
        raise Unusable(line, f"the switch {name} needs a default")
    if argument.annotation is None:
        raise Unusable(line, f"the switch {name} needs a type")
    switch = Switch(name, _literal(name, default), **_type(name, argument.annotation))
    try:
        if switch.default is not None or not switch.is_optional:
            switch.checked(switch.default)
    except ValueError as error:
        raise Unusable(line, f"the default of {name} {error}") from None
    return switch


def _type(name: str, node: ast.expr) -> dict[str, Any]:
    """What an annotation says: kind, choices, is_optional, meaning and bounds of a Switch."""
    if isinstance(node, ast.Subscript) and ast.unparse(node.value) == "Annotated":
        parts = node.slice.elts if isinstance(node.slice, ast.Tuple) else [node.slice]
        found = _type(name, parts[0])
        for mark in parts[1:]:
            found |= _field(name, mark)
        return found
    if isinstance(node, ast.BinOp) and isinstance(node.op, ast.BitOr):
        if not (isinstance(node.right, ast.Constant) and node.right.value is None):
            raise _untyped(name, node)
        return _type(name, node.left) | {"is_optional": True}
    if isinstance(node, ast.Subscript) and ast.unparse(node.value) == "Literal":
        choices = _literal(name, node.slice)
        choices = choices if isinstance(choices, tuple) else (choices,)
        kinds = {type(choice).__name__ for choice in choices}
        if len(kinds) == 1 and kinds <= {"int", "str"}:
            return {"kind": kinds.pop(), "choices": choices}
    if isinstance(node, ast.Name) and node.id in TYPES:
        return {"kind": node.id}
    raise _untyped(name, node)


def _untyped(name: str, node: ast.expr) -> Unusable:
    return Unusable(
        node.lineno,
        f"the type of {name} must be {', '.join(TYPES)} or a Literal, alone, with `| None`, or in "
        f"Annotated[..., Field(...)], got {ast.unparse(node)}",
    )


def _field(name: str, node: ast.expr) -> dict[str, Any]:
    """The keywords of `Field(ge=0, description="...")`."""
    if not (isinstance(node, ast.Call) and ast.unparse(node.func) == "Field" and not node.args):
        raise Unusable(node.lineno, f"{name} takes Field(...) only, got {ast.unparse(node)}")
    found: dict[str, Any] = {}
    for keyword in node.keywords:
        value = _literal(name, keyword.value)
        is_number = isinstance(value, int | float) and not isinstance(value, bool)
        if keyword.arg == "description" and isinstance(value, str):
            found["meaning"] = value
        elif keyword.arg in BOUNDS and is_number:
            found[keyword.arg] = value
        else:
            raise Unusable(
                node.lineno,
                f"Field of {name} takes numbers as {', '.join(BOUNDS)} and a description, got "
                f"{keyword.arg}={shown(value)}",
            )
    return found


READERS = {"methods": method_cards, "datasets": dataset_cards, "backbones": backbone_cards}


def read(path: Path, folder: str) -> list[Card]:
    """The cards of a file of a folder: "methods", "datasets" or "backbones".

    Raises:
        Unusable: the file gives none.
    """
    return READERS[folder](parsed(path), path.stem, f"rdh/{folder}/{path.name}")
