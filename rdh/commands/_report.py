"""The report on finished runs: a table over seeds, and what RDH changed."""

import math

import pandas as pd

from rdh import analysis, catalog
from rdh.analysis.dead_bits import NOT_COUNTED
from rdh.analysis.words import PASS, WORDS
from rdh.commands._common import print_json, print_table
from rdh.errors import count, counted
from rdh.retrieval.evaluation import map_in_words
from rdh.store.run_store import RunStore

# Settings with a column of their own if they differ: field and heading.
VARYING = {"dataset": "data", "lr": "lr", "epochs": "epochs", "eta": "eta", "tau": "tau"}

MOST_NAMED = 3  # runs that a sentence names


def report(store: RunStore, run_ids: list[str], as_json: bool) -> None:
    """Prints the finished runs: a row for each config over its seeds, then the paired differences.

    Args:
        run_ids: finished or not; runs that have not finished are left out.
        as_json: print one line of JSON, with a row for each run and each pair.
    """
    table = analysis.run_table(store, run_ids)
    paired = analysis.pairs(table)
    if as_json:
        print_json(
            {
                "runs": table.drop(columns="settings", errors="ignore").to_dict("records"),
                "pairs": paired.to_dict("records"),
            }
        )
        return
    if table.empty:
        return
    print_table(summary_rows(analysis.summary_table(table)))
    for line in [*_explanations(table), *paired_lines(paired)]:
        print(line)


def summary_rows(summary: pd.DataFrame) -> list[dict[str, str]]:
    """Text by column, for `print_table`.

    Args:
        summary: `analysis.summary_table`. A setting that all rows share gets no column.
    """
    varying = {
        name: title for name, title in VARYING.items() if summary[name].dropna().nunique() > 1
    }
    return [
        {
            "method": row["label"],
            "bits": str(row["n_bits"]),
            **{title: _text(row[name], "g") for name, title in varying.items()},
            "seeds": str(row["n"]),
            "collapsed": str(row["collapsed"] or ""),
            "MAP": _text(row["map"], ".4f"),
            "MAP std": _text(row["map_std"], ".4f"),
            "dead at the end": _text(row["dead_at_end"], ".2%"),
            "dead at the peak": _text(row["dead_peak"], ".2%"),
            "cost of the dead": "" if pd.isna(row["cost"]) else analysis.map_points(row["cost"]),
            "flagged at the end": _text(row["flagged_at_end"], ".2%"),
        }
        for row in summary.to_dict("records")
    ]


def _explanations(table: pd.DataFrame) -> list[str]:
    """What the columns of the table mean; only those that have a number."""
    lines = [f"{map_in_words(table['top_k'])}."]
    words = {"dead_at_end": "dead", "cost": "cost", "flagged_at_end": "flagged"}
    named = [word for column, word in words.items() if table[column].notna().any()]
    lines += [f"{WORDS[word].title.lstrip('✖◆ ')}: {WORDS[word].meaning}" for word in named]
    if "dead" in named or "flagged" in named:
        lines.append(f"Shares are of the training items x bits{_entries(table)}, {PASS}.")
    old = table.loc[table["dead_at_end"].isna() & table["flagged_at_end"].notna(), "run_id"]
    if len(old):
        lines.append(f"{', '.join(old[:MOST_NAMED])}{_more(len(old))}: {NOT_COUNTED}.")
    return lines


def _more(n: int) -> str:
    return f" and {n - MOST_NAMED} more" if n > MOST_NAMED else ""


def paired_lines(paired: pd.DataFrame) -> list[str]:
    """What RDH changes: a sentence for each method, code length and setting.

    Args:
        paired: `analysis.pairs`, a row for each seed and split with both runs.
    """
    lines = []
    many_rates = paired["lr"].nunique() > 1
    for _, group in paired.groupby(["group", "differs"], sort=False):
        first = group.iloc[0]
        card = catalog.methods().get(first["method"])
        what = f"{card.title if card else first['method']}, {counted(first['n_bits'], 'bit')}"
        what += f", lr {first['lr']:g}" if many_rates else ""
        what += f", {first['setting']}" if first["setting"] else ""
        weight = first["eta_baseline"]
        what += _weights(first["method"], weight, first["eta"])
        n = len(group)
        n_splits = group["split_seed"].nunique()
        who = f"{n} seeds" if n_splits == 1 else f"{n} pairs of seeds on {n_splits} splits"
        who = f"seed {group['seed'].iloc[0]}" if n == 1 else who
        left_out = analysis.collapses_in_words(group["collapsed"])
        kept = analysis.comparable(group)
        gains, n = kept["map_gain"], len(kept)
        unfair = f" No fair pair: {first['differs']}." if first["differs"] else ""
        if not n:
            lines.append(f"{what}, {who}: {left_out}.{unfair}")
            continue
        spread = (
            f" (std {gains.std():.4f}, higher in {int((gains > 0).sum())} of {n})" if n > 1 else ""
        )
        mean = analysis.shown_change(kept["map_baseline"].mean(), kept["map_rdh"].mean())
        change = f"RDH changes MAP by {mean:+.4f}{spread}{_ties(kept)}"
        left_out = f"; {left_out}" if left_out else ""
        lines.append(f"{what}, {who}: {change}{_dead(kept)}{left_out}.{unfair}")
    return lines


def _ties(group: pd.DataFrame) -> str:
    """Whether the ties alone could turn the difference of a single pair."""
    if len(group) != 1:
        return ""
    row, names = group.iloc[0], ("map_low", "map_high", "n_distinct_codes")
    pair = [{name: row[f"{name}_{arm}"] for name in names} for arm in ("baseline", "rdh")]
    within = analysis.is_within_ties(*pair)
    return "" if within is None else f" ({'within' if within else 'outside'} the tie band)"


def _dead(group: pd.DataFrame) -> str:
    """The dead share of both arms and its cost; the flagged one of runs that did not count them."""
    for word in ("dead", "flagged"):
        before, after = (group[f"{word}_at_end_{arm}"].mean() for arm in ("baseline", "rdh"))
        if not (math.isnan(before) or math.isnan(after)):
            break
    else:
        return ""
    text = f" and {word} entries at the end from {before:.2%} to {after:.2%}"
    cost, cost_rdh = (group[f"cost_{arm}"].mean() for arm in ("baseline", "rdh"))
    if word == "dead" and not (math.isnan(cost) or math.isnan(cost_rdh)):
        points = map(analysis.map_points, (cost, cost_rdh))
        text += f" (their cost in MAP from {' to '.join(points)})"
    return text


def _weights(method: str, weight: float, eta: float) -> str:
    """Words on the weight of the baseline's plain quantization, if they are needed.

    If it weighs the method's own default and RDH's weighs another eta, the pair differs in more
    than the form of quantization. Then both weights are named.
    """
    if not pd.isna(weight):
        return f", plain quantization weighed {weight:g}"
    card = catalog.methods().get(method)
    own = card.plain_default if card else None
    if own is None or own == eta:
        return ""
    return (
        f", plain quantization at the method's own {own:g} against eta {eta:g} (--set "
        f"eta={eta:g} weighs both alike)"
    )


def _entries(table: pd.DataFrame) -> str:
    entries = table["entries"].dropna().unique()
    return f" ({count(entries[0])})" if len(entries) == 1 else ""


def _text(value: float, form: str) -> str:
    return "" if pd.isna(value) else f"{value:{form}}"
