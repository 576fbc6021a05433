"""What a page shows of a study, read once for each state of its runs, and its tables as HTML."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from html import escape
from urllib.parse import urlencode

import pandas as pd
import streamlit as st

from pages.common.study_options import Words, read
from rdh import studies
from rdh.charts.figure import Figure
from rdh.store.run_store import RunStore
from rdh.studies import Findings, Pair, Table

NEVER = "never run"
MOST_SEEDS = 12  # links in a cell

STYLE = """<style>
.study-table { overflow-x: auto; margin-bottom: .25rem; }
.study-table table { border-collapse: collapse; font-size: .875rem; line-height: 1.45; }
.study-table.wide table { font-size: .75rem; }
.study-table th, .study-table td { padding: .2rem .4rem; text-align: right; }
.study-table th { vertical-align: bottom; font-weight: 600; }
.study-table td { white-space: nowrap; }
.study-table td.left { text-align: left; }
.study-table td.seeds { white-space: normal; min-width: 4rem; }
.study-table th:first-child, .study-table td:first-child { text-align: left; padding-left: 0; }
.study-table th:first-child, .study-table td:first-child { position: sticky; left: 0; }
/* as Streamlit's page: the column stands still while the others scroll below it */
.study-table th:first-child, .study-table td:first-child { background: light-dark(#fff, #171614); }
.study-table tr { border-bottom: 1px solid color-mix(in srgb, currentColor 18%, transparent); }
.study-table a { color: inherit; text-decoration: underline dotted 1px; }
.study-table a { text-underline-offset: 3px; }
.study-table a { text-decoration-color: color-mix(in srgb, currentColor 45%, transparent); }
.study-table a:hover, .study-table a:focus-visible { text-decoration-style: solid; }
a.study-link { color: inherit; font-weight: 600; text-underline-offset: 3px; }
.study-table b { font-weight: 700; }
</style>"""


@dataclass(frozen=True)
class View:
    """All that is shown of a study, apart from what moves while runs are under way.

    Attributes:
        findings: they are read-only.
        key: another one for each state of the runs.
        answer, notes: sentences.
        tables: (title, HTML, what its numbers are).
        chapters: title and sentences of a chapter -> those of its tables that stand first.
        missing: a row for each run without a result that nobody trains, ended ones first.
    """

    findings: Findings
    key: str
    answer: list[str]
    notes: list[str]
    tables: list[tuple[str, str, list[str]]]
    chapters: dict[int, tuple[str, Sequence[str]]]
    missing: pd.DataFrame


def read_view(store: RunStore, name: str, words: Words) -> View:
    """A study as its runs are now. It costs something only if one of them has changed.

    Raises:
        UserError: There is no such study, an option or the grid is bad, or the queue can't be read.
    """
    return _view(store, name, tuple(sorted(words.items())), _version(store))


def _version(store: RunStore) -> str:
    """Changes if a run comes, goes, or gets another state or result."""
    known = [
        (config_hash, found, store.stamps(found.run_id)[1])
        for config_hash, found in studies.hashes(store).items()
    ]
    return hashlib.sha256(repr((str(store.root), known)).encode()).hexdigest()


@st.cache_data(max_entries=64, ttl=300, show_spinner=False)
def own_hashes(name: str) -> list[str]:
    """The configs of a study's own grid, each once, as hashes."""
    return list(dict.fromkeys(one.config.hash for one in studies.expand(studies.study(name).grids)))


@st.cache_resource(max_entries=16, show_spinner="Reading the runs of the study")
def _view(_store: RunStore, name: str, words: tuple[tuple[str, str], ...], version: str) -> View:
    findings = studies.look(_store, read(name, dict(words)))
    key = f"{name} {words} {version}"
    if findings.frame.empty:
        return View(findings, key, [], list(findings.study.notes), [], {}, _missing(findings))
    tables: list[tuple[str, str, list[str]]] = []
    chapters: dict[int, tuple[str, Sequence[str]]] = {}
    for chapter in findings.chapters:
        if chapter.title:
            chapters[len(tables)] = chapter.title, chapter.said
        for table in chapter.tables:
            html = table_html(findings, table)
            tables.append((table.title, html, chapter.definitions_of(table)))
    said = studies.answer(findings), studies.notes(findings)
    return View(findings, key, *said, tables, chapters, _missing(findings))


def _missing(findings: Findings) -> pd.DataFrame:
    rows = []
    for config in findings.missing:
        found = findings.runs.get(config.hash)
        rows.append(
            {
                "method": config.label,
                "bits": config.n_bits,
                "seed": config.seed,
                "split": config.split_seed,
                "state": found.state if found else NEVER,
                "run": f"live?run={found.run_id}" if found else None,
                "reason": (found.reason or "no reason was recorded") if found else "",
            }
        )
    table = pd.DataFrame(rows)
    return (
        table.sort_values("state", key=lambda one: one == NEVER, kind="stable") if rows else table
    )


def figures_of(view: View) -> dict[str, Figure]:
    """The figures of a study by name. Those of many curves take a while when first asked for."""
    return {} if view.findings.frame.empty else _figures(view, view.key)


@st.cache_resource(max_entries=16, show_spinner="Drawing the figures")
def _figures(_view: View, key: str) -> dict[str, Figure]:
    found: dict[str, Figure] = _view.findings.study.asked("figures", _view.findings)
    return found


def pair_address(pair: Pair) -> str:
    """The pair on Compare, relative to the app's own address."""
    return f"compare?{urlencode({'run': pair.before, 'vs': pair.after})}"


def table_html(findings: Findings, table: Table) -> str:
    """A table whose numbers open their pairs; see `Table.opens`."""
    columns = [str(name) for name in table.cells]
    head = "".join(f"<th>{escape(one)}</th>" for one in columns)
    rows = []
    texts, bold = table.cells.to_numpy(), table.bold.to_numpy()
    for place, opens in enumerate(table.opens or [{}] * len(texts)):
        cells = [
            _cell(
                name,
                str(texts[place][at]),
                bool(bold[place][at]),
                findings.pairs_of(opens[name]) if name in opens else [],
            )
            for at, name in enumerate(columns)
        ]
        rows.append(f"<tr>{''.join(cells)}</tr>")
    wide = " wide" if len(columns) > 8 else ""
    return (
        f'<div class="study-table{wide}" tabindex="0" role="region" '
        f'aria-label="{escape(table.title)}"><table><thead><tr>{head}</tr></thead>'
        f"<tbody>{''.join(rows)}</tbody></table></div>"
    )


def _cell(name: str, text: str, is_bold: bool, pairs: Sequence[Pair]) -> str:
    if name == "pairs" and pairs:
        return f'<td class="seeds">{_seeds(pairs)}</td>'
    left = ' class="left"' if name == "setting" else ""
    shown = escape(text)
    if pairs:
        shown = f'<a href="{escape(pair_address(pairs[0]))}">{shown}</a>'
    return f"<td{left}>{f'<b>{shown}</b>' if is_bold else shown}</td>"


def _seeds(pairs: Sequence[Pair]) -> str:
    """A link for each pair: its seed, and its split where there are several."""
    has_splits = len({one.split for one in pairs}) > 1
    links = [
        f'<a href="{escape(pair_address(one))}" title="seed {one.seed}, split {one.split}">'
        f"{f'{one.seed}/{one.split}' if has_splits else one.seed}</a>"
        for one in pairs[:MOST_SEEDS]
    ]
    more = f" and {len(pairs) - MOST_SEEDS} more" if len(pairs) > MOST_SEEDS else ""
    return f"{' '.join(links)}{more}"
