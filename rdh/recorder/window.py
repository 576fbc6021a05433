"""What passed a recorder since its last record, and the counts that the probes make of it."""

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from rdh.recorder.complaints import Complaints
from rdh.rescue import alpha, flagged
from rdh.training.entry_kinds import AGAIN, EVENTS, HELD
from rdh.training.probes import Probes
from rdh.training.record import totals
from rdh.training.sides import Sides

MOST_BEYOND = 1e-3  # above 1: rounding of a half-precision tanh, and no more
LAST_LOGIT = float(np.arctanh(1 - 2.0**-25))  # |h| = 1 in float32 means at least this F
BY_LABELS = {  # counts that say nothing without labels
    *("dead", "wrong", "undecided", "dead_hard", "flagged_dead", "dead_levels", "dead_histogram"),
    *("deaths", "rescues", "releases", "relapses", "amplified_dead_levels"),
    *("beyond_reach_levels", "dead_window_levels", *HELD),
}
# Of the entries that passed since the last record, if nobody says which items they are of. They are
# called as in records from before November 2026, which pages still read.
OF_WINDOW = (
    *("saturated", "flagged", "flagged_hard", "saturated_levels", "flagged_levels"),
    *("histogram", "flagged_histogram"),
)


@dataclass(eq=False)
class Visit:
    """Codes that passed, and the gradient that came back; None before it came.

    Args:
        codes: h, (n, n_bits), detached.
        indices: Positions of the items, (n,); None: unknown.
        gradient: Of the whole loss.
        held: That of the quantization term, if it was told apart.
        goes_apart: Whether the codes go to the term by a way of their own.
    """

    codes: Tensor
    indices: Tensor | None
    gradient: Tensor | None = None
    held: Tensor | None = None
    goes_apart: bool = False

    def receive(self, gradient: Tensor) -> None:
        """A hook of the codes. Several backward calls through the same codes are summed."""
        gradient = gradient.detach()
        self.gradient = gradient if self.gradient is None else self.gradient + gradient

    def receive_held(self, gradient: Tensor) -> None:
        """A hook of the codes that go to the quantization term; as `receive`."""
        gradient = gradient.detach()
        self.held = gradient if self.held is None else self.held + gradient


class Window:
    """Keeps visits on their device, and digests them into one record.

    Args:
        n_items: Training items N.
        n_bits: Code length.
        tau: Threshold of saturation, in [0, 1).
        labels: Multi-hot (N, n_classes); None: dead entries are not counted.
        amplifier: Whether the gradients that come back are amplified by Eq. 3 with this tau.
        complaints: Gets what can't be counted.
        n_ranks: Processes that share the items of an epoch; this one sees its part.
    """

    def __init__(
        self,
        n_items: int,
        n_bits: int,
        tau: float,
        labels: Tensor | None,
        amplifier: bool,
        complaints: Complaints,
        n_ranks: int = 1,
    ) -> None:
        self._an_epoch = -(-n_items // n_ranks)
        self.n_items, self.n_bits, self.tau, self.amplifier = n_items, n_bits, tau, amplifier
        self.has_labels, self._complaints = labels is not None, complaints
        self.visits: list[Visit] = []
        self.n_rows = 0  # that were digested
        self._passed = 0  # rows of this epoch
        self._by_item: bool | None = None  # None: before the first visit
        labels = torch.zeros(n_items, 1) if labels is None else labels
        self.probes = Probes(labels, n_bits, tau)

    def add(self, codes: Tensor, indices: Tensor | None) -> Visit:
        """A visit to come: its gradient is not known yet."""
        self._passed += len(codes)
        self.visits.append(Visit(codes, indices))
        return self.visits[-1]

    def ends_epoch(self, n: int = 1) -> bool:
        """Whether all items of this rank have passed, so that a batch of n is of the next epoch.

        An item should come once in a window, so a window ends with an epoch.
        """
        return self._passed > 0 and self._passed + n > self._an_epoch

    def start_epoch(self) -> None:
        """Counts the items of the next epoch from here on."""
        self._passed = 0

    def drop_open(self) -> int:
        """Forgets visits whose gradient has not come, and says how many there were."""
        done = [visit for visit in self.visits if visit.gradient is not None]
        n_open, self.visits = len(self.visits) - len(done), done
        return n_open

    def digest(self, ends_epoch: bool) -> tuple[dict[str, float], dict[str, np.ndarray]]:
        """The counts since the last digest, as (scalars, arrays); empty if nothing can be counted.

        Their names are those of `Probes.record`, with `totals`. Visits whose gradient has not come
        are kept.

        Args:
            ends_epoch: Whether these were the last visits of an epoch.
        """
        done = [visit for visit in self.visits if visit.gradient is not None]
        self.visits = [visit for visit in self.visits if visit.gradient is None]
        rows = self._rows(done)
        if rows is None or not len(rows[0]):
            return {}, {}
        codes, gradient, held, indices = rows
        if self.amplifier:  # what it was before: the factor is the same for all it acts on
            is_flagged = flagged(codes, gradient, self.tau)
            gradient = torch.where(is_flagged, gradient / alpha(self.tau), gradient)
        self.n_rows += len(codes)
        logits = torch.atanh(codes).clamp_(-LAST_LOGIT, LAST_LOGIT)
        if indices is None:
            self._forget_items(len(codes))
            indices = torch.arange(len(codes))
        of_pairs = gradient if held is None else gradient - held
        self.probes.add(logits, codes, of_pairs, gradient, indices)
        scalars, arrays = self.probes.record(self.amplifier, ends_epoch)
        if held is None:  # only the gradient of the whole loss came back
            for name in HELD:
                del arrays[name]
        arrays = {
            name: values
            for name, values in arrays.items()
            if (self.has_labels and self._by_item) or name not in BY_LABELS
        }
        if self._by_item:
            return scalars | totals(arrays), arrays
        for name in (*EVENTS, *AGAIN):
            arrays.pop(name, None)
        scalars |= totals(arrays)
        scalars["saturated_window"] = scalars.pop("saturated")
        for name in OF_WINDOW:
            arrays[f"{name}_window"] = arrays.pop(name)
        return scalars, arrays

    @property
    def n_counted(self) -> int:
        """Items that a record counts: all, or those of the last record if nobody names them."""
        return self.n_items if self._by_item is not False else len(self.probes.visits.state)

    def _forget_items(self, n: int) -> None:
        """n items that were never seen: nobody says which are which."""
        self.probes.visits.load(np.zeros((n, self.n_bits), np.int16))
        self.probes.sides = Sides(torch.zeros(n, 1), self.n_bits)

    def _rows(
        self, visits: list[Visit]
    ) -> tuple[Tensor, Tensor, Tensor | None, Tensor | None] | None:
        """Codes, gradients and those of quantization (n, n_bits), float32, and indices (n,).

        What can't be used is left out. Training waits for the device only here.
        """
        visits = self._of_one_kind(visits)
        if not visits:
            return None
        codes = torch.cat([visit.codes.float() for visit in visits]).cpu()
        parts = [visit.gradient for visit in visits if visit.gradient is not None]
        gradient = torch.cat([part.float() for part in parts]).cpu()
        apart = [visit.held.float() for visit in visits if visit.held is not None]
        held = torch.cat(apart).cpu() if len(apart) == len(visits) else None
        kept = self._finite(codes, gradient)
        kept &= self._within(codes)
        if not self._by_item:
            return codes[kept].clamp_(-1, 1), gradient[kept], _at(held, kept), None
        indices = torch.cat([v.indices.cpu() for v in visits if v.indices is not None]).long()
        kept &= self._known(indices)
        kept &= self._last_ones(indices, kept)
        return codes[kept].clamp_(-1, 1), gradient[kept], _at(held, kept), indices[kept]

    def _of_one_kind(self, visits: list[Visit]) -> list[Visit]:
        """Visits with indices, or without, as the first one was."""
        if visits and self._by_item is None:
            self._by_item = visits[0].indices is not None
        kept = [one for one in visits if (one.indices is not None) == self._by_item]
        if len(kept) < len(visits):
            first = "with" if self._by_item else "without"
            self._complaints.say(
                "batches with indices and without",
                f"watch must get indices always or never; the first batch came {first}, so others "
                f"are not counted: pass them at every call.",
                len(visits) - len(kept),
            )
        return kept

    def _finite(self, codes: Tensor, gradient: Tensor) -> Tensor:
        good_codes, good_gradient = codes.isfinite().all(1), gradient.isfinite().all(1)
        if not good_codes.all():
            self._complaints.say(
                "codes that are not finite",
                "codes must be finite, got NaN or infinity: the training has diverged, so lower "
                "its learning rate; these items are not counted.",
                int((~good_codes).sum()),
            )
        if not good_gradient[good_codes].all():  # of the others it was said
            self._complaints.say(
                "gradients that are not finite",
                "the gradient at the codes is NaN or infinite, so these items are not counted; a "
                "GradScaler skips such a step, without one the training has diverged.",
                int((~good_gradient & good_codes).sum()),
            )
        return good_codes & good_gradient

    def _within(self, codes: Tensor) -> Tensor:
        beyond = codes.abs() > 1 + MOST_BEYOND
        good = ~beyond.any(1)
        if not good.all():
            self._complaints.say(
                "codes beyond [-1, 1]",
                f"codes must lie in [-1, 1], got {codes[beyond][0].item():.4g}: pass "
                f"torch.tanh(logits) to watch, not the logits; these items are not counted.",
                int((~good).sum()),
            )
        return good

    def _known(self, indices: Tensor) -> Tensor:
        good = (indices >= 0) & (indices < self.n_items)
        if not good.all():
            self._complaints.say(
                "indices out of range",
                f"indices must be positions below n_items = {self.n_items}, got "
                f"{int(indices[~good][0])}: pass the position of each item in the training set; "
                f"items with others are not counted.",
                int((~good).sum()),
            )
        return good

    def _last_ones(self, indices: Tensor, kept: Tensor) -> Tensor:
        """The last visit of each item among those that are kept."""
        rows = np.flatnonzero(kept.numpy())[::-1]
        _, first = np.unique(indices.numpy()[rows], return_index=True)
        last = torch.zeros(len(indices), dtype=torch.bool)
        last[torch.from_numpy(rows[first].copy())] = True
        n_again = len(rows) - len(first)
        if n_again:
            self._complaints.say(
                "visits of an item that comes again before the next record",
                "an item came more than once between two records, so its last visit counts; a "
                "smaller probe_every counts more of them.",
                n_again,
            )
        return last


def _at(values: Tensor | None, kept: Tensor) -> Tensor | None:
    return None if values is None else values[kept]
