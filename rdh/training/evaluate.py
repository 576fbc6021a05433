"""From a run's network to codes.

`encode` items, evaluate them against the gallery with `evaluate_run`, and keep the codes of some
training items with `save_probe_codes`.
"""

import hashlib
import warnings
from collections.abc import Callable

import numpy as np
import torch

from rdh.errors import Stopped
from rdh.methods import Method
from rdh.retrieval import CodesWarning, Evaluation, evaluate, pack_codes
from rdh.retrieval.gpu import TorchKernel
from rdh.store.metrics_writer import Record
from rdh.training.network import FittedHead, Network
from rdh.training.state import TrainingState

N_PROBE_ITEMS = 1000


def encode(
    run: TrainingState, item_ids: np.ndarray, should_stop: Callable[[], bool] = lambda: False
) -> np.ndarray:
    """Logits of items of the data set, by the network in eval mode.

    Args:
        run: The run; its network is left in the mode it was in.
        item_ids: (n,) positions in the data set.
        should_stop: Asked after every batch.

    Returns:
        float32 (n, n_bits).

    Raises:
        Stopped: should_stop said yes.
    """
    was_training = run.network.training
    run.network.eval()
    logits = []
    with torch.inference_mode():
        for batch in run.inputs.batches(item_ids):
            logits.append(run.network(batch).cpu().numpy())
            if should_stop():
                raise Stopped
    run.network.train(was_training)
    return np.concatenate(logits)


def evaluate_run(
    run: TrainingState,
    log: Callable[[Record], None],
    should_stop: Callable[[], bool] = lambda: False,
) -> tuple[Evaluation, dict[str, np.ndarray]]:
    """Retrieval over the whole gallery, logged as one record.

    Returns:
        The scores, and what the file of final codes holds: packed codes of query and gallery, and
        their item ids.
    """
    split, labels = run.inputs.split, run.inputs.labels
    query = pack_codes(encode(run, split.query, should_stop))
    learned = run.method.gallery_codes()
    gallery = pack_codes(
        encode(run, split.gallery, should_stop) if learned is None else learned.cpu().numpy()
    )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", CodesWarning)  # the run's summary says it instead
        evaluation = evaluate(
            query,
            gallery,
            labels[split.query],
            labels[split.gallery],
            n_bits=run.config.n_bits,
            top_k=run.inputs.top_k,
            kernel=TorchKernel(run.inputs.device) if run.inputs.is_cuda else None,
        )
    run.best_map = max(run.best_map, evaluation.map or 0.0)
    arrays = {
        "precision_by_radius": evaluation.precision_by_radius,
        "recall_by_radius": evaluation.recall_by_radius,
    }
    log(
        Record(
            run.step,
            run.epoch,
            evaluation.scalars(),
            arrays,
            [("eval", f"MAP {evaluation.map:.4f}")],
        )
    )
    return evaluation, {
        "query_ids": split.query,
        "query": query,
        "gallery_ids": split.gallery,
        "gallery": gallery,
    }


def network_digest(network: Network, method: Method) -> str:
    """Digest of all weights, 16 hex digits.

    Codes are comparable only if their digests are equal.
    """
    # a shallow method is its own hash layer
    fitted = method.state_dict() if isinstance(network.head, FittedHead) else {}
    total = hashlib.sha256()
    for name, tensor in sorted((network.state_dict() | fitted).items()):
        total.update(name.encode() + tensor.cpu().contiguous().numpy().tobytes())
    return total.hexdigest()[:16]


def save_probe_codes(
    run: TrainingState,
    save_codes: Callable[[str, dict[str, np.ndarray]], None],
    log: Callable[[Record], None],
) -> None:
    """Keeps the codes of up to 1000 training items, the same at every call.

    The bit inspector shows their images. Their dead bits by vote are logged.
    """
    ids = run.inputs.probe_ids(N_PROBE_ITEMS)
    logits = encode(run, ids)
    kept = np.clip(logits, -65504, 65504).astype(np.float16)  # a wild run leaves its range
    save_codes(f"probe-{run.step}", {"ids": ids, "bits": pack_codes(logits), "logits": kept})
    if run.method.activation:
        codes = np.tanh(run.method.slope(run.epoch) * logits)
        n_dead, n_saturated = dead_by_vote(codes, run.inputs.labels[ids], run.config.tau)
        scalars = {
            "probe_dead_by_vote": n_dead,
            "probe_saturated": n_saturated,
            "probe_entries": float(logits.size),
        }
        log(Record(run.step, run.epoch, scalars))


def dead_by_vote(codes: np.ndarray, labels: np.ndarray, tau: float) -> tuple[float, float]:
    """Dead entries by the labels alone, without a gradient.

    An entry is dead if |h| >= tau and most other items vote against its sign: similar items for
    their own sign, dissimilar ones for the other.

    Args:
        codes: Continuous codes h, (n, n_bits).
        labels: Multi-hot, (n, n_classes).
        tau: Threshold of saturation.

    Returns:
        (number of dead entries, number of saturated entries).
    """
    signs = np.sign(codes).astype(np.float32)
    similar = (labels.astype(np.float32) @ labels.T.astype(np.float32) > 0).astype(np.float32)
    np.fill_diagonal(similar, 0.5)  # P = 2 S - 1 is 0 on the diagonal: no vote for oneself
    votes = signs * ((2 * similar - 1) @ signs)
    is_saturated = np.abs(codes) >= tau
    return float((is_saturated & (votes < 0)).sum()), float(is_saturated.sum())
