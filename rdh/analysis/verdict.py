"""What the two runs of a pair say about RDH, in words: dead entries, their cost, MAP, its ties."""

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from rdh.analysis.dead_bits import NOT_COUNTED, cost_of_dead
from rdh.retrieval.evaluation import ONE_CODE, REMEDY, has_collapsed

LEAST_PAIRS = 3  # fewer have no interval
COLLAPSES = ("", "baseline", "rdh", "both")  # which runs of a pair have one code for all items
COLLAPSED_RUNS = {
    "baseline": "the run without RDH has",
    "rdh": "the run with RDH has",
    "both": "both runs have",
}
TIES_OF_A_PAIR = {  # whether a pair is within the tie band -> a remark, where the seeds decide
    True: "A remark on this pair alone: its difference is within the tie band, so another order of "
    "its items at equal distances could turn it around.",
    False: "A remark on this pair alone: its difference is outside the tie band.",
}


def percent(share: float) -> str:
    """A share with the two decimals that all dead bits are shown with; "–" for NaN."""
    return "–" if math.isnan(share) else f"{share:.2%}"


def whole_percent(share: float) -> str:
    """A share without decimals: "84%". All and none are said only of all and none."""
    if 0 < share < 0.005:
        return "less than 1%"
    return "more than 99%" if 0.995 <= share < 1 else f"{share:.0%}"


def map_points(value: float) -> str:
    """A MAP or a difference of two: "+0.0083", "+0.0000" for a tiny loss too; "–" for NaN."""
    return "–" if math.isnan(value) else f"{round(value, 4) + 0.0:+.4f}".replace("-", "−")


def shown_change(before: float, after: float, decimals: int = 4) -> float:
    """The difference of two numbers as they are shown: it adds up for who reads all three.

    Wherever a difference stands beside its two numbers it comes from here. CSV and JSON hold exact
    numbers.

    Args:
        before: NaN if it is not known; then so is the difference.
        after: the same.
        decimals: with which both are shown.
    """
    return round(round(after, decimals) - round(before, decimals), decimals) + 0.0


def when_newest(state: str | None) -> str:
    """The moment of a run's newest record: "at the end" only of a run that has trained to its end.

    Args:
        state: of result.json; None if there is none, since the run goes on.
    """
    if not state:
        return "now"
    return "at the end" if state == "finished" else "at its last record"


def who_collapsed(baseline: Mapping[str, Any], rdh: Mapping[str, Any]) -> str:
    """Which runs of a pair have one code for all items: one of `COLLAPSES`, "" if none has.

    Such a pair is no evidence on RDH: whoever collapsed has the MAP of chance, and a difference
    from it says how high the other one is. It is left out of means, intervals and verdicts, and
    counted beside them (`collapses_in_words`).
    """
    return COLLAPSES[has_collapsed(baseline) + 2 * has_collapsed(rdh)]


def collapses_in_words(
    who: Iterable[str], arms: tuple[str, str] = ("without RDH", "with RDH")
) -> str:
    """How many pairs are left out, and which of their runs have collapsed; "" if none has.

    Args:
        who: `who_collapsed` of each pair.
        arms: what the two sides are called.
    """
    every = list(who)
    n = sum(map(bool, every))
    if not n:
        return ""
    return (
        f"{n} of {len(every)} pair{'s' * (len(every) != 1)} {'is' if n == 1 else 'are'} left out, "
        f"because training collapsed to one code ({collapsed_runs(every, arms)})"
    )


def collapsed_runs(who: Iterable[str], arms: tuple[str, str]) -> str:
    """Which runs of pairs have collapsed: "both", "with RDH", or "with RDH in 2, both in 1"."""
    every = list(who)
    names = dict(zip(COLLAPSES[1:], (*arms, "both"), strict=True))
    counts = [(name, every.count(one)) for one, name in names.items() if one in every]
    if len(counts) == 1:
        return counts[0][0]
    return ", ".join(f"{name} in {n}" for name, n in counts)


def collapse_warning(rows: Sequence[Mapping[str, Any]], said_of_map: str = "") -> str:
    """What comes before all other words on one run or on a pair of which a run has collapsed.

    Args:
        rows: of one run, or of two, the one without RDH first: scalars by name, and "label".
        said_of_map: of a pair: `map_verdict` or `map_so_far`.

    Returns:
        "" if no run has collapsed.
    """
    labels = [row["label"] for row in rows if has_collapsed(row)]
    if not labels:
        return ""
    where = "in both runs" if len(labels) > 1 else f"in {labels[0]}"
    if len(rows) == 1:
        value = f"{rows[0]['map']:.4f} " if "map" in rows[0] else ""
        said_of_map = f"{ONE_CODE[0].upper()}{ONE_CODE[1:]}, so MAP {value}is chance. {REMEDY}"
    return (
        f"Training collapsed {where}. {said_of_map} {'Their' if len(labels) > 1 else 'Its'} dead "
        "entries say nothing: where all items have one code, hardly an entry counts as wrong, and "
        "so hardly one as dead."
    )


def dead_share(numbers: Mapping[str, Any], share: float) -> float:
    """The share of the entries that are dead, for a table; NaN if the run has collapsed.

    Where all items have one code, hardly an entry counts as wrong: a share of 0 would look like
    the best run of all. The cost of these entries says as little.

    Args:
        numbers: scalars of the run by name.
        share: as it was counted, or what the dead cost.
    """
    return math.nan if has_collapsed(numbers) else share


def says_nothing(what: str) -> str:
    """Of a run that has collapsed, after its name: what its "dead" or "flagged" entries are."""
    return f"collapsed to one code, so its {what} entries say nothing"


def share_title(row: Mapping[str, Any], what: str, share: float, step: int) -> str:
    """The title over a map of dead entries: the share, or that a collapsed run says nothing.

    Args:
        row: scalars by name, and "label".
        what: "dead" or "flagged".
        share: of the entries, 0 to 1.
        step: of the record.
    """
    if has_collapsed(row):
        return f"{row['label']}: {says_nothing(what)}"
    return f"{row['label']}: {percent(share)} of the entries {what} at step {step:,}"


def difference_title(
    rows: Sequence[Mapping[str, Any]], what: str, shares: Sequence[float], step: int
) -> str:
    """The title over the difference of two maps: without RDH minus with RDH.

    Args:
        rows: of both runs: scalars by name, and "label".
        what: "dead" or "flagged".
        shares: of their entries, 0 to 1 each.
        step: of the records.
    """
    labels = [row["label"] for row in rows]
    text = f"{what.capitalize()} in {labels[0]} minus {what} in {labels[1]}, at step {step:,}: "
    if collapsed := [row["label"] for row in rows if has_collapsed(row)]:
        return f"{text}it says nothing, since training collapsed in {' and '.join(collapsed)}"
    fewer = f"{shown_change(shares[1], shares[0]):+.2%}".replace("-", "−")
    return f"{text}{fewer} of the entries (+, light: fewer in {labels[1]})"


def is_within_ties(baseline: Mapping[str, Any], rdh: Mapping[str, Any]) -> bool | None:
    """Whether the tie bands of two runs overlap.

    Then an order of the items at equal distances would turn the difference of their MAPs around.
    Titles, sentences and tables all ask here.

    Args:
        baseline: a row of `run_table`, or scalars by name.
        rdh: the same of the other run.

    Returns:
        None if one has no band, or codes that are all the same: its ties could show anything.
    """
    if who_collapsed(baseline, rdh):
        return None
    ends = [
        float(row.get(name, math.nan))
        for row in (baseline, rdh)
        for name in ("map_low", "map_high")
    ]
    if any(math.isnan(end) for end in ends):
        return None
    return max(ends[0], ends[2]) <= min(ends[1], ends[3])


def map_headline(baseline: Mapping[str, Any], rdh: Mapping[str, Any]) -> str:
    """The title over the tie bands of a pair: "MAP +0.0744: outside the tie band"."""
    text = f"MAP {map_points(_gain(baseline, rdh))}"
    if who := who_collapsed(baseline, rdh):
        return f"{text}: {COLLAPSED_RUNS[who]} collapsed"
    within = is_within_ties(baseline, rdh)
    return text if within is None else f"{text}: {'within' if within else 'outside'} the tie band"


def map_verdict(
    baseline: Mapping[str, Any], rdh: Mapping[str, Any], seeds: str = "", decided: str = ""
) -> str:
    """How MAP changes with RDH, whether the ties could turn it, what seeds say, what the dead do.

    Args:
        baseline: a row of `run_table`, or scalars by name.
        rdh: the same of the run with RDH.
        seeds: the end of the sentence on this pair: on how many seeds it stands.
        decided: `decided_by_seeds`, if the seeds have an interval. It comes first, and the ties
            are then a remark on this pair alone.

    Returns:
        "" without both MAPs.
    """
    end = f"; {seeds}." if seeds else "."
    gain = _gain(baseline, rdh)
    if math.isnan(gain):
        return ""
    text = f"MAP goes from {baseline['map']:.4f} to {rdh['map']:.4f} ({map_points(gain)})"
    if who := who_collapsed(baseline, rdh):
        its = "their" if who == "both" else "its"
        has = COLLAPSED_RUNS[who][0].upper() + COLLAPSED_RUNS[who][1:]
        return f"{text}. {has} collapsed: {ONE_CODE}, so {its} MAP is that of chance. {REMEDY}"
    dead, within = share_of_dead(baseline, rdh), is_within_ties(baseline, rdh)
    if decided:
        remark = TIES_OF_A_PAIR[within] if within is not None else ""
        return " ".join(filter(None, [decided, f"In this pair {text}{end}", remark, dead]))
    if within:
        text += (
            ": within the tie band, so another order of items at equal distances could turn this "
            "difference around"
        )
    elif within is not None:
        text += ": outside the tie band, so no order of items at equal distances turns it around"
    return " ".join(filter(None, [f"{text}{end}", dead]))


def map_so_far(baseline: Mapping[str, Any], rdh: Mapping[str, Any], *, goes_on: bool = True) -> str:
    """MAP of the two runs of a pair of which not both have finished: numbers without a verdict.

    Args:
        baseline: scalars by name, and "label".
        rdh: the same of the run with RDH.
        goes_on: whether a number can still come.
    """
    said = [
        f"{row['label']} {row['map']:.4f}"
        for row in (baseline, rdh)
        if not math.isnan(row.get("map", math.nan))
    ]
    if not said:
        return "MAP comes with the first evaluation." if goes_on else "No MAP was measured."
    rest = f"; the other run has none{' yet' if goes_on else ''}" if len(said) < 2 else ""
    return f"MAP at the last evaluation: {', '.join(said)}{rest}."


def _gain(baseline: Mapping[str, Any], rdh: Mapping[str, Any]) -> float:
    before, after = (float(row.get("map", math.nan)) for row in (baseline, rdh))
    return shown_change(before, after)


def share_of_dead(baseline: Mapping[str, Any], rdh: Mapping[str, Any]) -> str:
    """How much of a difference in MAP the dead account for, and what the rest may be.

    Args:
        baseline: a row of `run_table`, or scalars by name.
        rdh: the same of the run with RDH. "finetune" False: no features were trained.

    Returns:
        "" if a run has no cost, or its cost is measured elsewhere than that of the other.
    """
    costs = [cost_of_dead(row) for row in (baseline, rdh)]
    gain = _gain(baseline, rdh)
    if costs[0] is None or costs[1] is None or costs[0][1] != costs[1][1] or math.isnan(gain):
        return ""
    saved = shown_change(costs[1][0], costs[0][0])
    trained = "a hash layer" if rdh.get("finetune") is False else "features and a hash layer"
    return (
        f"Of this {map_points(gain)}, {map_points(saved)} is the cost of the dead "
        f"({map_points(costs[0][0])} without and {map_points(costs[1][0])} with RDH), measured by "
        f"flipping the dead entries {costs[0][1]} of the finished runs. The other "
        f"{map_points(gain - saved)} is what such flips can't show: right entries that were "
        f"loosened, and {trained} that went on training."
    )


def points(values: Sequence[float]) -> list[str]:
    """Differences of MAPs in hundredths: "+0.8", "+2.1"; with two decimals if one is small."""
    decimals = 1 if all(abs(value) >= 0.001 for value in values) else 2
    return [f"{100 * value:+.{decimals}f}".replace("-", "−") for value in values]


def setting_verdict(
    gains: Sequence[float],
    interval: tuple[float, float],
    within: Sequence[bool | None],
    who: Iterable[str] = (),
) -> str:
    """What the pairs of one setting say, after "MAP is".

    "higher in 5 of 5 pairs, mean +1.4 points, 95% interval +0.8 to +2.1". Where the interval
    decides, the ties of single pairs are `ties_of_pairs`; where there is none, they stand here.

    Args:
        gains: `shown_change` of MAP with RDH, of each pair of which no run has collapsed.
        interval: of their mean, 95%; NaN: there is none.
        within: `is_within_ties` of each of them.
        who: `who_collapsed` of all pairs.
    """
    left_out = collapses_in_words(who)
    if not gains:
        return f"unknown: {left_out}"
    said = _counted(gains, interval, within)
    return f"{said}; {left_out}" if left_out else said


def _counted(
    gains: Sequence[float], interval: tuple[float, float], within: Sequence[bool | None]
) -> str:
    n, n_higher = len(gains), sum(gain > 0 for gain in gains)
    n_lower = sum(gain < 0 for gain in gains)
    pairs = f"{n} pair{'s' * (n != 1)}"
    said = f"equal in {n - n_higher - n_lower} of {pairs}"
    if n_higher or n_lower:
        way = "higher" if n_higher >= n_lower else "lower"
        said = f"{way} in {max(n_higher, n_lower)} of {pairs}"
    if not math.isnan(interval[0]):
        mean, low, high = points([math.fsum(gains) / n, *interval])
        return f"{said}, mean {mean} points, 95% interval {low} to {high}"
    if n < LEAST_PAIRS:
        said += f", {' and '.join(points(gains))} points"
    n_within = sum(map(bool, within))
    if n_within:
        return f"{said}, within the ties" + (f" in {n_within} of them" if n_within < n else "")
    return said if None in within else f"{said}, outside the ties"


def ties_of_pairs(within: Sequence[bool | None]) -> str:
    """How many pairs are within their tie bands, where the interval over them decides.

    Args:
        within: `is_within_ties` of each pair.

    Returns:
        A sentence; "" if no pair is.
    """
    n_within, n = sum(map(bool, within)), len(within)
    if not n_within:
        return ""
    which = f"All {n} pairs are" if n_within == n else f"{n_within} of the {n} pairs are"
    which = which.replace("are", "is") if n_within == 1 else which
    return f"{which} within the tie band: a remark on single pairs. The interval decides."


def decided_by_seeds(
    gains: Sequence[float], interval: tuple[float, float], who: Iterable[str] = ()
) -> str:
    """What the interval over seeds says of RDH, one clear thing first.

    Args:
        gains: `shown_change` of MAP with RDH, of each pair of which no run has collapsed.
        interval: of their mean, 95%.
        who: `who_collapsed` of all pairs.

    Returns:
        A sentence; "" without an interval.
    """
    low, high = interval
    if math.isnan(low):
        return ""
    left_out = collapses_in_words(who)
    where = " where training did not collapse" if left_out else ""
    rises = f"With RDH, MAP {'rises' if low > 0 else 'falls'}{where}"
    lead = rises if low > 0 or high < 0 else f"The seeds show no effect of RDH on MAP{where}"
    of = f" {left_out}; in the others it is" if left_out else " it is"
    shows = "excludes" if low > 0 or high < 0 else "contains"
    return f"{lead}: over all seeds run here,{of} {_counted(gains, interval, [])}, which {shows} 0."


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
