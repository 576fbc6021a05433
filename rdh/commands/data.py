"""data list | show NAME | prepare NAME: which data sets there are, and what is in one."""

import argparse
import dataclasses
import sys
import time
from pathlib import Path
from typing import Any

from rdh import catalog, datasets
from rdh.commands._common import add_settings, add_verb, parse_settings, print_json
from rdh.commands._progress import Pace, ProgressLine
from rdh.commands.catalog import print_warnings, switch_line
from rdh.config.run_config import make_config
from rdh.errors import UserError, count, printable
from rdh.folders import data_root

ABOUT = """The data sets: list says which are ready, show NAME what is in one.
prepare NAME brings one here. Without an action: the list."""
ACTIONS = {
    "list": "Which data sets are ready, and what the others need.",
    "show": "A data set's card: protocol, sizes, labels, share of similar pairs.",
    "prepare": "Bring a data set here: fetched, resumed and checked where that is allowed.",
}
MOST_LABELS_SHOWN = 20


def add(verbs: Any, common: argparse.ArgumentParser) -> None:
    """data, with its actions."""
    examples = ["", "show mosaic --set grid=3", "prepare cifar10 --data-root ~/data"]
    parser = add_verb(verbs, common, "data", ABOUT, examples)
    parser.set_defaults(call=run, action="list")
    actions = parser.add_subparsers(metavar="ACTION", title="actions")
    for action, text in ACTIONS.items():
        one = add_verb(actions, common, action, text)
        one.set_defaults(action=action)
        one.add_argument(
            "--root",
            dest="data_root",
            metavar="DIR",
            default=argparse.SUPPRESS,
            help="as --data-root",
        )
        if action != "list":
            one.add_argument("name", metavar="NAME")
        if action == "show":
            add_settings(one, "a switch of the data set, as often as needed")


def run(arguments: argparse.Namespace) -> int:
    """Lists the data sets, shows one or prepares one: 0 if it is ready in the end."""
    root = data_root(arguments.data_root)
    if root.exists() and not root.is_dir():
        raise UserError(
            f"The data folder {root} is a file; name another folder by --data-root or RDH_DATA."
        )
    if arguments.action != "list":
        catalog.dataset(arguments.name)  # a sentence if there is none
    if arguments.action == "prepare":
        return _prepare(arguments.name, root, arguments.json)
    if arguments.action == "show":
        return _show(arguments.name, root, parse_settings(arguments.settings), arguments.json)
    return _list(root, arguments.json)


def _list(root: Path, as_json: bool) -> int:
    rows = [_status(name, root) for name in catalog.datasets()]
    print_warnings()
    if as_json:
        print_json({"root": str(root), "datasets": rows, "broken": catalog.broken()})
        return 0
    print(f"data folder: {root}")
    for row in rows:
        print(f"{row['name']:12} {printable(row['status'])}")
        if row["card"]:
            print(f"{'':12} {summary(row['card'])}")
    return 0


def _status(name: str, root: Path) -> dict[str, Any]:
    try:
        dataset = datasets.load(name, root)
        card = dataclasses.asdict(datasets.data_card(dataset))
    except UserError as error:
        return {"name": name, "ready": False, "status": f"not ready: {error}", "card": None}
    n_items, n_classes = card["n_items"], card["n_classes"]
    words = f"ready: {count(n_items)} images, {n_classes} classes"
    return {
        "name": name,
        "ready": True,
        "n_items": n_items,
        "n_classes": n_classes,
        "status": words,
        "card": card,
    }


def _show(name: str, root: Path, options: dict[str, Any], as_json: bool) -> int:
    nested = options.pop("dataset_options", {})  # as a run's settings name them
    config = make_config(
        dataset=name, dataset_options=nested | options if isinstance(nested, dict) else nested
    )
    about = config.dataset_card
    if not as_json:
        _print_about(about, root)
    try:
        dataset = datasets.load(name, root, **config.dataset_options)
        card, reason = dataclasses.asdict(datasets.data_card(dataset)), None
        card["queries_found_elsewhere"], card["same_pictures"] = datasets.same_pictures(dataset)
    except UserError as error:  # the rest of the card still tells what belongs in which folder
        card, reason = {"name": name}, f"not ready: {error}"
    if as_json:
        switches = [dataclasses.asdict(switch) for switch in about.switches]
        about_it = {"text": about.text, "root": str(root), "switches": switches}
        print_json(card | about_it | {"ready": reason is None, "status": reason or "ready"})
    elif reason:
        print(printable(reason), file=sys.stderr)
    else:
        _print_content(card)
    return 0


def _print_about(about: catalog.Card, root: Path) -> None:
    print(f"{about.text}\n\nDIR is {root}")
    for switch in about.switches:
        print(switch_line("dataset_options", switch))


def _print_content(card: dict[str, Any]) -> None:
    print(f"{count(card['n_items'])} items, {card['n_classes']} classes: {summary(card)}")
    print(
        f"map of random codes: about {card['map_floor']:.3f}"
        + (f", MAP@{card['top_k']}" if card["top_k"] else "")
    )
    print(
        "items by number of labels: "
        + ", ".join(f"{n}: {count(k)}" for n, k in _used(card["items_by_n_labels"]))
    )
    labels = sorted(
        ((printable(label), n) for label, n in card["items_per_label"].items()),
        key=lambda pair: -pair[1],
    )
    print(
        "items a label: "
        + ", ".join(f"{label} {count(n)}" for label, n in labels[:MOST_LABELS_SHOWN])
    )
    if len(labels) > MOST_LABELS_SHOWN:
        print(
            f"and {len(labels) - MOST_LABELS_SHOWN} rarer labels, down to "
            f"{labels[-1][0]} {count(labels[-1][1])}"
        )
    print(f"sample items: {', '.join(map(str, card['sample_ids']))}")
    print(f"same pictures: {printable(card['same_pictures'])}")
    for warning in card["warnings"]:
        print(f"note: {printable(warning)}")


def summary(card: dict[str, Any]) -> str:
    """A card in a line: the split, labels an item, similar pairs."""
    parts = (
        f"{count(card['n_query'])} queries, {count(card['n_gallery'])} gallery, "
        f"{count(card['n_train'])} training"
    )
    return (
        f"{parts}; {card['labels_per_item']:.2f} labels an item; {card['similar_share']:.1%} of "
        "training pairs similar"
    )


def _used(counts: list[int]) -> list[tuple[int, int]]:
    return [(number, n) for number, n in enumerate(counts) if n]


def _prepare(name: str, root: Path, as_json: bool) -> int:
    if catalog.dataset(name).has_download:  # does nothing if all is there
        _download(name, root)
    status = _status(name, root)
    if not status["ready"]:
        raise UserError(status["status"])
    if as_json:
        print_json(status)
    else:
        print(f"{name}: {status['status']}")
    return 0


def _download(name: str, root: Path) -> None:
    progress, pace = ProgressLine(), Pace()

    def show(done: int, total: int) -> None:
        progress.show(
            f"{name}: {pace.words(done / 1e6, total / 1e6, time.monotonic(), ' MB')} (MB)"
        )

    datasets.download(name, root, show)
    progress.clear()
