"""Small training loops of nobody's, to be watched, and what they would record by slow counting."""

import os
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from rdh.recorder import Recorder

N, BITS, BATCH, TAU = 24, 6, 8, 0.9
LABELS = torch.arange(N) % 3


class Loop:
    """Pairs of 24 items on a linear layer, with large steps, so that bits saturate."""

    def __init__(self, seed: int = 0, dtype: torch.dtype = torch.float32) -> None:
        torch.manual_seed(seed)
        self.images = torch.randn(N, 5)
        self.network: Any = nn.Linear(5, BITS)
        self.optimizer = torch.optim.SGD(self.network.parameters(), lr=2.0)
        self.dtype = dtype
        self.seen: list[tuple[Tensor, ...]] = []  # as NaiveProbes wants a step

    def loss(self, codes: Tensor, indices: Tensor) -> Tensor:
        theta = codes @ codes.T / 2
        similar = (LABELS[indices][:, None] == LABELS[indices]).to(codes.dtype)
        return (nn.functional.softplus(theta) - similar * theta).mean()

    def codes(self, indices: Tensor) -> Tensor:
        return torch.tanh(self.network(self.images[indices]).to(self.dtype))

    def step(self, recorder: Recorder | None, indices: Tensor, told: Any = "indices") -> None:
        codes = self.codes(indices)
        if recorder:
            codes = recorder.watch(codes, indices if told == "indices" else told)
        codes.retain_grad()
        loss = self.loss(codes, indices)
        self.optimizer.zero_grad()
        loss.backward()
        h, gradient = codes.detach().float(), codes.grad.float()
        self.seen.append((torch.atanh(h), h, gradient, gradient, indices))
        self.optimizer.step()
        if recorder:
            recorder.step(loss, self.optimizer.param_groups[0]["lr"])

    def epoch(self, recorder: Recorder | None, told: Any = "indices") -> None:
        for indices in torch.randperm(N).split(BATCH):
            self.step(recorder, indices, told)


def hot() -> Tensor:
    return nn.functional.one_hot(LABELS, 3)


def recorder_in(runs: Any, **changes: Any) -> Recorder:
    fields: dict[str, Any] = {"labels": LABELS, "tau": TAU, "probe_every": 3, "runs": runs}
    return Recorder("toy loop", n_items=N, n_bits=BITS, **fields | changes)


def train_in_ranks(runs: str, run_id: str) -> None:
    """Two processes of gloo, each with a half of the items; the second is forked from this one.

    Each leaves its weights in a file of the runs folder, `run_id`.0 and `run_id`.1.
    """
    rank = 0 if os.fork() else 1
    torch.distributed.init_process_group(
        "gloo", init_method=f"file://{runs}/group", rank=rank, world_size=2
    )
    loop = Loop()
    loop.network = nn.parallel.DistributedDataParallel(loop.network)
    recorder = recorder_in(runs, run_id=run_id)
    half = torch.arange(rank, N, 2)
    for _ in range(3):
        for indices in half[torch.randperm(len(half))].split(BATCH // 2):
            loop.step(recorder, indices)
    recorder.close()
    weights = loop.network.state_dict().values()
    said = [one.flatten().tolist() for one in weights]
    Path(runs, f"{run_id}.{rank}").write_text(repr(said), encoding="utf-8")
    torch.distributed.destroy_process_group()
    if rank:
        os._exit(0)
    os.wait()
