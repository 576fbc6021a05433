"""Entries that are rescued and die again."""

from rdh.diagnosis._tools.evidence import Evidence
from rdh.diagnosis._tools.finding import CannotRun, Finding, Place, Remedy
from rdh.diagnosis._tools.series import after

TITLE = "Thrashing"
RELAPSES = 0.5  # of the rescues
TURNOVER = 1.0  # rescues over the last half, as a multiple of the dead at its end
LEAST = 100  # rescues over the last half
HALF = 0.5


def check(evidence: Evidence) -> Finding | None:
    """Fires if over the last half, half of the rescues are followed by a relapse, and often."""
    counts = evidence.counts
    if evidence.progress <= HALF:
        raise CannotRun("half of the training is not done yet")
    rescues, relapses = (
        float(after(evidence.column(name, f"counts of {name}"), evidence.total_steps, HALF).sum())
        for name in ("rescues", "relapses")
    )
    if rescues < LEAST or relapses < RELAPSES * rescues or rescues < TURNOVER * counts.dead:
        return None
    config = evidence.config
    expect = "Fewer relapses than half of the rescues."
    remedies = [Remedy({"lr": config.lr / 3}, "The step after a rescue is shorter.", expect)]
    if config.amplifier:
        remedies.append(Remedy({"tau": 0.95}, "A smaller τ means a smaller α, so that the freed "
                               "entry is not thrown across.", expect))  # fmt: skip
    return Finding(
        severity="note",
        sentence=f"Rescues don't last: over the last half of the training {rescues:,.0f} dead "
        f"entries were rescued and {relapses:,.0f} died that had been rescued before "
        f"({relapses / rescues:.0%}), with {counts.dead:,.0f} dead at the end.",
        mechanism="A rescue multiplies the gradient by α, and the step by the rate on top; where "
        "their product is large the entry is thrown across and back. Or its pairs disagree, and "
        "each batch wants another side.",
        equation=r"\Delta F = -\mathrm{lr} \cdot \alpha \cdot "
        r"\frac{\partial L}{\partial h}\,(1 - h^2)",
        places=(Place("pages/live.py", "Deaths, rescues and relapses"),),
        remedies=tuple(remedies),
    )
