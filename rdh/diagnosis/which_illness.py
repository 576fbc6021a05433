"""How many entries are dead and what they cost: many that cost MAP, or few of many flagged."""

import math
from typing import Any

from rdh.analysis import cost_of_dead, map_points, percent, quantization_weight, whole_percent
from rdh.diagnosis._tools.evidence import Evidence
from rdh.diagnosis._tools.finding import CannotRun, Finding, Place, Remedy

TITLE = "Dead bits"
AFTER = ("collapsed", "not_learning")
MANY_DEAD = 0.005  # of the entries
COSTLY = 0.005  # MAP with the dead entries on their right side minus MAP
MANY_SATURATED = 0.05  # of the entries
FEW_DEAD = 0.05  # of the flagged
PLACES = (
    Place("pages/live.py", "Which bits die, and when", {"map": "dead"}, "live-map"),
    Place("pages/bits.py", "The images whose bits are dead"),
)


def check(evidence: Evidence) -> Finding | None:
    """Many dead entries that cost MAP, or few of many flagged. Neither promises MAP to rescue."""
    counts, cost = evidence.counts, cost_of_dead(evidence.last)
    if not evidence.has_ended and evidence.progress < 1 / 3:
        raise CannotRun("it needs a third of the training")
    dead, flagged, saturated = (counts.share(name) for name in ("dead", "flagged", "saturated"))
    if dead >= MANY_DEAD and (cost is None or cost[0] >= COSTLY):
        return _many(evidence, dead, flagged, cost)
    right = 1 - counts.flagged_dead / max(counts.flagged, 1)
    if saturated >= MANY_SATURATED and flagged > 0 and 1 - right <= FEW_DEAD:
        return _few(evidence, dead, flagged, right, cost)
    return None


def _many(
    evidence: Evidence, dead: float, flagged: float, cost: tuple[float, str] | None
) -> Finding:
    config = evidence.config
    price = f", which costs {map_points(cost[0])} MAP {cost[1]}" if cost else ""
    what = (
        " The cost is MAP with all dead entries put right by their labels; rescue trains on, so it "
        "need not bring that back."
        if cost
        else " What they cost was not measured: an evaluation of h with labels shows it."
    )
    expect = "The dead share falls by a quarter or more. MAP may rise or fall: the pair shows it."
    rescue: dict[str, Any] = {
        name: value
        for name, value in (("amplifier", True), ("quantization", "error_aware"))
        if getattr(config, name) != value
    }
    weight = quantization_weight(config)
    if rescue and config.eta is None and not math.isnan(weight):
        rescue["eta"] = weight  # of the method's own: a fair pair has one weight
    remedies = []
    if rescue and config.method_card.refusal(True, "error_aware") is None:
        why = "Both plug-ins of RDH act on dead entries: one frees them, "
        "the other does not hold them where they are."
        remedies.append(Remedy(rescue, why, expect))
    return Finding(
        severity="costs MAP" if cost else "note",
        sentence=f"{percent(dead)} of the entries are dead {evidence.when}{price}; "
        f"{percent(flagged)} are flagged.",
        mechanism="A dead entry is on the wrong side where tanh is flat: the gradient that should "
        "bring it back is multiplied by 1 − h², at most 0.02 at |h| = 0.99. The amplifier "
        f"multiplies it by α, which undoes that.{what}",
        equation=r"\frac{\partial L}{\partial F} = \frac{\partial L}{\partial h}\,(1 - h^2), "
        r"\qquad \alpha = \frac{1}{1 - \tau^2}",
        places=PLACES,
        remedies=tuple(remedies),
    )


def _few(
    evidence: Evidence,
    dead: float,
    flagged: float,
    right: float,
    cost: tuple[float, str] | None,
) -> Finding:
    price = f" and cost {map_points(cost[0])} MAP {cost[1]}" if cost else ""
    if evidence.config.has_rdh:
        so = (
            "This run has the plug-ins, so it shows what they left. What they freed on the way "
            "shows beside the same run without them."
        )
    else:
        so = "So RDH would gain little by rescue here: it would loosen entries that are right."
    return Finding(
        severity="note",
        sentence=f"Dead entries are not this run's trouble: {percent(dead)} of the entries are "
        f"dead {evidence.when}{price}. {percent(flagged)} are flagged, and {whole_percent(right)} "
        "of the flagged are not dead.",
        mechanism="The test of Eq. 3 asks for |h| ≥ τ and a gradient that wants the entry to "
        f"leave; a pair loss wants that of right entries too. {so}",
        equation=r"|h| \ge \tau \;\wedge\; \mathrm{sgn}\, h = \mathrm{sgn}\, "
        r"\frac{\partial L_{\mathrm{sim}}}{\partial h}",
        places=PLACES,
    )
