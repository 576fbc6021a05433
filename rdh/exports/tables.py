"""A run's records as tables: a row for each record, and a row for each record and bit."""

import json
from pathlib import Path

import numpy as np
import pandas as pd

from rdh.exports.moment import Moment, read_moment
from rdh.files import atomic
from rdh.store.run_store import RunStore

SIDES = ("minus", "plus")  # the sides -1 and +1 of a count


def scalars(store: RunStore, moment: Moment) -> pd.DataFrame:
    """Every scalar, wide: columns step, epoch, unix_time, then the names in order.

    If a step was logged twice, the newest value counts.
    """
    when = pd.DataFrame(
        store.reader(moment.run_id).records(), columns=["step", "epoch", "unix_time"]
    )
    when = when.drop_duplicates("step", keep="last").set_index("step")
    frame = moment.series.scalars()
    frame = frame[sorted(map(str, frame))]
    frame.columns.name = None
    table = when.join(frame, how="right").reset_index(names="step")
    return table.astype({"epoch": "int32"})


def bits(store: RunStore, moment: Moment) -> pd.DataFrame:
    """Every number that is kept of each bit, long: columns step, bit, then the names in order.

    Counts by side are two columns, NAME_minus and NAME_plus. Arrays of another kind, such as
    histograms, are left out. Integers stay integers; a cell is empty where a record has none.
    """
    n_bits = moment.config.n_bits
    columns: dict[str, pd.Series] = {}
    for name, shape in sorted(store.reader(moment.run_id).shapes().items()):
        if shape not in ((n_bits,), (2, n_bits)):
            continue
        steps, values = moment.series.series(name)
        if not len(steps):
            continue
        last = np.flatnonzero(np.diff(steps, append=np.iinfo(np.int64).max))  # of each step
        steps, values = steps[last], values[last]
        index = pd.MultiIndex.from_product([steps, range(n_bits)], names=["step", "bit"])
        kind = pd.Int64Dtype() if values.dtype.kind in "iu" else values.dtype
        parts = [(name, values)] if values.ndim == 2 else _by_side(name, values)
        for column, part in parts:
            columns[column] = pd.Series(part.ravel(), index=index, dtype=kind)
    if not columns:
        return pd.DataFrame({"step": [], "bit": []}, dtype="int64")
    return pd.concat(columns, axis=1).sort_index().reset_index()


def of_bits(path: Path) -> Path:
    """The file of the bits beside that of the scalars: "run.csv" -> "run-bits.csv"."""
    return path.with_name(f"{path.stem}-bits{path.suffix}")


def write_csv(store: RunStore, run_id: str, path: Path) -> Moment:
    """Writes the scalars to `path` and the bits to `of_bits(path)`.

    Returns:
        The run as it was written.

    Raises:
        UserError: There is no such run, it can't be read, or it has no records.
        OSError: The folder can't be written.
    """
    moment = read_moment(store, run_id)
    for place, table in ((path, scalars(store, moment)), (of_bits(path), bits(store, moment))):
        with atomic(place) as draft:
            table.to_csv(draft, index=False, lineterminator="\n")
    return moment


def write_parquet(store: RunStore, run_id: str, path: Path) -> Moment:
    """As `write_csv`, with types; the run's id and config are in the metadata of both files."""
    import pyarrow as pa  # here, since it takes a moment to import
    from pyarrow import parquet

    moment = read_moment(store, run_id)
    about = {"run_id": run_id, "config": moment.config.model_dump(), "state": moment.state}
    for place, table in ((path, scalars(store, moment)), (of_bits(path), bits(store, moment))):
        typed = pa.Table.from_pandas(table, preserve_index=False)
        more = {b"rdh": json.dumps(about, sort_keys=True).encode()}
        with atomic(place) as draft:
            parquet.write_table(
                typed.replace_schema_metadata({**(typed.schema.metadata or {}), **more}), draft
            )
    return moment


def _by_side(name: str, values: np.ndarray) -> list[tuple[str, np.ndarray]]:
    """(n, 2, n_bits) as two columns."""
    return [(f"{name}_{side}", values[:, place]) for place, side in enumerate(SIDES)]
