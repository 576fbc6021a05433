"""The loops over the entries of a window, compiled: NumPy takes thirty passes for the same.

F, h = tanh(F) and dL/dh are float32 (n, n_bits). The first two loops run on eight entries at once,
as long as they read tuples rather than arrays and leave table look-ups to others.
"""

import numpy as np

from rdh.retrieval.loops import compiled_loop
from rdh.training.entry_kinds import (
    JUDGED,
    LEAVING,
    LEAVING_TOTAL,
    POSITIVE,
    RIGHT,
    UNDECIDED,
    WRONG,
)
from rdh.training.last_visits import N_BINS

OUT_OF_REACH = 0.1  # the amplifier leaves less than this share of a gradient without tanh
REALS, BYTES, MASK, SUMS = "float32[:,::1]", "uint8[:,::1]", "boolean[:,::1]", "float64[:,::1]"


@compiled_loop(
    f"Tuple(({BYTES}, {BYTES}, {MASK}))"
    f"({REALS}, {REALS}, {REALS}, {REALS}, int8[:,::1], UniTuple(float32, 7), int64, float32)"
)
def judge(
    logits: np.ndarray,
    codes: np.ndarray,
    similarity: np.ndarray,
    total: np.ndarray,
    right: np.ndarray,
    thresholds: tuple[np.float32, ...],
    saturated: int,
    bins_a_logit: float,
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """What each entry is at its visit.

    Args:
        logits, codes: F and h.
        similarity, total: dL/dh of the similarity loss and of the whole loss.
        right: The sides that the labels call for, int8 (n, n_bits).
        thresholds: Those of `entry_kinds.thresholds`.
        saturated: How many of them a saturated entry has reached at least.
        bins_a_logit: Bins of F in a unit.

    Returns:
        (kinds, with LEAVING_TOTAL, uint8 (n, n_bits); bins of F, uint8 (n, n_bits); whether the
        amplifier acts on an entry unless an aim spares it, bool (n, n_bits)).
    """
    kinds, bins = np.empty(codes.shape, np.uint8), np.empty(codes.shape, np.uint8)
    acts = np.empty(codes.shape, np.bool_)
    for row in range(len(codes)):
        for bit in range(codes.shape[1]):
            code = codes[row, bit]
            reached = 0
            for threshold in thresholds:
                reached += abs(code) >= threshold
            acts[row, bit] = (reached >= saturated) & (code * total[row, bit] > 0)
            kind = reached + POSITIVE * (code >= 0) + LEAVING * (code * similarity[row, bit] > 0)
            kind += LEAVING_TOTAL * (code * total[row, bit] > 0)
            judged = RIGHT if (right[row, bit] > 0) == (code >= 0) else WRONG
            judged = UNDECIDED if right[row, bit] == 0 else judged
            kinds[row, bit] = kind + JUDGED * judged
            place = logits[row, bit] * bins_a_logit + np.float32(N_BINS // 2)
            place = place if place > 0 else np.float32(0)  # also if it is no number
            bins[row, bit] = np.int32(min(place, np.float32(N_BINS - 1)))
    return kinds, bins, acts


@compiled_loop(f"{SUMS}({REALS}, {REALS}, {REALS}, {MASK})")
def sums_by_bit(
    logits: np.ndarray, codes: np.ndarray, total: np.ndarray, acts: np.ndarray
) -> np.ndarray:
    """Sums over the window of what the means are made of.

    Args:
        logits, codes: F and h.
        total: dL/dh of the whole loss.
        acts: Where the amplifier acts.

    Returns:
        (11, n_bits): h; F less the bit's first one, and the square of that; |dL/dz| where dL/dh
        lets an entry stay, -1 side and +1 side, and where it asks it to leave, by side; its part
        where the amplifier acts, by side; the square of dL/dz, and its part where that acts.
    """
    sums, none = np.zeros((11, codes.shape[1])), np.float32(0)
    for row in range(len(codes)):
        for bit in range(codes.shape[1]):
            logit = np.float64(logits[row, bit]) - logits[0, bit]
            sums[0, bit] += codes[row, bit]
            sums[1, bit] += logit
            sums[2, bit] += logit * logit
        # a loop of its own: with more sums, LLVM would take one entry at a time
        for bit in range(codes.shape[1]):
            code = codes[row, bit]
            size = abs(total[row, bit] * (np.float32(1) - code * code))
            acted = size if acts[row, bit] else none
            leaving = size if code * total[row, bit] > 0 else none
            staying = none if code * total[row, bit] > 0 else size
            sums[3, bit] += none if code >= 0 else staying
            sums[4, bit] += staying if code >= 0 else none
            sums[5, bit] += none if code >= 0 else leaving
            sums[6, bit] += leaving if code >= 0 else none
            sums[7, bit] += none if code >= 0 else acted
            sums[8, bit] += acted if code >= 0 else none
            sums[9, bit] += size * size
            sums[10, bit] += acted * acted
    return sums


@compiled_loop(
    f"Tuple((int32[::1], {SUMS}, int32[::1]))"
    f"({BYTES}, {BYTES}, {REALS}, {REALS}, {REALS}, {MASK}, UniTuple(float64, 5))"
)
def by_bin(
    kinds: np.ndarray,
    bins: np.ndarray,
    codes: np.ndarray,
    similarity: np.ndarray,
    total: np.ndarray,
    acts: np.ndarray,
    alphas: tuple[float, ...],
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The gradients by bin of F, and what the amplifier can't help.

    Args:
        kinds, bins: Those of `judge`.
        codes: h.
        similarity, total: dL/dh of the similarity loss and of the whole loss.
        acts: Where the amplifier acts.
        alphas: Of the TAU_LEVELS.

    Returns:
        (wrong entries that the whole gradient asks to leave while alpha leaves them OUT_OF_REACH,
        (5,); by bin, mirrored where the similarity loss asks for -1: the sums of dL/dz where the
        amplifier does not act and where it does, (2, 64), and entries, (64,)).
    """
    n_beyond, n_entries = np.zeros(5, np.int32), np.zeros(N_BINS + 1, np.int32)
    sums = np.zeros((2, N_BINS + 1))  # the last bin is of entries that are asked for nothing
    places = np.empty(codes.shape[1], np.uint8)
    gradients = np.empty(codes.shape[1], np.float32)
    for row in range(len(codes)):
        for bit in range(codes.shape[1]):  # many bits at once
            gradient = total[row, bit] * (np.float32(1) - codes[row, bit] * codes[row, bit])
            # descent moves h against what is wanted: bin b of F is bin 63 - b of -F
            wanted, place = similarity[row, bit], bins[row, bit]
            place = N_BINS - 1 - place if wanted > 0 else place
            places[bit] = place if abs(wanted) > 0 else N_BINS
            gradients[bit] = -gradient if wanted > 0 else gradient
        for bit in range(codes.shape[1]):
            sums[np.uint64(acts[row, bit]), np.uint64(places[bit])] += gradients[bit]
            n_entries[np.uint64(places[bit])] += 1
        for bit in range(codes.shape[1]):
            if kinds[row, bit] & (LEAVING_TOTAL + 3 * JUDGED) == LEAVING_TOTAL + WRONG * JUDGED:
                slope = np.float32(1) - codes[row, bit] * codes[row, bit]  # of tanh
                for level, alpha in enumerate(alphas):
                    n_beyond[level] += alpha * slope < OUT_OF_REACH
    return n_beyond, sums[:, :N_BINS].copy(), n_entries[:N_BINS]
