"""methods [NAME]: the methods, or one method's card."""

import argparse
import dataclasses
import sys
from typing import Any

from rdh import catalog
from rdh.catalog.complaints import range_of
from rdh.commands._common import add_verb, print_json
from rdh.errors import printable


def add(verbs: Any, common: argparse.ArgumentParser) -> None:
    """methods."""
    about = "The methods, or one method's card: its objective, our decisions, its switches."
    parser = add_verb(verbs, common, "methods", about, ["", "dpsh"])
    parser.add_argument("name", nargs="?", metavar="NAME")
    parser.set_defaults(call=run)


def run(arguments: argparse.Namespace) -> int:
    """Prints the list or the card."""
    is_one = arguments.name is not None
    cards = [catalog.method(arguments.name)] if is_one else [*catalog.methods().values()]
    print_warnings()
    if arguments.json:
        print_json({"methods": [as_dict(card) for card in cards], "broken": catalog.broken()})
    elif is_one:
        print(cards[0].text)
        for switch in cards[0].switches:
            print(switch_line("method_options", switch))
    else:
        for card in cards:
            print(f"{card.name:10} {card.headline}")
        print("", *catalog.left_out(), sep="\n")
    return 0


def print_warnings() -> None:
    """A line on stderr for each plug-in file that can't be used."""
    for sentence in catalog.warnings():
        print(f"warning: {printable(sentence)}", file=sys.stderr)


def switch_line(field: str, switch: catalog.Switch) -> str:
    """How a switch is set, what it takes and what it means, in a line.

    Args:
        field: "method_options" or "dataset_options".
        switch: of a card.
    """
    takes = f"one of {', '.join(map(str, switch.choices))}" if switch.choices else ""
    takes = takes or range_of(switch.field)
    line = f"--set {field}.{switch.name}={switch.default}" + (f" ({takes})" if takes else "")
    return line + (f": {switch.meaning}" if switch.meaning else "")


def as_dict(card: catalog.MethodCard) -> dict[str, Any]:
    """A card as plain JSON values."""
    named = ("name", "title", "text")
    facts = card.model_dump(exclude={*named, "switches"})
    switches = [dataclasses.asdict(one) for one in card.switches]
    return {name: getattr(card, name) for name in named} | {"facts": facts, "switches": switches}
