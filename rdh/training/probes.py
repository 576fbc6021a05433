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
those after the window's own signs were taken in. Those of a multi-label set are renewed in the
first record and in the last one of each epoch, since a renewal takes all pairs of label sets.

`Probes.add` only keeps a step's tensors on the device. `Probes.record` digests a window of steps at
once: every entry gets a *kind* (`entry_kinds`), and `LastVisits` keeps the running totals of kinds.
"""

import math
from typing import Any

import numpy as np
import torch
from torch import Tensor

from rdh.rescue import alpha
from rdh.store.levels import TAU_LEVELS
from rdh.training.entry_kinds import AGAIN, event_rows, n_reached, thresholds, window_rows
from rdh.training.entry_loops import by_bin, judge, look, sums_by_bit
from rdh.training.last_visits import N_BINS, LastVisits
from rdh.training.sides import Sides


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
        self._factors = np.array([[1.0], [self._factor]])  # before the amplifier and after it
        self.visits, self.sides = LastVisits(len(labels), n_bits, tau), Sides(labels.cpu(), n_bits)
        self._window, self._events = window_rows(tau), event_rows()
        width = logit_edges(tau)[-1] / (N_BINS / 2)
        self._rule = thresholds(tau), n_reached(tau, tau), np.float32(1 / width)
        self._alphas = tuple(alpha(level) for level in TAU_LEVELS)
        self._steps: list[tuple[Tensor, ...]] = []
        self._places: list[tuple[int, ...]] = []  # of the steps, as `entry_loops` reads them
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

    def window(self) -> dict[str, list[Any]]:
        """What was kept since the last record; `load_window` takes it back."""
        return {"steps": self._steps, "where": self._where}

    def load_window(self, window: dict[str, list[Any]], device: torch.device) -> None:
        """Goes on with the window of a checkpoint, on the device of the run."""
        self._steps, self._places = [], []
        for step in window["steps"]:
            self._keep(tuple(one.to(device) for one in step))
        self._where = [one.to(device) for one in window["where"]]

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
        self._keep((logits, codes, similarity_gradient, gradient, indices))

    def _keep(self, step: tuple[Tensor, ...]) -> None:
        z, h, wanted, total, indices = step
        step = z.contiguous(), h.contiguous(), wanted.contiguous(), total.contiguous(), indices
        self._steps.append(step)
        self._places.append(_places(step))

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
            AGAIN (n_bits,): visited entries that had been visited before, and those of them that
            were on the other side then, as stored codes that are as old still say;
            asked_back (n_bits,): wrong entries that the similarity gradient asks to leave their
            side; held (n_bits,): those of them that the whole gradient lets stay;
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
        parts, places = self._on_host()
        n_steps, slope = len(self._steps), np.float32(self._slope)
        self._steps, self._places = [], []
        indices = torch.cat([part[-1] for part in parts])
        window = np.array(places)
        signs, kinds, bins, acts = look(window, self.n_bits, slope, *self._rule)
        self._take_sides(indices, torch.from_numpy(signs), ends_epoch)
        groups = self.sides.group_of.numpy(), self.sides.called.numpy()
        judge(kinds, signs, indices.numpy(), *groups)
        if not amplifier:
            acts[:] = False
        if self._where:
            acts &= torch.cat(self._where).cpu().numpy()
            self._where.clear()
        n_kinds, events, again = self.visits.visit(kinds, bins, indices.numpy())
        arrays = self._window_counts(n_kinds, len(indices))
        found = by_bin(window, kinds, bins, acts, self._alphas)
        arrays["beyond_reach_levels"], (spared, amplified), n_by_bin = found
        arrays |= self._events.counts(events) | dict(zip(AGAIN, again, strict=True))
        sums = sums_by_bit(window, slope, acts)
        arrays |= self._means(sums / len(indices), slope * parts[0][0][0].numpy())
        arrays["gradient_count"] = n_by_bin.astype(np.float64)
        arrays["gradient_sum"] = spared + self._factors * amplified
        arrays |= self.visits.totals()
        scalars = {"entries": float(self.visits.n_seen), "window_entries": float(kinds.size)}
        return scalars | self._norms(sums[9:].sum(1) / n_steps), arrays

    def _on_host(self) -> tuple[list[tuple[Tensor, ...]], list[tuple[int, ...]]]:
        """The steps of the window on the host, and their places. From a GPU they come as one.

        Raises:
            TypeError: The columns are not of float32, as which the loops read them.
        """
        first = self._steps[0]
        if {column.dtype for column in first[:4]} != {torch.float32}:
            types = ", ".join(str(column.dtype) for column in first[:4])
            raise TypeError(f"a step must hold logits, codes and gradients of float32, got {types}")
        if first[0].device.type == "cpu":
            return self._steps, self._places
        step = tuple(torch.cat(column).cpu() for column in zip(*self._steps, strict=True))
        return [step], [_places(step)]

    def _take_sides(self, indices: Tensor, signs: Tensor, ends_epoch: bool) -> None:
        """The window's signs vote."""
        self.sides.visit(indices, signs)
        if self.sides.is_multi_label and (ends_epoch or not self.visits.n_seen):
            self.sides.renew()

    def _window_counts(self, kinds: np.ndarray, n_items: int) -> dict[str, np.ndarray]:
        arrays = self._window.counts(kinds)
        arrays["leaving"] = (arrays["leaving"] / n_items).astype(np.float32)
        for name in ("amplified_levels", "amplified_dead_levels", "dead_window_levels"):
            arrays[name] = arrays[name].sum(1, dtype=np.int32)
        return arrays

    def _means(self, means: np.ndarray, first_logits: np.ndarray) -> dict[str, np.ndarray]:
        """From the means over the window of `sums_by_bit`."""
        code, logit, square = means[:3]
        pull, acted = means[3:7].reshape(2, 2, -1), means[7:9]
        before = pull.sum((0, 1))
        arrays = {
            "mean_code": code,
            "mean_logit": first_logits + logit,
            "std_logit": np.sqrt(np.maximum(square - logit * logit, 0)),
            "mean_gradient": before,
            "mean_gradient_amplified": before + (self._factor - 1) * acted.sum(0),
            "quadrant_pull": pull,
            "leaving_pull_amplified": pull[1] + (self._factor - 1) * acted,
        }
        return {name: values.astype(np.float32) for name, values in arrays.items()}

    def _norms(self, squares: np.ndarray) -> dict[str, float]:
        """Norms of dL/dz from the squares of a step's: of all entries, of those that are amplified.

        They are not finite if the gradient is not.
        """
        after = squares[0] + (self._factor**2 - 1) * squares[1]
        norms = {"gradient_norm": squares[0], "gradient_norm_amplified": after}
        return {name: float(np.sqrt(square)) for name, square in norms.items()}


def _places(step: tuple[Tensor, ...]) -> tuple[int, ...]:
    """Where the columns of a step lie in memory, and its rows: a row of a window."""
    z, h, wanted, total, indices = step
    return z.data_ptr(), h.data_ptr(), wanted.data_ptr(), total.data_ptr(), indices.numel()
