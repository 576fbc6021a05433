"""A scale of Theta at which pairs are content before the codes are binary."""

import math

import numpy as np

from rdh.analysis import quantization_weight
from rdh.config.run_config import RunConfig
from rdh.diagnosis._tools.evidence import Evidence
from rdh.diagnosis._tools.finding import CannotRun, Finding, Place, Remedy

TITLE = "Scale of Theta"
AFTER = ("collapsed", "not_learning", "quantization_wins")
CONTENT = 0.01  # |sigma(Theta) - S|: such a pair pulls with a hundredth of the force
REACH = 20.0  # the largest Theta
SHORT = 0.65  # mean |h|
WEAK = 0.2  # mean 1 - sigma(Theta) of similar pairs: they pull with a fifth of the force
GAP = 0.08  # MAP of the training items above that of the queries: they are known by heart
GOAL = 10.0  # HashNet's: Theta = 10 / K h_i . h_j
SMALL_ETA = 0.1
LEAST_PROGRESS = 1 / 3


def check(evidence: Evidence) -> Finding | None:
    """Fires if Theta can reach 20, and pairs that training knows by heart are content too soon."""
    config = evidence.config
    scale = scale_of(config)
    if not evidence.has_ended and evidence.progress < LEAST_PROGRESS:
        raise CannotRun("it needs a third of the training")
    gap = evidence.number("map_train", "MAP of training items") - evidence.number("map", "MAP")
    reach, size = scale * config.n_bits, float(np.abs(evidence.look["codes"]).mean())
    if reach < REACH or size >= SHORT:
        return None
    force = force_of_similar(evidence, scale)
    if not force < WEAK or gap < GAP:
        return None
    needed = (1 + math.log(1 / CONTENT - 1) / reach) / 2
    return Finding(
        severity="costs MAP",
        sentence=f"The scale of Θ is too large for {config.n_bits} bits: at {scale:.3g} Θ can "
        f"reach {reach:.3g}, and the codes rest in the middle, with a mean |h| of {size:.2f}: "
        f"similar pairs of training items pull with {force:.0%} of their force, and MAP of "
        f"training items is {gap:.2f} above that of the queries.",
        mechanism=f"A pair no longer pulls once σ(Θ) meets S: here binary codes that agree in "
        f"{needed:.0%} of their bits are enough for a similar pair, and so are longer agreements "
        "of codes that are not binary at all. The longer the code, the sooner the loss is content, "
        "and what it has learned by then holds for the training items more than for others.",
        equation=r"\frac{\partial L}{\partial h_i} = s\,[\sigma(\Theta) - S]\, h_j, \qquad "
        r"\Theta = s\, h_i \cdot h_j \le s K",
        places=(
            Place("pages/live.py", "Where the entries stand", anchor="distribution"),
            Place("pages/landscape.py", "How a pair pulls"),
        ),
        remedies=remedies(config),
    )


def force_of_similar(evidence: Evidence, scale: float) -> float:
    """Mean 1 - sigma(Theta) over the similar pairs of the items looked at; NaN if there are none.

    1/2 at Theta = 0. Where it is still near that, the pairs pull, whatever Theta could reach.
    """
    h, labels = evidence.look["codes"], (evidence.look["labels"] > 0).astype(np.float32)
    similar = labels @ labels.T > 0
    np.fill_diagonal(similar, val=False)
    if not similar.any():
        return math.nan
    theta = scale * (h @ h.T)[similar]
    return float((1 / (1 + np.exp(np.minimum(theta, 50.0)))).mean())


def scale_of(config: RunConfig) -> float:
    """s of Theta = s h_i . h_j, from the switches of the method."""
    defaults = {switch.name: switch.default for switch in config.method_card.switches}
    chosen = defaults | config.method_options
    if "theta_scale" in chosen:
        return float(chosen["theta_scale"])
    if "alpha_times_bits" in chosen:
        return float(chosen["alpha_times_bits"]) / config.n_bits
    raise CannotRun("the method has no pair likelihood")


def remedies(config: RunConfig) -> tuple[Remedy, ...]:
    """HashNet's scale, with a weight of quantization that the smaller pull of pairs can bear."""
    if "alpha_times_bits" in {switch.name for switch in config.method_card.switches}:
        changes: dict[str, float] = {"method_options.alpha_times_bits": GOAL}
    else:
        changes = {"method_options.theta_scale": float(f"{GOAL / config.n_bits:.2g}")}
    weight = quantization_weight(config)
    if weight > SMALL_ETA:
        changes["eta"] = SMALL_ETA
    why = (
        "Θ reaches 10 at any length, as HashNet has it. Pairs pull in proportion to the scale, so "
        "the weight of quantization goes down with it."
    )
    return (Remedy(changes, why, "The mean |h| grows, and MAP rises."),)
