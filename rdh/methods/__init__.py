"""Hashing methods, one file each. This folder is the registry.

To add a method, write one file in this folder. No other file changes. `rdh.catalog` reads its card
from the source text, without an import, so that everything named here must be written as a literal.

The module docstring is the card that people read. A test looks for these parts:

    NAME: full title (authors; venue year).

    Objective: the loss in symbols, with the weights of its terms.
    Decisions of ours: where this differs from the paper or from the authors' code, and why.
    With RDH: which term error-aware quantization replaces or joins, and what the amplifier does.

The last class of the file is the method. It derives from `Method`, or from `Shallow` if nothing is
trained by steps. Its constructor takes n_bits, labels and seed, then each switch by name as
`Annotated[float, Field(ge=0, description="what it does")] = 0.1`; types are int, float, bool, str
and Literal. Attributes of the class, all but title and color optional:

    title: short name for tables, unlike any other.
    color: "#RRGGBB" of its curves, unlike any other.
    kind: "deep" (steps of `rdh.training`, the default) or "shallow" (`fit` and `encode`).
    activation: "tanh" (the default), or None if nothing saturates. Then the amplifier is refused,
        and dead-bit counts mean nothing.
    trains_on: "train" (the default), or "gallery": it gets the labels of the whole gallery.
    stores_all_codes: True if EAQL can compare a batch with `stored_codes` (N, width), which are 0
        before an item's first visit (eaq_pairs = stored).
    n_streams: 2 if queries and the gallery are encoded by different columns of the hash layer.
        Probes, dead bits and pages then show the gallery's.
    plain_weight: the name of the switch that weighs its plain quantization term. A run's eta sets
        this switch. Left out if there is no such term.
    one_device: why a run can't be shared among several devices, as "it ..."; left out if it can. It
        can if the losses and `on_epoch_start` depend only on their arguments and on `state_dict`.
        The network alone runs in parts: the losses get the whole batch on every device.
    landscape: its objective for one pair, see `rdh.landscape.PairForm`.
    most_at_once: items that one call of `similarity_loss` can take when all training items are
        asked for their gradients; a loss over triplets takes few.

What the loss learns besides the network, such as a classifier of codes, is what `learned` returns.
"""

from rdh import catalog
from rdh.errors import UserError
from rdh.methods._tools.base import LOSSES, Method

__all__ = ["LOSSES", "Method", "method_class"]


def method_class(name: str) -> type[Method]:
    """The class of a method: the last one of its file.

    Raises:
        UserError: there is no such method, or its file can't be used.
    """
    file = catalog.method(name).file
    module = catalog.import_plug_in(file)
    found = [
        value
        for value in vars(module).values()
        if isinstance(value, type)
        and issubclass(value, Method)
        and value.__module__ == module.__name__
    ]
    if not found:
        raise UserError(
            f"{file} defines no class derived from Method: write one, or remove the file."
        )
    return found[-1]
