"""supervisor status | stop | start: the one background process of a runs folder that starts and watches workers."""

import argparse
from typing import Any

from rdh import execution
from rdh.commands._common import open_store, print_json


def add(verbs: Any, common: argparse.ArgumentParser) -> None:
    parser = verbs.add_parser(
        "supervisor", parents=[common], help="status, stop or start the background process of a runs folder"
    )
    parser.add_argument("action", nargs="?", default="status", choices=("status", "stop", "start"))
    parser.set_defaults(call=run)


def run(arguments: argparse.Namespace) -> int:
    store = open_store(arguments)
    if arguments.action == "stop":
        execution.stop_supervisor(store)
    elif arguments.action == "start":
        execution.ensure_supervisor(store)
    status = execution.supervisor_status(store)
    if arguments.json:
        print_json(status)
    else:
        print("\n".join(f"{key}: {value}" for key, value in status.items()))
    return 0
