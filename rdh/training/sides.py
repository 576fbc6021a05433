"""Which side an item's labels call for, bit by bit: the majority of its class, or the label vote.

Items with the same labels form a *group*. Every item that was visited votes with the sign that its
bit had at its last visit.

* Single-label: the group's own items vote, so its side is the majority of its class.
* Multi-label: all items vote, similar ones for their own sign and dissimilar ones against it
  (P = 2 S - 1). An item of a group shares a label with all others of it.

A side is *undecided*, 0, if the vote is no more than half a standard deviation of fair coins,
|vote| <= 0.5 sqrt(voters), or if fewer than two items vote. So evenly split classes, classes of one
item and bits without a visitor call for no side, and neither do items without a label. The limit is
where freeing begins to pay: on DPSH's entries (CIFAR-10, 32 bits), putting those of less certain
sides right changes MAP by .0001, and all others by .0355. The majority is a proxy: a whole class on
the wrong side is not seen.
"""

import numpy as np
import torch
from torch import Tensor

from rdh.rescue import outside_autocast, share_a_label
from rdh.retrieval.loops import compiled_loop
from rdh.store.levels import CERTAIN

BLOCK = 2**24  # pairs of groups at a time: memory stays linear in the number of groups


class Sides:
    """The signs of all training items at their last visits, and the votes that follow.

    Args:
        labels: Multi-hot (N, n_classes) of all training items, on any device.
        n_bits: Code length.

    Attributes:
        signs: int8 (N, n_bits); 0 for all bits of an item that was not visited.
        group_of: The group of each item, int64 (N,).
        called: The side that each group calls for, int8 (n_groups, n_bits); 0 if undecided.
    """

    def __init__(self, labels: Tensor, n_bits: int) -> None:
        n_classes = labels.shape[1]
        self.is_multi_label = bool((labels > 0).sum(1).gt(1).any())
        if self.is_multi_label:
            # (n_groups, n_classes)
            self._sets, self.group_of = _distinct(labels)
        else:
            self._sets, self.group_of = labels.new_empty(n_classes + 1, 0), _class_of(labels)
        self.signs = torch.zeros(len(labels), n_bits, dtype=torch.int8, device=labels.device)
        self.load_signs(self.signs)

    def load_signs(self, signs: Tensor, called: Tensor | None = None) -> None:
        """Takes over the signs of a checkpoint or of a pass.

        Args:
            signs: int8 (N, n_bits); 0 for all bits of an item that was not visited.
            called: The `called` of the checkpoint, int8 (n_groups, n_bits). None: as the signs say.

        Raises:
            ValueError: For another shape.
        """
        if signs.shape != self.signs.shape:
            raise ValueError(f"signs must be {tuple(self.signs.shape)}, got {tuple(signs.shape)}")
        self.signs.copy_(signs)
        self._count()
        self.renew()
        if called is not None:
            if called.shape != self.called.shape:
                shapes = tuple(self.called.shape), tuple(called.shape)
                raise ValueError(f"sides must be {shapes[0]}, got {shapes[1]}")
            self.called.copy_(called)

    def visit(self, indices: Tensor, codes: Tensor) -> None:
        """Takes over the signs of codes, (n, n_bits), of the items at these places, each once.

        Single-label sides are renewed at once. Multi-label ones wait for `renew`, since their votes
        take all pairs of groups.

        Args:
            indices: int64 (n,).
            codes: Or their signs, int8.
        """
        signs = codes if codes.dtype == torch.int8 else signs_of(codes)
        if self.is_multi_label:
            self.signs[indices] = signs
        elif self.signs.device.type == "cpu":
            visit = (signs.contiguous(), indices.contiguous())
            tensors = (*visit, self.group_of, self.signs, self._sums, self._voters, self.called)
            _take_over(*(tensor.numpy() for tensor in tensors))
        else:
            old = self.signs.index_select(0, indices)
            groups = self.group_of.index_select(0, indices)
            self._sums.index_add_(0, groups, (signs - old).float())
            self._voters.index_add_(0, groups, (old[:, :1] == 0).float())
            self.signs[indices] = signs
            self._call()

    def renew(self) -> None:
        """Counts the votes again. For multi-label sets: at the end of every epoch."""
        if self.is_multi_label:
            self._count()
        self._call()

    def _count(self) -> None:
        """Sums the signs (n_groups, n_bits) and the visited items (n_groups, 1) of the groups."""
        sums = torch.zeros(len(self._sets), self.signs.shape[1], device=self.signs.device)
        self._sums = sums.index_add(0, self.group_of, self.signs.float())
        visited = (self.signs[:, :1] != 0).float()
        self._voters = sums[:, :1].index_add(0, self.group_of, visited)

    def _call(self) -> None:
        """Judges the sides that the groups call for."""
        if self.is_multi_label:
            self.called = self._vote(self._sets)
        else:
            self.called = _decided(self._sums, self._voters)
            self.called[-1] = 0  # of the items without a label

    def of(self, indices: Tensor) -> Tensor:
        """The sides of training items, int8 (n, n_bits): -1, +1, or 0 if undecided."""
        return self.called.index_select(0, self.group_of.index_select(0, indices))

    def of_all(self) -> Tensor:
        """The sides of all training items, int8 (N, n_bits)."""
        return self.called[self.group_of]

    def of_labels(self, labels: Tensor) -> Tensor:
        """The sides that the training items call for in other items, of a gallery for instance.

        Args:
            labels: Multi-hot (n, n_classes), with the classes of the training items.

        Returns:
            int8 (n, n_bits). A class that no training item has is undecided.
        """
        if not self.is_multi_label:
            return self.called[_class_of(labels)]
        sets, group_of = _distinct(labels)
        return self._vote(sets)[group_of]

    def _vote(self, sets: Tensor) -> Tensor:
        """The side of each set of labels by the label vote: (n, n_classes) -> int8 (n, n_bits)."""
        sides = torch.zeros(len(sets), self.signs.shape[1], dtype=torch.int8, device=sets.device)
        rows = max(1, BLOCK // len(self._sets))
        with outside_autocast(sets.device):
            for start in range(0, len(sets), rows):
                part = slice(start, start + rows)
                votes = 2 * (share_a_label(sets[part], self._sets) @ self._sums) - self._sums.sum(0)
                sides[part] = _decided(votes, self._voters.sum())
        sides[~sets.any(1)] = 0
        return sides


def signs_of(codes: Tensor) -> Tensor:
    """-1 or +1 for each code, int8. A code of exactly 0 counts as +1, as it does in retrieval."""
    return (codes >= 0).view(torch.int8).mul_(2).sub_(1)


@compiled_loop(
    "void(int8[:,::1], int64[::1], int64[::1], int8[:,::1], float32[:,::1], float32[:,::1], "
    "int8[:,::1])"
)
def _take_over(
    present: np.ndarray,
    indices: np.ndarray,
    group_of: np.ndarray,
    signs: np.ndarray,
    sums: np.ndarray,
    voters: np.ndarray,
    called: np.ndarray,
) -> None:
    """A single-label visit in one pass; the last four are changed. Torch takes fifteen passes."""
    for row in range(len(indices)):  # apart: rows that are far away come many at a time
        voters[group_of[indices[row]], 0] += signs[indices[row], 0] == 0
    for row in range(len(indices)):
        item, group = indices[row], group_of[indices[row]]
        for bit in range(signs.shape[1]):
            sums[group, bit] += np.float32(present[row, bit] - signs[item, bit])
            signs[item, bit] = present[row, bit]
    for group in range(len(sums) - 1):  # the last one is of the items without a label
        limit = np.float32(CERTAIN) * np.sqrt(voters[group, 0])
        for bit in range(signs.shape[1]):
            side = 1 if sums[group, bit] > 0 else -1
            is_decided = (abs(sums[group, bit]) > limit) & (voters[group, 0] > 1)
            called[group, bit] = side * is_decided


def _decided(votes: Tensor, voters: Tensor) -> Tensor:
    is_decided = (votes.abs() > CERTAIN * voters.sqrt()) & (voters > 1)
    return (votes.sign() * is_decided).to(torch.int8)


def _distinct(labels: Tensor) -> tuple[Tensor, Tensor]:
    """The distinct rows of labels, and which of them each row is, (n,)."""
    sets, group_of = torch.unique(labels > 0, dim=0, return_inverse=True)
    return sets, group_of.reshape(-1)


def _class_of(labels: Tensor) -> Tensor:
    """The first label of each item, (n,); n_classes for an item without one."""
    return torch.where((labels > 0).any(1), labels.argmax(1), labels.shape[1])
