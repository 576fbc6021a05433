"""What a run needs of this machine, as far as it shows without torch: looked at before anything is
written.

The run looks again when it starts: what is there now may be gone by then.
"""

import difflib
import os
from pathlib import Path

from rdh import catalog
from rdh.config.run_config import RunConfig
from rdh.errors import UserError
from rdh.execution.engine.devices import find_devices
from rdh.files import check_regular

GPU_NODES = (
    "nvidia0",
    "nvidiactl",
    "dxg",
    "kfd",
)  # in /dev: a GPU that nvidia-smi is not there to list


def check_possible(config: RunConfig, *, is_queued: bool = True) -> None:
    """UserError for a network that the installed torchvision does not have, a weights file that
    can't be read, a GPU that is not there.

    is_queued: the supervisor will place the run; it gives a run one GPU, which is cuda or cuda:0 to
    it.
    """
    name, known = config.backbone.removeprefix(catalog.TORCHVISION), catalog.torchvision_networks()
    if name != config.backbone and known and name not in known:
        near = ", ".join(difflib.get_close_matches(name, known, 3) or known)
        raise UserError(
            f"backbone {config.backbone} is no network of this torchvision; it has {near}."
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


def _check_gpu(device: str, is_queued: bool) -> None:
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
