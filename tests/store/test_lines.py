"""Lines of a worker elsewhere, taken into metrics.db: once, whole, and in order."""

import numpy as np
import pytest

from rdh.store.lines import AS_LINES, LinesWriter, has_lines, path_of, take_in, writes_lines
from rdh.store.metrics_reader import MetricsReader
from rdh.store.metrics_writer import MetricsWriter, Record


def record(step: int) -> Record:
    arrays = {"flagged": np.arange(step, step + 4, dtype=np.int32).reshape(2, 2)}
    scalars = {"loss": step / 8, "map": float("nan")}
    return Record(step, step // 10, scalars, arrays, [("note", f"at {step}")] if step == 3 else [])


def everything(run_dir) -> list:
    """All that a reader sees, without the numbers and times of records."""
    reader = MetricsReader(run_dir / "metrics.db")
    _, steps, values = reader.arrays("flagged")
    meta = {name: value for name, value in reader.meta().items() if name != "lines"}
    return [
        meta,
        [(step, epoch) for step, epoch, _ in reader.records()],
        [row[1:] for row in reader.scalars()],
        (steps.tolist(), values.tolist(), str(values.dtype)),
        [(step, *row) for _, step, _, *row in reader.events()],
    ]


def train(writer, steps, last_seqs=None) -> None:
    writer.put_meta(n_bits=16)
    for step in steps:
        writer.log(record(step))
        if last_seqs is not None:
            last_seqs[step] = writer.last_seq
    writer.sync()
    writer.close()


def test_lines_give_the_metrics_that_a_worker_here_writes_resumes_included(tmp_path):
    here, there = tmp_path / "here", tmp_path / "there"
    here.mkdir(), there.mkdir()
    for run_dir, make in (
        (here, lambda **begun: MetricsWriter(here / "metrics.db", **begun)),
        (there, lambda **begun: LinesWriter(there, **begun)),
    ):
        seqs: dict[int, int] = {}
        train(make(attempt=1), range(1, 8), seqs)
        take_in(run_dir, 1, is_over=True)
        train(make(attempt=2, resume_from=4, last_seq=seqs[4]), range(5, 10), seqs)
        take_in(run_dir, 2, is_over=True)
        train(make(attempt=3, resume_from=6), range(7, 9))
        take_in(run_dir, 3, is_over=True)
    assert everything(there) == everything(here)
    assert not has_lines(there)


def test_an_attempt_here_goes_on_from_one_elsewhere_and_back(tmp_path):
    seqs: dict[int, int] = {}
    train(LinesWriter(tmp_path, attempt=1), range(1, 4), seqs)
    take_in(tmp_path, 1, is_over=True)
    writer = MetricsWriter(tmp_path / "metrics.db", attempt=2, resume_from=2, last_seq=seqs[2])
    train(writer, range(3, 6), seqs)
    train(LinesWriter(tmp_path, attempt=3, resume_from=4, last_seq=seqs[4]), range(5, 7), seqs)
    take_in(tmp_path, 3, is_over=True)
    steps = [step for step, _, _ in MetricsReader(tmp_path / "metrics.db").records()]
    assert steps == [1, 2, 2, 3, 4, 4, 5, 6]  # a resume is a record of its own


@pytest.mark.parametrize("n_bytes", [37, 1000])
def test_a_file_that_grows_byte_by_byte_is_taken_in_line_by_line(tmp_path, n_bytes):
    whole, growing = tmp_path / "whole", tmp_path / "growing"
    whole.mkdir(), growing.mkdir()
    train(LinesWriter(whole, attempt=1), range(1, 3))
    data = path_of(whole, 1).read_bytes()
    for end in range(n_bytes, len(data), n_bytes):
        path_of(growing, 1).write_bytes(data[:end])
        assert take_in(growing, 1) == 0
        n_lines = data[:end].count(b"\n")
        records = MetricsReader(growing / "metrics.db").records()
        assert len(records) == max(0, n_lines - 2)  # the first two are no records
    path_of(growing, 1).write_bytes(data)
    take_in(growing, 1, is_over=True)
    take_in(whole, 1, is_over=True)
    assert everything(growing) == everything(whole)


def test_a_line_is_not_lost_nor_written_twice_if_taking_it_in_is_cut_short(tmp_path, monkeypatch):
    train(LinesWriter(tmp_path, attempt=1), range(1, 6))
    insert, done = MetricsWriter.insert, []

    def cut(self, *arguments):
        if len(done) == 3:
            done.append("cut")
            raise RuntimeError("killed here")
        done.append(arguments)
        insert(self, *arguments)

    monkeypatch.setattr(MetricsWriter, "insert", cut)
    with pytest.raises(RuntimeError):
        take_in(tmp_path, 1)
    assert MetricsReader(tmp_path / "metrics.db").records() == []
    take_in(tmp_path, 1, is_over=True)
    assert len(MetricsReader(tmp_path / "metrics.db").records()) == 5


def test_what_is_no_line_of_ours_is_counted_and_the_rest_is_kept(tmp_path):
    train(LinesWriter(tmp_path, attempt=1), range(1, 4))
    path = path_of(tmp_path, 1)
    lines = path.read_bytes().splitlines()
    bad = [b'{"seq": 1}', lines[2][:40], b'{"begin": 3}', b'{"meta": 3}']
    lines[3:3] = [b"", b"\xff\xfe", b"[1]", *bad]
    path.write_bytes(b"\n".join(lines) + b'\n{"seq": 99, "st')
    assert take_in(tmp_path, 1) == 6
    assert path.exists()
    assert take_in(tmp_path, 1, is_over=True) == 1  # the end that nobody finishes any more
    assert [step for step, _, _ in MetricsReader(tmp_path / "metrics.db").records()] == [1, 2, 3]


def test_a_file_that_was_made_anew_is_read_from_its_beginning(tmp_path):
    train(LinesWriter(tmp_path, attempt=1), range(1, 9))
    take_in(tmp_path, 1)
    path_of(tmp_path, 1).unlink()
    train(LinesWriter(tmp_path, attempt=1), range(1, 3))
    take_in(tmp_path, 1, is_over=True)
    assert [step for step, _, _ in MetricsReader(tmp_path / "metrics.db").records()] == [1, 2]


def test_a_full_disk_drops_records_says_so_and_cuts_no_later_line(tmp_path, monkeypatch):
    from rdh.store import lines

    writer, real = LinesWriter(tmp_path, attempt=1), lines.os.write
    monkeypatch.setattr(lines.os, "write", lambda file, data: real(file, data[:30]))
    writer.log(record(1))
    monkeypatch.setattr(lines.os, "write", real)
    writer.log(record(2))
    writer.close()
    assert (writer.n_dropped, writer.last_error) == (1, "the disk is full")
    assert take_in(tmp_path, 1, is_over=True) == 1
    assert [step for step, _, _ in MetricsReader(tmp_path / "metrics.db").records()] == [2]


def test_only_a_worker_that_is_told_so_writes_lines():
    assert writes_lines({"PATH": "/bin", **AS_LINES})
    assert not writes_lines({}) and not writes_lines({"RDH_METRICS": "database"})
