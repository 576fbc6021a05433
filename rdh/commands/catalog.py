"""methods [NAME]: the methods, or one method's card."""

import argparse
import dataclasses
from typing import Any

from rdh import catalog
from rdh.commands._common import add_verb, print_json
from rdh.errors import UserError


def add(verbs: Any, common: argparse.ArgumentParser) -> None:
    """methods."""
    about = "The methods, or one method's card: its objective, our decisions, its switches."
    parser = add_verb(verbs, common, "methods", about, ["", "dpsh"])
    parser.add_argument("name", nargs="?", metavar="NAME")
    parser.set_defaults(call=run)


def run(arguments: argparse.Namespace) -> int:
    """Prints the list or the card."""
    cards = catalog.methods()
    if arguments.name and arguments.name not in cards:
        raise UserError(f"method must be one of {', '.join(cards)}, got {arguments.name!r}.")
    if arguments.json:
        shown = [cards[arguments.name]] if arguments.name else cards.values()
        print_json({"methods": [as_dict(card) for card in shown]})
    elif arguments.name:
        print(cards[arguments.name].text)
        for switch in cards[arguments.name].switches:
            choices = f" (one of {', '.join(map(str, switch.choices))})" if switch.choices else ""
            choices += "" if switch.least is None else f" (at least {switch.least:g})"
            meaning = f": {switch.meaning}" if switch.meaning else ""
            print(f"--set method_options.{switch.name}={switch.default}{choices}{meaning}")
    else:
        for card in cards.values():
            print(f"{card.name:10} {card.headline}")
    return 0


def as_dict(card: catalog.Card) -> dict[str, Any]:
    """A card as plain JSON values."""
    switches = [dataclasses.asdict(one) for one in card.switches]
    facts = {"name": card.name, "title": card.title, "text": card.text, "facts": card.facts}
    return facts | {"switches": switches}
