"""data list | prepare NAME: which data sets there are, and bringing one here."""

import argparse
import sys
from importlib import import_module
from pathlib import Path
from typing import Any

from rdh import catalog
from rdh.commands._common import print_json
from rdh.commands.launch import Progress
from rdh.errors import UserError


def add(verbs: Any, common: argparse.ArgumentParser) -> None:
    parser = verbs.add_parser("data", parents=[common], help="list the data sets, or prepare one")
    parser.add_argument("action", nargs="?", default="list", choices=("list", "prepare"))
    parser.add_argument("name", nargs="?")
    parser.add_argument("--root", type=Path, help="data folder, as --data-root")
    parser.set_defaults(call=run)


def run(arguments: argparse.Namespace) -> int:
    from rdh import datasets

    root = arguments.root or arguments.data_root or datasets.data_root()
    if arguments.action == "prepare":
        return _prepare(arguments.name, Path(root), arguments.json)
    rows = [_status(name, Path(root)) for name in catalog.datasets()]
    if arguments.json:
        print_json({"root": str(root), "datasets": rows})
    else:
        print(f"data folder: {root}")
        for row in rows:
            print(f"{row['name']:12} {row['status']}")
    return 0


def _status(name: str, root: Path) -> dict[str, Any]:
    from rdh import datasets

    try:
        dataset = datasets.load(name, root)
    except UserError as error:
        return {"name": name, "ready": False, "status": str(error)}
    return {
        "name": name,
        "ready": True,
        "n_items": len(dataset.labels),
        "n_classes": len(dataset.class_names),
        "status": f"ready: {len(dataset.labels)} images, {len(dataset.class_names)} classes",
    }


def _prepare(name: str | None, root: Path, as_json: bool) -> int:
    from rdh import datasets

    cards = catalog.datasets()
    if name not in cards:
        raise UserError(f"data prepare takes one of {', '.join(cards)}, got {name!r}.")
    status = _status(name, root)
    is_ready = status["ready"] and datasets.loads_without_torch(name, root)
    if not is_ready and cards[name].facts["has_download"]:
        show = Progress()
        import_module(f"rdh.datasets.{name}").download(
            root, lambda done, total: show(f"{name}: {done:,} of {total:,} bytes")
        )
        show.end()
        status = _status(name, root)
    if as_json:
        print_json(status)
    else:
        print(f"{name}: {status['status']}", file=sys.stdout if status["ready"] else sys.stderr)
    return 0 if status["ready"] else 2
