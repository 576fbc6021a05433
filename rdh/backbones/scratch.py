"""Backbones without ImageNet weights: a small network for small images, and none at all."""

from torch import nn

from rdh.backbones._tools.base import Backbone, backbone
from rdh.backbones._tools.weights import fill
from rdh.errors import UserError


@backbone(title="Small MLP (from scratch)", pretrained=False)
def mlp(image_size: int, weights: str) -> Backbone:
    """One hidden layer of 128 ReLU units on grey pixels, trained from scratch.

    It is for small images such as digits.
    """
    module = nn.Sequential(nn.Flatten(), nn.Linear(image_size * image_size, 128), nn.ReLU())
    return Backbone(module, 128, 1, (0.0,), (1.0,), fill(module, weights))


@backbone(title="None (the data set's own features)", pretrained=True, trainable=False)
def none(image_size: int, weights: str) -> Backbone:
    """No network, for data that are features already (the data set arrays).

    Only the hash layer is trained. Needs finetune off.
    """
    raise UserError(
        "The backbone none has no network to build; it goes with data that are features already."
    )
