"""torchvision's classification networks up to their last layer.

Some have a card, all others are torchvision:NAME. The features are the input of the last layer.
Pretrained weights are the first that torchvision published for ImageNet (IMAGENET1K_V1), those of
the hashing papers. Mean and std are the ones that they were trained with.
"""

import difflib
from typing import Any

import torch
from torch import nn

from rdh.backbones._tools.base import Backbone, backbone
from rdh.backbones._tools.weights import fill
from rdh.errors import UserError

N_CLASSES = 1000  # of ImageNet: what the last layer gives
AUXILIARY = (
    "AuxLogits",
    "aux1",
    "aux2",
)  # more classifiers, for training on ImageNet, of the Inception networks


@backbone(title="AlexNet (the paper's, ImageNet)", pretrained=True, min_image_size=63)
def alexnet(image_size: int, weights: str) -> Backbone:
    """AlexNet up to the ReLU of its second fully connected layer; torchvision's ImageNet weights.

    Its two dropouts are kept.
    """
    return network("alexnet", weights)


@backbone(title="ResNet-18 (ImageNet)", pretrained=True, min_image_size=32)
def resnet18(image_size: int, weights: str) -> Backbone:
    """ResNet-18: the 512 averages of its last block; torchvision's ImageNet weights."""
    return network("resnet18", weights)


@backbone(title="ResNet-50 (ImageNet)", pretrained=True, min_image_size=32)
def resnet50(image_size: int, weights: str) -> Backbone:
    """ResNet-50: the 2048 averages of its last block; torchvision's ImageNet weights."""
    return network("resnet50", weights)


@backbone(title="ConvNeXt-T (ImageNet)", pretrained=True, min_image_size=32)
def convnext_tiny(image_size: int, weights: str) -> Backbone:
    """ConvNeXt-T: 768 averages after its last norm; torchvision's ImageNet weights."""
    return network("convnext_tiny", weights)


@backbone(title="ViT-B/16 (ImageNet)", pretrained=True, only_image_size=224)
def vit_b_16(image_size: int, weights: str) -> Backbone:
    """ViT-B/16: the 768 numbers of its class token; torchvision's ImageNet weights.

    Its positions are those of 224 pixels a side.
    """
    return network("vit_b_16", weights)


def by_name(name: str, image_size: int, weights: str) -> Backbone:
    """Any classification network of torchvision.

    Raises:
        UserError: the name is unknown, or the network does not take this image size.
    """
    import torchvision

    names = torchvision.models.list_models(module=torchvision.models)
    if name not in names:
        near = difflib.get_close_matches(name, names, 3) or names
        raise UserError(
            f"backbone torchvision:{name} is not in the installed torchvision; it has "
            f"{', '.join(near)}."
        )
    made = network(name, weights)
    try:
        with torch.inference_mode():
            made.module.eval()(torch.zeros(1, 3, image_size, image_size))
    except (AssertionError, RuntimeError, ValueError) as error:
        best = weights_of(name).transforms().crop_size[0]
        reason = (str(error) or type(error).__name__).splitlines()[0]
        raise UserError(
            f"The backbone torchvision:{name} does not take images of image_size "
            f"{image_size} ({reason}); set image_size={best}."
        ) from None
    return made


def network(name: str, weights: str) -> Backbone:
    """The network of this name without its last layer, filled with the weights."""
    from torchvision.models import get_model

    trained = weights_of(name)
    options = {"image_size": trained.meta["min_size"][0]} if name.startswith("vit_") else {}
    module = get_model(name, weights=None, **options)
    last, n_features = last_layer(module)
    module.set_submodule(last, nn.Identity())
    auxiliary = [part for part in AUXILIARY if hasattr(module, part)]
    for part in auxiliary:
        setattr(module, part, None)
    if auxiliary:
        module.aux_logits, module.transform_input = (
            False,
            True,
        )  # its weights know another mean and std: the module converts
    label = fill(module, weights, trained.url, (last, *auxiliary))
    transforms = trained.transforms()
    return Backbone(module, n_features, 3, tuple(transforms.mean), tuple(transforms.std), label)


def weights_of(name: str) -> Any:
    """torchvision's entry of the ImageNet weights: url, meta, transforms."""
    from torchvision.models import get_model_weights

    entries = get_model_weights(name)
    return getattr(entries, "IMAGENET1K_V1", None) or entries.DEFAULT


def last_layer(module: nn.Module) -> tuple[str, int]:
    """(dotted name, number of inputs) of the layer that gives the class scores.

    It is linear; in SqueezeNet it is a convolution.
    """
    found = [
        (name, layer.in_features if isinstance(layer, nn.Linear) else layer.in_channels)
        for name, layer in module.named_modules()
        if N_CLASSES in (getattr(layer, "out_features", None), getattr(layer, "out_channels", None))
    ]
    return found[-1]
