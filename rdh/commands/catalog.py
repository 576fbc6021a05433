"""methods [NAME]: the methods, or one method's card."""

import argparse
from typing import Any

from rdh import catalog
from rdh.commands._common import print_json
from rdh.errors import UserError


def add(verbs: Any, common: argparse.ArgumentParser) -> None:
    parser = verbs.add_parser("methods", parents=[common], help="list the methods, or show one method's card")
    parser.add_argument("name", nargs="?")
    parser.set_defaults(call=run)


def run(arguments: argparse.Namespace) -> int:
    cards = catalog.methods()
    if arguments.name and arguments.name not in cards:
        raise UserError(f"method must be one of {', '.join(cards)}, got {arguments.name!r}.")
    if arguments.json:
        shown = [cards[arguments.name]] if arguments.name else cards.values()
        print_json([{"name": card.name, "title": card.title, "text": card.text, "facts": card.facts} for card in shown])
    elif arguments.name:
        card = cards[arguments.name]
        print(card.text)
        for switch in card.switches:
            choices = f" (one of {', '.join(map(str, switch.choices))})" if switch.choices else ""
            print(f"switch {switch.name} = {switch.default}{choices}")
    else:
        for card in cards.values():
            print(f"{card.name:12} {card.headline}")
    return 0
