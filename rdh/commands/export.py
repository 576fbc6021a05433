"""export RUN: a run taken away, as a report, tables, event files or a network."""

import argparse
from collections.abc import Callable
from pathlib import Path
from typing import Any

from rdh import exports
from rdh.commands._common import add_side, add_verb, checked_out, open_store, print_json
from rdh.errors import UserError, short_path, writing
from rdh.files import atomic, check_output
from rdh.folders import as_folder
from rdh.lessons import recorded_demo
from rdh.store.run_store import RunStore

ABOUT = """A run as a file to take away. The ending of FILE, or --to, says as what.
html: a report with numbers, definitions and charts, which needs no network; with --vs of two runs.
csv, parquet: FILE has a row for each record, FILE-bits one for each record and bit.
tensorboard: event files; FILE is then the folder of `tensorboard --logdir FILE`.
network: images or features in, packed codes and logits out; FILE ends in .pt2 (read by
torch.export.load) or .onnx (needs pip install onnx onnxscript).
A run that goes on gives what it has recorded so far.
RUN can be the word lessons: all lessons with their pictures as one html file, for a class."""
EXAMPLES = [
    "RUN --to html",
    "RUN --vs OTHER -o pair.html",
    "RUN -o run.csv",
    "RUN --to tensorboard -o events",
    "RUN -o network.pt2",
    "lessons -o lessons.html",
]
LESSONS = "lessons"  # in the place of a run
ENDINGS = {
    "html": (".html", ".htm"),
    "csv": (".csv",),
    "parquet": (".parquet",),
    "tensorboard": ("",),
    "network": (".pt2", ".onnx"),
}


def add(verbs: Any, common: argparse.ArgumentParser) -> None:
    """export."""
    verb = add_verb(verbs, common, "export", ABOUT, EXAMPLES)
    verb.set_defaults(call=run)
    verb.add_argument("run", metavar="RUN")
    verb.add_argument("--vs", metavar="OTHER", help="html: the run to compare it with")
    verb.add_argument("--to", choices=tuple(ENDINGS), help="its form; default: by FILE's ending")
    verb.add_argument("-o", "--output", metavar="FILE", help="default: named after the run")
    add_side(verb)


def run(arguments: argparse.Namespace) -> int:
    """Writes what was asked for, or nothing."""
    kind = kind_of(arguments.to, arguments.output)
    if arguments.run == LESSONS:
        return run_lessons(arguments, kind)
    if arguments.vs is not None and kind != "html":
        raise UserError(f"--vs belongs to --to html, got --to {kind}; leave out one of them.")
    if arguments.side != "gallery" and kind != "network":
        raise UserError(f"--side belongs to --to network, got --to {kind}; leave out one of them.")
    if kind == "network":
        return run_network(arguments)
    store = open_store(arguments)
    for run_id in run_ids_of(arguments):
        store.config(run_id)  # a run that there is not is said before its file
    call = {"html": to_html, "tensorboard": to_tensorboard}.get(kind, to_tables)
    path, text = call(store, arguments, kind)
    if arguments.json:
        print_json({"output": str(path), "text": text})
    else:
        print(text)
    return 0


def run_ids_of(arguments: argparse.Namespace) -> list[str]:
    """RUN, and OTHER if it is named."""
    return [arguments.run, *([] if arguments.vs is None else [arguments.vs])]


def kind_of(to: str | None, output: str | None) -> str:
    """What is to be written.

    Args:
        to: --to, if given.
        output: -o, if given.

    Raises:
        UserError: Neither says it, or both say different things.
    """
    ending = Path(output).suffix.lower() if output is not None else None
    if to is None:
        for kind, endings in ENDINGS.items():
            if ending and ending in endings:
                return kind
        known = ", ".join(one for endings in ENDINGS.values() for one in endings if one)
        got = "neither" if output is None else short_path(output)
        raise UserError(
            f"-o must end in one of {known}, or --to must be one of {', '.join(ENDINGS)}, got "
            f"{got}."
        )
    if output is not None and to != "tensorboard" and ending not in ENDINGS[to]:
        raise UserError(
            f"-o must end in {' or '.join(ENDINGS[to])} with --to {to}, got {short_path(output)}."
        )
    return to


def to_html(store: RunStore, arguments: argparse.Namespace, _kind: str) -> tuple[Path, str]:
    """The report of one run or two."""
    run_ids = run_ids_of(arguments)
    path = _place(arguments.output, f"{'-vs-'.join(run_ids)}.html")
    moments = exports.read_moments(store, run_ids)
    text = exports.report_of(store, moments)
    with writing(path), atomic(path) as draft:
        draft.write_text(text, encoding="utf-8")
    return path, f"{' '.join(one.state for one in moments)} The report in {path}."


def to_tables(store: RunStore, arguments: argparse.Namespace, kind: str) -> tuple[Path, str]:
    """Two tables as CSV or Parquet."""
    path = _place(arguments.output, f"{arguments.run}.{kind}")
    bits = _place(str(exports.of_bits(path)), "")
    write: Callable = exports.write_csv if kind == "csv" else exports.write_parquet
    with writing(path):
        moment = write(store, arguments.run, path)
    return path, f"{moment.state} Its records in {path}, its bits in {bits}."


def to_tensorboard(store: RunStore, arguments: argparse.Namespace, _kind: str) -> tuple[Path, str]:
    """An event file in a folder."""
    named = arguments.output if arguments.output is not None else f"{arguments.run}-events"
    folder = as_folder(named, "folder of the event files", "-o")
    if folder.exists() and not folder.is_dir():
        raise UserError(f"-o must be a folder with --to tensorboard, got the file {named}.")
    if not folder.parent.is_dir():
        raise UserError(f"-o must be in a folder that is there, got {named}; make {folder.parent}.")
    with writing(folder):
        moment = exports.write_events(store, arguments.run, folder)
    return folder, f"{moment.state} Its events in {folder}; look: tensorboard --logdir {folder}."


def run_lessons(arguments: argparse.Namespace, kind: str) -> int:
    """Writes the lessons, on the pair that ships with the package."""
    if kind != "html" or arguments.vs is not None:
        got = f"--to {kind}" if kind != "html" else "--vs"
        raise UserError(f"The lessons are one html file of one pair, got {got}; leave it out.")
    path = _place(arguments.output, f"{LESSONS}.html")
    text = exports.lessons_in_one_file(recorded_demo())
    with writing(path), atomic(path) as draft:
        draft.write_text(text, encoding="utf-8")
    said = f"The lessons in {path} ({path.stat().st_size / 1e6:.1f} MB); it needs no network."
    print_json({"output": str(path), "text": said}) if arguments.json else print(said)
    return 0


def run_network(arguments: argparse.Namespace) -> int:
    """Writes the network, or no file at all."""
    from rdh.codes.encoder import Encoder  # torch: not for the other forms
    from rdh.codes.export import check_packages, is_network, write_network

    if arguments.output is None:
        raise UserError("-o must name a file that ends in .pt2 or .onnx with --to network.")
    path = Path(arguments.output)
    check_packages(path)
    check_output(path, is_ours=is_network)
    # a file made on a CPU is read everywhere
    encoder = Encoder(open_store(arguments), arguments.run, "cpu", arguments.side)
    what = write_network(path, encoder)
    text = f"The network of {arguments.run} in {path}; {what}"
    print_json({"output": str(path), "text": text}) if arguments.json else print(text)
    return 0


def _place(named: str | None, otherwise: str) -> Path:
    """Where a file goes, checked before anything is read."""
    path = checked_out(named if named is not None else otherwise)
    if path is None:
        raise UserError("-o must name a file, got nothing.")
    return path
