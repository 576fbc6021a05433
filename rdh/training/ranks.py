"""One run on several devices: each device has a process, a *rank*, with a copy of the network.

All ranks go through the same steps. Each sends its part of the batch through its network. Then the
codes of all parts are put together, so that every rank has the losses of the *whole* batch, and
with them dL/dh of every item: a pairwise loss sees all pairs. Each rank sends its own rows of dL/dh
back through its network, and the gradients of the weights are summed. No gradient passes the
gathering of the codes, so nothing can be lost or counted twice there.

So a step is the one that a single device would take with the same batch, to the rounding of sums.
Methods, plug-ins and probes know nothing of ranks, and their counts are those of the whole batch.

Batch norms see the whole batch too (`shared_norm`). Not the same as on one device are the random
numbers of dropout and augmentation.
"""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import timedelta

import torch
import torch.distributed as dist
from torch import Tensor

from rdh.errors import PeerLost, UserError
from rdh.training.network import Network

# Nothing is ended by a clock: if a rank dies, torchrun ends the others.
PATIENCE = timedelta(days=7)


class Ranks:
    """The ranks of a run, seen from one of them. Alone unless it is told otherwise.

    Args:
        rank: This one's number, from 0.
        n: How many there are.
    """

    def __init__(self, rank: int = 0, n: int = 1) -> None:
        self.rank, self.n = rank, n
        self.n_items, self.n_counted = 0, 0  # of the step: items of all ranks, and of this one

    @property
    def is_main(self) -> bool:
        """Whether this rank writes what the run keeps. Exactly one does."""
        return self.rank == 0

    def rows(self, n: int) -> slice:
        """Which of n rows are this rank's part. The parts differ by one row at most."""
        return slice(n * self.rank // self.n, n * (self.rank + 1) // self.n)

    def own(self, indices: Tensor) -> Tensor:
        """This rank's part of a batch, (n_own,).

        If the batch has fewer items than there are ranks, a rank without one gets the first: it
        must go through the step too. `whole` and `part` do not count it.
        """
        if self.n == 1:
            return indices
        part = indices[self.rows(len(indices))]
        return part if len(part) else indices[:1]

    def whole(self, n: int, *parts: Tensor) -> list[Tensor]:
        """Puts the parts of all ranks together: rows in the order of the batch, no gradients.

        Args:
            n: Rows of the whole.
            parts: float tensors of this rank, (n_own, ...), all of one shape.

        Returns:
            For each of them a new tensor (n, ...), with the same bits on every rank.
        """
        if self.n == 1:
            return [part.detach() for part in parts]
        rows = self.rows(n)
        found = parts[0].new_zeros(len(parts), n, *parts[0].shape[1:])
        for place, part in enumerate(parts):
            found[place, rows] = part.detach()[: rows.stop - rows.start]
        self.sum(found)  # x + 0 has the bits of x
        return list(found)

    def part(self, whole: Tensor) -> Tensor:
        """This rank's rows of something about the whole batch, as `own` chose them."""
        if self.n == 1:
            return whole
        part = whole[self.rows(len(whole))]
        return part if len(part) else torch.zeros_like(whole[:1])

    def sum_gradients(self, network: Network) -> None:
        """Sums the gradients of all weights.

        What `network.learned` learns has the gradient of the whole batch on every rank already.
        """
        if self.n == 1:
            return
        for parameter in network.learned.parameters():
            if parameter.grad is not None:
                parameter.grad /= self.n
        gradients = [one.grad for one in network.parameters() if one.grad is not None]
        flat = torch.cat([one.reshape(-1) for one in gradients])  # one message, not hundreds
        self.sum(flat)
        sums = flat.split([one.numel() for one in gradients])
        for gradient, found in zip(gradients, sums, strict=True):
            gradient.copy_(found.view_as(gradient))

    def sum(self, tensor: Tensor) -> None:
        """Sums a tensor over the ranks, in place. All get the same bits."""
        with _or_lost():
            dist.all_reduce(tensor)

    def any(self, flag: bool) -> bool:
        """Whether one of the ranks says yes: all go the same way then, at the same step."""
        if self.n == 1:
            return flag
        said = torch.tensor([int(flag)])  # on the CPU: a GPU would have to be waited for
        with _or_lost():
            dist.all_reduce(said, dist.ReduceOp.MAX)
        return bool(said)

    def agree(self, state: Mapping[str, Tensor]) -> None:
        """Gives every rank the state of the main one, in place.

        All have computed the same. On a GPU the last bits may differ, and signs with them.
        """
        if self.n == 1:
            return
        for tensor in state.values():
            with _or_lost():
                dist.broadcast(tensor, 0)

    @contextmanager
    def main_first(self) -> Iterator[None]:
        """Around what the main rank has to have done before the others do it too."""
        if not self.is_main:
            self.any(False)  # waits for all
        yield
        if self.is_main:
            self.any(False)

    @contextmanager
    def step(self, n_items: int, number: int, device: torch.device) -> Iterator[None]:
        """Around this rank's way through its network: random numbers of rank and step alone.

        With those that all ranks share, all parts of a batch would be cropped and flipped alike.
        They follow from the number and the rank, so that a resumed run draws the same.

        Args:
            n_items: Of the whole batch.
            number: Unlike that of any other step.
            device: Of the network.
        """
        if self.n == 1:
            yield
            return
        rows = self.rows(n_items)
        self.n_items, self.n_counted = n_items, rows.stop - rows.start
        with torch.random.fork_rng([device] if device.type == "cuda" else []):
            torch.manual_seed(number * self.n + self.rank)
            yield


ALONE = Ranks()


@contextmanager
def _or_lost() -> Iterator[None]:
    try:
        yield
    except torch.OutOfMemoryError:
        raise
    except RuntimeError as error:
        raise PeerLost(str(error)) from error


def device_of(name: str, rank: int, n: int) -> str:
    """The device of a rank: among the GPUs that can be seen, the one with its number.

    Args:
        name: The run's `device`: auto, cuda or cpu.
        rank: This one's number.
        n: How many ranks there are.

    Raises:
        UserError: There are fewer GPUs than ranks.
    """
    there = 0 if name == "cpu" else torch.cuda.device_count()
    if not there:
        return name
    if there < n:
        raise UserError(
            f"devices is {n}, but this run sees {there} GPU{'s' if there > 1 else ''}; set devices "
            f"to {there}, or device to cpu."
        )
    torch.cuda.set_device(rank)
    return f"cuda:{rank}"


def join(rank: int, n: int, meeting: str | None) -> Ranks:
    """Joins the other ranks of this run, and waits until all have.

    Args:
        rank: This one's number, from 0.
        n: How many there are.
        meeting: A file that they find each other by. None: as torchrun's environment says.
    """
    backend = "cpu:gloo,cuda:nccl" if torch.cuda.is_available() else "gloo"
    with _or_lost():
        if meeting is None:
            dist.init_process_group(backend, timeout=PATIENCE)
        else:
            store = dist.FileStore(meeting, n)
            dist.init_process_group(backend, store=store, rank=rank, world_size=n, timeout=PATIENCE)
    return Ranks(rank, n)


def leave() -> None:
    """Takes leave of the other ranks, if there are any."""
    if dist.is_initialized():
        dist.destroy_process_group()
