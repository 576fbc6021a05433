"""Start: what the Dead Bits Problem is, the last or the recorded pair, and what to do next."""

import math
from collections.abc import Mapping, Sequence
from typing import Any

import streamlit as st

from pages.common.address import say
from pages.common.findings import draw_findings, one_line
from pages.common.landscape_presets import address_of
from pages.common.launch_plan import preset_times
from pages.common.launching import launch, wait_for_press
from pages.common.readers import RunSeries, read_series
from pages.common.recorded import recorded_demo
from pages.common.run_picker import data_said, labels_of, partnership, read_config
from pages.common.shell import (
    NO_RUN,
    error_card,
    known_runs,
    say_unknown_address,
    status_chip,
    store,
)
from pages.common.side_by_side import draw_maps, progress_said, read_pair, why_not_rdh
from pages.common.text import as_text
from pages.common.words import are, count_of, legend, link, percent
from rdh import analysis, execution, studies
from rdh.config.presets import PRESETS, demo_pair, preset_config
from rdh.config.run_config import RunConfig
from rdh.errors import UserError, counted
from rdh.lessons import NOT_TRAINED
from rdh.store.run_store import RunStore
from rdh.studies import Seeds

PROBLEM = r"""
A deep hashing network turns an image into a short binary code. Each bit is the sign of
$h = \tanh F$. An **entry** is one bit of one training image: 1,000 images with 16 bits each have
16,000 entries. While the network learns, a bit can slide far to the **wrong** side. The right side
is the one that its labels call for: where most images of its class are. Far out $\tanh$ is flat:
its slope $1 - h^2$ is almost 0, and so is the gradient that should bring the bit back. **Dead**
means both: on the wrong side, and at $|h| \ge \tau$ (0.99 unless it is set). A plain
quantization loss makes it worse, because it pulls every bit to the side that it happens to be on.
What the dead **cost** is how much higher MAP (mean average precision of search by these codes)
would be with them put right.

**RDH** (IJCAI 2021) adds two plug-ins to any such method. The *Gradient Amplifier* finds the bits
that lie at $|h| \ge \tau$ and that the gradient of the whole loss asks to
leave: most dead bits are among them, and many right ones. It multiplies their gradient by
$\alpha = 1 / (1 - \tau^2)$, which undoes the damping at $|h| = \tau$. The count **flagged** is
the same test on the similarity loss alone, so it means the same with and without RDH.
The *Error-Aware Quantization Loss* pulls a bit to its side only as far as its pairs of images say
that the side is right.
"""

INSTEAD = "Shown is the last pair, or the recorded one."
RECORDED = {"pair": "recorded"}  # of the address
RECORDED_ICON = ":material/history:"
MOST_NAMED = 3  # settings in the title of a pair
OWN = ("method", "method_options", "n_bits", "seed", "amplifier", "quantization")
NOT_NAMED = {*NOT_TRAINED, "amplifier_aim", "amplifier_scale"}  # the label names these two
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
        say(f"There is no run “{as_text(unknown[0][:80])}”. {there} {INSTEAD}", "run", "vs")
        return None
    if not named:
        return None
    others = named[1:] or [one for one in states if one != named[0]]
    partners = {one: how[0] for one in others if (how := partnership(runs, named[0], one))}
    if not partners:
        if named[1:]:
            differ = f"The two runs of the address differ in more than the plug-ins. {INSTEAD}"
            say(differ, "run", "vs")
        return None
    other = min(partners, key=lambda one: (partners[one], -(states[one].submitted_at or 0)))
    pair = (named[0], other)
    return pair[::-1] if runs.config(named[0]).has_rdh else pair


def start_demo(runs: RunStore) -> None:
    launch(runs, demo_pair())


def pair_sentences(
    runs: RunStore, pair: dict[str, RunSeries], seeds: Seeds, is_over: bool
) -> tuple[str, list[str]]:
    """What a pair shows: dead entries with their cost, and MAP with its ties and seeds.

    A pair of which not both runs have finished gets its numbers, and no verdict.

    Returns:
        A warning that comes before all others if training has collapsed, or ""; and the sentences.
    """
    goes_on = not all(runs.result(one).get("state") for one in pair)
    labels = labels_of(runs, pair)
    first, second = (
        one_row(labels[one], run) | {"finetune": runs.config(one).finetune}
        for one, run in pair.items()
    )
    said_of_map = (
        analysis.map_verdict(first, second, *seeds)
        if is_over
        else analysis.map_so_far(first, second, goes_on=goes_on)
    )
    if warning := analysis.collapse_warning((first, second), said_of_map):
        ends = f"{seeds.said[:1].upper()}{seeds.said[1:]}." if seeds.said else ""
        told = [seeds.decided, ends] if is_over else []
        rows = [row for row in (first, second) if not analysis.has_collapsed(row)]
        return warning, [*filter(None, [*told, *map(said_of_dead, rows)])]
    return "", [*filter(None, [said_of_both(first, second), said_of_map])]


def said_of_dead(row: Mapping[str, Any]) -> str:
    """How many entries of one run are dead, and what they cost; "" if they were not counted."""
    if (counts := row["counts"]) is None or not counts.is_counted:
        return ""
    cost = (
        "" if math.isnan(row["cost"]) else f" Their cost: {analysis.map_points(row['cost'])} MAP."
    )
    n, share = count_of(counts.dead, counts.entries), percent(counts.share("dead"))
    return f"{row['label']}: {n} entries {are(counts.dead)} dead ({share}).{cost}"


def said_of_both(first: Mapping[str, Any], second: Mapping[str, Any]) -> str:
    """Dead entries of both runs with their cost, and how many of the flagged are among them."""
    counts, others = first["counts"], second["counts"]
    if counts is None or others is None or not (counts.is_counted and others.is_counted):
        return analysis.dead_verdict(first, second)
    of = "" if counts.entries == others.entries else f" of {others.entries:,.0f}"
    text = (
        f"{first['label']}: {count_of(counts.dead, counts.entries)} entries "
        f"{are(counts.dead)} dead ({percent(counts.share('dead'))}); "
        f"{second['label']}: {others.dead:,.0f}{of} "
        f"({percent(others.share('dead'))})."
    )
    costs = first["cost"], second["cost"]
    if not any(map(math.isnan, costs)):
        text += f" Their cost: {' and '.join(map(analysis.map_points, costs))} MAP."
    if math.isnan(counts.flagged_dead) or not counts.dead:
        return text
    n_right = counts.flagged - counts.flagged_dead
    return (
        f"{text} In {first['label']} {counts.flagged:,.0f} ({percent(counts.share('flagged'))}) "
        f"are flagged: {counts.flagged_dead:,.0f} of the {counts.dead:,.0f} dead, and "
        f"{n_right:,.0f} that are not dead. So a flag costs nothing by itself."
    )


def one_row(label: str, run: RunSeries) -> dict[str, Any]:
    """The numbers of a run up to its newest record, named as in `analysis.run_table`."""
    counts, last = run.counts(), run.last()
    cost = analysis.cost_of_dead(last)
    return last | {
        "label": label,
        "counts": counts,
        "cost": cost[0] if cost else math.nan,
        "dead_at_end": counts.share("dead") if counts else math.nan,
        "flagged_at_end": counts.share("flagged") if counts else math.nan,
    }


def draw_pair(
    runs: RunStore, series: dict[str, RunSeries], seeds: Seeds, key: str, states: dict | None = None
) -> None:
    """What a pair shows, in sentences and as two maps. states: None for the recorded pair."""
    so_far = progress_said(runs, series, states) if states is not None else ""
    if so_far:
        st.info(so_far, icon=":material/hourglass_top:")
    warning, sentences = pair_sentences(runs, series, seeds, is_over=not so_far)
    if warning:
        st.warning(as_text(warning), icon=":material/warning:")
    for sentence in sentences:
        st.markdown(as_text(sentence))
    legend("dead", "cost", "map", "tie-band")
    with st.container(key=f"charts-{key}"):
        draw_maps(runs, series, key=key)


def draw_own_pair(runs: RunStore, series: dict[str, RunSeries], known: dict, title: str) -> None:
    """A pair of the reader, and the pages that say more about it."""
    pair = list(series)
    first = runs.config(pair[0])
    on = f" on {data_said(first)}" if first.dataset else ""
    seed = "" if first.seed is None else f", seed {first.seed}"
    like = said_of_preset([runs.config(one) for one in pair])
    st.subheader(
        f"{title}: {first.label}{on}, {counted(first.n_bits, 'bit')}{seed}{like}", anchor=False
    )
    if unfair := why_not_rdh(runs, pair)[0]:
        st.warning(as_text(unfair), icon=":material/warning:")
    seeds = studies.seeds_said(runs, known, pair)
    draw_pair(runs, series, seeds, "start", known)
    draw_findings(runs, series)
    with st.container(horizontal=True):
        st.page_link("app.py", label="The recorded pair", icon=RECORDED_ICON, query_params=RECORDED)
        for page, (label, icon) in LINKS.items():
            st.page_link(
                page,
                label=label,
                icon=f":material/{icon}:",
                query_params={"run": pair[0], "vs": pair[1]},
            )


def said_of_preset(configs: Sequence[RunConfig]) -> str:
    """How the runs of a pair differ from the preset that is most like them: " (Demo, but lr 3)".

    "" if no preset is of the same data and network, or if more than MOST_NAMED settings differ.
    """
    found = []
    for name, preset in PRESETS.items():
        told = [_differences(config, name) for config in configs]
        if None not in told:
            words = list(dict.fromkeys(word for one in told for word in one or ()))
            but = f", but {', '.join(words)}" if words else ""
            found.append((len(words), f" ({preset.title}{but})"))
    n, said = min(found, key=lambda one: one[0], default=(MOST_NAMED + 1, ""))
    return said if n <= MOST_NAMED else ""


def _differences(config: RunConfig, name: str) -> list[str] | None:
    """The settings in which a run differs from a preset; None if it is of other data or network."""
    if config.is_watched:
        return None
    own = {one: getattr(config, one) for one in OWN}
    first = PRESETS[name].first if PRESETS[name].first["method"] == config.method else {}
    try:
        like = preset_config(name, **first | own)
    except UserError:
        return None
    fields, others = config.model_dump(), like.model_dump()
    differ = [one for one in fields if one not in NOT_NAMED and fields[one] != others[one]]
    if {"dataset", "dataset_options", "backbone"} & set(differ):
        return None
    return [f"{one.replace('_', ' ')} {analysis.value_text(fields[one])}" for one in differ]


def draw_recorded_pair(has_own: bool) -> None:
    """The pair that ships with the package: if it is asked for, or if the reader has none.

    It has an address of its own, so that a link to it still shows it when the reader has a pair.
    """
    demo = recorded_demo()
    st.subheader("What it looks like: a recorded pair", anchor=False)
    st.markdown(
        f"{demo.config.label} on {demo.config.dataset}, {counted(demo.config.n_bits, 'bit')}, seed "
        f"{demo.config.seed}. " + ("" if has_own else "Your own last pair will stand here.")
    )
    series = read_pair(demo.runs, list(demo.pair))
    draw_pair(demo.runs, series, Seeds(demo.seeds_said()), "recorded")
    label, icon, query = (
        ("Your own pair", ":material/person:", {})
        if has_own
        else ("The recorded pair, also once you have your own", RECORDED_ICON, RECORDED)
    )
    st.page_link("app.py", label=label, icon=icon, query_params=query)


def run_line(
    runs: RunStore, state: execution.RunState, seen: Mapping[str, RunSeries]
) -> dict[str, str]:
    """A run in the table of the last runs; "–" for what is not there."""
    line = {"run": state.run_id, "state": status_chip(state)}
    try:
        row = one_row("", seen.get(state.run_id) or read_series(runs, state.run_id))
    except UserError:
        row = {}
    missing = math.nan
    return line | {
        "dead": "– collapsed"
        if analysis.has_collapsed(row)
        else analysis.percent(row.get("dead_at_end", missing)),
        "cost of the dead": analysis.map_points(analysis.dead_share(row, row.get("cost", missing))),
        "MAP": f"{row['map']:.4f}" if "map" in row else "–",
        "diagnosis": one_line(runs, state, seen) or "–",
    }


def draw_last_runs(
    runs: RunStore, known: dict[str, execution.RunState], seen: Mapping[str, RunSeries]
) -> None:
    """The five newest runs as a table; seen: the records of those that the page shows above."""
    newest = sorted(known.values(), key=lambda state: state.submitted_at or 0, reverse=True)[:5]
    st.subheader("Last runs", anchor=False)
    st.dataframe([run_line(runs, state, seen) for state in newest], hide_index=True)
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
            "once with RDH, same seed and schedule. You watch both learn; then this page says how "
            "many entries are dead, what they cost, and how MAP changes. "
            f"{preset_times(runs)['demo']}."
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
            query_params=address_of("A dead bit"),
        )
    known: dict[str, execution.RunState] = {}
    seen: dict[str, RunSeries] = {}  # one moment of each run for all of the page
    with error_card():
        known = known_runs(runs)
        asked = st.query_params.get("pair")
        if asked is not None and asked not in RECORDED.values():
            say(
                f"pair of the address must be recorded, got “{as_text(asked[:80])}”. {INSTEAD}",
                "pair",
            )
        if asked in RECORDED.values():
            draw_recorded_pair(latest_pair(runs, known) is not None)
        elif (pair := asked_pair(runs, known)) is not None:
            seen |= read_pair(runs, list(pair))
            draw_own_pair(runs, seen, known, "Your pair")
        elif (pair := latest_pair(runs, known)) is not None:
            seen |= read_pair(runs, list(pair))
            draw_own_pair(runs, seen, known, "Your last pair")
        else:
            draw_recorded_pair(has_own=False)
    with error_card():  # they are there even if the pair can't be read
        if known:
            draw_last_runs(runs, known, seen)
