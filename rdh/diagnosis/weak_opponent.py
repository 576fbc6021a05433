"""A pair whose baseline was never tuned, or has another weight of quantization."""

import math

from rdh.analysis import difference, map_points, quantization_weight, why_unfair
from rdh.diagnosis._tools.evidence import Evidence
from rdh.diagnosis._tools.finding import CannotRun, Finding, Place

TITLE = "Weak opponent"
LEAST_SETTINGS = 3  # learning rates and etas that the baseline was run with


def check(evidence: Evidence) -> Finding | None:
    """Fires on a pair that is not fair, or whose better arm beat one setting of the baseline."""
    arms = sorted((evidence, evidence.partner), key=lambda one: one.config.has_rdh)
    baseline, rdh = arms
    if not rdh.config.has_rdh or baseline.config.has_rdh:
        said = difference(evidence.config, evidence.partner.config)
        but = f"; these differ in {said}" if said else "; these have the same settings"
        raise CannotRun(f"one of the two runs must have both plug-ins, and the other one not{but}")
    if evidence is not rdh:
        raise CannotRun("it is said of the run with both plug-ins")
    if rdh.config.pair_hash != baseline.config.pair_hash:
        said = difference(baseline.config, rdh.config)
        raise CannotRun(f"the two runs differ in more than the plug-ins: in {said}")
    weights = quantization_weight(baseline.config), quantization_weight(rdh.config)
    why = why_unfair(weights, (baseline.config.tau, rdh.config.tau))
    if why:
        return _finding(f"This is no fair pair: {why}.")
    gain = rdh.number("map", "MAP") - baseline.number("map", "MAP")
    rivals = baseline.rivals()
    mine = rivals.loc[rivals["run_id"] == baseline.run_id].iloc[0]
    n_settings = len(rivals[["lr", "weight"]].fillna(-1).drop_duplicates())
    if gain <= 0:
        return None
    best = rivals.sort_values("map", ascending=False).iloc[0]
    eta = "" if math.isnan(best["weight"]) else f" and η {best['weight']:g}"
    if best["map"] > rdh.number("map", "MAP"):
        return _finding(
            f"The baseline of this pair is weak: with lr {best['lr']:g}{eta} "
            f"({best['run_id']}) it reaches {best['map']:.4f}, above the {mine['map']:.4f} it has "
            f"here and above RDH's {rdh.number('map', 'MAP'):.4f}."
        )
    if n_settings < LEAST_SETTINGS:
        return _finding(
            f"The baseline of this pair was never tuned: there are finished runs of it with "
            f"{n_settings} setting{'s' * (n_settings != 1)} of lr and η, so the gain of "
            f"{map_points(gain)} may be that of a better rate."
        )
    return None


def _finding(sentence: str) -> Finding:
    return Finding(
        severity="note",
        sentence=sentence,
        mechanism="A gain over a baseline at a setting that suits RDH says how well the setting "
        "suits, and not what the plug-ins do. The study tuned gives each arm its own best rate "
        "and η, chosen on validation queries.",
        places=(Place("pages/studies.py", "The study tuned", {"study": "tuned"}),),
    )
