"""data list | prepare NAME: which data sets there are, and bringing one here."""

import argparse
import time
from importlib import import_module
from pathlib import Path
from typing import Any

from rdh import catalog, datasets
from rdh.commands._common import add_verb, count, print_json
from rdh.commands._progress import Pace, Progress
from rdh.errors import UserError

ABOUT = """The data sets: list says which are ready, prepare NAME brings one here.
Without an action: the list."""


def add(verbs: Any, common: argparse.ArgumentParser) -> None:
    """data, with its actions."""
    parser = add_verb(verbs, common, "data", ABOUT, ["", "prepare cifar10 --data-root ~/data"])
    parser.set_defaults(call=run, action="list")
    actions = parser.add_subparsers(metavar="ACTION", title="actions")
    for action, text in (
        ("list", "Which data sets are ready, and what the others need."),
        ("prepare", "Bring a data set here."),
    ):
        one = add_verb(actions, common, action, text)
        one.set_defaults(action=action)
        one.add_argument("--root", dest="data_root", metavar="DIR", default=argparse.SUPPRESS, help="as --data-root")
        if action == "prepare":
            one.add_argument("name", metavar="NAME")


def run(arguments: argparse.Namespace) -> int:
    """Lists the data sets, or prepares one: 0 where it is ready in the end."""
    root = datasets.as_folder(arguments.data_root or datasets.data_root(), "data folder", "--data-root or RDH_DATA")
    if root.exists() and not root.is_dir():
        raise UserError(f"The data folder {root} is a file; name another folder by --data-root or RDH_DATA.")
    if arguments.action == "prepare":
        return _prepare(arguments.name, root, arguments.json)
    rows = [_status(name, root) for name in catalog.datasets()]
    if arguments.json:
        print_json({"root": str(root), "datasets": rows})
    else:
        print(f"data folder: {root}")
        for row in rows:
            print(f"{row['name']:10} {row['status']}")
    return 0


def _status(name: str, root: Path) -> dict[str, Any]:
    try:
        dataset = datasets.load(name, root)
    except UserError as error:
        return {"name": name, "ready": False, "status": f"not ready: {error}"}
    n_items, n_classes = len(dataset.labels), len(dataset.class_names)
    words = f"ready: {count(n_items)} images, {n_classes} classes"
    return {"name": name, "ready": True, "n_items": n_items, "n_classes": n_classes, "status": words}


def _prepare(name: str, root: Path, as_json: bool) -> int:
    cards = catalog.datasets()
    if name not in cards:
        raise UserError(f"data prepare takes one of {', '.join(cards)}, got {name!r}.")
    status = _status(name, root)
    is_ready = status["ready"] and datasets.loads_without_torch(name, root)
    if not is_ready and cards[name].facts["has_download"]:
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
    progress, pace = Progress(), Pace()

    def show(done: int, total: int) -> None:
        progress.show(f"{name}: {pace.words(done / 1e6, total / 1e6, time.monotonic(), ' MB')} (MB)")

    import_module(f"rdh.datasets.{name}").download(root, show)
    progress.clear()
