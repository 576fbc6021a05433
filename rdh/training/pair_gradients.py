"""What the pairs ask of every training item: the gradient of the similarity loss, without a step.

Two kinds: each item in a random batch, as a step sees it, and with the sum over all training pairs,
as Eq. 1 and 2 are written. Both work on a copy of the method, so that nothing of a run changes.
"""

import copy

import torch
from torch import Tensor

from rdh.methods import Method

MOST_PAIRS = 36_000_000  # compared at a time: 144 MB for each matrix of them


def batch_gradients(
    method: Method,
    codes: Tensor,
    labels: Tensor,
    batch_size: int,
    generator: torch.Generator,
    items: Tensor | None = None,
) -> Tensor:
    """The gradient that each item gets in a random batch.

    Args:
        method: Stays as it is. A method with stored codes is asked with the present ones.
        codes: h of all N training items, (N, width); 0 for an item that was not looked at.
        labels: Of all of them, (N, n_classes).
        batch_size: Items of a batch; the last one may be smaller.
        generator: Of the batches, on the CPU.
        items: Positions of the items that are asked for, (n,); None means all.

    Returns:
        dL_sim/dh, (n, width) on the device of the codes.
    """
    items = _all(codes) if items is None else items
    order = torch.randperm(len(items), generator=generator).to(items.device)
    return _gradients(method, codes, labels, items, order.split(batch_size))


def all_pairs_gradient(
    method: Method,
    codes: Tensor,
    labels: Tensor,
    generator: torch.Generator,
    items: Tensor | None = None,
) -> Tensor:
    """The gradient that each item gets from all pairs with the training items.

    A method that compares a batch with stored codes does so in blocks of rows. One that compares
    within a batch gets all items as one batch; beyond what the method takes at once, random groups.

    Args and returns: as of `batch_gradients`. The scale may differ between blocks.
    """
    items = _all(codes) if items is None else items
    most = method.most_at_once
    if method.stored_codes is not None:
        most = min(most, max(1, MOST_PAIRS // len(codes)))
    order = torch.arange(len(items))
    if len(items) > most:
        order = torch.randperm(len(items), generator=generator)
    return _gradients(method, codes, labels, items, order.to(items.device).split(most))


def sees_single_items(method: Method, codes: Tensor, labels: Tensor, items: Tensor) -> bool:
    """Whether an item's gradient does not depend on the other items of its batch.

    So it is if the method compares with stored codes, learned codes or centres: then a random batch
    and all pairs ask the same. Tried out on up to 64 of the items, whole and in two halves. These
    lie apart: the first ones may all be of one class, of which a triplet loss asks nothing.
    """
    items = items[:: max(1, len(items) // 64)][:64]
    if len(items) < 2:
        return True
    parts = [torch.arange(len(items), device=items.device)]
    whole = _gradients(method, codes, labels, items, tuple(parts)) * len(items)
    halves = parts[0].tensor_split(2)
    apart = _gradients(method, codes, labels, items, halves)
    for half in halves:
        apart[half] *= len(half)
    return bool((whole - apart).abs().max() <= 1e-3 * whole.abs().max())


def _gradients(
    method: Method,
    codes: Tensor,
    labels: Tensor,
    items: Tensor,
    batches: tuple[Tensor, ...],
) -> Tensor:
    """Gradients of the items, batch by batch. Batches hold positions among the items."""
    gradients = codes.new_empty(len(items), codes.shape[1])
    devices = [codes.device] if codes.is_cuda else []
    with torch.random.fork_rng(devices), torch.enable_grad():
        asked = copied(method)
        asked.remember(codes, _all(codes))
        for batch in batches if len(items) else ():
            indices = items[batch]
            leaf = codes[indices].requires_grad_()
            loss = asked.similarity_loss(leaf, labels[indices], indices)
            (gradients[batch],) = torch.autograd.grad(loss, leaf)
    return gradients


def copied(method: Method) -> Method:
    """The method with a state of its own; the labels, which never change, are shared."""
    return copy.deepcopy(method, {id(method.labels): method.labels})


def _all(codes: Tensor) -> Tensor:
    return torch.arange(len(codes), device=codes.device)
