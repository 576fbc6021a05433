"""Bits that say nothing, or the same as another bit."""

import numpy as np

from rdh.diagnosis._tools.evidence import Evidence
from rdh.diagnosis._tools.finding import CannotRun, Finding, Place
from rdh.retrieval.codes import unpack_codes

TITLE = "One-sided or redundant bits"
AFTER = ("collapsed", "not_learning", "quantization_wins")
ONE_SIDED = 0.95  # of the items on one side
ALIKE = 0.95  # |r| of two bits
MANY = 0.1  # of the bits
LISTED = 8


def check(evidence: Evidence) -> Finding | None:
    """Fires if a tenth of the bits are one-sided, or repeat another bit."""
    if not alike(evidence):
        return None
    n_bits = evidence.config.n_bits
    one_sided, repeats = lists(evidence)
    n_items = len(evidence.codes.gallery)
    parts = []
    if len(one_sided):
        parts.append(f"{_bits(one_sided)} {_hold(one_sided)} at least {ONE_SIDED:.0%} of the items "
                     "on one side")  # fmt: skip
    if len(repeats):
        parts.append(f"{_bits([bit for bit, _ in repeats])} {_repeat(len(repeats))} another "
                     f"({', '.join(f'{a} as {b}' for a, b in repeats[:LISTED])})")  # fmt: skip
    worst = one_sided[0] if len(one_sided) else repeats[0][0]
    return Finding(
        severity="note",
        sentence=f"Of {n_bits} bits, {' and '.join(parts)}, over {n_items:,} gallery items.",
        mechanism="A bit that nearly all items share splits nothing, and a bit that equals another "
        "one only counts that other twice. The code is in effect shorter, with coarser distances "
        "and more ties.",
        equation=r"|r_{kl}| = \left|\mathrm{corr}(b_k, b_l)\right| \ge 0.95",
        places=(Place("pages/bits.py", "What each bit is worth",
                      {"bit": str(worst), "worth": "true"}),),
    )  # fmt: skip


def alike(evidence: Evidence) -> int:
    """How many bits are one-sided or repeat another; 0 if they are fewer than a tenth."""
    one_sided, repeats = lists(evidence)
    n = len(one_sided) + len(repeats)
    return n if n >= max(2, MANY * evidence.config.n_bits) else 0


def lists(evidence: Evidence) -> tuple[np.ndarray, list[tuple[int, int]]]:
    """One-sided bits of the gallery, and (bit, an earlier bit that it repeats, up to its sign)."""
    codes = evidence.codes.gallery
    if len(codes) < 2:
        raise CannotRun("the gallery has a single item")
    signs = unpack_codes(codes, evidence.config.n_bits).astype(np.float32)
    mean = signs.mean(0)
    one_sided = np.flatnonzero((1 + np.abs(mean)) / 2 >= ONE_SIDED)
    with np.errstate(invalid="ignore", divide="ignore"):
        spread = np.sqrt(1 - mean**2)
        r = (signs.T @ signs / len(signs) - np.outer(mean, mean)) / np.outer(spread, spread)
    alike = np.triu(np.abs(np.nan_to_num(r)) >= ALIKE, 1)
    alike[one_sided] = alike[:, one_sided] = False
    repeats = [(int(bit), int(np.flatnonzero(alike[:, bit])[0]))
               for bit in np.flatnonzero(alike.any(0))]  # fmt: skip
    return one_sided, repeats


def _bits(bits: np.ndarray | list[int]) -> str:
    shown = ", ".join(str(int(bit)) for bit in bits[:LISTED])
    more = f" and {len(bits) - LISTED} more" if len(bits) > LISTED else ""
    return f"bit{'s' * (len(bits) != 1)} {shown}{more}"


def _hold(bits: np.ndarray) -> str:
    return "has" if len(bits) == 1 else "have"


def _repeat(n: int) -> str:
    return "repeats" if n == 1 else "repeat"
