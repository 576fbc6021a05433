"""What is kept of a run grows by what is new; what they show is one moment of it."""

import numpy as np
import pandas as pd

from rdh import analysis
from rdh.analysis.run_series import RunCache
from rdh.store.metrics_reader import MetricsReader
from rdh.store.metrics_writer import MetricsWriter, Record


def test_scalars_read_piece_by_piece_are_those_of_one_read(tmp_path):
    reader = MetricsReader(tmp_path / "metrics.db")
    run, writer = RunCache(reader), MetricsWriter(tmp_path / "metrics.db", attempt=1)
    assert run.newest().scalars().empty
    for step in range(8, 48, 8):
        writer.log(Record(step, 0, {"loss": 1 / step, "dead_now": float(step)}))
        assert run.newest().scalars().index[-1] == step
        if step % 16 == 0:  # a second record of the same step, and a later value of a name
            writer.log(Record(step, 0, {"map": step / 100, "loss": 2.0}))
    pd.testing.assert_frame_equal(
        run.newest().scalars(), analysis.scalar_frame(reader.scalars()), check_names=False
    )
    writer.close()


def test_a_new_attempt_starts_the_scalars_afresh(tmp_path):
    run = RunCache(MetricsReader(tmp_path / "metrics.db"))
    for attempt, steps in ((1, (8, 16, 24)), (2, (16,))):
        writer = MetricsWriter(
            tmp_path / "metrics.db", attempt=attempt, resume_from=8 if attempt == 2 else None
        )
        for step in steps:
            writer.log(Record(step, 0, {"loss": float(attempt)}))
        scalars = run.newest().scalars()["loss"].dropna()
        writer.close()
    assert scalars.to_dict() == {8: 1.0, 16: 2.0}


def test_all_readers_of_a_moment_agree_whatever_is_written_and_read_later(tmp_path):
    writer = MetricsWriter(tmp_path / "metrics.db", attempt=1)
    cache = RunCache(MetricsReader(tmp_path / "metrics.db"))

    def log(step: int) -> None:
        arrays = {name: np.full((2, 3), step) for name in ("a", "b")}
        writer.log(Record(step, 0, {"loss": float(step)}, arrays))

    log(1)
    log(2)
    moment = cache.newest()
    assert moment.series("a")[0].tolist() == [1, 2]
    log(3)
    later = cache.newest()
    log(4)
    for run, steps in ((moment, [1, 2]), (later, [1, 2, 3]), (cache.newest(), [1, 2, 3, 4])):
        for name in ("b", "a"):
            known, values = run.series(name)
            assert (known.tolist(), values[:, 0, 0].tolist()) == (steps, steps)
            assert not values.flags.writeable
        assert run.scalars().index.tolist() == steps and run.step == steps[-1]
    assert moment.at <= later.at and moment.version == (1, 2)
    writer.close()


def test_nothing_written_yet_is_an_empty_moment(tmp_path):
    run = RunCache(MetricsReader(tmp_path / "metrics.db")).newest()
    assert (run.step, run.version) == (0, (0, 0)) and not len(run.series("levels")[0])
