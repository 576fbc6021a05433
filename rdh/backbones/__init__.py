"""Networks below the hash layer: images in, features out.

To add one, mark a function with `@backbone(...)` in a file of this folder. `build` finds it by its
name.
Preprocessing belongs to the backbone: pixels are scaled to 0..1, resized to the run's image_size,
then (x - mean) / std.
"""

from rdh import catalog
from rdh.backbones._tools.base import Backbone, resized, stacked
from rdh.backbones._tools.frozen import Centred, check_compiler
from rdh.errors import UserError

__all__ = ["Backbone", "Centred", "build", "check_compiler", "resized", "stacked"]


def build(name: str, image_size: int, weights: str = "pretrained") -> Backbone:
    """The backbone of this name.

    Args:
        name: of a card, or torchvision:NAME.
        image_size: pixels a side, as RunConfig has checked it.
        weights: "pretrained", "none" or the path of a file.

    Raises:
        UserError: the weights are missing, damaged or of another network, torchvision has no such
            network, or the backbone's file can't be used.
    """
    if name.startswith(catalog.TORCHVISION):
        from rdh.backbones import torchvision_nets

        return torchvision_nets.by_name(name.removeprefix(catalog.TORCHVISION), image_size, weights)
    file = catalog.backbone(name).file
    make = getattr(catalog.import_plug_in(file), name)
    try:
        return make(image_size, weights)
    except (UserError, MemoryError):
        raise
    except Exception as error:
        raise catalog.unusable(file, error) from error
