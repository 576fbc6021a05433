"""Entries that the pairs want to move, and that quantization holds."""

import math

import numpy as np

from rdh.analysis import quantization_weight
from rdh.config.run_config import RunConfig
from rdh.diagnosis._tools.evidence import Evidence
from rdh.diagnosis._tools.finding import CannotRun, Finding, Place, Remedy, part_of
from rdh.diagnosis.not_learning import is_still

TITLE = "Quantization wins"
AFTER = ("collapsed", "under_trained")  # a score that rises is not held
HELD = 0.1  # share of the entries that are asked to change their side
LEAST_ASKED = 0.5  # of all entries
STUCK = 0.9  # of its first value: the similarity loss has not fallen below
N_RECORDS = 10  # the last ones


def check(evidence: Evidence) -> Finding | None:
    """Fires if the pairs got nowhere, and a tenth of what they ask to change sides is held."""
    config = evidence.config
    if config.is_watched:
        raise CannotRun("a recorder sees the gradient of the whole loss alone")
    eta = quantization_weight(config)
    if math.isnan(eta) or eta == 0:
        raise CannotRun("the run has no quantization term")
    held, asked = held_share(evidence)
    loss = evidence.column("similarity_loss", "similarity loss")
    left = float(loss.iloc[-1] / loss.iloc[0]) if loss.iloc[0] > 0 else 1.0
    if held < HELD or asked < LEAST_ASKED or left < STUCK or is_still(evidence):
        return None
    expect = "The held share falls to nearly 0, fewer entries are dead, and MAP rises."
    return Finding(
        severity="costs MAP",
        sentence=f"The pairs pull {asked:.1%} of the entries towards their other side, and at "
        f"η = {eta:g} the whole gradient holds {held:.0%} of these where they are; the similarity "
        f"loss is at {left:.0%} of its first value.",
        mechanism="The second term pulls every entry to the side that it happens to be on, right "
        "or wrong. Where it is larger than the first, the pairs can't bring the entry back.",
        equation=r"\frac{\partial L}{\partial h_i} = \sum_j [\sigma(\Theta_{ij}) - S_{ij}]\,"
        r"\tfrac{1}{2} h_j + 2 \eta\, (h_i - \mathrm{sgn}\, h_i)",
        places=(
            Place("pages/live.py", "The measured gradient, by F"),
            Place("pages/landscape.py", "Eq. (2) and its critical η"),
        ),
        remedies=remedies(config, eta, expect),
    )


def remedies(config: RunConfig, eta: float, expect: str) -> tuple[Remedy, ...]:
    """Less weight; and the error-aware term in place of the plain one."""
    found = [Remedy({"eta": part_of(eta, 10)}, "A tenth of the pull.", expect)]
    if config.quantization == "plain":
        why = "The error-aware term pulls an entry only as far as its pairs call its side right."
        changes = {"amplifier": config.method_card.saturates, "quantization": "error_aware"}
        found.append(Remedy(changes | {"eta": eta}, why, "Fewer entries are dead, and MAP rises."))
    return tuple(found)


def held_share(evidence: Evidence) -> tuple[float, float]:
    """From the gradients by bins of F, mirrored so that the pairs ask for +1 (Figure 3).

    Entries in bins below 0 are asked to change their side. A bin holds them if the mean of the
    whole gradient in it is positive: descent moves F down then, away from +1.

    Returns:
        Held entries as a share of those asked, and those asked as a share of all.
    """
    sums = evidence.array("gradient_sum", "gradients of the probes")[1][-N_RECORDS:, 0].sum(0)
    counts = evidence.array("gradient_count", "gradients of the probes")[1][-N_RECORDS:].sum(0)
    below = np.arange(len(counts)) < len(counts) // 2
    asked = counts[below].sum()
    held = counts[below & (sums > 0)].sum()
    return float(held / max(asked, 1)), float(asked / max(counts.sum(), 1))
