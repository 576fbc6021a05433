"""Start: what the Dead Bits Problem is, the last or the recorded pair, and what to do next."""

import math
from typing import Any

import streamlit as st

from pages.common.findings import one_line
from pages.common.launching import launch, wait_for_press
from pages.common.readers import RunSeries, read_series
from pages.common.recorded import recorded_demo
from pages.common.run_picker import partnership, read_config
from pages.common.shell import (
    NO_RUN,
    error_card,
    known_runs,
    say_unknown_address,
    status_chip,
    store,
)
from pages.common.side_by_side import draw_maps, read_pair
from pages.common.text import as_text
from pages.common.words import legend, link
from rdh import analysis, execution, studies
from rdh.config.presets import demo_pair
from rdh.errors import UserError
from rdh.store.run_store import RunStore

PROBLEM = r"""
A deep hashing network turns an image into a short binary code. Each bit is the sign of
$h = \tanh F$. While the network learns, a bit can slide far to the **wrong** side: the one
that its labels don't call for. There $\tanh$ is flat: its slope $1 - h^2$ is almost 0, and so is
the gradient that should bring the bit back. **Dead** means this: stuck on the wrong side. A plain
quantization loss makes it worse, because it pulls every bit to the side that it happens to be on.
What the dead **cost** is how much higher MAP (mean average precision of search by these codes)
would be with them put right.

**RDH** (IJCAI 2021) adds two plug-ins to any such method. The *Gradient Amplifier* finds the bits
that lie at $|h| \ge \tau$ and that the gradient of the whole loss asks to leave: most dead bits
are among them, and many right ones. It multiplies their gradient by
$\alpha = 1 / (1 - \tau^2)$, which undoes the damping at $|h| = \tau$. The count **flagged** is
the same test on the similarity loss alone, so it means the same with and without RDH.
The *Error-Aware Quantization Loss* pulls a bit to its side only as far as its pairs of images say
that the side is right.
"""

INSTEAD = "Shown is the last pair, or the recorded one."
LINKS = {
    "pages/live.py": ("Watch live", "monitoring"),
    "pages/compare.py": ("Compare", "compare_arrows"),
    "pages/bits.py": ("Look at bits", "grid_on"),
}


def latest_pair(runs: RunStore, states: dict) -> tuple[str, str] | None:
    """The newest pair of runs that both have data: (without RDH, with RDH); a fair one first."""
    seen: dict[str, list[str]] = {}
    others: list[tuple[str, str]] = []
    for run_id in sorted(states, key=lambda one: states[one].submitted_at or 0, reverse=True):
        try:
            config = read_config(runs, run_id)
            if config.arm not in ("", "rdh") or not runs.reader(run_id).version()[1]:
                continue
        except UserError:
            continue
        for other in seen.setdefault(config.pair_hash, []):
            if (how := partnership(runs, run_id, other)) is not None:
                pair = (other, run_id) if config.has_rdh else (run_id, other)
                if how[0] == 0:
                    return pair
                others.append(pair)
        seen[config.pair_hash].append(run_id)
    return others[0] if others else None


def asked_pair(runs: RunStore, states: dict) -> tuple[str, str] | None:
    """The pair that ?run= and ?vs= name, the run without RDH first; None if they name none.

    A run alone is shown with its best partner. A sentence says what can't be shown.
    """
    asked = [st.query_params.get(name, NO_RUN) for name in ("run", "vs")]
    named = [one for one in asked if one != NO_RUN]
    if unknown := [one for one in named if one not in states]:
        there = "It may have been deleted."
        st.warning(f"There is no run {as_text(unknown[0][:80])}. {there} {INSTEAD}")
        return None
    if not named:
        return None
    others = named[1:] or [one for one in states if one != named[0]]
    partners = {one: how[0] for one in others if (how := partnership(runs, named[0], one))}
    if not partners:
        if named[1:]:
            st.warning(f"The two runs of the address differ in more than the plug-ins. {INSTEAD}")
        return None
    other = min(partners, key=lambda one: (partners[one], -(states[one].submitted_at or 0)))
    pair = (named[0], other)
    return pair[::-1] if runs.config(named[0]).has_rdh else pair


def start_demo(runs: RunStore) -> None:
    launch(runs, demo_pair(), shown=0)


def pair_sentences(
    runs: RunStore, pair: dict[str, RunSeries], seeds: str, is_over: bool
) -> list[str]:
    """What a pair shows: dead entries with their cost, and MAP with its ties and seeds.

    A pair of which not both runs have finished gets its numbers, and no verdict.
    """
    goes_on = not all(runs.result(one).get("state") for one in pair)
    first, second = (one_row(runs.config(one).label, run) for one, run in pair.items())
    sentences = [
        analysis.dead_verdict(first, second),
        analysis.map_verdict(first, second, seeds)
        if is_over
        else analysis.map_so_far(first, second, goes_on=goes_on),
    ]
    return [sentence for sentence in sentences if sentence]


def progress_said(runs: RunStore, pair: dict[str, RunSeries], states: dict) -> str:
    """How far the runs of a pair are; "" if both have finished."""
    if all(states[one].state == "finished" for one in pair):
        return ""
    parts = []
    for one, run in pair.items():
        total = run.meta().get("total_steps", 0)
        where = f"step {run.step:,}" + (f" of {total:,}" if total else "")
        parts.append(f"{runs.config(one).label} {status_chip(states[one])}, {where}")
    end = (
        "These numbers still change: what RDH does is said once both have finished"
        if any(not states[one].is_final for one in pair)
        else "Not both have finished, so this is how far they came, and no verdict"
    )
    return f"**So far.** {as_text('; '.join(parts))}. {end}."


def one_row(label: str, run: RunSeries) -> dict[str, Any]:
    """The numbers of a run up to its newest record, named as in `analysis.run_table`."""
    counts, last = run.counts(), run.last()
    cost = analysis.cost_of_dead(last)
    return last | {
        "label": label,
        "cost": cost[0] if cost else math.nan,
        "dead_at_end": counts.share("dead") if counts else math.nan,
        "flagged_at_end": counts.share("flagged") if counts else math.nan,
    }


def draw_pair(
    runs: RunStore, pair: tuple[str, str], seeds: str, key: str, states: dict | None = None
) -> None:
    """What a pair shows, in sentences and as two maps. states: None for the recorded pair."""
    series = read_pair(runs, list(pair))
    so_far = progress_said(runs, series, states) if states is not None else ""
    if so_far:
        st.info(so_far, icon=":material/hourglass_top:")
    for sentence in pair_sentences(runs, series, seeds, is_over=not so_far):
        st.markdown(as_text(sentence))
    legend("dead", "cost", "map", "tie-band")
    with st.container(key=f"charts-{key}"):
        draw_maps(runs, series, key=key)


def draw_own_pair(runs: RunStore, pair: tuple[str, str], known: dict, title: str) -> None:
    """A pair of the reader, and the pages that say more about it."""
    first = runs.config(pair[0])
    on = f" on {first.dataset}" if first.dataset else ""
    seed = "" if first.seed is None else f", seed {first.seed}"
    st.subheader(f"{title}: {first.label}{on}, {first.n_bits} bits{seed}", anchor=False)
    draw_pair(runs, pair, studies.seeds_said(runs, known, pair), "start", known)
    with st.container(horizontal=True):
        for page, (label, icon) in LINKS.items():
            st.page_link(
                page,
                label=label,
                icon=f":material/{icon}:",
                query_params={"run": pair[0], "vs": pair[1]},
            )


def draw_recorded_pair() -> None:
    """The pair that ships with the package, as long as the reader has none."""
    demo = recorded_demo()
    st.subheader("What it looks like: a recorded pair", anchor=False)
    st.markdown(
        f"{demo.config.label} on {demo.config.dataset}, {demo.config.n_bits} bits, seed "
        f"{demo.config.seed}. Your own last pair will stand here."
    )
    draw_pair(demo.runs, demo.pair, demo.seeds_said(), "recorded")


def run_line(runs: RunStore, state: execution.RunState) -> dict[str, str]:
    """A run in the table of the last runs; "–" for what is not there."""
    line = {"run": state.run_id, "state": status_chip(state)}
    try:
        row = one_row("", read_series(runs, state.run_id))
    except UserError:
        row = {}
    missing = math.nan
    return line | {
        "dead": analysis.percent(row.get("dead_at_end", missing)),
        "cost of the dead": analysis.map_points(row.get("cost", missing)),
        "MAP": f"{row['map']:.4f}" if "map" in row else "–",
        "diagnosis": one_line(runs, state) or "–",
    }


def draw_last_runs(runs: RunStore, known: dict[str, execution.RunState]) -> None:
    """The five newest runs as a table."""
    newest = sorted(known.values(), key=lambda state: state.submitted_at or 0, reverse=True)[:5]
    st.subheader("Last runs", anchor=False)
    st.dataframe([run_line(runs, state) for state in newest], hide_index=True)
    label = "All runs: why they ended, their curves, their logs"
    st.page_link("pages/runs.py", label=label, icon=":material/list_alt:")


def draw_start() -> None:
    """All of the page below its title."""
    say_unknown_address()
    runs = store()
    with st.container(key="stacked-start"):
        left, right = st.columns([3, 2], gap="large")
    with left:
        st.markdown(PROBLEM)
        st.caption(f"All words, with numbers of your own last run: {link('dead', 'Definitions')}")
    with right, st.container(border=True):
        st.markdown(
            "**See it happen.** DCH on 8 × 8 digits at a high learning rate, once without and "
            "once with RDH, same seed and schedule: seconds on two CPU cores. You watch both "
            "learn; then this page says how many entries (one bit of one training image each) are "
            "dead, what they cost, and how MAP changes."
        )
        with error_card():
            if st.button(
                "Run the demo pair", type="primary", icon=":material/play_arrow:", key="demo"
            ):
                start_demo(runs)
            else:
                wait_for_press()
        st.page_link(
            "pages/lessons.py", label="Ten minutes, seven lessons", icon=":material/school:"
        )
        st.page_link(
            "pages/launch.py", label="Launch your own experiment", icon=":material/rocket_launch:"
        )
        st.page_link(
            "pages/landscape.py",
            label="Why can't a dead bit leave?",
            icon=":material/landscape:",
            query_params={"h_i": "-0.999", "axis": "F", "rate": "0.5"},  # the preset "A dead bit"
        )
    known: dict[str, execution.RunState] = {}
    with error_card():
        known = known_runs(runs)
        if (pair := asked_pair(runs, known)) is not None:
            draw_own_pair(runs, pair, known, "Your pair")
        elif (pair := latest_pair(runs, known)) is not None:
            draw_own_pair(runs, pair, known, "Your last pair")
        else:
            draw_recorded_pair()
    with error_card():  # they are there even if the pair can't be read
        if known:
            draw_last_runs(runs, known)
