"""What is measured while a run trains: who is saturated, who is dead, which way the gradient points, who is rescued.

All counts are entries (training item, bit). *Saturated*: |h| >= tau. *Dead*: saturated and sgn(h) = sgn(dL_sim/dh), the test of
Eq. 3 on the similarity loss alone and before amplification, so that runs with and without RDH count the same thing; "by the
total" is the same test on the whole gradient, as Algorithm 1 line 8 writes it. *Hard*: dead and 1 - h^2 == 0 in float32.
Steps are only copied into buffers on the device; `record` digests a window of steps at once, with no synchronisation in between.
"""

import math

import numpy as np
import torch
from torch import Tensor

from rdh.rescue import amplify, dead

TAU_LEVELS = (
    0.9,
    0.95,
    0.99,
    0.995,
    0.999,
)  # dead counts are kept at these too, so that a slider over tau needs no new run
N_BINS = 64
DEAD, RESCUED, POSITIVE = 1, 2, 4  # flags of an entry's state at its last visit


def logit_edges(tau: float) -> np.ndarray:
    """65 uniform edges of pre-activation F around 0 that include 0 and +-atanh(tau); the two outer bins are open.

    Uniform bins over h would put .969 ... 1 into one bin and hide the very thing we diagnose.
    """
    threshold = math.atanh(tau)
    width = threshold / max(1, round(threshold / 0.25)) if threshold > 0 else 0.25
    return np.arange(-N_BINS // 2, N_BINS // 2 + 1) * width


class Probes:
    """Buffers a window of steps, then digests it into one record.

    n_items: training items N. window: steps between two records, none longer than an epoch (an item occurs once a window).
    """

    def __init__(
        self, n_items: int, n_bits: int, tau: float, window: int, batch_size: int, device: torch.device
    ) -> None:
        self.tau = tau
        self.edges = logit_edges(tau)
        self.n_bits = n_bits
        self._logits, self._similarity, self._total = (
            torch.zeros(window * batch_size, n_bits, device=device) for _ in range(3)
        )
        self._indices = torch.zeros(window * batch_size, dtype=torch.int64, device=device)
        self._rows = 0
        self.state = torch.zeros(n_items, n_bits, dtype=torch.uint8, device=device)

    def add(self, logits: Tensor, similarity_gradient: Tensor, total_gradient: Tensor, indices: Tensor) -> None:
        """Keeps a step: logits (n, n_bits), dL_sim/dh and dL/dh before the amplifier, positions (n,) in the training set."""
        rows = slice(self._rows, self._rows + len(indices))
        self._logits[rows] = logits
        self._similarity[rows] = similarity_gradient
        self._total[rows] = total_gradient
        self._indices[rows] = indices
        self._rows = rows.stop

    @property
    def is_empty(self) -> bool:
        return self._rows == 0

    def record(self, amplifier: bool) -> tuple[dict[str, float], dict[str, np.ndarray]]:
        """(scalars, arrays) of the window, and an empty window. Per-bit arrays have shape (n_bits,); sides are (-1 side, +1 side).

        saturated (2, n_bits), dead (2, n_bits) and dead_total (2, n_bits) at tau; dead_hard (n_bits,); levels
        (5, 2, n_bits) and saturated_levels (5, n_bits): dead and saturated at TAU_LEVELS; deaths, rescues, releases, relapses (n_bits,); dead_now (2, n_bits):
        over all N items, each at its last visit; mean_code, mean_logit, std_logit, leaving (share of entries whose
        similarity gradient points away from their side), mean_gradient and mean_gradient_amplified (absolute dL/dz);
        histogram (n_bits, 64) of F, dead_histogram (64,) of the dead entries' F over all bits; gradient_sum (2, 64) of dL/dz before and after the amplifier and gradient_count (64,),
        both in the orientation of Figure 3: mirrored so that the similarity loss asks every entry to move towards +1.
        """
        rows = slice(0, self._rows)
        logits, similarity, total = self._logits[rows], self._similarity[rows], self._total[rows]
        codes = torch.tanh(logits)
        positive = logits > 0
        slope = 1 - codes.square()
        leaving = codes * similarity > 0
        is_saturated = codes.abs() >= self.tau
        is_dead = is_saturated & leaving
        amplified = amplify(total, codes, self.tau) if amplifier else total
        before, after = total * slope, amplified * slope
        arrays = {
            "saturated": _by_side(is_saturated, positive),
            "dead": _by_side(is_dead, positive),
            "dead_total": _by_side(dead(codes, total, self.tau), positive),
            "dead_hard": (is_dead & (slope == 0)).sum(0),
            "mean_code": codes.mean(0),
            "mean_logit": logits.mean(0),
            "std_logit": logits.std(0, correction=0),
            "leaving": leaving.float().mean(0),
            "mean_gradient": before.abs().mean(0),
            "mean_gradient_amplified": after.abs().mean(0),
        }
        arrays |= self._levels(codes, leaving, positive)
        arrays |= self._events(is_dead, is_saturated, positive, self._indices[rows])
        arrays |= self._histograms(logits, is_dead, similarity, before, after)
        scalars = {"entries": float(logits.numel())}
        self._rows = 0
        return scalars, {name: _compact(value.cpu().numpy()) for name, value in arrays.items()}

    def _levels(self, codes: Tensor, leaving: Tensor, positive: Tensor) -> dict[str, Tensor]:
        level = torch.bucketize(
            codes.abs(), codes.new_tensor(TAU_LEVELS), right=True
        )  # how many levels |h| reaches, 0..5
        n_levels = len(TAU_LEVELS) + 1
        bits = torch.arange(self.n_bits, device=codes.device)
        keys = ((level * 2 + leaving) * 2 + positive) * self.n_bits + bits
        counts = torch.bincount(keys.flatten(), minlength=n_levels * 4 * self.n_bits)
        counts = counts.view(n_levels, 2, 2, self.n_bits)  # level, leaving, side, bit
        reached = counts.flip(0).cumsum(0).flip(0)[1:]  # at least level 1 .. 5
        return {"levels": reached[:, 1], "saturated_levels": reached.sum((1, 2))}

    def _events(self, is_dead: Tensor, is_saturated: Tensor, positive: Tensor, indices: Tensor) -> dict[str, Tensor]:
        """death: becomes dead; rescue: was dead, now |h| < tau or on the other side; relapse: death after a rescue.

        release: was dead, sits where it was, but the pairs no longer ask it to leave. Dead entries change by deaths - rescues - releases.
        """
        state = self.state[indices]
        was_dead, was_rescued, was_positive = ((state & flag) > 0 for flag in (DEAD, RESCUED, POSITIVE))
        rescued = was_dead & (~is_saturated | (positive != was_positive))
        released = was_dead & ~rescued & ~is_dead
        died = is_dead & ~(was_dead & (positive == was_positive))
        new_state = is_dead * DEAD + (was_rescued | rescued) * RESCUED + positive * POSITIVE
        self.state[indices] = new_state.to(torch.uint8)
        dead_now = (self.state & DEAD) > 0
        return {
            "deaths": died.sum(0),
            "rescues": rescued.sum(0),
            "releases": released.sum(0),
            "relapses": (died & (was_rescued | rescued)).sum(0),
            "dead_now": _by_side(dead_now, (self.state & POSITIVE) > 0),
        }

    def _histograms(
        self, logits: Tensor, is_dead: Tensor, similarity: Tensor, before: Tensor, after: Tensor
    ) -> dict[str, Tensor]:
        bits = torch.arange(self.n_bits, device=logits.device)
        bins = self._bin(logits)
        keys = bits * N_BINS + bins
        dead_histogram = torch.bincount(bins[is_dead], minlength=N_BINS)
        histogram = torch.bincount(keys.flatten(), minlength=self.n_bits * N_BINS).view(self.n_bits, N_BINS)
        wanted = -similarity.sign()  # the side that the similarity loss asks for; 0 where it asks for nothing
        oriented = self._bin(logits * wanted).flatten()
        sums = [
            torch.bincount(oriented, (gradient * wanted).flatten().double(), N_BINS) for gradient in (before, after)
        ]
        count = torch.bincount(oriented, wanted.abs().flatten().double(), N_BINS)
        return {
            "histogram": histogram,
            "dead_histogram": dead_histogram,
            "gradient_sum": torch.stack(sums),
            "gradient_count": count,
        }

    def _bin(self, logits: Tensor) -> Tensor:
        width = self.edges[1] - self.edges[0]
        return (
            (logits / width + N_BINS / 2).clamp(0, N_BINS - 1).long()
        )  # below 0 only what the clamp caught: floor = truncation


def _compact(values: np.ndarray) -> np.ndarray:
    """Counts as int32: a window has fewer than 2^31 entries."""
    return values.astype(np.int32) if values.dtype == np.int64 else values


def _by_side(mask: Tensor, positive: Tensor) -> Tensor:
    """Counts (2, n_bits) of a mask (n, n_bits), split into the -1 and the +1 side."""
    on_positive = (mask & positive).sum(0)
    return torch.stack([mask.sum(0) - on_positive, on_positive])
