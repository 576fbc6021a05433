"""The loops over the entries of a window, compiled: NumPy takes thirty passes for the same.

A window is int64 (n_steps, 5). Each of its rows is one step: where its F / slope, h = tanh(F),
dL_sim/dh and dL/dh lie in memory, each float32 (rows, n_bits) without gaps, and how many rows it
has. So nothing is copied, and whoever calls holds the tensors.

Inner loops run on eight entries at once, as long as they read tuples rather than arrays and leave
table look-ups to others.
"""

import numba
import numpy as np

from rdh.retrieval.loops import compiled_loop, floats_at
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
WINDOW, BYTES, SIGNS, MASK = "int64[:,::1]", "uint8[:,::1]", "int8[:,::1]", "boolean[:,::1]"


@compiled_loop(
    f"Tuple(({SIGNS}, {BYTES}, {BYTES}, {MASK}))"
    f"({WINDOW}, int64, float32, UniTuple(float32, 7), int64, float32)"
)
def look(
    window: np.ndarray,
    n_bits: int,
    slope: np.float32,
    thresholds: tuple[np.float32, ...],
    saturated: int,
    bins_a_logit: np.float32,
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """What each entry is at its visit, apart from what the labels say of it.

    Args:
        window: The steps.
        n_bits: Code length.
        slope: Of the activation.
        thresholds: Those of `entry_kinds.thresholds`.
        saturated: How many of them a saturated entry has reached at least.
        bins_a_logit: Bins of F in a unit.

    Returns:
        (signs, int8 (n, n_bits); kinds, with LEAVING_TOTAL and not yet judged, uint8; bins of F,
        uint8; whether the amplifier acts on an entry unless an aim spares it, bool).
    """
    shape = (window[:, 4].sum(), n_bits)
    signs, kinds = np.empty(shape, np.int8), np.empty(shape, np.uint8)
    bins, acts = np.empty(shape, np.uint8), np.empty(shape, np.bool_)
    start = 0
    for step in range(len(window)):
        part = (window[step, 4], n_bits)
        logits = numba.carray(floats_at(window[step, 0]), part)
        codes = numba.carray(floats_at(window[step, 1]), part)
        similarity = numba.carray(floats_at(window[step, 2]), part)
        total = numba.carray(floats_at(window[step, 3]), part)
        for row in range(part[0]):
            for bit in range(n_bits):
                code = codes[row, bit]
                reached = 0
                for threshold in thresholds:
                    reached += abs(code) >= threshold
                leaves = code * total[row, bit] > 0
                acts[start + row, bit] = (reached >= saturated) & leaves
                kind = reached + POSITIVE * (code >= 0) + LEAVING_TOTAL * leaves
                kinds[start + row, bit] = kind + LEAVING * (code * similarity[row, bit] > 0)
                signs[start + row, bit] = 1 if code >= 0 else -1
                place = slope * logits[row, bit] * bins_a_logit + np.float32(N_BINS // 2)
                place = place if place > 0 else np.float32(0)  # also if it is no number
                bins[start + row, bit] = np.int32(min(place, np.float32(N_BINS - 1)))
        start += part[0]
    return signs, kinds, bins, acts


@compiled_loop(f"void({BYTES}, {SIGNS}, int64[::1], int64[::1], {SIGNS})")
def judge(
    kinds: np.ndarray,
    signs: np.ndarray,
    indices: np.ndarray,
    group_of: np.ndarray,
    called: np.ndarray,
) -> None:
    """Writes into the kinds of `look` how the labels judge each side.

    Args:
        kinds, signs: Those of `look`.
        indices: Of the items, (n,).
        group_of, called: Those of `Sides`.
    """
    for row in range(len(kinds)):
        group = group_of[indices[row]]
        for bit in range(kinds.shape[1]):
            right = called[group, bit]
            judged = RIGHT if signs[row, bit] == right else WRONG
            kinds[row, bit] |= JUDGED * (judged if right != 0 else UNDECIDED)


@compiled_loop(f"float64[:,::1]({WINDOW}, float32, {MASK})")
def sums_by_bit(window: np.ndarray, slope: np.float32, acts: np.ndarray) -> np.ndarray:
    """Sums over the window of what the means are made of.

    Args:
        window: The steps.
        slope: Of the activation.
        acts: Where the amplifier acts.

    Returns:
        (11, n_bits): h; F less the bit's first one, and the square of that; |dL/dz| where dL/dh
        lets an entry stay, -1 side and +1 side, and where it asks it to leave, by side; its part
        where the amplifier acts, by side; the square of dL/dz, and its part where that acts.
    """
    n_bits = acts.shape[1]
    sums, none, start = np.zeros((11, n_bits)), np.float32(0), 0
    first = numba.carray(floats_at(window[0, 0]), (1, n_bits))
    for step in range(len(window)):
        part = (window[step, 4], n_bits)
        logits = numba.carray(floats_at(window[step, 0]), part)
        codes = numba.carray(floats_at(window[step, 1]), part)
        total = numba.carray(floats_at(window[step, 3]), part)
        for row in range(part[0]):
            for bit in range(n_bits):
                logit = np.float64(slope * logits[row, bit]) - slope * first[0, bit]
                sums[0, bit] += codes[row, bit]
                sums[1, bit] += logit
                sums[2, bit] += logit * logit
            # a loop of its own: with more sums, LLVM would take one entry at a time
            for bit in range(n_bits):
                code = codes[row, bit]
                size = abs(total[row, bit] * (np.float32(1) - code * code))
                acted = size if acts[start + row, bit] else none
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
        start += part[0]
    return sums


@compiled_loop(
    "Tuple((int32[::1], float64[:,::1], int32[::1]))"
    f"({WINDOW}, {BYTES}, {BYTES}, {MASK}, UniTuple(float64, 5))"
)
def by_bin(
    window: np.ndarray,
    kinds: np.ndarray,
    bins: np.ndarray,
    acts: np.ndarray,
    alphas: tuple[float, ...],
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The gradients by bin of F, and what the amplifier can't help.

    Args:
        window: The steps.
        kinds, bins: Those of `look`, judged.
        acts: Where the amplifier acts.
        alphas: Of the TAU_LEVELS.

    Returns:
        (wrong entries that the whole gradient asks to leave while alpha leaves them OUT_OF_REACH,
        (5,); by bin, mirrored where the similarity loss asks for -1: the sums of dL/dz where the
        amplifier does not act and where it does, (2, 64), and entries, (64,)).
    """
    n_bits = kinds.shape[1]
    n_beyond, n_entries = np.zeros(5, np.int32), np.zeros(N_BINS + 1, np.int32)
    sums = np.zeros((2, N_BINS + 1))  # the last bin is of entries that are asked for nothing
    places, gradients = np.empty(n_bits, np.uint8), np.empty(n_bits, np.float32)
    start = 0
    for step in range(len(window)):
        part = (window[step, 4], n_bits)
        codes = numba.carray(floats_at(window[step, 1]), part)
        similarity = numba.carray(floats_at(window[step, 2]), part)
        total = numba.carray(floats_at(window[step, 3]), part)
        for row in range(part[0]):
            for bit in range(n_bits):
                gradient = total[row, bit] * (np.float32(1) - codes[row, bit] * codes[row, bit])
                # descent moves h against what is wanted: bin b of F is bin 63 - b of -F
                wanted, place = similarity[row, bit], bins[start + row, bit]
                place = N_BINS - 1 - place if wanted > 0 else place
                places[bit] = place if abs(wanted) > 0 else N_BINS
                gradients[bit] = -gradient if wanted > 0 else gradient
            for bit in range(n_bits):
                sums[np.uint64(acts[start + row, bit]), np.uint64(places[bit])] += gradients[bit]
                n_entries[np.uint64(places[bit])] += 1
            for bit in range(n_bits):
                kind = kinds[start + row, bit] & (LEAVING_TOTAL + 3 * JUDGED)
                if kind == LEAVING_TOTAL + JUDGED * WRONG:
                    slope = np.float32(1) - codes[row, bit] * codes[row, bit]  # of tanh
                    for level, alpha in enumerate(alphas):
                        n_beyond[level] += alpha * slope < OUT_OF_REACH
        start += part[0]
    return n_beyond, sums[:, :N_BINS].copy(), n_entries[:N_BINS]
