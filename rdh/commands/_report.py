"""The report on finished runs: a table over seeds, and what RDH changed."""

import math

import pandas as pd

from rdh import analysis, catalog
from rdh.commands._common import count, print_json, print_table
from rdh.retrieval.evaluation import map_in_words
from rdh.store.run_store import RunStore

# Settings with a column of their own if they differ: field and heading.
VARYING = {"dataset": "data", "lr": "lr", "epochs": "epochs", "eta": "eta", "tau": "tau"}


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
    print(
        f"{map_in_words(table['top_k'])}. Dead: share of the training items x bits"
        f"{_entries(table)} with |h| >= tau whose similarity gradient asks them to "
        f"leave, each at its last visit."
    )
    for line in paired_lines(paired):
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
            "MAP": _text(row["map"], ".4f"),
            "MAP std": _text(row["map_std"], ".4f"),
            "dead at the end": _text(row["dead_at_end"], ".2%"),
            "dead at the peak": _text(row["dead_peak"], ".2%"),
        }
        for row in summary.to_dict("records")
    ]


def paired_lines(paired: pd.DataFrame) -> list[str]:
    """What RDH changes: a sentence for each method, code length and setting.

    Args:
        paired: `analysis.pairs`, a row for each seed with both runs.
    """
    lines = []
    many_rates = paired["lr"].nunique() > 1
    for _, group in paired.groupby("group", sort=False):
        first = group.iloc[0]
        card = catalog.methods().get(first["method"])
        what = f"{card.title if card else first['method']}, {first['n_bits']} bits"
        what += f", lr {first['lr']:g}" if many_rates else ""
        what += f", {first['setting']}" if first["setting"] else ""
        weight = first["eta_baseline"]
        what += _weights(first["method"], weight, first["eta"])
        gains, n = group["map_gain"], len(group)
        who = f"seed {group['seed'].iloc[0]}" if n == 1 else f"{n} seeds"
        spread = (
            f" (std {gains.std():.4f}, higher in {int((gains > 0).sum())} of {n})" if n > 1 else ""
        )
        dead = ""
        if not math.isnan(group["dead_at_end_rdh"].mean()):
            before, after = group["dead_at_end_baseline"].mean(), group["dead_at_end_rdh"].mean()
            dead = f" and dead bits at the end from {before:.2%} to {after:.2%}"
        lines.append(f"{what}, {who}: RDH changes MAP by {gains.mean():+.4f}{spread}{dead}.")
    return lines


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
