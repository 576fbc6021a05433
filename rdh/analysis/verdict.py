"""What the two runs of a pair say about RDH, in words: dead entries, their cost, MAP, its ties."""

import math
from collections.abc import Mapping
from typing import Any

from rdh.analysis.dead_bits import NOT_COUNTED


def percent(share: float) -> str:
    """A share with the two decimals that all dead bits are shown with; "–" for NaN."""
    return "–" if math.isnan(share) else f"{share:.2%}"


def map_points(value: float) -> str:
    """A MAP or a difference of two: "+0.0083"; "–" for NaN."""
    return "–" if math.isnan(value) else f"{value:+.4f}".replace("-", "−")


def has_collapsed(row: Mapping[str, Any]) -> bool:
    """Whether all gallery items of a run have the same code, so that its MAP is that of chance."""
    return bool(row.get("n_distinct_codes") == 1)


def is_within_ties(baseline: Mapping[str, Any], rdh: Mapping[str, Any]) -> bool | None:
    """Whether the tie bands of two runs overlap.

    Then an order of the items at equal distances would turn the difference of their MAPs around.

    Args:
        baseline: a row of `run_table`, or scalars by name.
        rdh: the same of the other run.

    Returns:
        None if one has no band, or codes that are all the same: its ties could show anything.
    """
    if has_collapsed(baseline) or has_collapsed(rdh):
        return None
    ends = [
        float(row.get(name, math.nan))
        for row in (baseline, rdh)
        for name in ("map_low", "map_high")
    ]
    if any(math.isnan(end) for end in ends):
        return None
    return max(ends[0], ends[2]) <= min(ends[1], ends[3])


def map_verdict(baseline: Mapping[str, Any], rdh: Mapping[str, Any]) -> str:
    """How MAP changes with RDH, and whether the ties alone could turn it; "" without both MAPs."""
    before, after = (float(row.get("map", math.nan)) for row in (baseline, rdh))
    if math.isnan(before) or math.isnan(after):
        return ""
    text = f"MAP goes from {before:.4f} to {after:.4f} ({map_points(after - before)})"
    for row, name in ((baseline, "without RDH"), (rdh, "with RDH")):
        if has_collapsed(row):
            return (
                f"{text}. The run {name} has collapsed: all gallery items have the same code, so "
                "its MAP is that of chance. Try a lower lr."
            )
    within = is_within_ties(baseline, rdh)
    if within is None:
        return f"{text}."
    if within:
        return (
            f"{text}: within the tie band, so another order of items at equal distances could turn "
            "this difference around."
        )
    return f"{text}: outside the tie band, so no order of items at equal distances turns it around."


def dead_verdict(baseline: Mapping[str, Any], rdh: Mapping[str, Any]) -> str:
    """The dead share of both runs, and what their dead entries cost.

    Args:
        baseline: a row of `run_table`.
        rdh: the same of the run with RDH.

    Returns:
        One or two sentences; "" if the runs have no such counts.
    """
    name = "dead"
    if any(math.isnan(row["dead_at_end"]) for row in (baseline, rdh)):
        name = "flagged"
    before, after = baseline[f"{name}_at_end"], rdh[f"{name}_at_end"]
    if math.isnan(before) or math.isnan(after):
        return ""
    text = (
        f"{baseline['label']}: {percent(before)} of the entries are {name}; {rdh['label']}: "
        f"{percent(after)}"
    )
    if name == "flagged":
        return f"{text}; {NOT_COUNTED}."
    cost, cost_rdh = baseline["cost"], rdh["cost"]
    if math.isnan(cost) or math.isnan(cost_rdh):
        return f"{text}."
    return f"{text}. Their cost: {map_points(cost)} and {map_points(cost_rdh)} MAP."
