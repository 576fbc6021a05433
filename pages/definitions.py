"""Definitions: each word of the dashboard with formula, unit, moment and a number of your own."""

from collections.abc import Callable, Iterator

import numpy as np
import streamlit as st

from pages.common.address import say
from pages.common.readers import RunSeries, read_series
from pages.common.recorded import recorded_demo
from pages.common.run_picker import run_label
from pages.common.shell import (
    carried,
    end_page,
    error_card,
    known_runs,
    start_page,
    status_chip,
    store,
)
from pages.common.sidebar import draw_link
from pages.common.text import as_text
from pages.common.words import are, count_of, facts_of, link, percent
from rdh.analysis import WORDS, Word, cost_of_dead, has_collapsed, map_points
from rdh.analysis.amplifier import N_RECORDS
from rdh.analysis.terms import GROUPS
from rdh.analysis.words import COUNTS as OF_ENTRIES
from rdh.errors import UserError, counted
from rdh.execution import MEANINGS, RunState
from rdh.store.run_store import RunStore

INSTEAD = "The numbers are of the newest runs."
MOST_READ = 30  # runs that are looked through for a number
COUNTS = {
    "saturated": "saturated",
    "wrong": "wrong",
    "undecided": "undecided",
    "dead": "dead",
    "flagged": "flagged",
    "hard": "dead_hard",
}
FLOWS = {"death": "deaths", "rescue": "rescues", "release": "releases", "relapse": "relapses"}
FLAGS = {"flags_raised": "raised", "flags_answered": "answered", "flags_dropped": "dropped"}
OF_RDH = ("precision", "recall", "reach", "gradient-norm")  # of which a run with RDH says more
OF_SEARCH = {  # a scalar of the last evaluation, and what it says
    "relevant": ("precision_at_100", "{:.1%} of the first 100 items are right, mean over queries."),
    "hamming-distance": ("mean_tie_size", "{:,.0f} items tie with an item, itself included."),
    "average-precision": ("map", "its mean over the queries, MAP, is {:.4f}."),
}


def of_counts(name: str, run: RunSeries) -> str | None:
    """A count of the run's last record with its share."""
    counts = run.counts()
    if counts is None or np.isnan(count := getattr(counts, COUNTS[name])):
        return None
    of = counts.saturated_of if name == "saturated" else counts.entries
    what = "dead and hard" if name == "hard" else name
    return f"{count_of(count, of)} entries {are(count)} {what} ({percent(count / of)})."


def of_flows(name: str, run: RunSeries) -> str | None:
    """The events of a whole run so far."""
    frame = run.scalars()
    names = FLAGS if name == "flags" else {FLOWS[name]: FLOWS[name]}
    if not set(names) <= set(frame):
        return None
    told = ", ".join(f"{frame[one].sum():,.0f} {word}" for one, word in names.items())
    return f"{told} so far, all records together."


def of_amplifier(name: str, run: RunSeries) -> str | None:
    """Precision, recall or reach at the level that is nearest to the run's tau."""
    reach = run.amplifier()
    if reach is None:
        return None
    levels = run.meta()["tau_levels"]
    at = int(np.abs(np.array(levels) - run.meta()["tau"]).argmin())
    shares = {"precision": reach.precision, "recall": reach.recall, "reach": reach.reached}
    part = {
        "precision": (reach.amplified_dead[at], reach.amplified[at]),
        "recall": (reach.amplified_dead[at], reach.dead[at]),
        "reach": (reach.amplified_dead[at] - reach.beyond[at], reach.dead[at]),
    }[name]
    if not part[1]:
        return None
    return f"{count_of(*part)} at τ = {levels[at]:g}: {percent(shares[name][at])}."


def of_evaluation(name: str, run: RunSeries) -> str | None:
    """A number of the last evaluation."""
    last = run.last()
    if name == "cost":
        cost = cost_of_dead(last)
        return None if cost is None else f"{map_points(cost[0])} MAP, of those {cost[1]}."
    if name == "map":
        return f"MAP is {last['map']:.4f}." if "map" in last else None
    if name == "constant":
        return f"The bit balance is {last['bit_balance']:.3f}." if "bit_balance" in last else None
    if name == "tie-band":
        if not {"map_low", "map_high"} <= set(last):
            return None
        return f"{last['map_low']:.4f} to {last['map_high']:.4f}."
    if name in OF_SEARCH:
        scalar, said = OF_SEARCH[name]
        return said.format(last[scalar]) if scalar in last else None
    if "train_flagged_all_pairs" not in last:
        return None
    n, of = last["train_flagged_all_pairs"], last.get("flagged_entries", last["train_entries"])
    confirmed, flagged = last["train_flagged_confirmed"], last["train_flagged"]
    return (
        f"{count_of(n, of)} entries ({percent(n / of)}). Of {flagged:,.0f} that batches flagged at "
        f"this evaluation, all pairs confirm {confirmed:,.0f}."
    )


def newest_first(runs: RunStore, known: dict[str, RunState]) -> Iterator[tuple[str, RunSeries]]:
    """The run of the address, then all others, the newest first; those that can't be read not."""
    order = sorted(known, key=lambda one: known[one].submitted_at or 0, reverse=True)
    asked = st.query_params.get("run")
    if asked in known:
        order = [asked, *(one for one in order if one != asked)]
    elif asked is not None:
        say(f"There is no run “{as_text(asked[:80])}”; it may have been deleted. {INSTEAD}", "run")
    for run_id in order[:MOST_READ]:
        try:
            yield run_id, read_series(runs, run_id)
        except UserError as error:
            if run_id == asked:
                say(f"{as_text(str(error))} {INSTEAD}")


def of_codes(name: str, run: RunSeries) -> str | None:
    """How many codes the gallery has, and whether all are one."""
    last = run.last()
    if "n_distinct_codes" not in last:
        return None
    text = f"{counted(last['n_distinct_codes'], 'distinct code')} in the gallery"
    if name == "distinct-codes":
        return f"{text}."
    return f"{text}: it has {'' if has_collapsed(last) else 'not '}collapsed."


def of_radius(name: str, run: RunSeries) -> str | None:
    """Precision and recall within distance 2."""
    last = run.last()
    if not {"precision_at_radius_2", "recall_at_radius_2"} <= set(last):
        return None
    precision, recall = (last[f"{one}_at_radius_2"] for one in ("precision", "recall"))
    return f"Within radius 2, precision is {precision:.4f} and recall {recall:.4f}."


def of_loss(name: str, run: RunSeries) -> str | None:
    """The newest total, and its similarity term."""
    last = run.last()
    if not {"loss", "similarity_loss"} <= set(last):
        return None
    return f"The total is {last['loss']:.4g}, of it similarity {last['similarity_loss']:.4g}."


def of_norm(name: str, run: RunSeries) -> str | None:
    """The norm of the gradient, before and after the amplifier."""
    last = run.last()
    if not {"gradient_norm", "gradient_norm_amplified"} <= set(last):
        return None
    before, after = last["gradient_norm"], last["gradient_norm_amplified"]
    return f"{before:.3g} before the amplifier, {after:.3g} after it."


def of_quadrants(name: str, run: RunSeries) -> str | None:
    """Of the entries of all bits, how many the whole gradient asks to leave."""
    steps, counts = run.series("quadrants")
    if not len(steps):
        return None
    stay, leave = counts[-N_RECORDS:].sum((0, 2, 3), dtype=np.float64)
    share = percent(leave / (stay + leave))
    return f"{count_of(leave, stay + leave)} visits ask an entry to leave its side ({share})."


def of_tau(name: str, run: RunSeries) -> str | None:
    """The run's own threshold and factor."""
    tau = run.meta().get("tau")
    return None if tau is None else f"τ = {tau:g}, so α = {1 / (1 - tau**2):.4g}."


NOT_OF_COLLAPSED = {*COUNTS, *FLOWS, "flags", "cost", "precision", "recall", "reach"} - {
    "saturated"
}
EXAMPLES: dict[str, Callable[[str, RunSeries], str | None]] = {
    **dict.fromkeys(COUNTS, of_counts),
    **dict.fromkeys((*FLOWS, "flags"), of_flows),
    **dict.fromkeys(("precision", "recall", "reach"), of_amplifier),
    **dict.fromkeys(("cost", "map", "tie-band", "constant", "flagged-by-all-pairs"), of_evaluation),
    **dict.fromkeys(OF_SEARCH, of_evaluation),
    **dict.fromkeys(("collapse", "distinct-codes"), of_codes),
    **dict.fromkeys(("hamming-radius", "precision-recall"), of_radius),
    "loss": of_loss,
    "gradient-norm": of_norm,
    "quadrants": of_quadrants,
    "tau": of_tau,
}


def draw_example(runs: RunStore, word: Word, candidates: list[tuple[str, RunSeries]]) -> None:
    """The number of the first run that has it; if none has, that of the recorded pair.

    As on the other pages, a collapsed run has no number of dead entries.
    """
    demo = recorded_demo()
    with_rdh = word.name in OF_RDH
    recorded = [(demo.pair[arm], demo.series(arm)) for arm in (with_rdh, not with_rdh)]
    whose = [(runs, "In your run", candidates), (demo.runs, "In the recorded run", recorded)]
    for kept, said, of in whose:
        for run_id, run in of:
            if word.name in NOT_OF_COLLAPSED and has_collapsed(run.last()):
                continue
            if (text := EXAMPLES[word.name](word.name, run)) is not None:
                where = f"**{said}** {as_text(run_label(kept, run_id))}, step {run.step:,}"
                st.markdown(f":material/monitoring: {where}: **{as_text(text)}**")
                return
    st.markdown(":material/monitoring: None of your runs has this number yet.")


def draw_word(runs: RunStore, word: Word, candidates: list[tuple[str, RunSeries]]) -> None:
    """One word, with its anchor."""
    st.subheader(word.title, anchor=word.name)
    st.markdown(" ".join(as_text(text) for text in (word.meaning, word.more) if text))
    if word.formula:
        st.markdown(f"$\\displaystyle {word.formula}$")
    if said := facts_of(word):
        st.caption(said)
    if word.name in EXAMPLES:
        draw_example(runs, word, candidates)


def draw_states() -> None:
    """What each state of a run means, with its glyph."""
    st.subheader("States of a run", anchor="states")
    lines = [f"- **{status_chip(word)}**: {as_text(said)}" for word, said in MEANINGS.items()]
    st.markdown("\n".join(lines))


start_page(
    "Definitions",
    ":material/menu_book:",
    "What does each word count, when, and how much of it is in my last run?",
    section="Watch",
    place=150,
)
runs = store()
known = known_runs(runs)
st.markdown(
    "An *entry* is one bit of one training item: $N$ items with $K$ bits have $N \\times K$ "
    "entries. $h = \\tanh F$ is the bit before its sign is taken, and $\\tau$ is the threshold "
    "from which on it counts as saturated."
)
groups = {"Entries and their costs": tuple(OF_ENTRIES.values()), **GROUPS}
for title, group in groups.items():
    st.markdown(f"**{title}:** " + " · ".join(link(word.name) for word in group))
st.markdown("**Runs:** [States of a run](#states)")
with error_card():
    candidates = list(newest_first(runs, known))
    if not candidates:
        st.info(
            "There are no runs yet, so the numbers are of the pair that ships with the app. The "
            "demo on the page Start makes two of your own.",
            icon=":material/info:",
        )
        draw_link("app.py", "Start", ":material/home:", carried())
    for word in WORDS.values():
        draw_word(runs, word, candidates)
draw_states()
end_page()
