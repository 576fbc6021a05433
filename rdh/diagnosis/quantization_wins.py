"""Entries that the pairs want to move, and that quantization holds."""

import math

import numpy as np

from rdh.analysis import quantization_weight
from rdh.config.run_config import RunConfig
from rdh.diagnosis._tools.evidence import Evidence
from rdh.diagnosis._tools.finding import CannotRun, Finding, Place, Remedy, part_of
from rdh.diagnosis._tools.forms import whose_formula
from rdh.diagnosis._tools.series import after
from rdh.diagnosis.alike_bits import alike
from rdh.diagnosis.not_learning import is_still

TITLE = "Quantization wins"
AFTER = ("collapsed", "under_trained")  # a score that rises is not held
LEAST_EPOCHS = 10  # a large weight speeds up a training that is too short
LEAST_SCORES = 2  # of a watched run: a score that still rises is a matter of time
HELD = 0.1  # share of the entries that are asked to change their side
LEAST_ASKED = 0.5  # of all entries
STUCK = 0.9  # of its first value: the similarity loss has not fallen below
N_RECORDS = 10  # the last ones
PINNED = 0.25  # share of the entries asked to leave, each counted by itself
WANTED, MUCH_WANTED = 0.03, 0.1  # of all entries are asked to leave: beside alike bits; alone
MOSTLY, LEAST_WANTED, FALLEN = 0.7, 0.02, 0.8  # held, asked; the similarity loss has fallen below
FROZEN = 0.5  # changes of sides after the first tenth, as a part of those in it
FIRST, LAST = 0.1, 0.25  # of the training
PLACES = (
    Place("pages/live.py", "The measured gradient, by F", anchor="live-gradient"),
    Place("pages/landscape.py", "Eq. (2) and its critical η"),
)


def check(evidence: Evidence) -> Finding | None:
    """Fires if the pairs got nowhere while entries are held, or if codes stay as they began."""
    config = evidence.config
    if config.is_watched and not {"held", "similarity_loss"} <= evidence.last.keys():
        raise CannotRun(
            "a recorder sees the gradient of the whole loss alone; it knows the term's if the loop "
            "calls recorder.quantized(codes) and recorder.step(loss, quantization=term)"
        )
    eta = quantization_weight(config)
    if math.isnan(eta) or eta == 0:
        raise CannotRun("the run has no quantization term, or its eta was not told")
    if config.epochs is None:
        raise CannotRun("the recorder's settings do not tell the epochs")
    if config.is_watched and len(evidence.column("map", "MAP")) < LEAST_SCORES:
        raise CannotRun("it needs evaluations in the course of the training")
    if config.epochs < LEAST_EPOCHS:
        raise CannotRun(f"fewer than {LEAST_EPOCHS} epochs don't tell a held entry from a slow one")
    if is_still(evidence):  # nothing is held where nothing moves
        return None
    # An error-aware term holds what its pairs call right, so a loss that stands still says less.
    is_plain = config.quantization == "plain"
    return (_stuck(evidence, eta) if is_plain else None) or _pinned(evidence, eta)


def _stuck(evidence: Evidence, eta: float) -> Finding | None:
    """The similarity loss did not fall, and a tenth of what it asks to change sides is held."""
    held, asked = held_share(evidence)
    left = _left(evidence)
    if held < HELD or asked < LEAST_ASKED or left < STUCK:
        return None
    return Finding(
        severity="costs MAP",
        sentence=f"The pairs pull {asked:.1%} of the entries towards their other side, and at "
        f"η = {eta:g} the whole gradient holds {held:.0%} of these where they are; the similarity "
        f"loss is at {left:.0%} of its first value.",
        mechanism="The second term pulls every entry to the side that it happens to be on, right "
        "or wrong. Where it is larger than the first, the pairs can't bring the entry back."
        + whose_formula(evidence.config),
        equation=r"\frac{\partial L}{\partial h_i} = \sum_j [\sigma(\Theta_{ij}) - S_{ij}]\,"
        r"\tfrac{1}{2} h_j + 2 \eta\, (h_i - \mathrm{sgn}\, h_i)",
        places=PLACES,
        remedies=_remedies(evidence.config, eta),
    )


def _pinned(evidence: Evidence, eta: float) -> Finding | None:
    """The loss falls, yet entries that should leave are held, and the codes show it.

    Healthy runs have each of these signs alone. Many bits of an untrained network are one-sided or
    repeat each other; beside held entries these were never brought apart. Where the loss has not
    fallen much, a training may be slow, and a large weight speeds it up.
    """
    try:
        held, asked, early, late = pinned(evidence)
        n_alike, left = alike(evidence), _left(evidence)
    except CannotRun:  # before the end, or records from before November 2026
        return None
    if held >= PINNED and asked >= MUCH_WANTED and late <= FROZEN * early:
        so = f"of all entries {early:.1%} changed sides in the first tenth and {late:.1%} after it"
    elif held >= PINNED and asked >= WANTED and n_alike:
        so = f"{n_alike} of {evidence.config.n_bits} bits are one-sided or repeat another"
    elif held >= MOSTLY and asked >= LEAST_WANTED and left <= FALLEN:
        so = f"the similarity loss has fallen to {left:.0%} of its first value without them"
    else:
        return None
    return Finding(
        severity="costs MAP",
        sentence=f"At η = {eta:g} the pairs ask {asked:.1%} of the entries to leave over the last "
        f"quarter of the training, and the whole gradient holds {held:.0%} of these; {so}.",
        mechanism="The second term pulls every entry to the side on which it began. The pairs "
        "lower their loss by other entries, and what is wrong or alike at the start stays so.",
        equation=r"2 \eta\, (1 - |h_i|) > \left|\frac{\partial L_{\mathrm{sim}}}{\partial h_i}"
        r"\right|",
        places=PLACES,
        remedies=(Remedy({"eta": part_of(eta, 3)}, "The pull falls to a third.", "MAP rises."),),
    )


def _remedies(config: RunConfig, eta: float) -> tuple[Remedy, ...]:
    """Less weight; and the error-aware term in place of the plain one."""
    expect = "The held share falls to nearly 0, fewer entries are dead, and MAP rises."
    why = "The error-aware term pulls an entry only as far as its pairs call its side right."
    rdh = {"amplifier": config.method_card.saturates, "quantization": "error_aware", "eta": eta}
    return (
        Remedy({"eta": part_of(eta, 10)}, "The pull falls to a tenth.", expect),
        Remedy(rdh, why, "Fewer entries are dead, and MAP rises."),
    )


def _left(evidence: Evidence) -> float:
    """The last similarity loss, as a part of the first."""
    loss = evidence.column("similarity_loss", "similarity loss")
    return float(loss.iloc[-1] / loss.iloc[0]) if loss.iloc[0] > 0 else 1.0


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


def pinned(evidence: Evidence) -> tuple[float, float, float, float]:
    """What the pairs ask and the whole gradient holds, each entry counted by itself.

    Returns:
        Over the last quarter of the training: held entries as a share of those asked to leave, and
        those asked as a share of all. Changes of sides as a share of all entries: in the first
        tenth of the training, and after it.
    """
    what, total = "record of held entries", evidence.total_steps
    held, asked, looked, changed = (
        evidence.column(name, what)
        for name in ("held", "asked_back", "window_entries", "changed_sides")
    )
    n_held, n_asked, n_looked = (after(one, total, 1 - LAST).sum() for one in (held, asked, looked))
    n_late, n_all = after(changed, total, FIRST).sum(), evidence.counts.entries
    n_early = changed.sum() - n_late
    shares = n_held / max(n_asked, 1), n_asked / max(n_looked, 1)
    return *shares, n_early / n_all, n_late / n_all
