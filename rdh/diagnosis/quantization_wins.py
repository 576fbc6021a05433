"""Entries that the pairs want to move, and that plain quantization holds."""

import numpy as np

from rdh.analysis import quantization_weight
from rdh.diagnosis._tools.evidence import Evidence
from rdh.diagnosis._tools.finding import CannotRun, Finding, Place, Remedy

TITLE = "Quantization wins"
HELD = 0.5  # share of the entries that are asked to change their side
LEAST_ASKED = 0.01  # of all entries
N_RECORDS = 10  # the last ones


def check(evidence: Evidence) -> Finding | None:
    """Fires if the whole gradient holds half of the entries that pairs ask to change sides."""
    config = evidence.config
    if not config.weighs_quantization or config.quantization != "plain":
        raise CannotRun("the run has no plain quantization term")
    held, asked = held_share(evidence)
    if held < HELD or asked < LEAST_ASKED:
        return None
    eta = quantization_weight(config)
    expect = "The held share falls below a half, and fewer entries stay wrong."
    return Finding(
        severity="costs MAP",
        sentence=f"Quantization wins: the pairs ask {asked:.1%} of the entries to change their "
        f"side, and at η = {eta:g} the whole gradient holds {held:.0%} of these where they are.",
        mechanism="The second term pulls every entry to the side that it happens to be on, right "
        "or wrong. Where it is larger than the first, the pairs can't bring the entry back.",
        equation=r"\frac{\partial L}{\partial h_i} = \sum_j [\sigma(\Theta_{ij}) - S_{ij}]\,"
        r"\tfrac{1}{2} h_j + 2 \eta\, (h_i - \mathrm{sgn}\, h_i)",
        places=(Place("pages/live.py", "The measured gradient, by F"),
                Place("pages/landscape.py", "Eq. (2) and its critical η")),
        remedies=(
            Remedy({"eta": eta / 10}, "A tenth of the pull.", expect),
            Remedy({"quantization": "error_aware"} | ({"eta": eta}),
                   "Error-aware quantization pulls an entry only as far as its pairs call its "
                   "side right.", expect),
        ),
    )  # fmt: skip


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
