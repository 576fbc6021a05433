"""What the two runs of a pair say about RDH, in words: dead entries, their cost, MAP, its ties."""

import math
from collections.abc import Mapping, Sequence
from typing import Any

from rdh.analysis.dead_bits import NOT_COUNTED

LEAST_PAIRS = 3  # fewer have no interval


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


def map_verdict(baseline: Mapping[str, Any], rdh: Mapping[str, Any], seeds: str = "") -> str:
    """One sentence: how MAP changes with RDH, whether the ties could turn it, what seeds say.

    Args:
        baseline: a row of `run_table`, or scalars by name.
        rdh: the same of the run with RDH.
        seeds: the end of the sentence: on how many seeds it stands.

    Returns:
        "" without both MAPs.
    """
    end = f"; {seeds}." if seeds else "."
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
        return f"{text}{end}"
    if within:
        return (
            f"{text}: within the tie band, so another order of items at equal distances could turn "
            f"this difference around{end}"
        )
    return (
        f"{text}: outside the tie band, so no order of items at equal distances turns it "
        f"around{end}"
    )


def points(values: Sequence[float], between: str) -> str:
    """Differences of MAPs in hundredths: "+0.8 to +2.1 points"; two decimals if one is small."""
    decimals = 1 if all(abs(value) >= 0.001 for value in values) else 2
    shown = (f"{100 * value:+.{decimals}f}".replace("-", "−") for value in values)
    return f"{between.join(shown)} points"


def setting_verdict(
    gains: Sequence[float], interval: tuple[float, float], within: Sequence[bool | None]
) -> str:
    """What the pairs of one setting say, after "MAP is": "higher in 5 of 5 pairs, +0.8 to +2.1 ...

    Args:
        gains: MAP with RDH minus MAP without, of each pair.
        interval: of their mean, 95 %; NaN: there is none.
        within: `is_within_ties` of each pair.
    """
    n, n_higher = len(gains), sum(gain > 0 for gain in gains)
    n_lower = sum(gain < 0 for gain in gains)
    pairs = f"{n} pair{'s' * (n != 1)}"
    said = f"equal in {n - n_higher - n_lower} of {pairs}"
    if n_higher or n_lower:
        way = "higher" if n_higher >= n_lower else "lower"
        said = f"{way} in {max(n_higher, n_lower)} of {pairs}"
    if not math.isnan(interval[0]):
        said += f", {points(interval, ' to ')}"
    elif n < LEAST_PAIRS:
        said += f", {points(gains, ' and ')}"
    n_within = sum(map(bool, within))
    if n_within:
        return f"{said}, within the ties" + (f" in {n_within}" if n_within < n else "")
    return said if None in within else f"{said}, outside the ties"


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
