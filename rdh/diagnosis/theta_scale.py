"""A scale of Theta at which a pair is content although its codes differ in many bits."""

import numpy as np

from rdh.config.run_config import RunConfig
from rdh.diagnosis._tools.evidence import Evidence
from rdh.diagnosis._tools.finding import CannotRun, Finding, Place, Remedy

TITLE = "Scale of Theta"
AFTER = ("collapsed", "not_learning")
CONTENT = 0.01  # |sigma(Theta) - S|: such a pair pulls with a hundredth of the force
MOST_CONTENT = 0.9  # share of the pairs
FAR = 0.1  # of the bits in which similar pairs differ on average
MOST_ITEMS = 400  # 80 000 pairs say enough, in a few milliseconds
GOAL = 10.0  # HashNet's: Theta = 10 / K h_i . h_j


def check(evidence: Evidence) -> Finding | None:
    """Fires if nine in ten pairs are content while similar ones differ in a tenth of the bits."""
    config = evidence.config
    scale = scale_of(config)
    n_content, distance, needed = content(evidence, scale)
    if n_content < MOST_CONTENT or distance < FAR or scale <= 1.01 * GOAL / config.n_bits:
        return None
    name = "method_options.theta_scale"
    return Finding(
        severity="costs MAP",
        sentence=f"The scale of Θ is {scale:.3g} at {config.n_bits} bits: {n_content:.0%} of the "
        f"pairs of training items no longer pull, though similar ones differ in {distance:.0%} of "
        f"their bits.",
        mechanism="The pull of a pair ends where σ(Θ) meets S. A similar pair is content here as "
        f"soon as it agrees in {needed:.0%} of its bits, so nothing brings it closer, and more "
        "bits make it worse.",
        equation=r"\frac{\partial L}{\partial h_i} = s\,[\sigma(\Theta) - S]\, h_j, \qquad "
        r"\Theta = s\, h_i \cdot h_j \le s K",
        places=(Place("pages/live.py", "The loss, term by term"),
                Place("pages/landscape.py", "How a pair pulls")),
        remedies=(
            Remedy({name: round(GOAL / config.n_bits, 4)},
                   "As HashNet has it: Θ reaches 10 at any length, and similar pairs are content "
                   "only once they agree in three quarters of the bits.",
                   "Similar pairs come closer, fewer entries saturate, and MAP rises."),
        ),
    )  # fmt: skip


def scale_of(config: RunConfig) -> float:
    """s of Theta = s h_i . h_j, from the switches of the method."""
    defaults = {switch.name: switch.default for switch in config.method_card.switches}
    chosen = defaults | config.method_options
    if "theta_scale" in chosen:
        return float(chosen["theta_scale"])
    if "alpha_times_bits" in chosen:
        return float(chosen["alpha_times_bits"]) / config.n_bits
    raise CannotRun("the method has no pair likelihood")


def content(evidence: Evidence, scale: float) -> tuple[float, float, float]:
    """Of the training items that were looked at last.

    Returns:
        The share of the pairs that are content, a similar and a dissimilar pair weighing as their
        kinds are frequent; the share of the bits in which similar pairs differ; the share of the
        bits in which a similar pair must agree to be content.
    """
    look = evidence.look
    rows = np.linspace(0, len(look["ids"]) - 1, min(MOST_ITEMS, len(look["ids"]))).astype(int)
    h, labels = look["codes"][rows], look["labels"][rows].astype(np.float64)
    similar = labels @ labels.T > 0
    others = ~np.eye(len(h), dtype=bool)
    theta = scale * (h @ h.T)
    off = np.abs(1 / (1 + np.exp(-np.clip(theta, -60, 60))) - similar)
    signs = np.where(h >= 0, 1.0, -1.0)
    differ = (1 - signs @ signs.T / h.shape[1]) / 2
    pairs = similar & others
    if not pairs.any():
        raise CannotRun("no two items that were looked at are similar")
    needed = min(1.0, (1 + np.log(1 / CONTENT - 1) / (scale * h.shape[1])) / 2)
    return float((off < CONTENT)[others].mean()), float(differ[pairs].mean()), float(needed)
