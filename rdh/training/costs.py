"""What dead entries cost: MAP with them on their right side, minus MAP.

Labels choose what is freed: a counterfactual and an upper bound, never the result of a method. MAP
is the expectation over ties, with the cut-off of the run's own MAP.
"""

import numpy as np

from rdh.retrieval.freed import FreedMap
from rdh.retrieval.kernel import Codes, Kernel
from rdh.training.judge import Judgement, is_saturated, is_wrong

MOST_QUERIES = 1000  # inside the training set, and a fifth of it at most


def training_costs(
    found: Judgement,
    sides: tuple[np.ndarray, np.ndarray],
    labels: np.ndarray,
    top_k: int | None,
    seed: int,
    kernel: Kernel | None = None,
) -> tuple[dict[str, float], dict[str, np.ndarray]]:
    """Costs inside the training set: 1000 random items, or a fifth, are queries against the others.

    Entries are flipped in the gallery, never in a query. Nothing for fewer than five items. Of a
    method that learns its gallery's codes, the network's codes stand on both sides.

    Args:
        found: Of all training items.
        sides: Their packed codes as queries and as gallery items, which differ if the method has
            two streams.
        labels: Multi-hot (N, n_classes).
        top_k: The run's cut-off.
        seed: Of the queries, and of the random saturated entries.
        kernel: None means the fastest one that runs here.

    Returns:
        (scalars, arrays): map_train; cost_train, cost_flagged, cost_random: of the dead, the
        flagged, and as many random saturated entries; cost_by_bit_train.
    """
    n_items, n_bits = found.codes.shape
    n_queries = min(MOST_QUERIES, n_items // 5)
    if not n_queries:
        return {}, {}
    rng = np.random.default_rng(seed)
    order = rng.permutation(n_items)
    query, gallery = np.sort(order[:n_queries]), np.sort(order[n_queries:])
    asking, asked = sides[0][query], sides[1][gallery]
    codes = Codes(asking, asked, n_bits, labels[query], labels[gallery])
    score = FreedMap(codes, top_k, kernel)
    flipped = {"cost_train": found.dead, "cost_flagged": found.flagged}
    flipped["cost_random"] = _random_saturated(found, rng)
    scalars = {
        name: score.of_gallery(mask[gallery]) - score.map_tie for name, mask in flipped.items()
    }
    by_bit = score.by_bit(found.dead[gallery]) - score.map_tie
    return {"map_train": score.map_tie, **scalars}, {"cost_by_bit_train": by_bit}


def _random_saturated(found: Judgement, rng: np.random.Generator) -> np.ndarray:
    """As many saturated entries as are flagged, of the items that were asked for flags."""
    rows, bits = np.nonzero(found.saturated[found.asked])
    chosen = rng.permutation(len(rows))[: int(found.flagged.sum())]
    mask = np.zeros_like(found.saturated)
    mask[found.asked[rows[chosen]], bits[chosen]] = True
    return mask


def retrieval_costs(
    codes: Codes,
    query: tuple[np.ndarray, np.ndarray],
    gallery: tuple[np.ndarray, np.ndarray] | None,
    tau: float,
    top_k: int | None,
    kernel: Kernel | None = None,
) -> tuple[dict[str, float], dict[str, np.ndarray]]:
    """Dead entries of queries and gallery, and what those of each side cost.

    Args:
        codes: Both sides, packed.
        query: h (n_query, n_bits), and the sides that the training items call for, int8.
        gallery: The same; None if the method learns the codes of the gallery.
        tau: The run's threshold of saturation.
        top_k: The run's cut-off.
        kernel: None means the fastest one that runs here.

    Returns:
        (scalars, arrays): query_entries, query_saturated, query_dead, cost_query; the same of the
        gallery, with gallery_dead_by_bit and cost_by_bit_gallery.
    """
    score = FreedMap(codes, top_k, kernel)
    scalars: dict[str, float] = {}
    arrays: dict[str, np.ndarray] = {}
    for name, side in (("query", query), ("gallery", gallery)):
        if side is None:
            continue
        saturated = is_saturated(side[0], tau)
        dead = saturated & is_wrong(*side)
        scalars |= {
            f"{name}_entries": float(dead.size),
            f"{name}_saturated": float(saturated.sum()),
            f"{name}_dead": float(dead.sum()),
        }
        freed = score.of_queries(dead) if name == "query" else score.of_gallery(dead)
        scalars[f"cost_{name}"] = freed - score.map_tie
        if name == "gallery":
            arrays["gallery_dead_by_bit"] = dead.sum(0, dtype=np.int32)
            arrays["cost_by_bit_gallery"] = score.by_bit(dead) - score.map_tie
    return scalars, arrays
