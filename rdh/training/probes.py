"""Probes, which measure saturation, dead bits, gradients and rescues while a run trains.

All counts are entries (training item, bit).

* *Saturated*: |h| >= tau.
* *Dead*: saturated and sgn(h) = sgn(dL_sim/dh). This is the test of Eq. 3 on the similarity loss
  alone and before amplification, so runs with and without RDH count the same thing.
* *Dead by the total*: the same test on the whole gradient, as in line 8 of Algorithm 1.
* *Hard*: dead and 1 - h^2 == 0 in float32.

`Probes.add` only keeps a step's tensors on the device. `Probes.record` digests a window of steps at
once: every entry gets a *kind* (`entry_kinds`), and one histogram of the kinds by bit answers every
count.
"""

import math

import numpy as np
import torch
from torch import Tensor

from rdh.rescue import alpha
from rdh.training.entry_kinds import (
    DEAD,
    LEAVING,
    LEAVING_TOTAL,
    N_KINDS,
    POSITIVE,
    SIDE,
    STATE,
    by_side,
    count_rows,
    thresholds,
)

N_BINS = 64


def logit_edges(tau: float) -> np.ndarray:
    """65 uniform edges of the pre-activation F around 0, with 0 and +-atanh(tau) among them.

    The two outer bins are open. Uniform bins over h would put all of .969 ... 1 into one bin and
    hide the saturated entries.
    """
    threshold = math.atanh(tau)
    n_inside = min(max(1, round(threshold / 0.25)), N_BINS // 2 - 1)  # bins from 0 to the threshold
    width = threshold / n_inside if threshold > 0 else 0.25
    return np.arange(-N_BINS // 2, N_BINS // 2 + 1) * width


class Probes:
    """Keeps a window of steps, then digests it into one record.

    An item may occur only once in a window.

    Args:
        n_items: Training items N.
        n_bits: Code length.
        tau: Threshold of saturation, in [0, 1).
    """

    def __init__(self, n_items: int, n_bits: int, tau: float) -> None:
        self.tau, self.n_bits = tau, n_bits
        self._thresholds = thresholds(tau)
        self._width = logit_edges(tau)[-1] / (N_BINS / 2)
        rows, self._next_state = count_rows(tau)
        self._shapes = {name: row.shape[:-1] for name, row in rows.items()}
        self._rows = np.concatenate([row.reshape(-1, N_KINDS) for row in rows.values()]).astype(
            np.float64
        )
        self._steps: list[tuple[Tensor, ...]] = []
        self.state = np.zeros((n_items, n_bits), np.uint8)
        self.load_state(self.state)

    def load_state(self, state: np.ndarray) -> None:
        """Takes over the entries' states of a checkpoint, uint8 (N, n_bits).

        ValueError for another shape.
        """
        if state.shape != self.state.shape:
            raise ValueError(f"the probes' state must be {self.state.shape}, got {state.shape}")
        self.state = state.copy()
        is_dead, is_positive = ((self.state & flag) > 0 for flag in (DEAD, POSITIVE))
        self._dead_all = by_side(is_dead, is_positive).sum(1)  # (2, n_bits)

    def add(
        self,
        logits: Tensor,
        codes: Tensor,
        similarity_gradient: Tensor,
        gradient: Tensor,
        indices: Tensor,
    ) -> None:
        """Keeps a step. The tensors are not copied: none may change until the next `record`.

        Args:
            logits: F, (n, n_bits).
            codes: h = tanh(F), (n, n_bits).
            similarity_gradient: dL_sim/dh.
            gradient: dL/dh of the whole loss, before the amplifier.
            indices: Positions in the training set, (n,).
        """
        self._steps.append((logits, codes, similarity_gradient, gradient, indices))

    @property
    def is_empty(self) -> bool:
        return not self._steps

    @np.errstate(over="ignore", invalid="ignore")  # of a run that diverges: logits may be infinite
    def record(self, amplifier: bool) -> tuple[dict[str, float], dict[str, np.ndarray]]:
        """Digests the window and empties it.

        Args:
            amplifier: Whether the run amplifies gradients.

        Returns:
            (scalars, arrays). The one scalar, `entries`, counts the entries of the window. Arrays
            by side are (2, n_bits): the -1 side, then the +1 side. Counts at tau:
            saturated, dead_window, dead_total (by side): entries of the window;
            dead_all (by side): all N items, each at its last visit;
            dead_hard, deaths, rescues, releases, relapses (n_bits,): see `entry_kinds`.
            Counts at every level of TAU_LEVELS:
            dead_levels (5, 2, n_bits), saturated_levels (5, n_bits).
            Means over the window, (n_bits,):
            mean_code, mean_logit, std_logit; leaving: share of the entries whose similarity
            gradient points away from their side; mean_gradient and mean_gradient_amplified: of
            |dL/dz|.
            Histograms:
            histogram (n_bits, 64) of F; dead_histogram (64,) of the dead entries' F over all bits;
            gradient_sum (2, 64) of dL/dz before and after the amplifier and gradient_count (64,).
            These two are oriented as Figure 3: mirrored so that the similarity loss asks every
            entry to move towards +1.
        """
        logits, codes, similarity, total, indices = (
            torch.cat(column).cpu().numpy() for column in zip(*self._steps, strict=True)
        )
        self._steps.clear()
        saturated = np.abs(codes) >= np.float32(self.tau)
        leaving, leaving_total = codes * similarity > 0, codes * total > 0
        arrays = self._counts(codes, leaving, leaving_total, indices)
        arrays["leaving"] = (arrays["leaving"] / len(codes)).astype(np.float32)
        gradient = total * (1 - codes * codes)  # dL/dz
        extra = np.flatnonzero(saturated & leaving_total) if amplifier else np.zeros(0, np.int64)
        arrays |= self._means(logits, codes, gradient, extra)
        arrays |= self._histograms(logits, saturated & leaving, similarity, gradient, extra)
        return {"entries": float(codes.size)}, arrays

    def _counts(
        self, codes: np.ndarray, leaving: np.ndarray, leaving_total: np.ndarray, indices: np.ndarray
    ) -> dict[str, np.ndarray]:
        size, now = np.abs(codes), np.zeros(codes.shape, np.uint8)
        for level in self._thresholds:
            now += size >= level
        for flag, mask in ((SIDE, codes > 0), (LEAVING, leaving), (LEAVING_TOTAL, leaving_total)):
            now += mask.view(np.uint8) * np.uint8(flag)
        kinds = now + self.state[indices].astype(np.int32) * STATE
        self.state[indices] = self._next_state.take(kinds)
        table = self._table(kinds, N_KINDS)
        counts = (self._rows @ table.astype(np.float64)).astype(np.int32)  # exact: below 2^53
        arrays, start = {}, 0
        for name, shape in self._shapes.items():
            n_rows = math.prod(shape)
            arrays[name] = counts[start : start + n_rows].reshape(*shape, self.n_bits)
            start += n_rows
        self._dead_all += arrays["dead_all"]
        arrays["dead_all"] = self._dead_all.astype(np.int32)
        return arrays

    def _table(self, keys: np.ndarray, n_keys: int) -> np.ndarray:
        """How many entries of each bit have each key: int32 keys (n, n_bits) -> (n_keys, n_bits).

        torch counts int32 faster than NumPy does.
        """
        keys = keys * np.int32(self.n_bits) + np.arange(self.n_bits, dtype=np.int32)
        counts = torch.bincount(torch.from_numpy(keys.ravel()), minlength=n_keys * self.n_bits)
        return counts.numpy().reshape(n_keys, self.n_bits)

    def _means(
        self, logits: np.ndarray, codes: np.ndarray, gradient: np.ndarray, extra: np.ndarray
    ) -> dict[str, np.ndarray]:
        """Means over the items of the window.

        `extra` holds the flat positions of the entries that the amplifier acts on.
        """
        ones, size = (
            np.full(len(codes), 1 / len(codes), np.float32),
            np.abs(gradient),
        )  # products of BLAS: faster than mean(0)
        mean_logit, mean_gradient = ones @ logits, ones @ size
        variance = ones @ np.square(logits - mean_logit)
        amplified = np.bincount(extra % self.n_bits, size.ravel()[extra], self.n_bits) / len(codes)
        means = {
            "mean_code": ones @ codes,
            "mean_logit": mean_logit,
            "std_logit": np.sqrt(variance),
            "mean_gradient": mean_gradient,
            "mean_gradient_amplified": mean_gradient + (alpha(self.tau) - 1) * amplified,
        }
        return {name: values.astype(np.float32) for name, values in means.items()}

    def _histograms(
        self,
        logits: np.ndarray,
        dead: np.ndarray,
        similarity: np.ndarray,
        gradient: np.ndarray,
        extra: np.ndarray,
    ) -> dict[str, np.ndarray]:
        places = logits * np.float32(1 / self._width) + N_BINS // 2
        bins = np.clip(places, 0, N_BINS - 1).astype(np.uint8)
        down, up = (
            (similarity > 0).view(np.uint8),
            (similarity < 0).view(np.uint8),
        )  # descent moves h against the gradient
        keys = bins + ((down + 2 * up) * 2 + dead).astype(np.int32) * N_BINS
        table = self._table(keys, 6 * N_BINS).reshape(3, 2, N_BINS, self.n_bits)
        mirrored = (bins ^ (down * np.uint8(N_BINS - 1))).ravel()  # bin b of F is bin 63 - b of -F
        weights = (gradient * (up.view(np.int8) - down.view(np.int8))).ravel()
        before = torch.bincount(
            torch.from_numpy(mirrored), torch.from_numpy(weights).double(), N_BINS
        ).numpy()
        amplified = np.bincount(mirrored[extra], weights[extra], N_BINS)
        return {
            "histogram": np.ascontiguousarray(table.sum((0, 1)).T, np.int32),
            "dead_histogram": table[:, 1].sum((0, 2)).astype(np.int32),
            "gradient_sum": np.stack([before, before + (alpha(self.tau) - 1) * amplified]),
            "gradient_count": (table[2].sum((0, 2)) + table[1].sum((0, 2))[::-1]).astype(
                np.float64
            ),
        }
