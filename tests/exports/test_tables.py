"""Tables of a run hold every scalar and every number of a bit, as they were recorded."""

import json

import numpy as np
import pandas as pd
import pytest
from pyarrow import parquet

from rdh.errors import UserError
from rdh.exports import of_bits, write_csv, write_parquet
from rdh.store.metrics_writer import MetricsWriter, Record
from tests.exports.conftest import N_BITS, STEPS, finish


def test_the_csv_of_scalars_has_a_row_a_record_with_the_recorded_values(store, pair, tmp_path):
    write_csv(store, pair[0], tmp_path / "run.csv")
    table = pd.read_csv(tmp_path / "run.csv")
    assert table["step"].tolist() == list(STEPS) and table["epoch"].tolist() == [1, 2, 3]
    recorded = [row for row in store.reader(pair[0]).scalars() if row[4] is not None]
    assert {row[3] for row in recorded} == set(table) - {"step", "epoch", "unix_time"}
    for _, step, _, name, value in recorded:
        assert table.loc[table["step"] == step, name].item() == value
    assert table["map"].isna().tolist() == [True, True, False], "no value, no cell"


def test_the_csv_of_bits_has_a_row_a_record_and_bit(store, pair, tmp_path):
    write_csv(store, pair[0], tmp_path / "run.csv")
    table = pd.read_csv(of_bits(tmp_path / "run.csv"))
    assert len(table) == len(STEPS) * N_BITS
    for name, column in (("dead", None), ("mean_code", "mean_code")):
        _, steps, values = store.reader(pair[0]).arrays(name)
        for step, record in zip(steps, values, strict=True):
            for bit in range(N_BITS):
                row = table.loc[(table["step"] == step) & (table["bit"] == bit)]
                if column:
                    assert np.float32(row[column].item()) == record[bit]
                else:
                    assert row["dead_minus"].item() == record[0, bit]
                    assert row["dead_plus"].item() == record[1, bit]
    assert "histogram" not in " ".join(table), "it has no number a bit"


def test_parquet_keeps_whole_numbers_whole_and_says_what_it_is(store, pair, tmp_path):
    write_parquet(store, pair[0], tmp_path / "run.parquet")
    write_csv(store, pair[0], tmp_path / "run.csv")
    bits = parquet.read_table(of_bits(tmp_path / "run.parquet"))
    kinds = {field.name: str(field.type) for field in bits.schema}
    assert (kinds["dead_minus"], kinds["mean_code"]) == ("int64", "float")
    about = json.loads(bits.schema.metadata[b"rdh"])
    assert about["run_id"] == pair[0] and about["config"]["n_bits"] == N_BITS
    for place in (tmp_path / "run.parquet", of_bits(tmp_path / "run.parquet")):
        csv = pd.read_csv(place.with_suffix(".csv"))
        same = pd.read_parquet(place)
        pd.testing.assert_frame_equal(same, csv, check_dtype=False, rtol=1e-6)


def test_a_step_that_was_logged_twice_counts_once_with_its_newest_value(store, tmp_path):
    run_id = finish(store, has_rdh=False, state=None)
    writer = MetricsWriter(store.run_dir(run_id) / "metrics.db", attempt=2, resume_from=15)
    writer.log(Record(15, 3, {"loss": 7.0}, {"mean_code": np.full(N_BITS, 9.0, np.float32)}))
    writer.close()
    moment = write_csv(store, run_id, tmp_path / "run.csv")
    table, bits = (pd.read_csv(one) for one in (tmp_path / "run.csv", tmp_path / "run-bits.csv"))
    assert table["step"].tolist() == list(STEPS) and table["loss"].iloc[-1] == 7
    assert bits.loc[bits["step"] == 15, "mean_code"].tolist() == [9.0] * N_BITS
    assert "has not ended" in moment.state and "up to step 15" in moment.state


def test_old_runs_give_what_they_recorded_and_a_run_without_records_says_so(old, tmp_path):
    for run_id in ("hashnet-8-s0-cda631", "itq-8-s0-60c3ed", "dpsh-8-s3-d0d8e0"):
        write_parquet(old, run_id, tmp_path / f"{run_id}.parquet")
        assert len(pd.read_parquet(tmp_path / f"{run_id}.parquet")) == len(
            {step for step, *_ in old.reader(run_id).records()}
        )
    with pytest.raises(UserError, match=r"csq-8-s4-04c8d4 has no records, so there is nothing"):
        write_csv(old, "csq-8-s4-04c8d4", tmp_path / "run.csv")
    assert not (tmp_path / "run.csv").exists()
