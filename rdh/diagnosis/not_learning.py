"""A similarity loss that stays where it began: nothing is learned."""

from rdh.diagnosis._tools.evidence import Evidence
from rdh.diagnosis._tools.finding import CannotRun, Finding, Place, Remedy, part_of
from rdh.diagnosis._tools.series import blocks

TITLE = "Not learning"
AFTER = ("collapsed", "diverging", "quantization_wins")
LEAST_FALL = 0.01  # of the similarity loss since its first record
LEAST_RECORDS, LEAST_PROGRESS = 10, 0.2


def check(evidence: Evidence) -> Finding | None:
    """Fires if the similarity loss has fallen by less than a hundredth in a fifth of training."""
    if evidence.config.method_card.is_shallow:
        raise CannotRun("the method is fitted, without steps")
    if evidence.config.method_card.stores_all_codes:
        raise CannotRun("the first loss of the method is against codes that it does not have yet")
    loss = evidence.column("similarity_loss", "similarity loss")
    if len(loss) < LEAST_RECORDS or evidence.progress < LEAST_PROGRESS:
        raise CannotRun(f"it needs {LEAST_RECORDS} records and a fifth of the training")
    first, now = float(loss.iloc[0]), float(blocks(loss)[-1])
    lowest = float(blocks(loss).min())
    if first <= 0 or min(now, lowest) < (1 - LEAST_FALL) * first:
        return None
    config = evidence.config
    expect = "The similarity loss leaves its first value within the first tenth of the training."
    return Finding(
        severity="fatal",
        sentence=f"The similarity loss was {first:.3g} at the first record "
        f"and is {now:.3g} now, after {evidence.progress:.0%} of the training.",
        mechanism="A pair likelihood begins at log 2 = 0.69 a pair, where all Θ are near 0, and "
        "stays there if steps are too short to grow the codes, or so long that they undo each "
        "other. In both cases the codes say nothing about the labels.",
        equation=r"\log(1 + e^{\Theta}) - S\,\Theta \;=\; \log 2 \quad (\Theta = 0)",
        places=(Place("pages/live.py", "The loss, term by term"),),
        remedies=(
            Remedy({"lr": part_of(config.lr, 0.1)}, "Longer steps.", expect),
            Remedy({"lr": part_of(config.lr, 3)}, "If it jumps about: shorter steps.", expect),
        ),
    )
