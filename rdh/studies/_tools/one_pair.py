"""What the seeds that were run say about a pair of runs, in words."""

from collections.abc import Iterable, Sequence
from contextlib import suppress
from functools import lru_cache
from typing import NamedTuple

import pandas as pd

from rdh import analysis
from rdh.config.run_config import RunConfig
from rdh.errors import UserError
from rdh.lessons import is_like_recorded, recorded_demo
from rdh.store.run_store import RunStore
from rdh.studies._tools.comparing import effect_of
from rdh.studies._tools.statistics import Effect


class Seeds(NamedTuple):
    """On how many seeds the difference of a pair stands: what `analysis.map_verdict` takes.

    Attributes:
        said: the end of a sentence; "" if there is nothing to say.
        decided: `analysis.decided_by_seeds`: a sentence of its own; "" without an interval.
    """

    said: str = ""
    decided: str = ""


def verdict_of(rows: pd.DataFrame, effect: Effect) -> str:
    """`analysis.setting_verdict` of the pairs of one setting."""
    within = within_ties(rows)
    return analysis.setting_verdict(_gains(rows), _ends(effect), within, rows["collapsed"])


def within_ties(rows: pd.DataFrame) -> list[bool | None]:
    """`analysis.is_within_ties` of each pair of which no run has collapsed."""
    names = ("map_low", "map_high", "n_distinct_codes")
    return [
        analysis.is_within_ties(
            *({name: row[f"{name}_{arm}"] for name in names} for arm in ("baseline", "rdh"))
        )
        for row in analysis.comparable(rows).to_dict("records")
    ]


def _gains(rows: pd.DataFrame) -> list[float]:
    """Of each pair, as it stands beside its two MAPs."""
    kept = analysis.comparable(rows)
    return [*map(analysis.shown_change, kept["map_baseline"], kept["map_rdh"])]


def _ends(effect: Effect) -> tuple[float, float]:
    return effect.interval.low, effect.interval.high


def seeds_said(store: RunStore, run_ids: Iterable[str], pair: Sequence[str]) -> Seeds:
    """On how many seeds the difference of a pair stands, and what their interval says.

    Of a pair that trains as the recorded one, also what the recorded seeds say.

    Args:
        store: the run store.
        run_ids: all runs, oldest first. Only those of the same method, length and rate are read.
        pair: the run without RDH, then that with it.
    """
    here = _seeds_here(store, run_ids, pair)
    with suppress(UserError):  # a recording that can't be read is said where it is shown
        if is_like_recorded([_config(store, one) for one in pair]):
            both = filter(None, [here.said, recorded_demo().seeds_said()])
            return here._replace(said="; ".join(both))
    return here


def _seeds_here(store: RunStore, run_ids: Iterable[str], pair: Sequence[str]) -> Seeds:
    without, with_rdh = (_config(store, one) for one in pair)
    if without.pair_hash != with_rdh.pair_hash:
        return Seeds()
    weights = analysis.quantization_weight(without), analysis.quantization_weight(with_rdh)
    why = analysis.why_unfair(weights, (without.tau, with_rdh.tau))
    if why:
        values = f" ({weights[0]:g} and {weights[1]:g})" if why == "eta differs" else ""
        return Seeds(f"but {why}{values}, so this is no fair pair")
    table = analysis.run_table(store, [one for one in run_ids if _is_alike(store, one, with_rdh)])
    group, paired = analysis.group_of(table, *pair), analysis.pairs(table)
    rows = paired.loc[(paired["group"] == group) & (paired["differs"] == "")]
    if len(rows) < 2:
        rest = "other seeds have not been run here" if len(rows) else "not compared by seeds yet"
        one = "one run each" if with_rdh.seed is None else f"one seed ({with_rdh.seed})"
        return Seeds(f"{one}, {rest}")
    effect = effect_of(*analysis.paired_arrays(rows))
    left_out, kept = analysis.collapses_in_words(rows["collapsed"]), analysis.comparable(rows)
    if decided := analysis.decided_by_seeds(_gains(rows), _ends(effect), rows["collapsed"]):
        return Seeds(decided=decided)
    if not left_out or kept.empty:
        return Seeds(f"over all seeds run here, MAP is {verdict_of(rows, effect)}")
    said = verdict_of(kept, effect)  # comes last: alone it may look like a success
    return Seeds(f"over all seeds run here, {left_out}; in the others MAP is {said}")


def _is_alike(store: RunStore, run_id: str, config: RunConfig) -> bool:
    """Whether a run may be of the same setting: a cheap look before its results are read."""
    try:
        other = _config(store, run_id)
    except UserError:
        return False
    names = ("method", "n_bits", "dataset", "lr", "epochs")
    return all(getattr(other, name) == getattr(config, name) for name in names)


# Kept for good, because a run's config.json is never edited. An error is not kept.
@lru_cache(maxsize=4096)
def _config(store: RunStore, run_id: str) -> RunConfig:
    return store.config(run_id)
