"""A score that still rises, or a loss that still falls, when training ends."""

import numpy as np

from rdh.diagnosis._tools.evidence import Evidence
from rdh.diagnosis._tools.finding import CannotRun, Finding, Place, Remedy, twice

TITLE = "Under-trained"
AFTER = ("collapsed",)
RISE = 0.02  # of MAP, over the last quarter of the way
LAST = 0.75


def check(evidence: Evidence) -> Finding | None:
    """Fires if MAP rises by a fiftieth over the last quarter of the way, to its best."""
    if not evidence.has_ended:
        raise CannotRun("the run has not ended")
    if not evidence.config.is_watched and evidence.result.get("state") != "finished":
        raise CannotRun("the run did not come to the end of its training")
    scores = evidence.column("map", "MAP")
    border = step_at(evidence, LAST)
    before, late = scores.loc[scores.index <= border], scores.loc[scores.index > border]
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
        f"way, from {before.iloc[-1]:.4f} at step {int(before.index[-1]):,} to "
        f"{scores.iloc[-1]:.4f} at the end.",
        mechanism="The schedule ended before the codes had settled. A comparison at this length is "
        "a comparison of speeds, not of methods.",
        places=(Place("pages/compare.py", "The pair over time", anchor="time"),),
        remedies=(
            Remedy({"epochs": twice(config.epochs)}, "Training takes twice as long.",
                   "MAP rises by less than 0.02 over the last quarter, and ends higher."),
        ),
    )  # fmt: skip


def step_at(evidence: Evidence, share: float) -> float:
    """The step by which this share of the way is gone, if a step goes as far as its rate.

    Over the last quarter of a cosine schedule's steps, the rate is so small that no score can rise.
    Without a record of the rate, all steps are equally long.
    """
    total = evidence.total_steps
    if "lr" not in evidence.frame:
        return share * total
    rate = evidence.frame["lr"].dropna()
    steps = rate.index.to_numpy(dtype=float)
    way = np.cumsum(rate.to_numpy() * np.diff(steps, prepend=0.0))
    return float(np.interp(share * way[-1], way, steps))
