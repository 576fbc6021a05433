"""Where the amplifier may act, if it is aimed: `amplifier_aim` of a run. Ours, not the paper's.

The paper amplifies every flagged entry. That frees bits which are dead, and it loosens bits which
are right though saturated. An aim takes the two apart: of the flagged entries it amplifies only
those that something else calls wrong, or only those that it calls right.

* all_pairs: the similarity gradient over all training pairs asks the entry to leave its side too.
  It is taken at the start of every epoch, on the codes of the last visits. An item that was not
  visited before that is not amplified.
* labels: the entry is on the wrong side by `Sides`, so it is dead.
* not_labels: the entry is on the right side by `Sides`. This is the control.
"""

from typing import Protocol

import torch
from torch import Tensor

from rdh.config.run_config import RunConfig
from rdh.methods import Method
from rdh.training.pair_gradients import all_pairs_gradient
from rdh.training.sides import Sides

APART = 250_000  # from the seeds of an epoch's order and of the methods' samples


class Aim(Protocol):
    """What training asks of an aim. Its state belongs into checkpoints."""

    def start_epoch(self, epoch: int) -> None:
        """Before the first step of an epoch, after the method's own start."""

    def visit(self, codes: Tensor, indices: Tensor) -> Tensor:
        """Takes over the codes h of a step, and says which entries may be amplified.

        Args:
            codes: (n, width), detached.
            indices: Positions of the items among all N, (n,).

        Returns:
            Boolean (n, width).
        """
        ...

    def state_dict(self) -> dict[str, Tensor]:
        """The living state."""
        ...

    def load_state_dict(self, state: dict[str, Tensor]) -> None:
        """Takes over the state of a checkpoint.

        Raises:
            ValueError: It is of other items or bits.
        """


class ByLabels:
    """Aims with the sides that the labels call for, those of this step included.

    Args:
        labels: Multi-hot (N, n_classes) of all N items.
        n_bits: Columns of the codes.
        wanted: -1 for entries on the wrong side, +1 for those on the right one. An undecided entry
            is neither.
    """

    def __init__(self, labels: Tensor, n_bits: int, wanted: int) -> None:
        self.sides = Sides(labels, n_bits)
        self.wanted = wanted

    def start_epoch(self, epoch: int) -> None:
        self.sides.renew()

    def visit(self, codes: Tensor, indices: Tensor) -> Tensor:
        self.sides.visit(indices, codes)
        return codes * self.sides.of(indices) * self.wanted > 0

    def state_dict(self) -> dict[str, Tensor]:
        return {"signs": self.sides.signs, "called": self.sides.called}

    def load_state_dict(self, state: dict[str, Tensor]) -> None:
        self.sides.load_signs(state["signs"], state["called"])


class ByAllPairs:
    """Aims with the similarity gradient over all training pairs, once an epoch.

    Args:
        method: The run's, whose similarity loss is asked.
        seed: Of the groups that items are compared in if they are too many for one.
    """

    def __init__(self, method: Method, seed: int) -> None:
        self.method, self.seed = method, seed
        self.codes = method.labels.new_zeros(len(method.labels), method.width)  # of last visits
        self.asked = torch.zeros_like(self.codes, dtype=torch.int8)  # sgn of the gradient

    def start_epoch(self, epoch: int) -> None:
        self.asked.zero_()
        visited = self.codes.any(1).nonzero().squeeze(1)
        if not len(visited):
            return
        generator = torch.Generator().manual_seed(self.seed * 1_000_003 + APART + epoch)
        gradient = all_pairs_gradient(
            self.method, self.codes, self.method.labels, generator, visited
        )
        self.asked[visited] = gradient.sign().to(torch.int8)

    def visit(self, codes: Tensor, indices: Tensor) -> Tensor:
        self.codes[indices] = codes
        return codes * self.asked[indices] > 0

    def state_dict(self) -> dict[str, Tensor]:
        return {"codes": self.codes, "asked": self.asked}

    def load_state_dict(self, state: dict[str, Tensor]) -> None:
        for name, mine in self.state_dict().items():
            if state[name].shape != mine.shape:
                shapes = tuple(mine.shape), tuple(state[name].shape)
                raise ValueError(f"the aim's {name} must be {shapes[0]}, got {shapes[1]}")
            mine.copy_(state[name])


def make_aim(config: RunConfig, method: Method) -> Aim | None:
    """The aim of a run; None if the amplifier is off, or acts on every flagged entry."""
    if not config.amplifier or config.amplifier_aim == "gradient":
        return None
    if config.amplifier_aim == "all_pairs":
        return ByAllPairs(method, config.seed)
    return ByLabels(method.labels, method.width, -1 if config.amplifier_aim == "labels" else 1)
