"""Eq. 1-4 of the paper for one pair of bits, and the curves of Figure 3. NumPy only."""

from rdh.landscape.curves import (
    Descent,
    Landscape,
    areas,
    critical_eta,
    descent_path,
    effective_gain,
    jump_at_zero,
    landscape,
    pushes,
    wrong_way,
    zero_crossings,
)
from rdh.landscape.pair import AIMS, EQUATION_1, Pair, PairForm, gradient_terms

__all__ = [
    "AIMS",
    "EQUATION_1",
    "Descent",
    "Landscape",
    "Pair",
    "PairForm",
    "areas",
    "critical_eta",
    "descent_path",
    "effective_gain",
    "gradient_terms",
    "jump_at_zero",
    "landscape",
    "pushes",
    "wrong_way",
    "zero_crossings",
]
