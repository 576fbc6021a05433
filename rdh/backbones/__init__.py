"""Networks below the hash layer: images in, features out. One marked function each, `build` makes
one by name.

Preprocessing belongs to the backbone: pixels are scaled to 0..1, resized to the run's image_size,
then (x - mean) / std.
"""

from importlib import import_module

from rdh import catalog
from rdh.backbones._tools.base import Backbone, resized, stacked
from rdh.backbones._tools.frozen import Centred, check_compiler
from rdh.errors import UserError

__all__ = ["Backbone", "Centred", "build", "check_compiler", "resized", "stacked"]


def build(name: str, image_size: int, weights: str = "pretrained") -> Backbone:
    """The backbone of this name. Names and sizes come checked by RunConfig; weights: "pretrained",
    "none" or a path.

    UserError for weights that are missing, damaged or another network's, and for a torchvision:NAME
    that there is not.
    """
    if name.startswith(catalog.TORCHVISION):
        nets = import_module("rdh.backbones.torchvision_nets")
        return nets.by_name(name.removeprefix(catalog.TORCHVISION), image_size, weights)
    card = catalog.backbones().get(name)
    if card is None:
        raise UserError(f"backbone must be one of {', '.join(catalog.backbones())}, got {name!r}.")
    return getattr(import_module(f"rdh.backbones.{card.facts['file']}"), name)(image_size, weights)
