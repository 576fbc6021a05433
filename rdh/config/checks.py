"""What `rdh.config.run_config` says to a person: options against a card's switches, and pydantic's
complaints as one sentence.
"""

import difflib
import math
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pydantic import ValidationError
from pydantic.fields import FieldInfo

from rdh.catalog import Card, Switch
from rdh.errors import UserError

KINDS = {
    "int": (int, "a whole number"),
    "float": ((int, float), "a number"),
    "bool": (bool, "true or false"),
    "str": (str, "text"),
}
WORDS = {  # pydantic's words for a person who does not program
    "Input should": "must",
    "a valid integer": "a whole number",
    "a valid number": "a number",
    "a valid boolean": "true or false",
    "a valid string": "text",
    "a valid dictionary": "switches by name",
}


def checked_options(field: str, options: Mapping[str, Any], card: Card) -> dict[str, Any]:
    """The options in alphabetical order, whole numbers for float switches as floats: equal options,
    equal hash.

    None for a switch without a default is the same as leaving it out. ValueError for a switch that
    the card does not have and for a value that it does not take.
    """
    switches = {switch.name: switch for switch in card.switches}
    for name in options:
        if name not in switches:
            known = ", ".join(switches) or "none: it has no switches"
            raise ValueError(f"{field} of {card.name} must be among {known}, got {shown(name)}")
    given = [
        name
        for name in sorted(options)
        if options[name] is not None or switches[name].default is not None
    ]
    return {
        name: _checked_option(f"{field} {name}", options[name], switches[name]) for name in given
    }


def _checked_option(name: str, value: Any, switch: Switch) -> Any:
    if switch.choices:
        if value not in switch.choices:
            raise ValueError(
                f"{name} must be one of {', '.join(map(str, switch.choices))}, got {shown(value)}"
            )
        return value
    kinds, words = KINDS.get(switch.kind, (object, switch.kind))
    is_stray_bool = isinstance(value, bool) and switch.kind in (
        "int",
        "float",
    )  # to Python, True is the number 1
    if (
        not isinstance(value, kinds)
        or is_stray_bool
        or (isinstance(value, float) and not math.isfinite(value))
    ):
        raise ValueError(f"{name} must be {words}, got {shown(value)}")
    if switch.least is not None and value < switch.least:
        raise ValueError(f"{name} must be at least {switch.least:g}, got {shown(value)}")
    return float(value) if switch.kind == "float" else value


def checked_weights(value: str) -> str:
    """pretrained, none, or the absolute path of a file. Whether it is there is for the run to see:
    a config outlives files.

    ValueError for a word that is neither.
    """
    if value in ("pretrained", "none"):
        return value
    if not value.isprintable() or not re.search(r"[/\\]|\.[A-Za-z0-9]+$", value):
        raise ValueError("must be pretrained, none or the path of a file such as weights.pth")
    try:
        return str(Path(value).expanduser().absolute())
    except RuntimeError:
        raise ValueError("must be a path below a home folder that there is") from None


def check_together(config: Any, method: Card) -> None:
    """ValueError for the first settings of a RunConfig that do not go with its method, or with each
    other.
    """
    if config.amplifier and method.facts.get("activation") is None:
        raise ValueError(
            f"amplifier must be off for {method.name}: it has no saturating activation, "
            f"so no bit can die in one"
        )
    if method.facts.get("kind") == "shallow" and config.quantization == "error_aware":
        raise ValueError(
            f"quantization must be plain for {method.name}: it is fitted, without a "
            f"loss to add a term to"
        )
    if config.eaq_pairs == "stored" and not method.facts.get("stores_all_codes"):
        raise ValueError(
            f"eaq_pairs must be in_batch for {method.name}: it stores no codes of all "
            f"training items"
        )
    if config.finetune:
        return
    if config.augment:
        raise ValueError(
            "augment must be off when finetune is off: cached features see each image once"
        )
    if config.precision != "float32":
        raise ValueError(
            "precision must be float32 when finetune is off: cached features are "
            "computed once, in float32"
        )
    if config.compile:
        raise ValueError(
            "compile must be off when finetune is off: no backbone runs while the hash layer trains"
        )


def check_backbone(config: Any, backbone: Card) -> None:
    """ValueError for the first settings of a RunConfig that do not go with its backbone."""
    least, only = backbone.facts.get("min_image_size", 1), backbone.facts.get("only_image_size")
    if config.image_size < least:
        raise ValueError(
            f"image_size must be at least {least} for the backbone {backbone.name}, got "
            f"{config.image_size}"
        )
    if only and config.image_size != only:
        raise ValueError(
            f"image_size must be {only} for the backbone {backbone.name}, got {config.image_size}"
        )
    if not backbone.facts.get("trainable", True):
        if config.finetune:
            raise ValueError(
                f"finetune must be off for the backbone {backbone.name}: there is no "
                f"network to train"
            )
        if config.weights != "pretrained":
            raise ValueError(
                f"weights must be pretrained for the backbone {backbone.name}: there is "
                f"no network to fill"
            )
        return
    if config.finetune:
        return
    if config.weights == "none" or (
        config.weights == "pretrained" and not backbone.facts.get("pretrained")
    ):
        why = "weights=none leaves it with" if config.weights == "none" else "it has"
        raise ValueError(
            f"finetune must be on for the backbone {backbone.name}: {why} no pretrained "
            f"weights to freeze"
        )


def sentence(error: ValidationError, fields: Mapping[str, FieldInfo]) -> str:
    """Pydantic's first complaint: field, rule, value that came, and what the field means."""
    first = error.errors(include_url=False)[0]
    if isinstance(
        cause := first.get("ctx", {}).get("error"), UserError
    ):  # of the catalog: a sentence already
        return str(cause)
    rule = first["msg"].removeprefix("Value error, ")
    if not first["loc"]:
        return f"{rule}."
    name = str(first["loc"][0])
    if first["type"] == "extra_forbidden":
        near = difflib.get_close_matches(name, fields, 1)
        hint = f"did you mean {near[0]}?" if near else f"the settings are {', '.join(fields)}."
        return f"{shown(name)} is not a setting of a run; {hint}"
    for theirs, ours in WORDS.items():
        rule = rule.replace(theirs, ours)
    if first["type"] in ("greater_than", "greater_than_equal", "less_than", "less_than_equal"):
        rule = f"must be in {_range(fields[name])}"
    if first["loc"][-1] == "[key]":
        rule = "must be switches by name"
    return f"{name} {rule}, got {shown(first['input'])} ({fields[name].description})."


def _range(field: FieldInfo) -> str:
    """ "[0, 1)": square brackets where the end itself is allowed."""
    bounds = {
        name: getattr(mark, name)
        for mark in field.metadata
        for name in ("ge", "gt", "le", "lt")
        if hasattr(mark, name)
    }
    low = f"[{bounds['ge']}" if "ge" in bounds else f"({bounds['gt']}"
    return f"{low}, " + (f"{bounds['le']}]" if "le" in bounds else f"{bounds['lt']})")


def shown(value: Any, longest: int = 60) -> str:
    """A value that came, as Python writes it, cut where it is long."""
    try:
        text = repr(value)
    except ValueError:  # a number of thousands of digits
        return f"a very long {type(value).__name__}"
    return text if len(text) <= longest else text[:longest] + "…"
