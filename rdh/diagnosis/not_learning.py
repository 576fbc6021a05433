"""A similarity loss that stays where it began: nothing is learned."""

import math

from rdh.diagnosis._tools.evidence import Evidence
from rdh.diagnosis._tools.finding import CannotRun, Finding, Place, Remedy, part_of
from rdh.diagnosis._tools.forms import whose_formula
from rdh.diagnosis._tools.series import blocks

TITLE = "Not learning"
AFTER = ("collapsed", "diverging", "quantization_wins")
LEAST_FALL = 0.01  # of the similarity loss since its first record
LEAST_RECORDS, LEAST_PROGRESS = 10, 0.2
STILL = 0.001  # of the entries that change their side from visit to visit
RESTLESS = 0.2  # of them: steps so long that they undo each other
MOVED = 0.05  # of the loss since its first record


def check(evidence: Evidence) -> Finding | None:
    """Fires if nothing moves, or if all moves and the similarity loss does not fall."""
    if evidence.config.method_card.is_shallow:
        raise CannotRun("the method is fitted, without steps")
    loss = evidence.column("similarity_loss", "similarity loss")
    if len(loss) < LEAST_RECORDS or evidence.progress < LEAST_PROGRESS:
        raise CannotRun(f"it needs {LEAST_RECORDS} records and a fifth of the training")
    first, now = float(loss.iloc[0]), float(blocks(loss)[-1])
    changed = share_that_changes(evidence)
    if not is_still(evidence) and (
        evidence.config.method_card.stores_all_codes  # at first, against codes that are not there
        or (not math.isnan(changed) and changed < RESTLESS)
        or first <= 0
        or min(now, float(blocks(loss).min())) < (1 - LEAST_FALL) * first
    ):
        return None
    moves = (
        ""
        if math.isnan(changed)
        else f"; from visit to visit {changed:.2%} of the entries change their side"
    )
    config = evidence.config
    expect = "The similarity loss leaves its first value within the first tenth of the training."
    return Finding(
        severity="fatal",
        sentence=f"The similarity loss was {first:.3g} at the first record "
        f"and is {now:.3g} now, after {evidence.progress:.0%} of the training{moves}.",
        mechanism="A pair likelihood begins at log 2 = 0.69 a pair, where all Θ are near 0, and "
        "stays there if steps are too short to grow the codes, or so long that they undo each "
        "other. In both cases the codes say nothing about the labels." + whose_formula(config),
        equation=r"\log(1 + e^{\Theta}) - S\,\Theta \;=\; \log 2 \quad (\Theta = 0)",
        places=(Place("pages/live.py", "The loss, term by term", anchor="loss"),),
        remedies=(
            Remedy({"lr": part_of(config.lr, 0.1)}, "Steps get longer.", expect),
            Remedy(
                {"lr": part_of(config.lr, 3)}, "If the loss jumps about: steps get shorter.", expect
            ),
        ),
    )


def share_that_changes(evidence: Evidence) -> float:
    """Entries that are on another side than at their last visit; NaN if it was not recorded."""
    frame = evidence.frame
    if "changed_sides" not in frame:
        return math.nan
    again = frame["visited_again"].sum()
    return float(frame["changed_sides"].sum() / again) if again else math.nan


def is_still(evidence: Evidence) -> bool:
    """Whether neither an entry nor the loss has moved; an old run does not tell."""
    if not share_that_changes(evidence) < STILL:
        return False
    loss = evidence.column("loss", "loss")
    first = float(loss.iloc[0])
    return abs(float(loss.iloc[-1]) - first) < MOVED * abs(first)
