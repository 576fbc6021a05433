"""What the pages keep of a run grows by what is new, and is what one read of everything gives."""

import pandas as pd

from pages.common.readers import RunView
from rdh import analysis
from rdh.store.metrics_reader import MetricsReader
from rdh.store.metrics_writer import MetricsWriter, Record


def test_scalars_read_piece_by_piece_are_those_of_one_read(tmp_path):
    reader = MetricsReader(tmp_path / "metrics.db")
    run, writer = RunView(reader), MetricsWriter(tmp_path / "metrics.db", attempt=1)
    assert run.scalars().empty
    for step in range(8, 48, 8):
        writer.log(Record(step, 0, {"loss": 1 / step, "dead_now": float(step)}))
        assert run.scalars().index[-1] == step
        if (
            step % 16 == 0
        ):  # a second record of the same step, and a later value of one of its names
            writer.log(Record(step, 0, {"map": step / 100, "loss": 2.0}))
    pd.testing.assert_frame_equal(
        run.scalars(), analysis.scalar_frame(reader.scalars()), check_names=False
    )
    writer.close()


def test_a_new_attempt_starts_the_scalars_afresh(tmp_path):
    run = RunView(MetricsReader(tmp_path / "metrics.db"))
    for attempt, steps in ((1, (8, 16, 24)), (2, (16,))):
        writer = MetricsWriter(
            tmp_path / "metrics.db", attempt=attempt, resume_from=8 if attempt == 2 else None
        )
        for step in steps:
            writer.log(Record(step, 0, {"loss": float(attempt)}))
        run.version()
        scalars = run.scalars()["loss"].dropna()
        writer.close()
    assert scalars.to_dict() == {8: 1.0, 16: 2.0}
