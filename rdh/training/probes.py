"""Probes, which measure saturation, flagged and dead bits, gradients and rescues during training.

All counts are entries (training item, bit).

* *Saturated*: |h| >= tau.
* *Flagged*: saturated and sgn(h) = sgn(dL_sim/dh). This is the test of Eq. 3 on the similarity loss
  alone and before amplification, so runs with and without RDH count the same thing.
* *Wrong*: on the other side than `Sides` says that its labels call for; *undecided* where they call
  for none.
* *Dead*: saturated and wrong.
* *Hard*: 1 - h^2 == 0 in float32.

Every entry is judged when its item is visited, and keeps that until the next visit. The sides are
those after the window's own signs were taken in, so a stop, which ends a window early, may change
whether an entry counted as dead for a moment. Those of a multi-label set are renewed in the
first record and in the last one of each epoch, since a renewal takes all pairs of label sets.

`Probes.add` only keeps a step's tensors on the device. `Probes.record` digests a window of steps at
once: every entry gets a *kind* (`entry_kinds`), and `LastVisits` keeps the running totals of kinds.
"""

import math

import numpy as np
import torch
from torch import Tensor

from rdh.rescue import alpha
from rdh.store.levels import TAU_LEVELS
from rdh.training.entry_kinds import (
    JUDGED,
    LEAVING,
    LEAVING_TOTAL,
    N_EVENTS,
    N_KINDS,
    N_REACHED,
    POSITIVE,
    WRONG,
    event_rows,
    n_reached,
    thresholds,
    window_rows,
)
from rdh.training.last_visits import N_BINS, N_PLACES, LastVisits, count_by_bit, places_now
from rdh.training.sides import Sides

OUT_OF_REACH = 0.1  # the amplifier leaves less than this share of a gradient without tanh


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
        labels: Multi-hot (N, n_classes) of all training items, on any device.
        n_bits: Code length.
        tau: Threshold of saturation, in [0, 1).
        scale: Of the amplifier, a multiple of alpha.

    Attributes:
        visits: What every entry was at its last visit.
        sides: On the host, as all that `record` does.
    """

    def __init__(self, labels: Tensor, n_bits: int, tau: float, scale: float = 1.0) -> None:
        self.tau, self.n_bits, self._factor = tau, n_bits, scale * alpha(tau)
        self.visits, self.sides = LastVisits(len(labels), n_bits, tau), Sides(labels.cpu(), n_bits)
        self._window, self._events = window_rows(tau), event_rows()
        self._thresholds = thresholds(tau)
        self._width = logit_edges(tau)[-1] / (N_BINS / 2)
        self._steps: list[tuple[Tensor, ...]] = []
        self._where: list[Tensor] = []  # of an amplifier that is aimed
        self._slope = 1.0

    def state_dict(self) -> dict[str, Tensor]:
        """The living state; `load_state_dict` takes it back."""
        return {"entries": torch.from_numpy(self.visits.state), "sides": self.sides.called}

    def load_state_dict(self, state: dict[str, Tensor]) -> None:
        """Takes over the state of a checkpoint. ValueError for another shape."""
        entries, expected = state["entries"].numpy(), self.visits.state.shape
        if entries.shape != expected:
            raise ValueError(f"the probes' state must be {expected}, got {entries.shape}")
        self.visits.load(entries)
        self.sides.load_signs(torch.from_numpy(self.visits.signs), state["sides"])

    def add(
        self,
        logits: Tensor,
        codes: Tensor,
        similarity_gradient: Tensor,
        gradient: Tensor,
        indices: Tensor,
        where: Tensor | None = None,
        slope: float = 1.0,
    ) -> None:
        """Keeps a step. The tensors are not copied: none may change until the next `record`.

        Args:
            logits: z, (n, n_bits).
            codes: h = tanh(F) of F = slope z, (n, n_bits).
            similarity_gradient: dL_sim/dh.
            gradient: dL/dh of the whole loss, before the amplifier.
            indices: Positions in the training set, (n,).
            where: The entries that the amplifier may act on, boolean (n, n_bits); None: all.
            slope: Of the activation, the same for all steps of a window.
        """
        self._slope = slope
        if where is not None:
            self._where.append(where)
        self._steps.append((logits, codes, similarity_gradient, gradient, indices))

    @property
    def is_empty(self) -> bool:
        return not self._steps

    @np.errstate(over="ignore", invalid="ignore")  # of a run that diverges: logits may be infinite
    def record(
        self, amplifier: bool, ends_epoch: bool = False
    ) -> tuple[dict[str, float], dict[str, np.ndarray]]:
        """Digests the window and empties it.

        Args:
            amplifier: Whether the run amplifies gradients.
            ends_epoch: Whether the window is the last one of its epoch.

        Returns:
            (scalars, arrays). Scalars: `entries`, those of all items visited so far;
            `window_entries`; `gradient_norm` and `gradient_norm_amplified`, the norm of a batch's
            dL/dz before and after the amplifier, as root mean square of the window's steps.
            Arrays by side are (2, n_bits): the -1 side, then the +1 side.
            Running totals, each entry as it was at its last visit:
            saturated, flagged, dead (by side); wrong, undecided (saturated ones only),
            flagged_hard, dead_hard, flagged_dead (n_bits,);
            at every level of TAU_LEVELS: saturated_levels (5, n_bits), flagged_levels and
            dead_levels (5, 2, n_bits);
            histogram (n_bits, 64) of F, flagged_histogram and dead_histogram (64,) over all bits.
            Since the last record:
            the EVENTS of `entry_kinds`, (n_bits,);
            amplified (by side): saturated entries that the whole gradient asks to leave, as in
            line 8 of Algorithm 1, even where an aim spares them; amplified_levels (5,): the same
            at every level;
            amplified_dead_levels (5,): those of them that are wrong; beyond_reach_levels (5,):
            those of these with alpha(level) (1 - h^2) < .1; dead_window_levels (5,): wrong and
            |h| >= level;
            quadrants (2, 2, n_bits): entries that the whole gradient lets stay (or that have
            none), and those that it asks to leave, each by side;
            quadrant_pull: the mean of |dL/dz| over the window's items in the same quadrants;
            leaving_pull_amplified (by side): that of those asked to leave, after the amplifier;
            means over the window, (n_bits,): mean_code, mean_logit, std_logit; leaving: share of
            the entries whose similarity gradient points away from their side; mean_gradient and
            mean_gradient_amplified: of |dL/dz|;
            gradient_sum (2, 64) of dL/dz before and after the amplifier and gradient_count (64,).
            These two are oriented as Figure 3: mirrored so that the similarity loss asks every
            entry to move towards +1.
        """
        columns = [torch.cat(column).cpu() for column in zip(*self._steps, strict=True)]
        n_steps = len(self._steps)
        self._steps.clear()
        columns[0] *= self._slope
        logits, codes, similarity, total, indices = (column.numpy() for column in columns)
        positive = codes >= 0
        right = self._right(columns[4], positive, ends_epoch)
        present = self._present(codes, positive, right)
        present |= (codes * similarity > 0).view(np.uint8) * np.uint8(LEAVING)
        present |= (codes * total > 0).view(np.uint8) * np.uint8(LEAVING_TOTAL)
        places = logits * np.float32(1 / self._width) + N_BINS // 2
        bins = np.clip(places, 0, N_BINS - 1).astype(np.uint8)
        changes = self.visits.visit(present & np.uint8(N_KINDS - 1), bins, indices)
        amplified = present & LEAVING_TOTAL > 0
        amplified &= present & N_REACHED >= n_reached(self.tau, self.tau)
        if self._where:
            amplified &= torch.cat(self._where).cpu().numpy()
            self._where.clear()
        if not amplifier:
            amplified[:] = False  # of what the run would amplify, nothing is
        slope = 1 - codes * codes  # of tanh
        gradient = total * slope  # dL/dz
        kinds = count_by_bit(present, 2 * N_KINDS)
        arrays = self._window_counts(kinds, present, slope)
        arrays |= self._events.counts(count_by_bit(changes & np.uint16(N_EVENTS - 1), N_EVENTS))
        arrays |= self._means(logits, codes)
        arrays |= self._pulls(codes, gradient, amplified)
        arrays |= self._gradients_by_bin(bins, similarity, gradient, amplified)
        places = count_by_bit(places_now(bins, changes), N_PLACES)
        self.visits.gain(kinds[:, :N_KINDS] + kinds[:, N_KINDS:], places)
        arrays |= self.visits.totals()
        scalars = {"entries": float(self.visits.n_seen), "window_entries": float(codes.size)}
        return scalars | self._norms(gradient, amplified, n_steps), arrays

    def _right(self, indices: Tensor, positive: np.ndarray, ends_epoch: bool) -> np.ndarray:
        """The sides that the labels of these items call for, int8 (n, n_bits)."""
        signs = positive.view(np.int8) * np.int8(2) - np.int8(1)
        self.sides.visit(indices, torch.from_numpy(signs))
        if self.sides.is_multi_label and (ends_epoch or not self.visits.n_seen):
            self.sides.renew()
        return self.sides.of(indices).numpy()

    def _present(self, codes: np.ndarray, positive: np.ndarray, right: np.ndarray) -> np.ndarray:
        """The window's kinds, uint8 (n, n_bits), but for where the gradients ask entries to go."""
        size = np.abs(codes)
        present = (size >= self._thresholds[0]).view(np.uint8)
        for level in self._thresholds[1:]:
            present += (size >= level).view(np.uint8)
        on_side = (positive.view(np.int8) * np.int8(2) - np.int8(1)) * right  # 1, -1, undecided 0
        judged = (on_side < 0).view(np.uint8) + (on_side == 0).view(np.uint8) * np.uint8(2)
        present += (judged + np.uint8(1)) * np.uint8(JUDGED)
        present |= positive.view(np.uint8) * np.uint8(POSITIVE)
        return present

    def _window_counts(
        self, kinds: np.ndarray, present: np.ndarray, slope: np.ndarray
    ) -> dict[str, np.ndarray]:
        arrays = self._window.counts(kinds)
        arrays["leaving"] = (arrays["leaving"] / len(slope)).astype(np.float32)
        for name in ("amplified_levels", "amplified_dead_levels", "dead_window_levels"):
            arrays[name] = arrays[name].sum(1, dtype=np.int32)
        wanted = np.uint8(LEAVING_TOTAL + WRONG * JUDGED)
        chosen = present & np.uint8(LEAVING_TOTAL + 3 * JUDGED) == wanted
        chosen &= present & N_REACHED >= n_reached(min(TAU_LEVELS), self.tau)
        places = np.flatnonzero(chosen)  # few: faster than codes[chosen]
        few = slope.take(places).astype(np.float64)
        # so small a slope is far beyond the level itself
        beyond = [(alpha(level) * few < OUT_OF_REACH).sum() for level in TAU_LEVELS]
        arrays["beyond_reach_levels"] = np.array(beyond, np.int32)
        return arrays

    def _means(self, logits: np.ndarray, codes: np.ndarray) -> dict[str, np.ndarray]:
        """Means over the items of the window."""
        ones = np.full(len(codes), 1 / len(codes), np.float32)  # its products: faster than mean(0)
        mean_logit = ones @ logits
        variance = ones @ np.square(logits - mean_logit)
        means = {
            "mean_code": ones @ codes,
            "mean_logit": mean_logit,
            "std_logit": np.sqrt(variance),
        }
        return {name: values.astype(np.float32) for name, values in means.items()}

    def _pulls(
        self, codes: np.ndarray, gradient: np.ndarray, amplified: np.ndarray
    ) -> dict[str, np.ndarray]:
        """Means of |dL/dz| over the window's items: all, and by what is asked and by side.

        Sums with signs in place of masks cost a third: an entry is asked to leave where its
        gradient has the sign of its side.
        """
        ones = np.full(len(gradient), 1 / len(gradient), np.float32)
        size, sides = np.abs(gradient), np.copysign(np.float32(1), codes)
        every, inwards = ones @ size, ones @ (gradient * sides)
        more, along = ones @ (size * sides), ones @ gradient
        size_of = np.stack([every - more, every + more]) / 2  # by side
        asked = np.stack([inwards - along, inwards + along]) / 2  # leaving - staying, by side
        acted, acted_along = ones @ (size * amplified), ones @ (gradient * amplified)
        of_acted = np.stack([acted - acted_along, acted + acted_along]) / 2
        leaving = (size_of + asked) / 2
        pulls = {
            "mean_gradient": every,
            "mean_gradient_amplified": every + (self._factor - 1) * acted,
            "quadrant_pull": np.stack([(size_of - asked) / 2, leaving]),
            "leaving_pull_amplified": leaving + (self._factor - 1) * of_acted,
        }
        # a difference of equal sums may be a hair below 0
        return {name: np.maximum(values, 0).astype(np.float32) for name, values in pulls.items()}

    def _norms(self, gradient: np.ndarray, amplified: np.ndarray, n_steps: int) -> dict[str, float]:
        """The norm of a batch's dL/dz before and after the amplifier."""
        flat = gradient.ravel()
        few = flat[np.flatnonzero(amplified)]
        before, of_amplified = float(flat @ flat), float(few @ few)
        after = before + (self._factor**2 - 1) * of_amplified
        return {
            "gradient_norm": math.sqrt(before / n_steps),
            "gradient_norm_amplified": math.sqrt(max(after, 0) / n_steps),
        }

    def _gradients_by_bin(
        self,
        bins: np.ndarray,
        similarity: np.ndarray,
        gradient: np.ndarray,
        amplified: np.ndarray,
    ) -> dict[str, np.ndarray]:
        """Sums and counts of dL/dz by bin, mirrored where the similarity loss asks for -1."""
        keys = (similarity > 0).view(np.uint8) * np.uint16(N_BINS)
        keys += (similarity < 0).view(np.uint8) * np.uint16(2 * N_BINS)
        keys += amplified.view(np.uint8) * np.uint16(3 * N_BINS)
        keys += bins
        chosen = torch.from_numpy(keys.ravel().view(np.int16))
        sums = torch.bincount(chosen, torch.from_numpy(gradient.ravel()).double(), 6 * N_BINS)
        _, down, up = _by_direction(sums)  # descent moves h against the gradient
        before = up.sum(0) - down.sum(0)[::-1]  # bin b of F is bin 63 - b of -F
        amplified_part = up[1] - down[1][::-1]
        _, down, up = _by_direction(torch.bincount(chosen, minlength=6 * N_BINS))
        return {
            "gradient_sum": np.stack([before, before + (self._factor - 1) * amplified_part]),
            "gradient_count": (up.sum(0) + down.sum(0)[::-1]).astype(np.float64),
        }


def _by_direction(table: Tensor) -> np.ndarray:
    """Where the similarity loss asks an entry to go: (not at all, down, up), (3, 2, 64).

    The second axis says whether the amplifier acts.
    """
    return table.numpy().reshape(2, 3, N_BINS).swapaxes(0, 1)
