"""Stored codes that are on another side than fresh ones, so that codes chase their own past."""

from rdh.config.run_config import RunConfig
from rdh.diagnosis._tools.evidence import Evidence
from rdh.diagnosis._tools.finding import CannotRun, Finding, Place, Remedy, part_of
from rdh.diagnosis._tools.forms import whose_formula

TITLE = "Stale memory"
AFTER = ("under_trained",)  # shorter steps would only slow it down
FIRST, LAST = 0.1, 0.5  # of the training: later the rate is small, and any memory is fresh
MANY = 0.5  # of the entries that are visited again


def check(evidence: Evidence) -> Finding | None:
    """Fires if, up to half of the training, half of the stored signs are not those of now."""
    config = evidence.config
    if not uses_memory(config):
        raise CannotRun("the method compares with no stored codes")
    if evidence.progress < LAST:
        raise CannotRun("it needs half of the training")
    share = stale_share(evidence)
    if share < MANY:
        return None
    expect = "Stored and fresh signs agree, the loss falls without waves, and MAP rises."
    return Finding(
        severity="costs MAP",
        sentence=f"From {FIRST:.0%} to {LAST:.0%} of the training, {share:.0%} of the entries were "
        "on another side than at their item's last visit, so that the stored codes, with which "
        "each batch is compared, were wrong there.",
        mechanism="The pairs pull a batch to codes that the other items have left since. Where all "
        "of them move by more than this in an epoch, the pull points at their past: they swing, or "
        "go into one corner together; u are the stored codes." + whose_formula(config),
        equation=r"\frac{\partial L}{\partial h_i} = \sum_j [\sigma(\Theta_{ij}) - S_{ij}]\, u_j, "
        r"\qquad \mathrm{sgn}\, u_j \ne \mathrm{sgn}\, h_j",
        places=(Place("pages/live.py", "The loss, term by term", anchor="loss"),),
        remedies=remedies(config, expect),
    )


def uses_memory(config: RunConfig) -> bool:
    """Whether the method compares a batch with stored codes of all items, at these switches."""
    return (
        config.method_card.stores_all_codes
        and config.method_options.get("pairs", "stored") == "stored"
    )


def stale_share(evidence: Evidence) -> float:
    """Entries on another side than at their last visit, as a share of those visited again.

    A stored code is what its item had at its last visit, so this is how much of the memory errs
    when it is renewed.
    """
    what = "record of entries that changed sides"
    total = evidence.total_steps
    again, changed = (
        evidence.column(name, what).loc[FIRST * total : LAST * total].sum()
        for name in ("visited_again", "changed_sides")
    )
    if not again:
        raise CannotRun("no item came a second time in the first half of the training")
    return float(changed / again)


def remedies(config: RunConfig, expect: str) -> tuple[Remedy, ...]:
    """Pairs that are never old, if the method knows them; shorter steps."""
    found = []
    if "pairs" in {switch.name for switch in config.method_card.switches}:
        why = "Codes of the same batch are never old."
        found.append(Remedy({"method_options.pairs": "in_batch"}, why, expect))
    why = "Codes move less between two visits."
    return (*found, Remedy({"lr": part_of(config.lr, 3)}, why, expect))
