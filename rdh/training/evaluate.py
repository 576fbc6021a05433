"""From a run's network to codes.

`encode` items, evaluate them against the gallery with `evaluate_run`, which also says what dead
entries cost, and keep the codes of some training items with `save_probe_codes`.
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
from rdh.retrieval.kernel import Codes, Kernel
from rdh.store.metrics_writer import Record
from rdh.training.costs import retrieval_costs, training_costs
from rdh.training.judge import Judgement, counts, is_saturated, judge, lists, relaxed, slope
from rdh.training.network import FittedHead, Network
from rdh.training.state import TrainingState

N_PROBE_ITEMS = 1000


def encode(
    run: TrainingState, item_ids: np.ndarray, should_stop: Callable[[], bool] = lambda: False
) -> np.ndarray:
    """Logits of items of the data set, by the network in eval mode. Each rank encodes its part.

    Args:
        run: The run; its network is left in the mode it was in.
        item_ids: (n,) positions in the data set.
        should_stop: Asked after every batch.

    Returns:
        float32 (n, width) of the method.

    Raises:
        Stopped: should_stop said yes, on any rank.
    """
    was_training, ranks = run.network.training, run.ranks
    run.network.eval()
    logits, is_stopped = [torch.empty(0, run.method.width)], False
    with torch.inference_mode():
        for batch in run.inputs.batches(item_ids[ranks.rows(len(item_ids))]):
            logits.append(run.network(batch).cpu())
            is_stopped = should_stop()
            if is_stopped:
                break
        if ranks.any(is_stopped):
            raise Stopped
        (whole,) = ranks.whole(len(item_ids), torch.cat(logits))
    run.network.train(was_training)
    return whole.numpy()


class Encoder:
    """Logits of items, each encoded once.

    Args:
        run: The run; its network must not change.
        should_stop: Asked after every batch.
    """

    def __init__(self, run: TrainingState, should_stop: Callable[[], bool] = lambda: False) -> None:
        self._run, self._should_stop = run, should_stop
        self._rows = np.full(len(run.inputs.labels), -1)  # of each item of the data set
        self._known = np.empty((0, run.method.width), np.float32)

    def logits(self, item_ids: np.ndarray) -> np.ndarray:
        """float32 (n, width) of items of the data set. Stopped if should_stop says yes."""
        new = item_ids[self._rows[item_ids] < 0]
        if len(new):
            self._rows[new] = len(self._known) + np.arange(len(new))
            self._known = np.concatenate([self._known, encode(self._run, new, self._should_stop)])
        return self._known[self._rows[item_ids]]


def evaluate_run(
    run: TrainingState,
    log: Callable[[Record], None],
    should_stop: Callable[[], bool] = lambda: False,
    save_codes: Callable[[str, dict[str, np.ndarray]], None] | None = None,
) -> tuple[Evaluation, dict[str, np.ndarray], dict[str, float]]:
    """Retrieval over the whole gallery and, in a run with probes, what its dead entries cost.

    All is logged as one record.

    Args:
        run: The run, between two epochs.
        log: Gets the record.
        should_stop: Asked after every encoded batch.
        save_codes: If given, the file of probe codes is kept too.

    Returns:
        The scores; what the file of final codes holds: packed codes of query and gallery, and their
        item ids; the counts and costs of dead entries, empty without probes.
    """
    split, labels = run.inputs.split, run.inputs.labels
    encoder = Encoder(run, should_stop)
    query_logits = run.method.query_side(encoder.logits(split.query))
    query = pack_codes(query_logits)
    learned, gallery_logits = run.method.gallery_codes(), None
    if learned is None:
        gallery_logits = run.method.gallery_side(encoder.logits(split.gallery))
        gallery = pack_codes(gallery_logits)
    else:
        gallery = pack_codes(learned.cpu().numpy())
    kernel = TorchKernel(run.inputs.device) if run.inputs.is_cuda else None
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", CodesWarning)  # the run's summary says it instead
        evaluation = evaluate(
            query,
            gallery,
            labels[split.query],
            labels[split.gallery],
            n_bits=run.config.n_bits,
            top_k=run.inputs.top_k,
            kernel=kernel,
        )
    run.best_map = max(run.best_map, evaluation.map or 0.0)
    codes = Codes(
        query, gallery, run.config.n_bits, labels[split.query], labels[split.gallery], None
    )
    found = judge_all(run, encoder, all_pairs=True) if run.probes else None
    counted, arrays = _costs(run, encoder, found, codes, query_logits, gallery_logits, kernel)
    if save_codes is not None:
        _save_probe_codes(run, save_codes, encoder, found)
    arrays |= {
        "precision_by_radius": evaluation.precision_by_radius,
        "recall_by_radius": evaluation.recall_by_radius,
    }
    scalars = evaluation.scalars() | counted
    log(Record(run.step, run.epoch, scalars, arrays, [("eval", f"MAP {evaluation.map:.4f}")]))
    ids = {"query_ids": split.query, "gallery_ids": split.gallery}
    return evaluation, {**ids, "query": query, "gallery": gallery}, counted


def judge_all(run: TrainingState, encoder: Encoder, *, all_pairs: bool) -> Judgement:
    """Judges all training items."""
    train = run.inputs.split.train
    return judge(run, np.arange(len(train)), encoder.logits(train), all_pairs=all_pairs)


def _costs(
    run: TrainingState,
    encoder: Encoder,
    found: Judgement | None,
    codes: Codes,
    query_logits: np.ndarray,
    gallery_logits: np.ndarray | None,
    kernel: Kernel | None,
) -> tuple[dict[str, float], dict[str, np.ndarray]]:
    """The counts and costs of an evaluation; nothing without a judgement."""
    if found is None:
        return {}, {}
    method, train = run.method, run.inputs.split.train
    top_k, seed = run.inputs.top_k, run.config.seed

    def judged(logits: np.ndarray, labels: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        right = found.sides.of_labels(torch.from_numpy(labels).to(run.inputs.device))
        return relaxed(run, logits), right.cpu().numpy()

    query = judged(query_logits, codes.query_labels)
    gallery = None if gallery_logits is None else judged(gallery_logits, codes.gallery_labels)
    logits = encoder.logits(train)
    sides = pack_codes(method.query_side(logits)), pack_codes(method.gallery_side(logits))
    parts = (
        counts(found),
        training_costs(found, sides, run.inputs.labels[train], top_k, seed, kernel),
        retrieval_costs(codes, query, gallery, run.config.tau, top_k, kernel),
    )
    scalars: dict[str, float] = {}
    arrays: dict[str, np.ndarray] = {}
    for part_scalars, part_arrays in parts:
        scalars |= part_scalars
        arrays |= part_arrays
    return scalars, arrays


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
) -> None:
    """Keeps the codes of up to 1000 training items, the same at every call, and their dead bits.

    The bit inspector shows their images. In a run with probes, dead entries are looked for among
    all training items if the network is cheap, else among these. At an evaluation, `evaluate_run`
    does the same.
    """
    encoder, found = Encoder(run), None
    ids = run.inputs.probe_ids(N_PROBE_ITEMS)
    train = run.inputs.split.train
    if run.probes and (not run.config.finetune or len(train) <= N_PROBE_ITEMS):
        found = judge_all(run, encoder, all_pairs=False)
    elif run.probes:
        items = np.flatnonzero(np.isin(train, ids))
        found = judge(run, items, encoder.logits(train[items]), all_pairs=False)
    _save_probe_codes(run, save_codes, encoder, found)


def _save_probe_codes(
    run: TrainingState,
    save_codes: Callable[[str, dict[str, np.ndarray]], None],
    encoder: Encoder,
    found: Judgement | None,
) -> None:
    ids, train = run.inputs.probe_ids(N_PROBE_ITEMS), run.inputs.split.train
    logits = run.method.gallery_side(encoder.logits(ids))
    arrays = {"ids": ids, "bits": pack_codes(logits), "logits": half(run, logits)}
    if run.method.activation:
        arrays["slope"] = np.array(slope(run))
    if found is not None:
        right_of = np.zeros((len(run.inputs.labels), run.config.n_bits), np.int8)
        right_of[train[found.items]] = found.right
        arrays |= {"right": right_of[ids], **lists(found, train)}
    save_codes(f"probe-{run.step}", arrays)


def half(run: TrainingState, logits: np.ndarray) -> np.ndarray:
    """Logits (n, n_bits) as float16, with each entry as saturated as it was.

    Rounding would carry an entry near tau to the other side: pages would count it otherwise than
    the lists of dead entries.
    """
    kept = np.clip(logits, -65504, 65504).astype(np.float16)  # a wild run leaves its range
    if not run.method.activation:
        return kept
    saturated = is_saturated(relaxed(run, logits), run.config.tau)
    moved = is_saturated(relaxed(run, kept.astype(np.float32)), run.config.tau) != saturated
    ends = np.where(saturated, np.copysign(np.float16(np.inf), kept), np.float16(0))
    kept[moved] = np.nextafter(kept[moved], ends[moved].astype(np.float16))
    return kept
