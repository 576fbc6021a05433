"""A trained run as a function from images to packed codes.

It uses the run's network at the newest checkpoint, with the preprocessing of its training.
"""

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor, nn

from rdh.backbones import Backbone, Centred, build, stacked
from rdh.errors import UserError
from rdh.files import read_arrays
from rdh.inputs.augmentation import stored_side
from rdh.inputs.image_cache import common_shape, fitted
from rdh.inputs.load import choose_device
from rdh.retrieval import pack_codes
from rdh.store.run_store import RunStore
from rdh.training import checkpoints
from rdh.training.evaluate import network_digest
from rdh.training.network import make_network


def _mean_of(body: nn.Module) -> Tensor:
    """The mean features of a `Centred`, or of what the checkpoint made of it."""
    mean = body.mean
    assert isinstance(mean, Tensor)
    return mean


class Encoder:
    """Encodes images or features with the network of a run.

    Args:
        store: Where the run is.
        run_id: A run with a checkpoint.
        device: auto, cpu, cuda or cuda:N.
        side: "query" or "gallery", whose codes are made. Most methods have one code for both.

    Attributes:
        side: The columns of a batch's logits (n, width) that are the codes, (n, n_bits).
        maker: run_id, config and a digest of the network, for `CodeFile`.

    Raises:
        UserError: For a run without a usable checkpoint, or a device that is not there.
    """

    def __init__(
        self, store: RunStore, run_id: str, device: str = "auto", side: str = "gallery"
    ) -> None:
        self.config, run_dir = store.config(run_id), store.run_dir(run_id)
        if self.config.is_watched:
            raise UserError(
                f"The run {run_id} was watched: its own loop has its network, so nothing can be "
                f"encoded with it here; choose a run that was launched here."
            )
        self.device = choose_device(device)
        state = checkpoints.load(run_dir)
        if state is None or "network" not in state:
            raise UserError(
                f"The run {run_id} has no checkpoint to encode with: wait for it, or resume it."
            )
        split = read_arrays(run_dir / "split.npz", needs=("labels",))
        self._image_shape = tuple(split["image_shape"].tolist()) if "image_shape" in split else ()
        self.backbone, body = self._make_body(state["network"])
        # all labels that a method looks at outside training: how many classes there are
        labels = torch.from_numpy(split["labels"][:2].astype(np.float32)).to(self.device)
        n_features = self.backbone.n_features if self.backbone else len(_mean_of(body))
        method, network = make_network(self.config, labels, lambda: (body, n_features))
        try:
            network.load_state_dict(state["network"])
            if self.config.method_card.is_shallow:
                method.load_state_dict(state["method"])
        except (KeyError, RuntimeError, TypeError) as error:
            raise UserError(
                f"The checkpoint of the run {run_id} does not fit its config "
                f"({str(error).splitlines()[0]}); launch it again."
            ) from None
        self.network = network.eval()
        self.side = method.query_side if side == "query" else method.gallery_side
        self.maker = {
            "run_id": run_id,
            "config": self.config.model_dump(),
            "network": network_digest(network, method),
        }

    def _make_body(self, network: dict[str, Tensor]) -> tuple[Backbone | None, nn.Module]:
        """The backbone (None for features) and what stands for it in the network."""
        config = self.config
        backbone = None
        if config.backbone != "none":
            # a finetuned one's weights are all in the checkpoint
            backbone = build(
                config.backbone, config.image_size, "none" if config.finetune else config.weights
            )
            backbone.module.to(self.device).eval()
        if config.finetune and backbone:
            return backbone, backbone.module
        return backbone, Centred(torch.zeros_like(network["backbone.mean"]))

    @property
    def is_frozen(self) -> bool:
        """Whether a backbone with fixed weights stands before the network."""
        return self.backbone is not None and not self.config.finetune

    def example(self) -> Tensor:
        """Two items as a batch: uint8 images (2, channels, height, width), or float32 features."""
        if self.backbone is None:
            return torch.zeros(2, len(_mean_of(self.network.backbone)), device=self.device)
        side, own = self.config.image_size, self._image_shape or None
        square = (side, side, 3)
        shape = (own or square) if self.is_frozen else common_shape(own, stored_side(self.config))
        return torch.zeros(2, shape[2], *shape[:2], dtype=torch.uint8, device=self.device)

    def encode(self, images: Sequence[np.ndarray]) -> np.ndarray:
        """Packed codes of a few hundred images.

        Args:
            images: uint8 (height, width, 1 or 3), of any sizes.

        Returns:
            uint8 (n, ceil(n_bits / 8)).

        Raises:
            UserError: If the run was trained on features.
        """
        if self.backbone is None:
            raise UserError(
                "The run was trained on features, not on images: encode the rows of an "
                "array with `encode_features`."
            )
        with torch.inference_mode():
            inputs = torch.cat([self._prepared(image) for image in images])
            if not self.config.finetune:
                inputs = self.backbone.module(inputs).half()  # as the feature cache keeps them
        return self.encode_features(inputs)

    def encode_features(self, features: np.ndarray | Tensor) -> np.ndarray:
        """Packed codes, uint8 (n, ceil(n_bits / 8)), of what the network takes.

        Args:
            features: (n, n_features), of a frozen backbone or the data set's own.
        """
        with torch.inference_mode():
            inputs = torch.as_tensor(features, device=self.device).float()
            return pack_codes(self.side(self.network(inputs)).cpu().numpy())

    def _prepared(self, image: np.ndarray) -> Tensor:
        """The image as the network takes it, (1, channels, image_size, image_size)."""
        assert self.backbone is not None
        config, is_own = self.config, image.shape == self._image_shape
        if config.finetune:
            shape = common_shape(image.shape if is_own else None, stored_side(config))
            pixels = torch.from_numpy(fitted([image], shape)).permute(0, 3, 1, 2)
        else:
            pixels = stacked(image[None] if is_own else [image], config.image_size)
        return self.backbone.prepare(pixels.to(self.device), config.image_size)
