"""Random samples of items and sums over similar items, for the asymmetric methods.

Everything is computed in blocks of rows, so that memory grows with the number of items, not with
its square.
"""

import torch
from torch import Tensor

from rdh.rescue import share_a_label

BLOCK_ENTRIES = 4_000_000  # of the similarity matrix that exist at a time: 16 MB


def random_sample(n_items: int, n_samples: int, seed: int, round_number: int) -> Tensor:
    """Positions (min(n_samples, n_items),) without replacement.

    They depend on seed and round alone, so that a resumed run draws them again.
    """
    apart = 500_000  # from the seeds that order an epoch's items
    generator = torch.Generator().manual_seed(seed * 1_000_003 + apart + round_number)
    return torch.randperm(n_items, generator=generator)[:n_samples]


def similar_sums(labels: Tensor, others: Tensor, values: Tensor) -> Tensor:
    """S @ values: for each item, the sum of values over the others that share a label with it.

    Args:
        labels: of the items, (n, n_classes).
        others: labels of the others, (m, n_classes).
        values: of the others, (m, d).

    Returns:
        (n, d).
    """
    n_rows = max(1, BLOCK_ENTRIES // len(others))
    return torch.cat(
        [share_a_label(block, others).to(values.dtype) @ values for block in labels.split(n_rows)]
    )
