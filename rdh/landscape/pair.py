"""One pair on one bit: Eq. 1-4 of the RDH paper term by term, exact, in NumPy.

Call `gradient_terms`. Letters: h_i, h_j in [-1, 1] are one bit of two codes, h = tanh(F); S in
{0, 1} is their similarity; s = sgn(h) with sgn(0) = 0. Descent moves F against its gradient, Eq. 2:

    dL/dF_i = { [sigma(Theta) - S] h_j  +  2 eta (h_i - s_i) } * (1 - h_i^2),    Theta = h_i h_j / 2
                similarity term            quantization term     tanh'
"""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from rdh.errors import UserError

# |d/dh| of each quantization term of weight 1, as h -> 0
QUANTIZATION_PULL = {"squared": 2.0, "log_cosh": float(np.tanh(1.0)), "none": 0.0}
AIMS = ("flagged", "wrong", "right")  # which flagged bits are amplified


@dataclass(frozen=True)
class Pair:
    """The other bit and the settings of Eq. 1 and 3.

    Ours are `aim` and `scale` of the amplifier: which flagged bits get a multiple of alpha. The
    paper has all of them ("flagged") and 1. "wrong" and "right" are by the pair's target.

    Raises:
        UserError: Unless h_j is in [-1, 1], similarity in {0, 1}, eta >= 0, tau in [0, 1), aim one
            of AIMS and scale > 0.
    """

    h_j: float = 0.9
    similarity: int = 1
    eta: float = 1.0
    tau: float = 0.99
    aim: str = "flagged"
    scale: float = 1.0

    def __post_init__(self) -> None:
        if not -1 <= self.h_j <= 1:
            raise UserError(
                f"h_j must be in [-1, 1], got {self.h_j}. The paper's Figure 3 uses 0.9."
            )
        if self.similarity not in (0, 1):
            raise UserError(
                f"similarity must be 0 or 1, got {self.similarity}. 1 means: the two "
                f"items share a label."
            )
        if not 0 <= self.eta < np.inf:
            raise UserError(
                f"eta must be a number >= 0, got {self.eta}. The paper's Figure 3 uses 1."
            )
        if not 0 <= self.tau < 1:
            raise UserError(f"tau must be in [0, 1), got {self.tau}. The paper uses 0.99.")
        if self.aim not in AIMS:
            raise UserError(f"aim must be one of {', '.join(AIMS)}, got {self.aim!r}.")
        if not 0 < self.scale < np.inf:
            raise UserError(f"scale must be a number > 0, got {self.scale}. The paper has 1.")

    @property
    def alpha(self) -> float:
        """Amplification factor 1 / (1 - tau^2) of Eq. 3."""
        return 1 / (1 - self.tau**2)

    @property
    def target(self) -> int:
        """The side, -1 or +1, to which the similarity term pulls h_i; 0 if h_j = 0."""
        return int(np.sign(self.h_j)) * (2 * self.similarity - 1)


@dataclass(frozen=True)
class PairForm:
    """What a method's objective does to one pair. The defaults are Eq. 1 itself.

    Args:
        theta_scale: Theta = theta_scale * <h_i, h_j>.
        pair_weight: 1 if both sides of a pair are differentiated, 1/2 if one is a stored constant.
        quantization: The plain term, "squared", "log_cosh" or "none".
        quantization_weight: Its weight; None means eta.
        n_bits: What quantization is divided by: 1 for Eq. 1's sums, K for a mean over K bits.
    """

    theta_scale: float = 0.5
    pair_weight: float = 1.0
    quantization: str = "squared"
    quantization_weight: float | None = None
    n_bits: int = 1

    def __post_init__(self) -> None:
        if self.quantization not in QUANTIZATION_PULL:
            known = ", ".join(QUANTIZATION_PULL)
            raise UserError(
                f"The plain quantization of a method must be one of {known}, got "
                f"{self.quantization!r}."
            )
        if self.n_bits < 1:
            raise UserError(f"n_bits must be at least 1, got {self.n_bits}.")

    @classmethod
    def from_card(cls, card: Mapping, n_bits: int) -> "PairForm":
        """The form that a method declares as `landscape`, for one of n_bits bits.

        The other bits add nothing to Theta. `theta_scale_times_bits` stands for a scale that falls
        with the code length (HashNet: 10 / K). Methods train on means over pairs and over
        (item, bit), so quantization weighs 1 / K of what the sums of Eq. 1 give it.
        """
        values = dict(card)
        times_bits = values.pop("theta_scale_times_bits", None)
        if times_bits is not None:
            values["theta_scale"] = times_bits / max(n_bits, 1)
        return cls(**values, n_bits=n_bits)

    def plain_weight(self, eta: float) -> float:
        """Weight of the plain quantization term: the method's own, or eta."""
        return eta if self.quantization_weight is None else self.quantization_weight


EQUATION_1 = PairForm()


@dataclass(frozen=True)
class Terms:
    """The parts of dL/dF at h, each of the shape of h."""

    h: np.ndarray
    similarity: np.ndarray
    quantization: np.ndarray
    amplification: np.ndarray  # the factor of Eq. 3: alpha if flagged, else 1

    @property
    def slope(self) -> np.ndarray:
        """tanh' = 1 - h^2."""
        return (1 - self.h) * (1 + self.h)

    @property
    def total(self) -> np.ndarray:
        """dL/dh as it arrives at tanh's output, before the amplifier."""
        return self.similarity + self.quantization

    @property
    def gradient(self) -> np.ndarray:
        """dL/dF: all of Eq. 2, with the factor of Eq. 3 if the amplifier is on."""
        return self.total * self.amplification * self.slope


def gradient_terms(
    h: np.ndarray | float,
    pair: Pair,
    form: PairForm = EQUATION_1,
    *,
    amplifier: bool = False,
    quantization: str = "plain",
) -> Terms:
    """Eq. 2 at h_i = h, term by term.

    Args:
        h: In [-1, 1], of any shape.
        amplifier: Whether Eq. 3 applies.
        quantization: "none", "plain" or "error_aware" (Eq. 4).

    Raises:
        UserError: For h outside its range or another quantization.
    """
    h = np.asarray(h, dtype=np.float64)
    if not (np.abs(h) <= 1).all():
        raise UserError("h_i must be in [-1, 1]: it is a tanh output.")
    theta = form.theta_scale * h * pair.h_j
    sigma = 0.5 * (1 + np.tanh(theta / 2))  # the logistic function; no exp that can overflow
    similarity = 2 * form.theta_scale * form.pair_weight * (sigma - pair.similarity) * pair.h_j
    pull = _quantization_gradient(h, pair, form, quantization) / form.n_bits
    # the test of Eq. 3, on the total
    flagged = (np.abs(h) >= pair.tau) & (np.sign(h) == np.sign(similarity + pull))
    if pair.aim != "flagged":
        flagged &= h * pair.target * (1 if pair.aim == "right" else -1) > 0
    return Terms(h, similarity, pull, np.where(flagged & amplifier, pair.scale * pair.alpha, 1.0))


def _quantization_gradient(
    h: np.ndarray, pair: Pair, form: PairForm, quantization: str
) -> np.ndarray:
    if quantization == "error_aware":
        # Eq. 4: only a bit whose sign this pair calls right is pulled to it; an exact zero has no
        # sign
        selected = np.sign(h) * np.sign(pair.h_j) == 2 * pair.similarity - 1
        return np.where(selected, 2 * pair.eta * (h - np.sign(h)), 0.0)
    if quantization not in ("none", "plain"):
        raise UserError(f"quantization must be none, plain or error_aware, got {quantization!r}.")
    if quantization == "none" or form.quantization == "none":
        return np.zeros_like(h)
    weight = form.plain_weight(pair.eta)
    if form.quantization == "squared":
        return 2 * weight * (h - np.sign(h))
    return weight * np.tanh(np.abs(h) - 1) * np.sign(h)  # derivative of log cosh(|h| - 1)
