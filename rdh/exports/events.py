"""A run's records as an event file of TensorBoard: scalars, and the histograms over all bits."""

import math
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np

from rdh.errors import UserError
from rdh.exports.moment import Moment, read_moment
from rdh.files import atomic
from rdh.store.run_store import RunStore

HISTOGRAMS = {  # stored as -> tag; the first of the name with records
    "pooled_histogram": "F of all entries",
    "dead_histogram": "F of dead entries",
    "flagged_histogram": "F of flagged entries",
}
FILE = "events.out.tfevents.0.rdh"  # TensorBoard asks for this beginning; the same name each time


def check_package() -> None:
    """UserError if TensorBoard is not installed."""
    if find_spec("tensorboard") is None:
        raise UserError(
            'Event files need the package tensorboard; install it by `pip install "tensorboard'
            '>=2.19"`, or take `--to csv`.'
        )


def write_events(store: RunStore, run_id: str, folder: Path) -> Moment:
    """Writes one event file, FOLDER/RUN/events.out.tfevents...; a folder can hold many runs.

    Args:
        store: the run store.
        run_id: the run.
        folder: what `tensorboard --logdir` is to be given. It is made if only its own name is
            missing.

    Returns:
        The run as it was written.

    Raises:
        UserError: TensorBoard is missing, there is no such run, it can't be read, or it has no
            records.
        OSError: The folder can't be written.
    """
    check_package()
    from tensorboard.compat.proto import event_pb2
    from tensorboard.summary.writer.record_writer import RecordWriter

    moment = read_moment(store, run_id)
    when = {step: at for step, _, at in store.reader(run_id).records()}
    summaries = _summaries(moment)
    place = folder / run_id
    folder.mkdir(exist_ok=True)
    place.mkdir(exist_ok=True)
    with atomic(place / FILE) as draft, draft.open("wb") as file:
        writer = RecordWriter(file)
        first = event_pb2.Event(wall_time=min(when.values()), file_version="brain.Event:2")
        writer.write(first.SerializeToString(deterministic=True))
        for step in sorted(summaries):
            event = event_pb2.Event(wall_time=when[step], step=step, summary=summaries[step])
            writer.write(event.SerializeToString(deterministic=True))
        writer.flush()
    return moment


def _summaries(moment: Moment) -> dict[int, Any]:
    """Step -> everything that was recorded at it."""
    from tensorboard.compat.proto import summary_pb2

    found: dict[int, Any] = {}
    frame = moment.series.scalars()
    for step, row in zip(frame.index.tolist(), frame.to_dict("records"), strict=True):
        summary = found[step] = summary_pb2.Summary()
        for name, value in row.items():
            if not math.isnan(value):
                summary.value.add(tag=str(name), simple_value=value)
    edges = moment.series.meta().get("logit_edges")
    for name, tag in HISTOGRAMS.items() if edges else ():
        steps, counts = moment.series.running(name)
        for step, row in zip(steps.tolist(), counts, strict=True):
            found.setdefault(step, summary_pb2.Summary())
            found[step].value.add(tag=tag, histo=_histogram(np.asarray(edges), row))
    return found


def _histogram(edges: np.ndarray, counts: np.ndarray) -> Any:
    """Counts (n,) between edges (n + 1,) in TensorBoard's form; sums are those of the centres."""
    from tensorboard.compat.proto import summary_pb2

    centers, counts = (edges[1:] + edges[:-1]) / 2, counts.astype(np.float64)
    return summary_pb2.HistogramProto(
        min=float(edges[0]),
        max=float(edges[-1]),
        num=float(counts.sum()),
        sum=float((counts * centers).sum()),
        sum_squares=float((counts * centers**2).sum()),
        bucket_limit=edges[1:].tolist(),
        bucket=counts.tolist(),
    )
