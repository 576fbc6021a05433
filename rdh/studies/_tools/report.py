"""Reports of a study. They read and never train; the same runs give the same bytes."""

import json
from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd

from rdh import __version__
from rdh.analysis import duration
from rdh.charts import html_page as page
from rdh.errors import UserError
from rdh.studies._tools.chapters import Chapter, answer, tables
from rdh.studies._tools.findings import Findings
from rdh.studies._tools.markdown import as_markdown, markdown_table
from rdh.studies._tools.provenance import provenance, recorded
from rdh.studies._tools.study import Study
from rdh.studies._tools.tables import numbers


def render(findings: Findings, kind: str) -> str:
    """The report as text.

    Args:
        findings: of the study.
        kind: a key of `KINDS`.

    Raises:
        UserError: There is no such kind, or no run has finished.
    """
    if kind not in KINDS:
        raise UserError(f"A report is one of {', '.join(KINDS)}, got {kind!r}.")
    check_finished(findings)
    return KINDS[kind](findings)


def check_finished(findings: Findings) -> None:
    """UserError if no run has finished."""
    if findings.frame.empty:
        raise UserError(
            f"No run of the study {findings.study.name} has finished in {findings.store.root}, so "
            f"there is nothing to report; {way_out(findings.study)}."
        )


def way_out(study: Study) -> str:
    """How the runs that are missing get trained."""
    return f"`{study.command}` trains what is missing" if study.command else "run the study first"


def state_in_words(findings: Findings) -> list[str]:
    """How complete the study is: what is missing, under way or has failed, and why."""
    configs, n = findings.configs, len(findings.configs)
    found = [findings.runs.get(config.hash) for config in configs]
    states: dict[str, list[str]] = {}
    for one in found:
        if one is None:
            states.setdefault("missing", []).append("")
        elif one.state != "finished":
            states.setdefault(one.state, []).append(one.run_id)
    parts = [f"{findings.n_finished} of {n} runs have finished"]
    parts += [f"{len(ids)} {state}" for state, ids in sorted(states.items())]
    lines = [f"{', '.join(parts)}."]
    for one in found:
        if one is not None and one.rank == 1:
            lines.append(f"{one.run_id}: {one.state}: {one.reason or 'no reason was recorded.'}")
    return lines


def to_json(findings: Findings) -> str:
    """study.json: grids, configs, run ids, versions, machine and data, as far as recorded."""
    return (
        json.dumps(page.plain(_facts(findings)), indent=1, sort_keys=True, allow_nan=False) + "\n"
    )


def to_csv(findings: Findings) -> str:
    """Every comparison, a row each, with all digits."""
    return _all_numbers(findings).to_csv(index=False, lineterminator="\n")


def _all_numbers(findings: Findings) -> pd.DataFrame:
    """The comparisons of all chapters, one below the other."""
    found = [
        numbers(findings, measure, results)
        for chapter in findings.chapters
        for measure, results in chapter.results.items()
    ]
    return pd.concat(found, ignore_index=True) if found else pd.DataFrame()


def _definitions(findings: Findings) -> list[str]:
    """Those of all chapters, each once."""
    return list(dict.fromkeys(line for one in findings.chapters for line in one.definitions))


def to_latex(findings: Findings) -> str:
    """The tables by pandas' Styler. They need booktabs."""
    parts = [f"% {line}" for line in (findings.study.question, *answer(findings))]
    for table in tables(findings):
        cells = table.cells.map(_tex).rename(columns=_tex)
        marks = np.where(table.bold, "textbf:--rwrap;", "")
        style = cells.style.hide(axis="index").apply(lambda _, marks=marks: marks, axis=None)
        parts.append(
            style.to_latex(
                hrules=True,
                caption=_tex(table.title),
                label=f"tab:{findings.study.name}-{table.name}",
                column_format="l" + "r" * (cells.shape[1] - 1),
                position_float="centering",
            )
        )
    parts += [f"% {line}" for line in (*_definitions(findings), *provenance(findings))]
    return "\n".join(parts) + "\n"


def to_html(findings: Findings) -> str:
    """One file that needs no network."""
    study = findings.study
    body = [page.heading(study.title, 1), page.paragraph(study.question)]
    body += [page.paragraph(line, "answer") for line in answer(findings)]
    body += [page.paragraph(line, "small") for line in state_in_words(findings)]
    for chapter in findings.chapters:
        body += _html_chapter(chapter)
    for name, figure in study.asked("figures", findings).items():
        body.append(page.figure(f"{study.name}-{name}", figure))
    body += [page.paragraph(line, "small") for line in notes(findings)]
    body.append(page.heading("What the runs were made with"))
    body += [page.paragraph(line, "small") for line in provenance(findings)]
    return page.html_page(study.title, [*body, page.facts("study.json", _facts(findings))])


def to_markdown(findings: Findings) -> str:
    """The answer, the tables and what their numbers are, as Markdown."""
    study = findings.study
    lines = [f"# {as_markdown(study.title)}", "", as_markdown(study.question), ""]
    for line in (*answer(findings), *state_in_words(findings)):
        lines += [line, ""]
    for chapter in findings.chapters:
        lines += [f"## {chapter.title}", ""] if chapter.title else []
        lines += [*(f"* {line}" for line in chapter.said), ""] if chapter.said else []
        for table in chapter.tables:
            lines += markdown_table(table)
        lines += [f"* {line}" for line in chapter.definitions]
        lines += [""] if chapter.title else []
    lines += ["## The runs", ""] if len(findings.chapters) > 1 else []
    lines += [f"* {line}" for line in (*notes(findings), *provenance(findings))]
    return "\n".join(lines) + "\n"


KINDS: dict[str, Callable[[Findings], str]] = {
    "html": to_html,
    "md": to_markdown,
    "csv": to_csv,
    "latex": to_latex,
    "json": to_json,
}


TEX = {char: f"\\{char}" for char in "&%$#_{}"} | {
    "\\": "\\textbackslash{}",
    "~": "\\textasciitilde{}",
    "^": "\\textasciicircum{}",
    "<": "$<$",
    ">": "$>$",
    "|": "$|$",
    "≤": "$\\leq$",
    "±": "$\\pm$",
}


def notes(findings: Findings) -> list[str]:
    """The notes of the study, where published figures come from, and what the runs took."""
    found = list(findings.study.notes)
    if findings.study.published and any(
        one.config.dataset == findings.study.published.dataset for one in findings.asked
    ):
        found.append(findings.study.published.source)
    seconds = findings.frame.drop_duplicates("run_id")["seconds"].sum()
    return [*found, f"All runs together took {duration(float(seconds))} of training."]


def _html_chapter(chapter: Chapter) -> list[str]:
    body = [page.heading(chapter.title)] if chapter.title else []
    body += [page.paragraph(line) for line in chapter.said]
    for table in chapter.tables:
        body.append(page.heading(table.title, 3 if chapter.title else 2))
        body.append(page.table(table.cells, table.name, table.bold.to_numpy()))
    return [*body, *(page.paragraph(line, "small") for line in chapter.definitions)]


def _facts(findings: Findings) -> dict[str, Any]:
    runs = {}
    for config in findings.configs:
        found = findings.runs.get(config.hash)
        runs[config.hash] = {
            "config": config.model_dump(),
            "run_id": found.run_id if found else None,
            "state": found.state if found else "missing",
        }
        if found and found.state == "finished":
            runs[config.hash]["recorded"] = recorded(findings.store, found.run_id)
            metrics = findings.store.result(found.run_id).get("metrics", {})
            runs[config.hash]["metrics"] = metrics
    study = findings.study
    return {
        "study": study.name,
        "title": study.title,
        "question": study.question,
        "answer": answer(findings),
        "grids": [{**vars(grid), "swept": dict(grid.swept)} for grid in findings.grids],
        "runs": runs,
        "comparisons": _all_numbers(findings).to_dict("records"),
        "definitions": _definitions(findings),
        "provenance": provenance(findings),
        "rdh": __version__,
    }


def _tex(text: str) -> str:
    """Text for LaTeX."""
    return "".join(TEX.get(char, char) for char in text)
