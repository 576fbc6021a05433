"""What the ranks of `test_ranks` do, and what one process does for comparison.

As a program, `one_rank.py FILE KEPT`, it is the second of two ranks, which meet by a file. It keeps
some of what it finds in another one.
"""

import sys
from datetime import timedelta
from functools import cache
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from rdh import catalog
from rdh.config.run_config import RunConfig, make_config
from rdh.errors import Stopped
from rdh.inputs.load import Inputs, load_inputs
from rdh.store.metrics_writer import Record
from rdh.training import loop, ranks
from rdh.training.evaluate import encode
from rdh.training.ranks import ALONE, Ranks
from rdh.training.record import record
from rdh.training.shared_norm import share_norms
from rdh.training.state import TrainingState, snapshot

METHODS = [name for name, card in catalog.methods().items() if not card.is_shallow]
BATCHES = (21, 20, 1)  # of a step: one that can't be halved, and one item for two ranks
PROBED = "hashnet"
SECONDS = 300  # a rank that fails must not let the other one wait for days

Found = dict[str, Any]


def settings(method: str = PROBED, **fields: Any) -> RunConfig:
    card = catalog.method(method)
    rdh: dict[str, Any] = {"amplifier": card.saturates, "tau": 0.05 if card.saturates else 0.99}
    rdh["quantization"] = "error_aware"
    probes = 3 if method == PROBED else 0
    usual = {"n_bits": 12, "lr": 0.05, "probe_every": probes, "device": "cpu", "batch_size": 21}
    return make_config(method=method, **(usual | rdh | fields))


def inputs_of(config: RunConfig) -> Inputs:
    return _inputs(config.method_card.trains_on, config.augment)


@cache
def _inputs(trains_on: str, augment: bool) -> Inputs:
    method = next(name for name in METHODS if catalog.method(name).trains_on == trains_on)
    config = settings(method, augment=augment)
    return load_inputs(config, data_root=Path("nowhere"), log=lambda text: None)


def few_steps(config: RunConfig, ours: Ranks) -> Found:
    """The gradients of the first step, and what the run is after the steps of BATCHES."""
    run = loop.start(config, inputs_of(config), ours)
    run.method.on_epoch_start(0)
    ours.agree(run.method.state_dict())
    generator = torch.Generator().manual_seed(0)
    order = run.method.epoch_indices(0, generator)
    gradients: list[Tensor] = []
    real_step = run.optimizer.step

    def step() -> None:
        gradients.append(flat([one.grad for one in run.network.parameters()]))
        real_step()

    run.optimizer.step = step
    run.network.train()
    for indices in order[: sum(BATCHES)].split(BATCHES):
        loop.train_step(run, indices)
        run.step, run.pending = run.step + 1, run.pending + 1
        if run.pending == len(run.losses):
            break
    told = record(run)
    del told.scalars["steps_per_second"]
    return {
        "gradient": gradients[0],
        "weights": flat(list(run.network.state_dict().values())),
        "memory": flat([one.float() for one in run.method.state_dict().values()]),
        "loss": told.scalars["loss"],
        "record": told,
        "logits": encode(run, run.inputs.split.query[:7]),
    }


def gradient_of_rows(rows: slice) -> Tensor:
    """The gradient of a part of the first batch by itself."""
    config = settings()
    run = loop.start(config, inputs_of(config), ALONE)
    order = run.method.epoch_indices(0, torch.Generator().manual_seed(0))
    gradients: list[Tensor] = []
    run.optimizer.step = lambda: gradients.append(
        flat([one.grad for one in run.network.parameters()])
    )
    loop.train_step(run, order[: BATCHES[0]][rows])
    return gradients[0]


def flat(tensors: list[Tensor]) -> Tensor:
    return torch.cat([torch.zeros(0), *(one.detach().double().reshape(-1) for one in tensors)])


def norm_step(ours: Ranks) -> Found:
    """Batch norm of images: what comes out, the gradients, and the running averages."""
    torch.manual_seed(3)
    norm = nn.Sequential(nn.BatchNorm2d(3, momentum=0.3))
    images, pull = torch.randn(2, 5, 3, 4, 4) * 2 + 1
    module = share_norms(norm, ours) if ours.n > 1 else norm
    own = ours.part(images).clone().requires_grad_()
    with ours.step(5, 0, images.device):
        out = module(own)
    out.backward(ours.part(pull))
    sums = flat([one.grad for one in module.parameters()]).float()
    if ours.n > 1:
        ours.sum(sums)
    (outputs, gradient) = ours.whole(5, out, own.grad)
    averages = flat(list(module.state_dict().values()))
    return {"out": outputs, "gradient": gradient, "weights": sums, "averages": averages}


def trained(ours: Ranks, stops_at: int | None, checkpoint: dict[str, Any] | None = None) -> Found:
    """A whole run with random images, or its part up to a stop that only the last rank asks for."""
    config = settings(
        "dpsh", epochs=2, augment=True, batch_size=400, probe_every=2, hash_lr_scale=2.0
    )
    run = loop.start(config, inputs_of(config), ours)
    kept: list[dict[str, Any]] = []
    records: list[Record] = []

    def should_stop() -> bool:
        return run.step == stops_at and ours.rank == ours.n - 1

    def keep(state: dict[str, Any]) -> None:
        kept.append(copied(state))

    is_stopped = False
    try:
        loop.fit(
            run,
            log=records.append,
            save_checkpoint=keep,
            save_codes=lambda name, arrays: None,
            should_stop=should_stop,
            checkpoint=checkpoint,
        )
    except Stopped:
        is_stopped = True
    return {"stopped": is_stopped, "step": run.step, "state": kept[-1], "all": whole_state(run)}


def whole_state(run: TrainingState) -> Tensor:
    state = snapshot(run)
    optimizer = [one for row in state["optimizer"]["state"].values() for one in row.values()]
    parts = [*state["network"].values(), *optimizer, *state["method"].values()]
    return flat([*parts, state["probes"]["entries"], state["rng"]])


def copied(state: Any) -> Any:
    """A checkpoint as it would come from the disk."""
    if isinstance(state, Tensor):
        return state.clone()
    if isinstance(state, dict):
        return {key: copied(value) for key, value in state.items()}
    return [copied(value) for value in state] if isinstance(state, list) else state


def walk(ours: Ranks) -> Found:
    """Everything in turn: both ranks must do the same in the same order."""
    torch.set_num_threads(1)
    found: Found = {name: few_steps(settings(name), ours) for name in METHODS}
    found["norm"] = norm_step(ours)
    if ours.n > 1:
        found["undisturbed"] = trained(ours, None)
        found["stopped"] = trained(ours, 2)
        found["resumed"] = trained(ours, None, found["stopped"]["state"])
        found["disagreed"] = ours.any(ours.rank == 1), ours.any(False)
    return found


def join(rank: int, meeting: str) -> Ranks:
    ranks.PATIENCE = timedelta(seconds=SECONDS)
    return ranks.join(rank, 2, meeting)


if __name__ == "__main__":
    try:
        found = walk(join(1, sys.argv[1]))
        kept = {"weights": found[PROBED]["weights"], "resumed": found["resumed"]["all"]}
        torch.save(kept, sys.argv[2])
    finally:
        ranks.leave()
