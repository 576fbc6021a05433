"""The gradient landscape of Figure 3: where Eq. 2 pushes a bit of a pair, and what RDH changes.

Call `landscape(pair)`. It is built on `gradient_terms` (Eq. 1-4 for one pair, `pair.py`).
`gradient` always means dL/dF, F the pre-activation: descent moves F against it. The borders of the
areas are our reading: the paper draws them and gives no numbers.
"""

from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise

import numpy as np

from rdh.errors import UserError
from rdh.landscape.pair import EQUATION_1, QUANTIZATION_PULL, Pair, PairForm, Terms, gradient_terms

CLIFF = 0.02  # area 3 is |h| <= 0.02
NEAR_ZERO = 1e-12


def zero_crossings(
    pair: Pair, form: PairForm = EQUATION_1, *, quantization: str = "plain"
) -> list[float]:
    """Where dL/dh changes sign inside (-1, 0) or (0, 1), ascending.

    The jump at 0 is apart: `jump_at_zero`.
    """
    half = np.linspace(1e-9, 1 - 1e-9, 2001)
    return [root for grid in (-half[::-1], half) for root in _roots(grid, pair, form, quantization)]


def _roots(grid: np.ndarray, pair: Pair, form: PairForm, quantization: str) -> list[float]:
    """Bisection in every bracket of the grid; a sample that is exactly 0 lies inside one."""

    def signs_at(h: np.ndarray) -> np.ndarray:
        return np.sign(gradient_terms(h, pair, form, quantization=quantization).total)

    h = grid[signs_at(grid) != 0]
    signs = signs_at(h)
    left = np.flatnonzero(signs[1:] != signs[:-1])
    low, high = h[left], h[left + 1]
    for _ in range(50):
        middle = (low + high) / 2
        same = signs_at(middle) == signs[left]
        low, high = np.where(same, middle, low), np.where(same, high, middle)
    return ((low + high) / 2).tolist()


def jump_at_zero(
    pair: Pair, form: PairForm = EQUATION_1, *, quantization: str = "plain"
) -> tuple[float, float]:
    """dL/dF just left and just right of h_i = 0: the cliff of area 3."""
    sides = gradient_terms(
        np.array([-NEAR_ZERO, NEAR_ZERO]), pair, form, quantization=quantization
    ).gradient
    return float(sides[0]), float(sides[1])


def critical_eta(pair: Pair, form: PairForm = EQUATION_1) -> float:
    """Weight above which plain quantization pushes a bit near 0 the wrong way; inf without one.

    At h_i = 0 the similarity term is theta_scale * pair_weight * |h_j|, whatever S is. For Eq. 1
    this gives |h_j| / 4.
    """
    pull = QUANTIZATION_PULL[form.quantization] / form.n_bits
    return form.theta_scale * form.pair_weight * abs(pair.h_j) / pull if pull else np.inf


def pushes(
    pair: Pair, form: PairForm = EQUATION_1, *, quantization: str = "plain"
) -> list[tuple[float, float, int]]:
    """Intervals (low, high, direction) from -1 to 1.

    Descent moves h_i down (-1), up (+1) or not at all (0).
    """
    borders = sorted([-1.0, 0.0, 1.0, *zero_crossings(pair, form, quantization=quantization)])
    middles = np.array([(low + high) / 2 for low, high in pairwise(borders)])
    directions = -np.sign(gradient_terms(middles, pair, form, quantization=quantization).total)
    return [
        (low, high, int(sign))
        for (low, high), sign in zip(pairwise(borders), directions, strict=True)
    ]


def wrong_way(
    pair: Pair, form: PairForm = EQUATION_1, *, quantization: str = "plain"
) -> list[tuple[float, float]]:
    """Intervals of h_i in which descent moves the bit away from its target side."""
    spans = pushes(pair, form, quantization=quantization)
    return [(low, high) for low, high, direction in spans if direction * pair.target < 0]


def areas(pair: Pair, form: PairForm = EQUATION_1) -> list[tuple[int, float, float]]:
    """Figure 3's areas 1-4 as (number, low, high), from left to right.

    Our reading: the border of 1 and 2 is the local minimum of the drawn curve on (-1, 0), 3 is
    |h| <= 0.02, 4 lies beyond it. All are mirrored if the target is -1. Empty if h_j = 0, since no
    side is right then.
    """
    if pair.target == 0:
        return []
    u = np.linspace(
        -1, -CLIFF, 4001
    )  # u = target * h_i: seen from the target, every case looks like Figure 3
    for _ in range(4):  # each round keeps the lowest sample's neighbours
        curve = pair.target * gradient_terms(pair.target * u, pair, form).gradient
        lowest = int(np.argmin(curve))
        u = np.linspace(u[max(lowest - 1, 0)], u[min(lowest + 1, len(u) - 1)], 101)
    border = float(u[len(u) // 2])
    spans = [(1, -1.0, border), (2, border, -CLIFF), (3, -CLIFF, CLIFF), (4, CLIFF, 1.0)]
    return (
        spans
        if pair.target > 0
        else [(number, -high, -low) for number, low, high in reversed(spans)]
    )


def effective_gain(z: np.ndarray | float, tau: float | None = None) -> np.ndarray:
    """What tanh lets through at pre-activation z: 1 - tanh(z)^2.

    With tau it is multiplied by alpha if |tanh z| >= tau, as for a dead bit (Eq. 3). It is written
    with exp(-2|z|), which is exact even if 1 - h^2 has lost its digits.
    """
    z = np.asarray(z, dtype=np.float64)
    decay = np.exp(-2 * np.abs(z))
    slope = 4 * decay / (1 + decay) ** 2
    return (
        slope if tau is None else np.where(np.abs(np.tanh(z)) >= tau, slope / (1 - tau**2), slope)
    )


@dataclass(frozen=True)
class Descent:
    """One bit under gradient descent: z, h = tanh(z) and dL/dF, each (n_steps + 1,)."""

    z: np.ndarray
    h: np.ndarray
    gradient: np.ndarray


def descent_path(
    h_start: float,
    pair: Pair,
    form: PairForm = EQUATION_1,
    *,
    n_steps: int,
    learning_rate: float,
    amplifier: bool = False,
    quantization: str = "plain",
) -> Descent:
    """Gradient descent z <- z - learning_rate * dL/dF from h_start in (-1, 1), h_j fixed.

    UserError at |h| = 1.
    """
    if not -1 < h_start < 1:
        raise UserError(
            f"h_i must lie strictly between -1 and 1 to be moved, got {h_start}: there "
            f"F is infinite."
        )
    z, gradient = np.empty(n_steps + 1), np.empty(n_steps + 1)
    z[0] = np.arctanh(h_start)
    for step in range(n_steps + 1):
        terms = gradient_terms(
            np.tanh(z[step]), pair, form, amplifier=amplifier, quantization=quantization
        )
        gradient[step] = terms.gradient
        if step < n_steps:
            z[step + 1] = z[step] - learning_rate * gradient[step]
    return Descent(z, np.tanh(z), gradient)


@dataclass(frozen=True)
class Landscape:
    """Figure 3 for one pair: the curves of the baseline and of the chosen plug-ins, on one grid."""

    pair: Pair
    form: PairForm
    amplifier: bool
    quantization: str
    baseline: Terms
    rescued: Terms

    @cached_property
    def crossings(self) -> list[float]:
        """The baseline's."""
        return zero_crossings(self.pair, self.form)

    @cached_property
    def areas(self) -> list[tuple[int, float, float]]:
        """The baseline's."""
        return areas(self.pair, self.form)

    @cached_property
    def wrong_way(self) -> list[tuple[float, float]]:
        """The baseline's."""
        return wrong_way(self.pair, self.form)

    @property
    def has_plug_ins(self) -> bool:
        """Whether the rescued curve differs in kind from the baseline's."""
        return self.amplifier or self.quantization != "plain"


def landscape(
    pair: Pair,
    form: PairForm = EQUATION_1,
    *,
    amplifier: bool = True,
    quantization: str = "error_aware",
) -> Landscape:
    """Both curves on one grid, dense in h and in F, with twin points at the cliff (0) and +-tau."""
    twins = [NEAR_ZERO, CLIFF, np.nextafter(pair.tau, 0), pair.tau]
    half = np.concatenate([np.tanh(np.linspace(0, 6, 121)), np.linspace(0, 1, 201), twins])
    half = np.unique(half[half > 0])  # 0 itself is left out: the curve jumps there
    grid = np.concatenate([-half[::-1], half])
    baseline = gradient_terms(grid, pair, form)
    rescued = gradient_terms(grid, pair, form, amplifier=amplifier, quantization=quantization)
    return Landscape(pair, form, amplifier, quantization, baseline, rescued)
