"""A dead share that still grows when training is about to end."""

import math

from rdh.diagnosis._tools.evidence import Evidence
from rdh.diagnosis._tools.finding import CannotRun, Finding, Place, Remedy
from rdh.diagnosis._tools.series import after, slope_with_interval

TITLE = "Dead and growing"
LEAST_DEAD = 0.001  # of the entries, at the end
LAST = 2 / 3  # of the training
GROWTH = 0.05  # over the last third, as a share of the dead at its end


def check(evidence: Evidence) -> Finding | None:
    """Fires if the last third adds a twentieth of the dead, with an interval above 0."""
    counts = evidence.counts
    dead = evidence.column("dead", "counts of the dead")
    if evidence.progress <= LAST:
        raise CannotRun("it needs two thirds of the training")
    part = after(dead, evidence.total_steps, LAST)
    steps = part.index.to_numpy()
    slope, low, high = slope_with_interval(steps, part.to_numpy())
    if math.isnan(slope):
        raise CannotRun("it needs four records in the last third of the training")
    span = float(steps[-1] - steps[0])
    growth = slope * span / max(part.iloc[-1], 1.0)
    if low <= 0 or growth < GROWTH or counts.share("dead") < LEAST_DEAD:
        return None
    config, added = evidence.config, round(slope * span)
    entries = "entry" if added == 1 else "entries"
    rescue = {} if config.amplifier else {"amplifier": True}
    expect = "The dead share is flat over the last third of the training."
    remedies = []
    if rescue and config.method_card.refusal(True, config.quantization) is None:
        remedies.append(Remedy(rescue, "The amplifier gives dead entries a gradient again.",
                               expect))  # fmt: skip
    return Finding(
        severity="note",
        sentence=f"The dead still grow: by {added:,} {entries} over the last third of the "
        f"training (95 % interval {low * span:,.0f} to {high * span:,.0f}), to "
        f"{counts.share('dead'):.2%} of all.",
        mechanism="Entries die faster than they are rescued: each death is kept by the flat end of "
        "tanh, and each rescue needs many steps against it. As long as the rate is not 0, more "
        "training means more dead.",
        equation=r"\Delta_{\mathrm{dead}} = \mathrm{deaths} - \mathrm{rescues} - "
        r"\mathrm{releases}",
        places=(Place("pages/live.py", "Dead entries over time", anchor="dead"),),
        remedies=tuple(remedies),
    )
