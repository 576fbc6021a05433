"""Half of the entries saturated within the first tenth of training, wrong ones among them."""

import math

from rdh.diagnosis._tools.evidence import Evidence
from rdh.diagnosis._tools.finding import CannotRun, Finding, Place, Remedy, part_of
from rdh.diagnosis._tools.usual import slower_hash_layer

TITLE = "Saturated too early"
AFTER = ("collapsed", "not_learning", "quantization_wins")
EARLY = 0.1  # of the training
MANY = 0.5  # of the entries
ASKED_TO_LEAVE = 0.1  # of the saturated ones: the pairs still disagree
DEAD = 0.005  # of the entries, now: what was decided early and wrongly has stayed


def check(evidence: Evidence) -> Finding | None:
    """Fires if half are saturated by then, a tenth of these asked to leave, and many dead now."""
    counts = evidence.counts
    frame = evidence.frame
    if evidence.progress < EARLY:
        raise CannotRun("it needs a tenth of the training")
    early = frame.loc[: EARLY * evidence.total_steps, ["saturated", "flagged"]].dropna()
    if not len(early):
        raise CannotRun("there is no record of the first tenth of the training")
    entries = frame["entries"].reindex(early.index).to_numpy() if "entries" in frame else math.nan
    share = (early["saturated"] / entries).to_numpy()
    flagged = (early["flagged"] / early["saturated"].clip(lower=1)).to_numpy()
    if share[-1] < MANY or flagged[-1] < ASKED_TO_LEAVE or counts.share("dead") < DEAD:
        return None
    config, step = evidence.config, int(early.index[-1])
    expect = "Fewer entries are saturated after a tenth of the training, and fewer are dead later."
    return Finding(
        severity="costs MAP",
        sentence=f"{share[-1]:.0%} of the entries are saturated at step {step:,}, within the "
        f"first tenth of the training, and the pairs ask {flagged[-1]:.0%} of these to leave; "
        f"{counts.share('dead'):.2%} of all entries are dead {evidence.when}.",
        mechanism="Where |h| is near 1, tanh passes hardly any gradient, so what the first steps "
        "decide is kept. With a high rate the first steps decide before the network knows the "
        "classes.",
        equation=r"\frac{\partial L}{\partial F} = \frac{\partial L}{\partial h}\,(1 - h^2)",
        places=(
            Place("pages/live.py", "Which bits saturate, and when", {"map": "saturated"},
                  "live-map"),
        ),
        remedies=(
            Remedy({"lr": part_of(config.lr, 3)}, "The first steps get shorter.", expect),
            *slower_hash_layer(
                config, "The hash layer alone moves more slowly, and the network below it does "
                "not.", expect
            ),
        ),
    )  # fmt: skip
