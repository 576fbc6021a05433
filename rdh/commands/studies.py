"""study [list | show | run | report] NAME: questions about RDH, their runs and their answers."""

import argparse
import shlex
import sys
from dataclasses import replace
from math import isnan
from pathlib import Path
from typing import Any

from rdh import execution, studies
from rdh.commands._common import (
    add_settings,
    add_verb,
    checked_out,
    open_store,
    parse_settings,
    print_json,
    print_table,
    say_repeated,
)
from rdh.commands._follow import follow
from rdh.commands.terminal import print_exactly
from rdh.config.presets import PRESETS
from rdh.errors import UserError, short_path, writing
from rdh.files import atomic
from rdh.folders import as_folder
from rdh.store.run_store import RunStore
from rdh.studies import Findings, Study

ABOUT = """The questions about RDH: their runs, and their answers with intervals.
A study is named, or a TOML file of your own. Without an action: the list."""
ACTIONS = {
    "list": "All studies, with the runs that they need.",
    "show": "What a study asks, which of its runs there are, and the answer so far.",
    "run": "Train what is missing. Runs that any study or sweep has finished are used; interrupted "
    "and asked for again, it goes on.",
    "report": "Write the report of the runs that have finished. It never trains.",
}
EXAMPLES = {
    "run": [
        "table1 --preset demo --methods dpsh,hashnet --bits 16,32 --seeds 0-2",
        "table2 --seeds 0-4 --splits 0-2",
        "mine.toml",
    ],
    "report": ["table1 -o table1.html", "table1 --to md", "figure4 --to svg -o figures"],
}
ENDINGS = {".md": "md", ".csv": "csv", ".tex": "latex", ".json": "json"}  # of FILE, without --to
MOST_STAGES = 5  # of a study whose later runs depend on earlier ones


def add(verbs: Any, common: argparse.ArgumentParser) -> None:
    """study, with its actions."""
    parser = add_verb(verbs, common, "study", ABOUT, ["list", "show table1", "run table2"])
    parser.set_defaults(call=run, action="list")
    actions = parser.add_subparsers(metavar="ACTION", title="actions")
    for name, text in ACTIONS.items():
        one = add_verb(actions, common, name, text, EXAMPLES.get(name, ()))
        one.set_defaults(action=name)
        if name != "list":
            text = "a study of `study list`, or a file that ends in .toml"
            one.add_argument("study", metavar="NAME", help=text)
            _add_options(one)
        if name == "report":
            kinds = (*studies.KINDS, *studies.PICTURES)
            text = (
                "its form; default: by the ending of FILE, else md on a terminal and html elsewhere"
            )
            one.add_argument("--to", choices=kinds, help=text)
            where = "default: print it; for png and svg a folder, by default ./NAME-figures"
            text = "adds an interval over queries, from the kept codes: about .2 s for each run"
            one.add_argument("--queries", action="store_true", help=text)
            one.add_argument("-o", "--out", metavar="FILE", help=where)


def _add_options(parser: argparse.ArgumentParser) -> None:
    """What changes the grid of a study; other words would be other studies."""
    text = f"starting point, instead of the study's own: {', '.join(PRESETS)}"
    parser.add_argument("--preset", metavar="NAME", help=text)
    parser.add_argument("--methods", metavar="A,B", help="instead of the study's own")
    parser.add_argument("--bits", metavar="24,48", help="code lengths, numbers or ranges")
    parser.add_argument("--seeds", metavar="0-4", help="a range; intervals are over its pairs")
    text = "split seeds, a range; more than one is crossed with the seeds"
    parser.add_argument("--splits", metavar="0-2", help=text)
    parser.add_argument("--dataset", metavar="NAME", help="`python -m rdh data` lists them")
    add_settings(parser, "any other setting, for all runs, as often as needed")


def run(arguments: argparse.Namespace) -> int:
    """Does one action."""
    if arguments.action == "list":
        return _list(arguments.json)
    study = _study(arguments)
    store = open_store(arguments, makes=arguments.action == "run")
    if arguments.action == "run":
        return _run(store, study, arguments)
    if arguments.action == "report":
        return _report(store, study, arguments)
    return _show(studies.look(store, study), arguments.json)


def _study(arguments: argparse.Namespace) -> Study:
    """The study, with the options of the command line on top."""
    settings = parse_settings(arguments.settings)
    if arguments.dataset is not None and "dataset" in settings:
        raise UserError("--dataset and --set dataset both give dataset; give one of them.")
    words = {name: getattr(arguments, name) for name in studies.OPTIONS}
    study = studies.study(arguments.study).with_words(words, settings=settings, mark="--")
    lists = ("methods", "bits", "seeds", "splits")
    say_repeated({f"--{name}": words[name] for name in lists})
    for note in study.notes if arguments.study.endswith(".toml") else ():
        print(note, file=sys.stderr)
    options = [
        word for name, text in words.items() if text is not None for word in (f"--{name}", text)
    ]
    options += [word for pair in arguments.settings for word in ("--set", pair)]
    command = shlex.join(["python", "-m", "rdh", "study", "run", arguments.study, *options])
    return replace(study, command=command)


def _list(as_json: bool) -> int:
    for warning in studies.warnings():
        print(warning, file=sys.stderr)
    rows = []
    for name in studies.names():
        study = studies.study(name)
        try:
            n_runs = len({one.config.hash for one in studies.expand(study.grids)})
        except UserError as error:
            print(f"The study {name} is left out: {error}", file=sys.stderr)
            continue
        rows.append({"study": name, "runs": n_runs, "question": study.question})
    if as_json:
        print_json({"studies": rows})
    else:
        print_table([{key: str(value) for key, value in row.items()} for row in rows])
    return 0


def _show(findings: Findings, as_json: bool) -> int:
    lines = [*studies.state_in_words(findings), *studies.answer(findings)]
    if as_json:
        said = {"study": findings.study.name, "question": findings.study.question}
        n_runs = {"n_runs": len(findings.configs), "n_finished": findings.n_finished}
        print_json(said | n_runs | {"said": lines})
        return 0
    print(f"{findings.study.title}\n{findings.study.question}\n")
    for grid in findings.grids:
        parts = {"methods": grid.methods, "bits": grid.bits, "arms": grid.arms}
        parts |= {"seeds": grid.seeds, "splits": grid.splits, **grid.swept}
        preset = f"preset {grid.preset}; " if grid.preset else ""
        fixed = "".join(f"; {name} = {value}" for name, value in grid.fixed.items())
        lists = "; ".join(f"{name} {', '.join(map(str, one))}" for name, one in parts.items())
        print(f"{preset}{lists}{fixed}")
    print()
    _print_findings(findings, lines)
    return 0


def _print_findings(findings: Findings, lines: list[str]) -> None:
    print("\n".join(lines))
    if findings.frame.empty:
        return
    for chapter in findings.chapters:
        if chapter.title:
            print("", chapter.title.upper(), *chapter.said, sep="\n")
        for table in chapter.tables:
            print(f"\n{table.title}")
            rows = table.cells.to_dict("records")
            print_table([{str(k): v for k, v in row.items()} for row in rows])
        print()
        print("\n".join(chapter.definitions))


def _report(store: RunStore, study: Study, arguments: argparse.Namespace) -> int:
    if arguments.to in studies.PICTURES:
        return _pictures(store, study, arguments)
    path = _report_path(study, arguments)
    kind = arguments.to or _usual_kind(path)
    if path is None and kind == "html" and sys.stdout.isatty():
        raise UserError(
            f"--to html is a page for a browser, not for a terminal: write it by "
            f"-o {study.name}.html, or print --to md."
        )
    findings = studies.look(store, study)
    if arguments.queries:
        findings = studies.with_queries(findings, _queries_done)
        n = sum(one.effect.n > 0 and isnan(one.over_queries.low) for one in findings.results)
        if n:
            text = "codes are missing or give another MAP than the run recorded, or all are equal"
            print(f"{n} comparisons have no interval over queries: {text}.", file=sys.stderr)
    text = studies.render(findings, kind)
    for line in studies.state_in_words(findings) if findings.missing else ():
        print(line, file=sys.stderr)
    if path is None:
        print_exactly(text)
        if sys.stdout.isatty():
            print(f"-o {study.name}.html writes it with its charts.", file=sys.stderr)
        return 0
    with writing(path), atomic(path) as draft:
        draft.write_text(text, encoding="utf-8")
    if arguments.json:
        print_json({"file": str(path), "n_finished": findings.n_finished})
    else:
        print(path)
    return 0


def _report_path(study: Study, arguments: argparse.Namespace) -> Path | None:
    """Where the report goes, which is never the file of the study itself; None: it is printed."""
    path = checked_out(arguments.out)
    source = Path(arguments.study)
    if path and source.suffix == ".toml" and path.resolve() == source.resolve():
        raise UserError(
            f"-o would overwrite the study itself, {short_path(path)}; name another file, such as "
            f"-o {study.name}.html."
        )
    return path


def _usual_kind(path: Path | None) -> str:
    """The form of a report without --to."""
    if path is None:
        return "md" if sys.stdout.isatty() else "html"
    return ENDINGS.get(path.suffix.lower(), "html")


def _queries_done(done: int, of: int) -> None:
    """One line on the way, each 50 runs: some minutes if no run has been read before."""
    if done % 50 == 0 and done < of:
        print(f"Queries of {done} of {of} runs are read.", file=sys.stderr)


def _pictures(store: RunStore, study: Study, arguments: argparse.Namespace) -> int:
    """A picture for each figure, in the folder of -o."""
    if arguments.queries:
        raise UserError(
            f"--queries adds a column to the tables, and {arguments.to} has none; leave it out."
        )
    given = arguments.out or f"{study.name}-figures"
    folder = as_folder(given, "folder of the pictures", "-o")
    if folder.exists() and not folder.is_dir():
        raise UserError(f"-o must be a folder for {arguments.to}, got the file {given}.")
    findings = studies.look(store, study)
    with writing(folder, "name another folder by -o"):
        files = studies.draw(findings, arguments.to, folder)
    for line in studies.state_in_words(findings) if findings.missing else ():
        print(line, file=sys.stderr)
    if arguments.json:
        print_json({"files": list(map(str, files)), "n_finished": findings.n_finished})
    else:
        print("\n".join(map(str, files)))
    return 0


def _run(store: RunStore, study: Study, arguments: argparse.Namespace) -> int:
    """Submits what is missing and follows it, until no further runs depend on results."""
    findings = studies.look(store, study)
    studies.check_data(findings, arguments.data_root)
    code, tried = 0, set[str]()
    for stage in range(MOST_STAGES):
        to_do = [config for config in findings.missing if config.hash not in tried]
        waiting = findings.under_way
        if stage and not to_do and not waiting:
            break
        print(studies.plan_in_words(findings, len(to_do)), file=sys.stderr)
        tried |= {config.hash for config in to_do}
        if to_do:
            made, refused = studies.submit_runs(store, to_do, arguments.data_root)
            for sentence in refused:
                print(sentence, file=sys.stderr)
            waiting += [run_id for run_id in made if run_id not in waiting]
        if not waiting:
            break
        execution.ensure_supervisor(store)
        code = follow(store, waiting)
        if code == 130:
            print(f"`{study.command}` goes on.", file=sys.stderr)
            return code
        findings = studies.look(store, study)
    lines = [*studies.state_in_words(findings), *studies.answer(findings)]
    if arguments.json:
        print_json({"study": study.name, "n_finished": findings.n_finished, "said": lines})
    else:
        _print_findings(findings, lines)
    return 1 if findings.missing else code
