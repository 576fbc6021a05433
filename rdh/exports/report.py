"""One HTML file of a run, or of two that are compared, which needs no network."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd

from rdh import __version__, diagnosis, studies
from rdh.charts import html_page as page
from rdh.diagnosis import Evidence
from rdh.errors import UserError, counted
from rdh.exports.figures import figures
from rdh.exports.findings import findings_in_words, warnings_in_words
from rdh.exports.moment import Moment, read_moment
from rdh.exports.numbers import definitions, meanings, newest, numbers
from rdh.store.run_store import RunStore

MOST_RUNS = 2
MAP_WORDS = (
    "What a map shows: each row is a bit, each column a moment; bright: many training items."
)


def report(store: RunStore, run_ids: Sequence[str]) -> str:
    """Findings in words, numbers with their definitions, charts, settings and origin.

    Args:
        store: the run store.
        run_ids: one run, or two in any order.

    Raises:
        UserError: There is no such run, one can't be read or has no records, or both are the same.
    """
    return report_of(store, read_moments(store, run_ids))


def read_moments(store: RunStore, run_ids: Sequence[str]) -> list[Moment]:
    """The runs of a report, in the order of `run_ids`. Arguments and errors as of `report`."""
    if len(run_ids) == MOST_RUNS and run_ids[0] == run_ids[1]:
        raise UserError(f"A run can't be compared with itself, got {run_ids[0]} twice.")
    return [read_moment(store, run_id) for run_id in run_ids]


def report_of(store: RunStore, moments: Sequence[Moment]) -> str:
    """`report` of runs that have been read."""
    moments = sorted(moments, key=lambda one: one.config.has_rdh)  # the run without RDH first
    title = title_of(moments)
    found = [*warnings_in_words(store, moments), *findings_in_words(store, moments)]
    body = [page.heading(title, 1)]
    body += [page.paragraph(line, "small") for line in (one.state for one in moments)]
    body += [page.paragraph(line, "answer") for line in found]
    body += [page.heading("Diagnosis")]
    body += [page.paragraph(line) for one in moments for line in diagnosed(store, one, moments)]
    body += [page.heading("Numbers"), page.table(numbers(moments), "numbers")]
    body += [page.paragraph(line, "small") for line in definitions(moments)]
    body += [page.heading("Charts"), page.paragraph(MAP_WORDS, "small")]
    names = "-".join(one.run_id for one in moments)
    for name, chart in figures(moments).items():
        is_of_one = any(one.run_id in name for one in moments)
        body.append(page.figure(name, chart, filename=name if is_of_one else f"{name}-{names}"))
    values = newest(moments)
    body += [page.heading("The newest value of everything"), page.table(values, "newest")]
    body += [page.paragraph(line, "small") for line in meanings(values)]
    cells, bold = settings(moments)
    body += [page.heading("Settings"), page.table(cells, "settings", bold)]
    body += [page.heading("What the runs were made with" if len(moments) > 1 else "Made with")]
    body += [page.paragraph(line, "small") for line in origins(store, moments)]
    body.append(page.facts("runs.json", facts(store, moments, found)))
    return page.html_page(title, body)


def title_of(moments: Sequence[Moment]) -> str:
    """The runs in words."""
    configs = [one.config for one in moments]
    what = " against ".join(dict.fromkeys(config.label for config in configs))
    shared = [
        " and ".join(dict.fromkeys(words))
        for words in (
            (counted(config.n_bits, "bit") for config in configs),
            (config.dataset or "data of its own" for config in configs),
            (f"lr {config.lr:g}" for config in configs if config.lr is not None),
            (f"seed {config.seed}" for config in configs if config.seed is not None),
        )
    ]
    return f"{what}: {', '.join(filter(None, shared))}"


def diagnosed(store: RunStore, moment: Moment, others: Sequence[Moment]) -> list[str]:
    """What the checks find in a run, most serious first, then how many ran."""
    pair = [Evidence(store, one.run_id, one.series) for one in others if one is not moment]
    partner = pair[0] if pair else None
    found = diagnosis.diagnose(Evidence(store, moment.run_id, moment.series, partner))
    titles = {name: check.title for name, check in diagnosis.checks().items()}
    label = moment.config.label
    lines = [
        f"{label}: {titles[one.check]} ({one.severity}). {one.sentence} {one.mechanism}"
        for one in found.findings
    ]
    if not found.ran:
        return [f"{label}: {found.if_empty}."]
    n, ran = len(found.ran), ", ".join(titles[name] for name in found.ran)
    return [*lines, f"{label}: {n} check{'s' * (n != 1)} ran: {ran}."]


def settings(moments: Sequence[Moment]) -> tuple[pd.DataFrame, np.ndarray]:
    """All settings, a row each, and which are bold: those in which two runs differ."""
    rows = []
    for one in moments:
        fields = one.config.model_dump()
        options = {
            f"{name}.{switch}": value
            for name, switches in fields.items()
            if isinstance(switches, dict)
            for switch, value in switches.items()
        }
        rows.append({k: v for k, v in fields.items() if not isinstance(v, dict)} | options)
    names = list(dict.fromkeys(name for row in rows for name in row))
    cells = pd.DataFrame({"setting": names})
    for one, row in zip(moments, rows, strict=True):
        cells[one.run_id] = ["–" if row.get(name) is None else str(row[name]) for name in names]
    differs = cells.iloc[:, 1:].nunique(axis=1).to_numpy() > 1
    return cells, np.repeat(differs[:, None], cells.shape[1], axis=1)


def origins(store: RunStore, moments: Sequence[Moment]) -> list[str]:
    """Versions, commit, machine and data; where two runs differ, both."""
    found = [studies.origin(store, one.run_id) for one in moments]
    lines = []
    for name in found[0]:
        values = [origin[name] for origin in found]
        if len(set(values)) == 1:
            lines.append(f"{name}: {values[0]}.")
        else:
            both = (f"{one.run_id}: {text}" for one, text in zip(moments, values, strict=True))
            lines.append(f"{name}, not the same: {'; '.join(both)}.")
    return [*lines, f"This file: rdh {__version__}."]


def facts(store: RunStore, moments: Sequence[Moment], found: Sequence[str]) -> dict[str, Any]:
    """The same for programs."""
    runs = {
        one.run_id: {
            "config": one.config.model_dump(),
            "state": store.result(one.run_id).get("state"),
            "step": one.series.step,
            "numbers": one.series.last(),
            "recorded": studies.recorded(store, one.run_id),
        }
        for one in moments
    }
    return {"runs": runs, "findings": list(found), "rdh": __version__}
