"""A score that still rises, or a loss that still falls, when training ends."""

from rdh.diagnosis._tools.evidence import Evidence
from rdh.diagnosis._tools.finding import CannotRun, Finding, Place, Remedy, twice
from rdh.diagnosis._tools.series import after

TITLE = "Under-trained"
AFTER = ("collapsed", "not_learning")
RISE = 0.01  # of MAP, over the last quarter of the training
LAST = 0.75


def check(evidence: Evidence) -> Finding | None:
    """Fires if MAP rises by a hundredth over the last quarter, or fell little before its end."""
    if not evidence.has_ended:
        raise CannotRun("the run has not ended")
    scores = evidence.column("map", "MAP")
    total = evidence.total_steps
    before = scores.loc[scores.index <= LAST * total]
    late = after(scores, total, LAST)
    if not len(before) or not len(late):
        raise CannotRun("it needs evaluations in the course of the training (eval_every)")
    rise = float(late.iloc[-1] - before.iloc[-1])
    best_before = float(scores.iloc[:-1].max())
    if rise < RISE or float(scores.iloc[-1]) < best_before:
        return None
    config = evidence.config
    return Finding(
        severity="costs MAP",
        sentence=f"MAP still rose by {rise:.4f} over the last quarter of the "
        f"training, from {before.iloc[-1]:.4f} at step {int(before.index[-1]):,} to "
        f"{scores.iloc[-1]:.4f} at the end.",
        mechanism="The schedule ended before the codes had settled. A comparison at this length is "
        "a comparison of speeds, not of methods.",
        places=(Place("pages/compare.py", "The pair over time"),),
        remedies=(
            Remedy({"epochs": twice(config.epochs)}, "Twice as long.",
                   "MAP rises by less than 0.01 over the last quarter, and ends higher."),
        ),
    )  # fmt: skip
