"""Checks that this machine has what a run needs, before anything is written.

It checks what can be seen without torch. The run checks again when it starts, since things may be
gone by then.
"""

import difflib
import os
from collections.abc import Sequence
from pathlib import Path

from rdh import catalog, folders
from rdh.config.run_config import RunConfig
from rdh.errors import UserError
from rdh.execution.engine import kinds
from rdh.execution.engine.devices import find_devices, most_for_one_run, too_few
from rdh.files import check_regular

GPU_NODES = (
    "nvidia0",
    "nvidiactl",
    "dxg",
    "kfd",
)  # in /dev: they show a GPU even if there is no nvidia-smi to list it


def check_possible(config: RunConfig, *, is_queued: bool = True) -> None:
    """Checks the network, the weights file and the device of a config.

    Args:
        config: What the run is to do.
        is_queued: Whether the supervisor will place the run. It gives each run one GPU, so the
            device must then be cuda or cuda:0.

    Raises:
        UserError: The installed torchvision does not have the network, the weights file can't be
            read, or the GPU is not there, or fewer devices than it is to have.
    """
    name, known = config.backbone.removeprefix(catalog.TORCHVISION), catalog.torchvision_networks()
    if name != config.backbone and known and name not in known:
        near = ", ".join(difflib.get_close_matches(name, known, 3) or known)
        raise UserError(
            f"backbone {config.backbone} is not in the installed torchvision; it has {near}."
        )
    if config.weights not in ("pretrained", "none"):
        try:
            check_regular(Path(config.weights))
        except OSError as error:
            raise UserError(
                f"The weights file {config.weights} can't be read ({error.strerror}); "
                f"set weights to one that is there."
            ) from None
    if config.device.startswith("cuda"):
        _check_gpu(config.device, is_queued)
    if config.devices > 1 and not is_queued:
        raise UserError(
            f"devices must be 1 for a run in this process, got {config.devices}: each device has a "
            f"process of its own; leave out --here."
        )
    if config.devices > 1 and kinds.name_in(os.environ) == kinds.LOCAL:
        most = most_for_one_run(find_devices(os.environ))
        if config.devices > most:
            raise UserError(too_few(config.devices, most))


def check_data(
    configs: Sequence[RunConfig], data_root: Path | str | None = None, *, with_torch: bool = True
) -> None:
    """Loads the data sets of configs and draws their splits, before anything is queued.

    Args:
        configs: What is to be queued.
        data_root: The data folder; None for the usual one.
        with_torch: False leaves out data sets whose loading would import torch.

    Raises:
        UserError: One is not there, its file can't be used, or a split can't be drawn.
    """
    from rdh import datasets  # here: the supervisor does without

    root, seen = folders.data_root(data_root), set()
    for config in configs:
        key = config.dataset, repr(config.dataset_options), config.split_seed, config.queries
        name, options = config.dataset, config.dataset_options
        if key in seen:
            continue
        seen.add(key)
        if not with_torch and not datasets.loads_without_torch(name, root, **options):
            continue
        dataset = datasets.load(name, root, **options)
        split = dataset.split(config.split_seed)
        if config.queries == "validation":
            datasets.validation_split(split, dataset.labels, dataset.class_names, config.split_seed)


def _check_gpu(device: str, is_queued: bool) -> None:
    if is_queued and kinds.name_in(os.environ) != kinds.LOCAL:
        return  # the node has it, not this machine; a run without it says so
    if is_queued and int(device.partition(":")[2] or 0) > 0:
        raise UserError(
            f"device must be cuda for a run of the queue, which gives each run one GPU, "
            f"got {device}."
        )
    is_hidden = os.environ.get("CUDA_VISIBLE_DEVICES") == "" or not any(
        Path("/dev", node).exists() for node in GPU_NODES
    )
    if is_hidden and [found.uuid for found in find_devices(os.environ)] == ["cpu"]:
        raise UserError(f"device {device} is not there (no GPU can be seen); use auto or cpu.")
