"""Every entry of the training items, judged with the network as it is, in eval mode.

An entry is one (training item, bit).

* *Saturated*: |h| >= tau.
* *Flagged*: saturated, and the similarity gradient asks it to leave: in a random batch, or with the
  sum over all pairs (`pair_gradients`).
* *Wrong*: on the other side than its labels call for; *undecided* where they call for none (`Sides`
  of the signs of this very pass).
* *Dead*: saturated and wrong.

Of a method with two streams, the gallery's codes are judged.
"""

from dataclasses import dataclass

import numpy as np
import torch

from rdh.methods import Method
from rdh.training.pair_gradients import (
    all_pairs_gradient,
    batch_gradients,
    copied,
    sees_single_items,
)
from rdh.training.sides import Sides
from rdh.training.state import TrainingState

MOST_FLAGS = 10_000  # items that are asked for flags
MOST_LISTED = 64  # entries a bit in a file of codes
RANDOM = 750_000  # apart from the seeds of epochs and samples


@dataclass(frozen=True, eq=False)
class Judgement:
    """The entries of n items that were looked at.

    Args:
        items: Their positions in the training set, int64 (n,), in order.
        logits: float32 (n, n_bits).
        codes: h, float32 (n, n_bits).
        right: The side that the labels call for, int8 (n, n_bits); 0 if undecided.
        saturated: bool (n, n_bits).
        asked: Rows of the items that were asked for flags, int64 (n_asked,), in order.
        flagged: By random batches, bool (n, n_bits); False for items that were not asked.
        flagged_all_pairs: By all pairs; None if that was not looked at.
        sides: Of all items that were looked at, for the labels of others.
    """

    items: np.ndarray
    logits: np.ndarray
    codes: np.ndarray
    right: np.ndarray
    saturated: np.ndarray
    asked: np.ndarray
    flagged: np.ndarray
    flagged_all_pairs: np.ndarray | None
    sides: Sides

    @property
    def wrong(self) -> np.ndarray:
        return is_wrong(self.codes, self.right)

    @property
    def dead(self) -> np.ndarray:
        return self.saturated & self.wrong


def judge(
    run: TrainingState, items: np.ndarray, logits: np.ndarray, *, all_pairs: bool
) -> Judgement:
    """Judges training items by what the network says of them. Nothing of the run changes.

    The random batches depend on seed and epoch alone.

    Args:
        run: With probes, between two epochs.
        items: Positions in the training set, int64 (n,), in order.
        logits: Of these items, float32 (n, width).
        all_pairs: Whether to ask all pairs too.
    """
    device, labels = run.inputs.device, run.inputs.train_labels
    both, judged = relaxed(run, logits), run.method.gallery_side
    logits, codes = judged(logits), judged(both)
    rows = torch.from_numpy(items).to(device)
    every = labels.new_zeros(len(labels), both.shape[1])  # 0: not looked at
    every[rows] = torch.from_numpy(both).to(device)
    signs = torch.zeros(len(labels), codes.shape[1], dtype=torch.int8, device=device)
    signs[rows] = torch.where(judged(every)[rows] >= 0, 1, -1).to(torch.int8)
    sides = Sides(labels, codes.shape[1])
    sides.load_signs(signs)
    generator = torch.Generator().manual_seed(run.config.seed * 1_000_003 + RANDOM + run.epoch)
    asked = _asked(run.method, run.epoch, items, generator)
    saturated = is_saturated(codes, run.config.tau)

    def flags(gradient: torch.Tensor) -> np.ndarray:
        found = np.zeros(codes.shape, bool)
        asks = judged(gradient).cpu().numpy()
        found[asked] = saturated[asked] & (codes[asked] * asks > 0)
        return found

    chosen, size = rows[torch.from_numpy(asked).to(device)], run.config.batch_size
    by_batch = flags(batch_gradients(run.method, every, labels, size, generator, chosen))
    by_all = by_batch if all_pairs else None
    if all_pairs and not sees_single_items(run.method, every, labels, chosen):
        by_all = flags(all_pairs_gradient(run.method, every, labels, generator, chosen))
    right = sides.of(rows).cpu().numpy()
    return Judgement(items, logits, codes, right, saturated, asked, by_batch, by_all, sides)


def relaxed(run: TrainingState, logits: np.ndarray) -> np.ndarray:
    """h of logits, float32, of their shape, with the slope of the last epoch that was trained."""
    with torch.inference_mode():
        return run.method.relax(torch.from_numpy(logits), _epoch(run)).numpy()


def slope(run: TrainingState) -> float:
    """beta of h = tanh(beta F) in the last epoch that was trained."""
    return float(run.method.slope(_epoch(run)))


def _epoch(run: TrainingState) -> int:
    return run.epoch - (run.position == 0 and run.epoch > 0)


def is_saturated(codes: np.ndarray, tau: float) -> np.ndarray:
    """Whether |h| >= tau, as the probes compare it: in float32."""
    return np.abs(codes) >= np.float32(tau)


def is_wrong(codes: np.ndarray, right: np.ndarray) -> np.ndarray:
    """Whether codes (n, n_bits) lie on the other side than the right one; 0 is never wrong."""
    return np.where(codes >= 0, right < 0, right > 0)


def _asked(method: Method, epoch: int, items: np.ndarray, generator: torch.Generator) -> np.ndarray:
    """Rows of the items that are asked for flags: those that an epoch visits, at most 10 000.

    Some methods train on a sample that they draw, and hold nothing about the others.
    """
    visited = copied(method).epoch_indices(epoch, generator).cpu().numpy()
    visited = visited[np.isin(visited, items)][:MOST_FLAGS]
    return np.searchsorted(items, np.sort(visited))


def counts(found: Judgement) -> tuple[dict[str, float], dict[str, np.ndarray]]:
    """The counts of an evaluation over all training items, as (scalars, arrays by bit)."""
    flagged, wrong, dead = found.flagged, found.wrong, found.dead
    undecided = found.right == 0
    masks = {
        "train_saturated": found.saturated,
        "train_flagged": flagged,
        "train_flagged_wrong": flagged & wrong,
        "train_flagged_undecided": flagged & undecided,
        "train_wrong": wrong,
        "train_undecided": found.saturated & undecided,
        "train_dead": dead,
    }
    if found.flagged_all_pairs is not None:
        masks["train_flagged_all_pairs"] = found.flagged_all_pairs
        masks["train_flagged_confirmed"] = flagged & found.flagged_all_pairs
    scalars = {"train_entries": float(found.codes.size)}
    scalars |= {name: float(mask.sum()) for name, mask in masks.items()}
    if len(found.asked) < len(found.items):
        scalars["flagged_entries"] = float(len(found.asked) * found.codes.shape[1])
        scalars["train_dead_asked"] = float(dead[found.asked].sum())
    arrays = {
        "train_dead_by_bit": dead.sum(0, dtype=np.int32),
        "train_flagged_by_bit": flagged.sum(0, dtype=np.int32),
    }
    return scalars, arrays


def lists(found: Judgement, train_ids: np.ndarray) -> dict[str, np.ndarray]:
    """What a file of probe codes says of dead entries, and of those flagged though right.

    Args:
        found: The judgement.
        train_ids: Item ids of the whole training set.

    Returns:
        n_items, n_flag_items: how many items were looked at, and asked for flags. And for `dead`
        and `contrast`: counts (n_bits,) of all such entries; ids, bits and codes h of at most 64 of
        each bit, the deepest first; of the dead, whether they are flagged.
    """
    dead, contrast = found.dead, found.flagged & (found.right != 0) & ~found.wrong
    arrays = {
        "n_items": np.array(len(found.items)),
        "n_flag_items": np.array(len(found.asked)),
        "dead_counts": dead.sum(0, dtype=np.int32),
        "contrast_counts": contrast.sum(0, dtype=np.int32),
    }
    for name, mask in (("dead", dead), ("contrast", contrast)):
        rows, bits = _deepest(mask, np.abs(found.logits))
        arrays[f"{name}_ids"] = train_ids[found.items[rows]]
        arrays[f"{name}_bits"] = bits.astype(np.int16)
        arrays[f"{name}_codes"] = found.codes[rows, bits]
        if name == "dead":
            arrays["dead_flagged"] = found.flagged[rows, bits]
    return arrays


def _deepest(mask: np.ndarray, depth: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Rows and bits of at most 64 entries of each bit, the largest depth first within a bit."""
    rows, bits = np.nonzero(mask)
    order = np.lexsort((-depth[rows, bits], bits))
    rows, bits = rows[order], bits[order]
    rank = np.arange(len(bits)) - np.searchsorted(bits, bits)
    return rows[rank < MOST_LISTED], bits[rank < MOST_LISTED]
