"""What a page shows of a study, read once for each state of its runs, and its tables as HTML."""

from collections.abc import Sequence
from dataclasses import dataclass
from html import escape
from urllib.parse import urlencode

import plotly.graph_objects as go
import streamlit as st

from pages.common.study_options import Words, read
from rdh import studies
from rdh.store.run_store import RunStore, Stamp
from rdh.studies import Findings, Found, Pair, Table

MOST_SEEDS = 12  # links in a cell
Known = tuple[tuple[str, Found, Stamp], ...]

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
        answer, notes: sentences.
        tables: (title, HTML, what its numbers are).
        figures: by name.
    """

    findings: Findings
    answer: list[str]
    notes: list[str]
    tables: list[tuple[str, str, list[str]]]
    figures: dict[str, go.Figure]


def read_view(store: RunStore, name: str, words: Words) -> View:
    """A study as its runs are now. It costs something only if one of them has changed.

    Raises:
        UserError: There is no such study, an option or the grid is bad, or the queue can't be read.
    """
    return _view(store, name, tuple(sorted(words.items())), known_runs_of(store))


def known_runs_of(store: RunStore) -> Known:
    """The run that serves each config, with the stamp of its result: the key of what was read.

    Raises:
        UserError: The queue can't be read.
    """
    return tuple(
        (config_hash, found, store.stamps(found.run_id)[1])
        for config_hash, found in studies.hashes(store).items()
    )


@st.cache_data(max_entries=64, ttl=300, show_spinner=False)
def own_hashes(name: str) -> list[str]:
    """The configs of a study's own grid, each once, as hashes."""
    return list(dict.fromkeys(one.config.hash for one in studies.expand(studies.study(name).grids)))


@st.cache_resource(max_entries=16, show_spinner="Reading the runs of the study")
def _view(_store: RunStore, name: str, words: tuple[tuple[str, str], ...], known: Known) -> View:
    findings = studies.look(_store, read(name, dict(words)))
    has_any = not findings.frame.empty
    return View(
        findings,
        studies.answer(findings),
        studies.notes(findings) if has_any else list(findings.study.notes),
        [_shown(findings, one) for one in studies.tables(findings)] if has_any else [],
        findings.study.figures(findings) if has_any else {},
    )


def _shown(findings: Findings, table: Table) -> tuple[str, str, list[str]]:
    with_dead = any(str(name).startswith("dead") for name in table.cells)
    said = studies.definitions(findings, with_dead=with_dead)
    return table.title, table_html(findings, table), said


def pair_address(pair: Pair) -> str:
    """The pair on Compare, relative to the app's own address."""
    return f"compare?{urlencode({'run': pair.after, 'vs': pair.before})}"


def table_html(findings: Findings, table: Table) -> str:
    """A table whose numbers open their pairs; see `Table.opens`."""
    columns = list(table.cells)
    head = "".join(f"<th>{escape(one)}</th>" for one in columns)
    rows = []
    texts, bold = table.cells.to_numpy(), table.bold.to_numpy()
    for place, opens in enumerate(table.opens):
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
