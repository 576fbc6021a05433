"""The table of the page Runs: one line a run, whose rows are ids and never positions."""

import hashlib
import math
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from functools import lru_cache
from typing import Any

import numpy as np
import pandas as pd
import streamlit as st

from pages.common import follow, selection
from pages.common.address import took
from pages.common.readers import read_series
from pages.common.run_picker import IN_NAME, read_config, told_apart_by
from pages.common.runs_filter import Card
from pages.common.shell import status_chip
from pages.common.text import as_sentence, as_text
from pages.common.words import help_of
from rdh import analysis, execution
from rdh.errors import UserError
from rdh.store.metrics_reader import LostRecords
from rdh.store.run_store import RunStore, Stamp

PAGE_SIZE = 50
SPARKS = 24  # points of a sparkline
ALWAYS = ("open", "run", "state", "method")  # all others are left out if no run has one
IF_DIFFERENT = ("lr", "epochs", "batch_size", "eta", "tau")
SETTINGS = ("lr", "other settings", "bits", "data", "seed", *IF_DIFFERENT[1:])
COLUMNS = (*ALWAYS, *SETTINGS, "progress", "dead", "cost of the dead", "MAP", "MAP so far",
           "dead entries", "tags", "launched")  # fmt: skip
MOST_REASONS = 8
TITLES = {"batch_size": "batch", "eta": "η", "tau": "τ", "cost of the dead": "cost"}
FORMS: dict[str, Callable[[Any], str]] = {  # of a column's values, as they are shown
    **dict.fromkeys(("bits", "seed", "lr", "epochs", "batch_size", "eta", "tau"), "{:g}".format),
    "dead": "{:.2f}%".format,
    "cost of the dead": "{:+.4f}".format,
    **dict.fromkeys(("MAP", "MAP so far"), "{:.4f}".format),
    "tags": lambda tags: "".join(f"{tag}   " for tag in tags),  # each in a frame of its own
    "launched": lambda _: "Nov 29, 20:31",
}
WORDY = ("state", "method", "data", "other settings", "tags")
NO_TEXT = ("open", "progress", "dead entries")
LETTER, DIGIT, PADDING, WIDEST = 6.2, 6.8, 20, 420  # pixels, of a column
LOST = "lost records"  # of a line, and no column


def draw_table(store: RunStore, cards: Sequence[Card]) -> None:
    """The runs of one page of the list. What is selected stays selected by its id."""
    n_pages = -(-len(cards) // PAGE_SIZE)
    page = st.pagination(n_pages, key="page", bind="query-params") if n_pages > 1 else 1
    took("page", page)
    shown = cards[(page - 1) * PAGE_SIZE : page * PAGE_SIZE]
    ids = [card.state.run_id for card in shown]
    others = told_apart_by(store, ids, left_out=(*IN_NAME, *IF_DIFFERENT))
    told = [
        line(store, card) | {"other settings": others.get(card.state.run_id) or None}
        for card in shown
    ]
    lines = pd.DataFrame(told, columns=list(COLUMNS))
    used = used_columns(lines)
    # A widget of its own for each list of ids: Streamlit keeps the positions of selected rows, so
    # that a new run at the top would move the selection to others.
    digest = hashlib.sha256("\n".join(ids).encode()).hexdigest()[:12]
    key = f"runs-table-{digest}-{selection.version()}"
    rows = [place for place, run_id in enumerate(ids) if run_id in selection.chosen()]
    st.dataframe(
        lines[used],
        hide_index=True,
        key=key,
        height=min(560, 40 + 35 * len(lines)),
        placeholder="–",
        on_select=lambda: selection.take(
            key, ids, rows, st.session_state[key]["selection"]["rows"]
        ),
        selection_mode="multi-row",
        selection_default={"selection": {"rows": rows}},
        column_config=_columns(ids, f"{key}-open", lines),
        alt="The runs: state, settings, dead entries and MAP. Tick rows to act on them.",
    )
    _draw_reasons(
        store, shown, {run_id: one.get(LOST) for run_id, one in zip(ids, told, strict=True)}
    )


def used_columns(lines: pd.DataFrame) -> list[str]:
    """The columns of the table: what tells the runs apart before their numbers.

    Args:
        lines: a row for each run, with all of COLUMNS.

    Returns:
        Those that some run fills; settings in which the runs differ come first, those in which
        they agree come last, and those of `IF_DIFFERENT` not at all.
    """
    used = [name for name in COLUMNS if name in ALWAYS or _says(lines[name])]
    differ = [name for name in SETTINGS if name in used and lines[name].nunique(dropna=False) > 1]
    agree = [name for name in SETTINGS if name in used and name not in differ]
    numbers = [name for name in used if name not in (*ALWAYS, *SETTINGS)]
    return [*ALWAYS, *differ, *numbers, *(name for name in agree if name not in IF_DIFFERENT)]


def line(store: RunStore, card: Card) -> dict[str, Any]:
    """One line of the table; None for what is not there. LOST: why its records can't be read."""
    state = card.state
    told: dict[str, Any] = {
        "open": ":material/monitoring:",
        "run": state.run_id[-6:],
        "state": status_chip(state),
        "method": card.label,
        "tags": list(card.notes.tags) or None,
        "launched": datetime.fromtimestamp(state.submitted_at) if state.submitted_at else None,
    }
    try:
        config = read_config(store, state.run_id)
        told |= {"bits": config.n_bits, "data": config.dataset, "seed": config.seed}
        if not config.is_watched:
            told |= {name: getattr(config, name) for name in IF_DIFFERENT}
        if state.is_final:
            stamps = (*store.stamps(state.run_id), analysis.metrics_stamp(store, state.run_id))
            if state.state == "finished":
                return _marked(told | _finished(store, state.run_id, stamps))
            told["progress"] = _came_to(store, state, stamps)
        beat = store.heartbeat(state.run_id)
        total = beat.get("total_steps")
        if state.state in ("starting", "running") and total:
            stalled = execution.stalled_for(state, beat)
            told |= {"state": f"⚠ stalled {analysis.duration(stalled)}"} if stalled else {}
            told["progress"] = min(1.0, beat.get("step", 0) / total)
        return _marked(told | _so_far(store, state.run_id))
    except LostRecords as error:
        return told | {LOST: str(error)}
    except UserError:  # its reason stands below the table
        return told


def _marked(told: dict[str, Any]) -> dict[str, Any]:
    """A line whose state says why a collapsed run has no number of dead entries."""
    collapsed = told.pop("collapsed", False)
    return told | ({"state": f"{told['state']}, collapsed"} if collapsed else {})


def _so_far(store: RunStore, run_id: str) -> dict[str, Any]:
    """Numbers of a run that has not finished: those of its last record and evaluation."""
    run = read_series(store, run_id)
    if not run.last_seq:
        return {}
    last, counts, cost = run.last(), run.counts(), analysis.cost_of_dead(run.last())
    frame = run.scalars()
    share = counts.share("dead") if counts else math.nan
    dead = frame["dead"].dropna().to_numpy() if "dead" in frame else np.empty(0)
    entries, price = counts.entries if counts else 0, cost[0] if cost else math.nan
    return _numbers(last, share, price, "MAP so far") | _sparks(last, dead, entries)


@lru_cache(maxsize=4096)
def _came_to(
    store: RunStore, state: execution.RunState, _stamps: tuple[Stamp, ...]
) -> float | None:
    """The share of its steps that a run did which ended early, read once per version of its files.

    None if it is not known how many these are.
    """
    step, total = execution.progress(store, state)
    return min(1.0, step / total) if total else None


@lru_cache(maxsize=4096)
def _finished(store: RunStore, run_id: str, _stamps: tuple[Stamp, ...]) -> dict[str, Any]:
    """Numbers of a finished run, read once per version of its files."""
    store.reader(run_id).version()  # raises if its records are lost
    table = analysis.run_table(store, [run_id], with_watched=True)
    if table.empty:
        return {}
    row = {str(name): value for name, value in table.iloc[0].items()}
    _, dead = store.reader(run_id).scalar("dead")
    return _numbers(row, row["dead_at_end"], row["cost"], "MAP") | _sparks(
        row, dead, row["entries"]
    )


def _numbers(row: Mapping[str, Any], dead: float, cost: float, name: str) -> dict[str, Any]:
    """The cells of the numbers; None for what is not there. `name` is the column of MAP."""
    dead, cost = (analysis.dead_share(row, value) for value in (dead, cost))
    score = row.get("map", math.nan)
    cells = {"dead": 100 * dead, "cost of the dead": round(cost, 4) + 0.0, name: score}  # no -0
    told = {name: None if math.isnan(value) else value for name, value in cells.items()}
    return told | {"collapsed": analysis.has_collapsed(row)}


def _sparks(row: Mapping[str, Any], dead: np.ndarray, entries: float) -> dict[str, Any]:
    """Dead entries over time in percent, the greatest of each of a few stretches."""
    if not len(dead) or not entries or math.isnan(entries) or analysis.has_collapsed(row):
        return {"dead entries": None}
    parts = np.array_split(100 * dead / entries, min(SPARKS, len(dead)))
    return {"dead entries": [round(float(part.max()), 3) for part in parts]}


def _says(column: pd.Series) -> bool:
    """Whether any run has something in the column."""
    return bool(column.notna().any())


def widths(lines: pd.DataFrame) -> dict[str, int]:
    """The width of each column in pixels, so that neither its title nor a value is cut.

    Streamlit measures the first rows only, and a number that is cut loses its sign.
    """

    def width(name: str, form: Callable[[Any], str]) -> int:
        texts = [TITLES.get(name, name), *map(form, lines[name].dropna())]
        each = LETTER if name in WORDY else DIGIT
        return min(WIDEST, round(PADDING + each * max(map(len, texts))))

    names = [str(name) for name in lines if name not in NO_TEXT]
    return {name: width(name, FORMS.get(name, str)) for name in names}


def _columns(ids: list[str], open_key: str, lines: pd.DataFrame) -> dict[str, Any]:
    config, wide = st.column_config, widths(lines)

    def open_run() -> None:
        run_id = ids[st.session_state[open_key]["row"]]
        follow.ask(follow.Way("pages/live.py", {"run": run_id}, "Live"))

    def number(name: str, form: str | None = None, about: str | None = None) -> Any:
        title = TITLES.get(name)
        return config.NumberColumn(title, format=form, width=wide[name], help=about)

    return {
        "open": config.ButtonColumn(
            "", type="tertiary", on_click=open_run, key=open_key, width=42, help="Opens it in Live."
        ),
        "run": config.TextColumn(help="The end of the run's name.", width=wide["run"]),
        **{name: config.TextColumn(width=wide[name]) for name in ("state", "method", "data")},
        "bits": number("bits"),
        "seed": number("seed"),
        "lr": number("lr", about="Initial learning rate."),
        "other settings": config.TextColumn(
            width=wide["other settings"],
            help="Where it differs from most runs of its method and data set.",
        ),
        "epochs": number("epochs"),
        "batch_size": number("batch_size", about="Items a step."),
        "eta": number("eta", about=help_of("eta")),
        "tau": number("tau", about=help_of("tau")),
        "progress": config.ProgressColumn(min_value=0, max_value=1, format="percent", width=100),
        "dead entries": config.LineChartColumn(
            y_min=0, width=100, help="Dead entries over the training, each run on its own scale."
        ),
        "dead": number("dead", "%.2f%%", help_of("dead")),
        "cost of the dead": number("cost of the dead", "%+.4f", help_of("cost")),
        "MAP": number("MAP", "%.4f", help_of("map")),
        "MAP so far": number(
            "MAP so far", "%.4f", help_of("map", "Of a run that has not finished.")
        ),
        "tags": config.ListColumn(width=wide["tags"]),
        "launched": config.DatetimeColumn(format="MMM D, HH:mm", width=wide["launched"]),
    }


def _draw_reasons(store: RunStore, cards: Sequence[Card], lost: Mapping[str, str | None]) -> None:
    """Why runs ended, wait or go on, below the table: a cell would cut the sentence.

    lost: why the records of a run can't be read.
    """
    said: dict[str, list[Card]] = {}
    for card in cards:
        # a run that is shown alone says it itself, further below
        said_of_it = execution.reason_said(store, card.state), lost[card.state.run_id]
        reason = " ".join(filter(None, said_of_it))
        if [card.state.run_id] != selection.chosen() and reason:
            said.setdefault(reason, []).append(card)
    if not said:
        return
    told = [card for about in said.values() for card in about]
    are_final = all(card.state.is_final for card in told)
    with st.expander(
        f"{'Why runs ended' if are_final else 'Why runs ended or wait'}: {_count(len(told))}",
        expanded=len(said) <= MOST_REASONS,
        icon=":material/info:",
    ):
        for reason, about in said.items():
            names = ", ".join(f"{one.label} ({one.state.run_id[-6:]})" for one in about[:3])
            more = f" and {len(about) - 3} more" if len(about) > 3 else ""
            chips = ", ".join(dict.fromkeys(status_chip(one.state) for one in about))
            st.markdown(
                f"**{as_text(chips)}** &nbsp; {as_text(names + more)}: {as_sentence(reason)}"
            )


def _count(n: int) -> str:
    return f"{n} run{'s' * (n != 1)}"
