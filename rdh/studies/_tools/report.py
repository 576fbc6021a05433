"""Reports of a study. They read and never train; the same runs give the same bytes."""

import html
import json
import math
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from rdh import __version__
from rdh.analysis import duration
from rdh.errors import UserError
from rdh.studies._tools.chapters import Chapter, answer, tables
from rdh.studies._tools.findings import Findings
from rdh.studies._tools.markdown import as_markdown, markdown_table
from rdh.studies._tools.provenance import provenance, recorded
from rdh.studies._tools.study import Study
from rdh.studies._tools.tables import Table, numbers

if TYPE_CHECKING:
    import plotly.graph_objects as go

CSS = """
body{font:15px/1.5 system-ui,sans-serif;max-width:1200px;margin:2rem auto;padding:0 1rem;color:#222}
h1{font-size:1.6rem}h2{font-size:1.2rem;margin-top:2.2rem}
table{border-collapse:collapse;font-size:.85rem;font-variant-numeric:tabular-nums}
th,td{padding:.2rem .55rem;text-align:right;border-bottom:1px solid #ddd;white-space:nowrap}
th:first-child,td:first-child{text-align:left}.wide{overflow-x:auto}
.small{color:#555;font-size:.85rem}.answer{font-size:1.1rem}
"""


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


def on_white(figure: "go.Figure") -> "go.Figure":
    """The figure with a template of its own, since a report has no theme around it."""
    return figure.update_layout(template="plotly_white", legend_orientation="h")


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
    return json.dumps(_plain(_facts(findings)), indent=1, sort_keys=True, allow_nan=False) + "\n"


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
    """One file that needs no network: plotly.js is in it once."""
    from plotly.offline import get_plotlyjs  # 4 MB of text

    study, say = findings.study, html.escape
    body = [f"<h1>{say(study.title)}</h1>", f"<p>{say(study.question)}</p>"]
    body += [f'<p class="answer">{say(line)}</p>' for line in answer(findings)]
    body += [f'<p class="small">{say(line)}</p>' for line in state_in_words(findings)]
    for chapter in findings.chapters:
        body += _html_chapter(chapter)
    for name, figure in study.figures(findings).items():
        body.append(_html_figure(name, figure))
    body += [f'<p class="small">{say(line)}</p>' for line in notes(findings)]
    body.append("<h2>What the runs were made with</h2>")
    body += [f'<p class="small">{say(line)}</p>' for line in provenance(findings)]
    facts = to_json(findings).replace("<", "\\u003c")
    body.append(f'<script type="application/json" id="study.json">{facts}</script>')
    head = (
        f'<!doctype html><html lang="en"><head><meta charset="utf-8"><title>{say(study.title)}'
        f"</title><style>{CSS}</style><script>{get_plotlyjs()}</script></head><body>"
    )
    return head + "\n".join(body) + "</body></html>\n"


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
    say, level = html.escape, 3 if chapter.title else 2
    body = [f"<h2>{say(chapter.title)}</h2>"] if chapter.title else []
    body += [f"<p>{say(line)}</p>" for line in chapter.said]
    for table in chapter.tables:
        body.append(f"<h{level}>{say(table.title)}</h{level}>")
        body.append(f'<div class="wide">{_html_table(table)}</div>')
    return [*body, *(f'<p class="small">{say(line)}</p>' for line in chapter.definitions)]


def _html_figure(name: str, figure: "go.Figure") -> str:
    return on_white(figure).to_html(
        full_html=False,
        include_plotlyjs=False,
        div_id=name,
        config={"displaylogo": False, "responsive": True},
    )


def _html_table(table: Table) -> str:
    style = table.cells.style.hide(axis="index").set_uuid(table.name)
    marks = np.where(table.bold, "font-weight: bold", "")
    style = style.format(lambda text: html.escape(str(text))).apply(lambda _: marks, axis=None)
    return style.to_html()


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


def _plain(value: Any) -> Any:
    if isinstance(value, dict):
        return {str(key): _plain(one) for key, one in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(one) for one in value]
    value = value.item() if hasattr(value, "item") else value
    return None if isinstance(value, float) and not math.isfinite(value) else value


def _tex(text: str) -> str:
    """Text for LaTeX."""
    return "".join(TEX.get(char, char) for char in text)
