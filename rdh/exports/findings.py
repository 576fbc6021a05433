"""What the records of one run or of a pair say, in sentences, and how sure that is."""

import math
from collections.abc import Mapping, Sequence
from typing import Any

from rdh import analysis, studies
from rdh.analysis import NO_DEAD_BITS, NOT_COUNTED
from rdh.errors import UserError
from rdh.exports.moment import Moment
from rdh.store.run_store import RunStore


def findings_in_words(store: RunStore, moments: Sequence[Moment]) -> list[str]:
    """Dead entries, their cost, and MAP with what ties and seeds could make of it.

    Args:
        store: the run store; its other runs say what other seeds give.
        moments: one run, or two: the one without RDH first.
    """
    if len(moments) == 1:
        return of_one(moments[0])
    if any(analysis.has_collapsed(one.row) for one in moments):  # `warnings_in_words` says the rest
        return [said_of_dead(one) for one in moments if not analysis.has_collapsed(one.row)]
    before, after = map(row_of, moments)
    lines = [f"{NO_DEAD_BITS.format(method=one.config.label)}" for one in moments if is_free(one)]
    lines += [analysis.dead_verdict(before, after), said_of_map(store, moments)]
    return [line for line in lines if line]


def said_of_map(store: RunStore, moments: Sequence[Moment]) -> str:
    """`analysis.map_verdict` of a pair, with what the seeds say."""
    seeds = studies.seeds_said(store, oldest_first(store), [one.run_id for one in moments])
    before, after = map(row_of, moments)
    return analysis.map_verdict(before, after, *seeds)


def said_of_dead(moment: Moment) -> str:
    """How many entries of one run are dead, and what they cost; "" if they were not counted."""
    counts, label = moment.series.counts(), moment.config.label
    if is_free(moment):
        return NO_DEAD_BITS.format(method=label)
    if counts is None:
        return ""
    name = "dead" if counts.is_counted else "flagged"
    n, peak = getattr(counts, name), getattr(counts, f"{name}_peak")
    text = (
        f"{label}: {analysis.percent(counts.share(name))} of the entries are {name} at step "
        f"{moment.series.step:,} ({n:,.0f} of {counts.entries:,.0f}); at the peak there were "
        f"{peak:,.0f}{'' if counts.is_counted else f'; {NOT_COUNTED}'}."
    )
    cost = analysis.cost_of_dead(moment.series.last())
    if cost is None:
        return text
    return f"{text} The dead entries cost {analysis.map_points(cost[0])} MAP {cost[1]}."


def of_one(moment: Moment) -> list[str]:
    """What one run says, and that one seed is one seed."""
    last, has_collapsed = moment.series.last(), analysis.has_collapsed(moment.row)
    lines = [] if has_collapsed else [said_of_dead(moment)]
    if "map" in last and not has_collapsed:
        band = (
            f"; the order of items at equal distances could make it anything from "
            f"{last['map_low']:.4f} to {last['map_high']:.4f}"
            if {"map_low", "map_high"} <= set(last)
            else ""
        )
        lines.append(f"MAP is {last['map']:.4f}{band}.")
    if "map" in last:
        lines.append(
            f"This is one run with seed {moment.config.seed}: it does not say how much another "
            f"seed would change."
        )
    return [line for line in lines if line]


def warnings_in_words(store: RunStore, moments: Sequence[Moment]) -> list[str]:
    """What comes before all findings: which runs have collapsed, why two are no fair pair.

    Arguments as of `findings_in_words`.
    """
    rows = [one.row for one in moments]
    if len(moments) == 1:
        return list(filter(None, [analysis.collapse_warning(rows)]))
    if not any(map(analysis.has_collapsed, rows)):
        return why_unfair(moments)
    return [analysis.collapse_warning(rows, said_of_map(store, moments)), *why_unfair(moments)]


def why_unfair(moments: Sequence[Moment]) -> list[str]:
    """Why two runs are no fair pair; empty if they are."""
    first, second = (one.config for one in moments)
    if first.pair_hash != second.pair_hash:
        return [
            "These two runs differ in more than the plug-ins, so their difference is not RDH's "
            "doing: the settings below show in what."
        ]
    weights = analysis.quantization_weight(first), analysis.quantization_weight(second)
    why = analysis.why_unfair(weights, (first.tau, second.tau))
    return [f"This is no fair pair: {why}."] if why else []


def is_free(moment: Moment) -> bool:
    """Whether the method can have no dead bits."""
    return not moment.config.method_card.saturates


def row_of(moment: Moment) -> Mapping[str, Any]:
    """What `analysis.dead_verdict` and `analysis.map_verdict` look at."""
    counts, last = moment.series.counts(), moment.series.last()
    cost = analysis.cost_of_dead(last)
    shares = {
        f"{name}_at_end": math.nan if counts is None else counts.share(name)
        for name in ("dead", "flagged")
    }
    fields = {"label": moment.config.label, "finetune": moment.config.finetune}
    return {**fields, "cost": cost[0] if cost else math.nan, **shares, **last}


def oldest_first(store: RunStore) -> list[str]:
    """All runs that can be read, in the order of their launch."""
    when = {}
    for run_id in store.run_ids():
        try:
            when[run_id] = store.submission(run_id)["submitted_at"]
        except UserError:
            continue
    return sorted(when, key=lambda run_id: (when[run_id], run_id))
