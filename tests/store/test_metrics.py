"""metrics.db with real SQLite and real processes."""

import os
import shutil
import signal
import sqlite3
import subprocess
import sys
import threading
import zlib
from contextlib import closing
from pathlib import Path

import numpy as np
import pytest

from rdh.errors import UserError
from rdh.store.metrics_reader import LostRecords, MetricsReader
from rdh.store.metrics_writer import MOST_STORED, SMALL, MetricsWriter, Record, pack
from rdh.store.mounts import file_system_of
from rdh.store.schema import TABLES

N_SCALARS, N_BITS = 12, 32
WRITER = """
import sys
from pathlib import Path
import numpy as np
from rdh.store.metrics_writer import MetricsWriter, Record

resume_from = int(sys.argv[3]) if len(sys.argv) > 3 else None
writer = MetricsWriter(Path(sys.argv[1]), attempt=int(sys.argv[2]), resume_from=resume_from)
writer.put_meta(n_bits=32)
step = int(sys.argv[3]) if len(sys.argv) > 3 else 0
while True:
    step += 1
    shapes = {"histogram": (32, 64), "dead": (2, 32)}
    arrays = {name: np.full(shape, step, dtype=np.int32) for name, shape in shapes.items()}
    scalars = {f"s{n}": float(step) for n in range(12)}
    writer.log(Record(step, 0, scalars, arrays, [("step", str(step))]))
    print(step, flush=True)
"""


@pytest.fixture
def path(tmp_path: Path) -> Path:
    (tmp_path / "run-0").mkdir()
    return tmp_path / "run-0" / "metrics.db"


def written(path: Path, steps: range, **options) -> MetricsWriter:
    writer = MetricsWriter(path, attempt=1, **options)
    for step in steps:
        arrays = {"dead": np.arange(4) + step, "large": np.full(SMALL, step)}
        writer.log(Record(step, step // 10, {"loss": 1 / (step + 1)}, arrays))
    return writer


def assert_whole(path: Path) -> int:
    """Every record has all its scalars, arrays and events, and they agree.

    Returns the last step.
    """
    with closing(sqlite3.connect(path)) as connection:
        assert connection.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
    reader = MetricsReader(path)
    rows = reader.scalars()
    _, steps, histograms = reader.arrays("histogram")
    _, dead_steps, dead = reader.arrays("dead")
    events = [int(text) for _, _, _, kind, text in reader.events() if kind == "step"]
    assert steps.tolist() == dead_steps.tolist() == events == list(range(1, len(steps) + 1))
    assert (histograms == steps[:, None, None]).all() and (dead == steps[:, None, None]).all()
    assert [row[1] for row in rows] == np.repeat(steps, N_SCALARS).tolist()
    assert all(value == step for _, step, _, _, value in rows)
    return int(steps[-1])


def start_writer(path: Path, attempt: int, *resume_from: int) -> subprocess.Popen:
    command = [sys.executable, "-c", WRITER, str(path), str(attempt), *map(str, resume_from)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, text=True)


def kill_after(writer: subprocess.Popen, n_lines: int) -> int:
    """kill -9 once the writer has acknowledged n records.

    Returns the last step that it acknowledged.
    """
    lines = [writer.stdout.readline() for _ in range(n_lines)]
    os.kill(writer.pid, signal.SIGKILL)
    lines += [
        line for line in writer.communicate()[0].splitlines(keepends=True) if line.endswith("\n")
    ]
    return int(lines[-1])


@pytest.mark.process
def test_kill_9_in_the_middle_of_writing_loses_nothing_and_leaves_no_half_record(path):
    last = 0
    for attempt, n_lines in enumerate((3, 40, 7, 90, 25), start=1):
        acknowledged = kill_after(start_writer(path, attempt, *([last] if last else [])), n_lines)
        reached = assert_whole(path)
        assert reached >= acknowledged > last
        assert MetricsReader(path).version()[0] == attempt
        last = reached - 2  # a checkpoint is older than the last record
    resumes = [
        (step, text) for _, step, _, kind, text in MetricsReader(path).events() if kind == "resume"
    ]
    assert len(resumes) == 4 and all(f"goes on from step {step}" in text for step, text in resumes)


@pytest.mark.process
def test_a_reader_beside_the_writer_sees_whole_records_in_order(path):
    writer = start_writer(path, 1)
    writer.stdout.readline()
    reader, last, steps = MetricsReader(path), 0, []
    try:
        while len(steps) < 200:
            rows = reader.scalars(last)
            assert len(rows) % N_SCALARS == 0
            steps += [row[1] for row in rows[::N_SCALARS]]
            last = rows[-1][0] if rows else last
            seqs, _, arrays = reader.arrays("dead", last)
            assert (np.diff(seqs) > 0).all() and (
                len(arrays) == 0 or (arrays == arrays[:, :1, :1]).all()
            )
    finally:
        writer.kill()
        writer.communicate()
    assert steps == list(range(1, len(steps) + 1))


def test_readers_do_not_hold_the_writer_up(path):
    writer, stop = written(path, range(5)), threading.Event()
    reader = MetricsReader(path)

    def read() -> None:
        while not stop.is_set():
            reader.scalars()
            reader.arrays("dead")

    thread = threading.Thread(target=read)
    thread.start()
    for step in range(5, 205):
        writer.log(Record(step, 0, {"loss": 0.5}, {"dead": np.arange(4)}))
    stop.set()
    thread.join()
    assert (writer.n_dropped, writer.last_error) == (0, None)
    writer.close()
    assert len(reader.scalars()) == 205


def test_a_resume_deletes_later_steps_in_one_transaction(path):
    written(path, range(1, 21)).close()
    reader = MetricsReader(path)
    before = reader.version()
    writer = MetricsWriter(path, attempt=2, resume_from=12)
    assert [row[1] for row in reader.scalars()] == list(range(1, 13))
    assert reader.arrays("dead")[1].tolist() == list(range(1, 13))
    assert [(step, kind) for _, step, _, kind, _ in reader.events()] == [(12, "resume")]
    attempt, seq = reader.version()
    assert attempt == 2 and seq > before[1], (
        "a reader that has seen seq 20 must not take a new record for an old one"
    )
    writer.log(Record(13, 1, {"loss": 9.0}))
    assert reader.scalars(after=seq) == [(seq + 1, 13, 1, "loss", 9.0)]


def test_a_resume_that_fails_half_way_changes_nothing(path, monkeypatch):
    written(path, range(1, 21)).close()

    def fail(self, values):
        raise sqlite3.OperationalError("disk I/O error")

    monkeypatch.setattr(MetricsWriter, "put", fail)
    with pytest.raises(
        UserError, match=r"metrics.db of run run-0 can't be written \(disk I/O error\)"
    ):
        MetricsWriter(path, attempt=2, resume_from=3)
    assert [row[1] for row in MetricsReader(path).scalars()] == list(range(1, 21))
    assert MetricsReader(path).version()[0] == 1


def test_a_new_attempt_without_a_checkpoint_starts_from_nothing(path):
    written(path, range(0, 9)).close()
    MetricsWriter(path, attempt=2).close()
    reader = MetricsReader(path)
    assert reader.scalars() == [] and reader.events() == [] and reader.version() == (2, 0)


def test_version_changes_exactly_with_new_records(path):
    reader = MetricsReader(path)
    assert reader.version() == (0, 0)
    writer = MetricsWriter(path, attempt=1)
    assert reader.version() == (1, 0)
    seen = [reader.version()]
    for step in range(3):
        writer.log(Record(step, 0, {"loss": 1.0}))
        assert reader.version() == reader.version()
        seen.append(reader.version())
    assert seen == [(1, 0), (1, 1), (1, 2), (1, 3)]


def test_nan_and_infinity_are_kept_as_missing_values(path):
    writer = MetricsWriter(path, attempt=1)
    writer.log(
        Record(1, 0, {"a": float("nan"), "b": float("inf"), "c": np.float32(0.5), "d": np.int64(3)})
    )
    assert {row[3]: row[4] for row in MetricsReader(path).scalars()} == {
        "a": None,
        "b": None,
        "c": 0.5,
        "d": 3.0,
    }
    assert writer.n_dropped == 0


@pytest.mark.parametrize(
    "array",
    [
        np.arange(6, dtype=np.int32).reshape(2, 3),
        np.linspace(-1, 1, 7, dtype=np.float32),
        np.array([1.5, np.nan, -np.inf]),
        np.arange(4, dtype=">i4"),
        np.asfortranarray(np.arange(6.0).reshape(2, 3)),
        np.array([True, False]),
        np.zeros((2, 0), dtype=np.uint8),
        np.float64(3.5),
        np.zeros((2, 32), dtype=np.int32),
        np.arange(SMALL // 4 - 1, dtype=np.int32),
        np.arange(SMALL // 4, dtype=np.int32),
        np.zeros(SMALL, dtype=np.int32),
        np.linspace(0, 1, MOST_STORED // 4 - 1, dtype=np.float32),
        np.linspace(0, 1, MOST_STORED // 4, dtype=np.float32),
    ],
    ids=lambda array: f"{array.dtype}-{array.shape}",
)
def test_arrays_keep_values_shape_and_kind(path, array):
    writer = MetricsWriter(path, attempt=1)
    writer.log(Record(1, 0, arrays={"x": array}))
    step, back = MetricsReader(path).latest("x")
    assert (
        step == 1
        and back.shape == np.atleast_1d(array).shape
        and back.dtype.kind == array.dtype.kind
    )
    np.testing.assert_array_equal(back, np.atleast_1d(array))


def test_small_arrays_share_a_row_and_each_is_found_by_its_whole_name(path):
    """In records that hold it, whatever else the record holds."""
    writer = MetricsWriter(path, attempt=1)
    first = {"dead": np.arange(3, dtype=np.int32), "dead_hard": np.array([0.5, np.nan])}
    second = {"large": np.arange(SMALL), "b": np.array([True]), "wide": np.zeros((2, 0))}
    for step, arrays in enumerate((first, second, second | first)):
        writer.log(Record(step, 0, arrays=arrays))
    with closing(sqlite3.connect(path)) as connection:
        rows = connection.execute("SELECT seq, name FROM arrays ORDER BY id").fetchall()
    assert rows == [(1, "*"), (2, "large"), (2, "*"), (3, "large"), (3, "*")]
    reader = MetricsReader(path)
    for name, array in (first | second).items():
        _, steps, values = reader.arrays(name)
        assert steps.tolist() == ([0, 2] if name in first else [1, 2])
        for value in (*values, reader.latest(name)[1]):
            np.testing.assert_array_equal(value, array)
            assert value.dtype == array.dtype and value.flags.aligned
    assert reader.latest("dead", 1)[0] == 0 and reader.latest("ead") is reader.latest("*") is None
    assert reader.shapes() == {
        "b": (1,), "dead": (3,), "dead_hard": (2,), "large": (SMALL,), "wide": (2, 0)
    }  # fmt: skip


def test_small_arrays_are_stored_in_the_form_of_zlib():
    array = np.arange(20, dtype="<i4")
    assert pack(array) == ("<i4", "[20]", zlib.compress(array.tobytes(), 0))


def test_a_file_whose_index_of_arrays_begins_with_the_name_is_read_and_written_on(
    path, monkeypatch
):
    """As until November 2026."""
    before = [one.replace("UNIQUE (seq, name)", "UNIQUE (name, seq)") for one in TABLES]
    assert before != list(TABLES)
    with monkeypatch.context() as old:
        old.setattr("rdh.store.metrics_writer.TABLES", before)
        written(path, range(5)).close()
    writer = MetricsWriter(path, attempt=2, resume_from=3)
    writer.log(Record(9, 0, arrays={"dead": np.arange(4) + 9, "x": np.arange(3)}))
    reader = MetricsReader(path)
    seqs, steps, values = reader.arrays("dead")
    assert steps.tolist() == [0, 1, 2, 3, 9] and values[:, 0].tolist() == [0, 1, 2, 3, 9]
    assert reader.arrays("dead", int(seqs[3]))[1].tolist() == [9]
    assert reader.latest("dead", 8)[0] == 3 and reader.latest("x")[0] == 9
    assert reader.shapes() == {"dead": (4,), "large": (SMALL,), "x": (3,)}
    assert reader.latest("y") is None


def test_latest_looks_back_from_a_step(path):
    written(path, range(0, 30, 10))
    reader = MetricsReader(path)
    assert reader.latest("dead")[0] == 20
    assert reader.latest("dead", step=19)[0] == 10
    assert reader.latest("nothing") is None and reader.latest("dead", step=-1) is None


def test_series_are_read_only(path):
    written(path, range(3))
    _, _, values = MetricsReader(path).arrays("dead")
    with pytest.raises(ValueError, match="read-only"):
        values[0] = 1


def test_meta_is_replaced_by_name(path):
    writer = MetricsWriter(path, attempt=1)
    writer.put_meta(n_bits=32, edges=[0.5, 1.0])
    writer.put_meta(n_bits=64)
    assert MetricsReader(path).meta() == {
        "schema_version": 2,
        "attempt": 1,
        "n_bits": 64,
        "edges": [0.5, 1.0],
    }


def test_before_the_first_record_everything_is_empty(path):
    for prepare in (lambda: None, path.touch):
        prepare()
        reader = MetricsReader(path)
        assert reader.scalars() == [] and reader.events() == [] and reader.meta() == {}
        assert [len(part) for part in reader.arrays("dead")] == [0, 0, 0]
        assert reader.version() == (0, 0) and reader.latest("dead") is None


def test_a_damaged_file_is_one_sentence_and_is_left_as_it_is(path):
    written(path, range(200)).close()
    whole = path.read_bytes()
    damage = bytearray(whole)
    for place in range(4096, len(damage) - 4096, 4096):  # every page but the first and the last
        damage[place : place + 2048] = b"\xff" * 2048
    unsaid = whole.replace(b"CREATE TABLE scalars", b"CREATE T\xa6BLE scalars", 1)
    no_database = b"this is no database, but it is long enough to look at" * 40
    for content in (no_database, bytes(damage), unsaid):
        path.write_bytes(content)
        with pytest.raises(
            UserError, match=r"metrics.db of run run-0 can't be read \(.+\); its other files"
        ):
            reader = MetricsReader(path)
            reader.scalars(), reader.arrays("dead"), reader.meta()
        assert path.read_bytes() == content
    for content in (b"no database" * 400, unsaid):
        path.write_bytes(content)
        with pytest.raises(UserError, match="can't be written"):
            MetricsWriter(path, attempt=2)


def test_an_empty_file_of_a_finished_run_has_lost_its_records_and_of_another_one_not_yet(path):
    result = path.with_name("result.json")
    for content in (None, b""):
        path.unlink(missing_ok=True)
        if content is not None:
            path.write_bytes(content)
        result.write_text('{"state": "failed"}')
        assert MetricsReader(path).version() == (0, 0)
        result.write_text('{"state": "finished"}')
        for read in (MetricsReader(path).version, MetricsReader(path).scalars):
            with pytest.raises(LostRecords, match="is empty, so its records are lost: launch it"):
                read()


def test_a_damaged_array_is_one_sentence(path):
    written(path, range(3)).close()
    shape = '{"dead": ["<i8", [4]]}'
    for name, column, value in (
        *(("dead", "data", b"junk"), ("dead", "shape", "[7]"), ("dead", "shape", "{")),
        *(("dead", "shape", shape.replace("<i8", "what")), ("dead", "shape", shape + "}")),
        *(("large", "data", b"junk"), ("large", "shape", "[7]"), ("large", "shape", "{")),
        ("large", "dtype", "what"),
    ):
        copy = path.with_name("copy.db")
        shutil.copy(path, copy)
        with closing(sqlite3.connect(copy)) as connection, connection:
            connection.execute(f"UPDATE arrays SET {column} = ?", (value,))
        with pytest.raises(UserError, match="can't be read"):
            MetricsReader(copy).arrays(name)
        with pytest.raises(UserError, match="can't be read"):
            MetricsReader(copy).latest(name)


def test_reading_never_writes(path):
    written(path, range(20)).close()
    before = (path.read_bytes(), path.stat().st_mtime_ns, sorted(path.parent.iterdir()))
    reader = MetricsReader(path)
    reader.scalars(), reader.arrays("dead"), reader.events(), reader.meta(), reader.version()
    assert (path.read_bytes(), path.stat().st_mtime_ns, sorted(path.parent.iterdir())) == before
    with pytest.raises(UserError, match="readonly"):
        reader._query("DELETE FROM records")


def test_a_closed_file_is_one_portable_file(path, tmp_path):
    writer = written(path, range(20))
    assert path.with_name("metrics.db-wal").exists()
    writer.close()
    assert [file.name for file in path.parent.iterdir()] == ["metrics.db"]
    shutil.copy(path, tmp_path / "elsewhere.db")
    assert len(MetricsReader(tmp_path / "elsewhere.db").scalars()) == 20


def test_closing_beside_a_reader_keeps_everything(path):
    writer = written(path, range(20))
    with closing(sqlite3.connect(f"{path.as_uri()}?mode=ro", uri=True)) as reading:
        cursor = reading.execute("SELECT * FROM records")
        cursor.fetchone()
        writer._connection.execute("PRAGMA busy_timeout = 50")
        writer.close()
        assert len(cursor.fetchall()) == 19
    assert len(MetricsReader(path).scalars()) == 20


def test_errors_of_the_database_never_reach_training(path):
    writer = written(path, range(2))
    with closing(sqlite3.connect(path, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        writer._connection.execute("PRAGMA busy_timeout = 20")
        writer.log(Record(2, 0, {"loss": 1.0}))
        writer.put_meta(n_bits=3)
        assert writer.n_dropped == 2 and "locked" in writer.last_error
        other.execute("ROLLBACK")
    writer.log(Record(3, 0, {"loss": 1.0}))
    assert [row[1] for row in MetricsReader(path).scalars()] == [0, 1, 3]


def test_a_record_that_cannot_be_stored_leaves_no_half_of_itself(path):
    writer = written(path, range(2))
    writer.log(Record(2, 0, {"loss": 1.0}, {"dead": np.arange(4)}, events=[("eval", object())]))
    assert writer.n_dropped == 1
    writer.log(Record(3, 0, {"loss": 1.0}))
    assert [row[1] for row in MetricsReader(path).scalars()] == [0, 1, 3]
    assert MetricsReader(path).arrays("dead")[1].tolist() == [0, 1]


MOUNTS = {"/": "ext4", "/home": "nfs4", "/home/a b": "xfs"}


@pytest.mark.parametrize(
    ("place", "kind"),
    [("/tmp/x", "ext4"), ("/home/me/runs", "nfs4"), ("/home/a b/runs", "xfs"), ("/homes", "ext4")],
)
def test_the_file_system_is_that_of_the_deepest_mount(place, kind):
    assert file_system_of(Path(place), MOUNTS) == kind


def test_on_a_network_file_system_there_is_no_wal(path, monkeypatch):
    monkeypatch.setattr("rdh.store.metrics_writer.is_on_network", lambda _: True)
    writer = written(path, range(3))
    assert writer._connection.execute("PRAGMA journal_mode").fetchone() == ("delete",)
    assert len(MetricsReader(path).scalars()) == 3


@pytest.mark.parametrize("replace", [False, True])
def test_a_file_that_is_removed_while_it_is_written_is_told(path, replace):
    """SQLite writes on into a file without a name, and says nothing."""
    writer = written(path, range(2))
    path.unlink()
    if replace:
        path.write_bytes(b"")
    writer.log(Record(2, 0, {"loss": 1.0}))
    assert writer.n_dropped == 1
    assert writer.last_error == "metrics.db was removed or replaced while the run wrote it"


def test_an_event_about_a_strange_file_name_is_stored(path):
    writer = written(path, range(1))
    odd = b"\xff.png".decode(errors="surrogateescape")
    writer.log(Record(1, 0, events=[("skipped", odd)]))
    assert writer.n_dropped == 0
    assert MetricsReader(path).events()[-1][4] == r"\udcff.png"


# Files of version 1

VINTAGES = (  # what the two of them called the same things
    {"dead": 1, "dead_now": 2, "levels": 3},
    {"dead_window": 1, "dead_all": 2, "dead_levels": 3},
)
SHARED = {
    **{"saturated": 4, "saturated_levels": 5, "dead_total": 6, "dead_hard": 7, "histogram": 8},
    **{"dead_histogram": 9, "deaths": 10, "rescues": 11, "releases": 12, "relapses": 13},
    **{"entries": 14, "gradient_sum": 15, "probe_dead_by_vote": 16},
}
NOW = {
    **{"flagged_window": 1, "flagged": 2, "flagged_levels_window": 3, "saturated_window": 4},
    **{"saturated_levels_window": 5, "amplified": 6, "flagged_hard_window": 7},
    **{"histogram_window": 8, "flagged_histogram_window": 9, "flags_raised": 10},
    **{"flags_answered": 11, "flags_dropped": 12, "flags_raised_again": 13},
    **{"window_entries": 14, "gradient_sum": 15, "probe_dead_by_vote": 16},
}
MEANS_SOMETHING_ELSE = ("dead", "dead_levels", "dead_hard", "dead_histogram", "deaths", "rescues")
MEANS_SOMETHING_ELSE += ("releases", "relapses", "saturated", "histogram", "entries")


def old_file(path: Path) -> None:
    """A file of version 1: step 1 of the older vintage, step 2 of the newer one."""
    with pytest.MonkeyPatch.context() as old:
        old.setattr("rdh.store.metrics_writer.SMALL", 0)  # every array had a row of its own
        write_old(path)


def write_old(path: Path) -> None:
    writer = MetricsWriter(path, attempt=1)
    for step, names in enumerate(VINTAGES, start=1):
        values = {name: float(value + 100 * step) for name, value in (names | SHARED).items()}
        arrays = {name: np.full((2, 4), value) for name, value in values.items()}
        writer.log(Record(step, 0, values, arrays))
    writer.put_meta(schema_version=1)
    writer.close()


def assert_translated(reader: MetricsReader) -> None:
    """Both steps of `old_file` are found by the present names."""
    rows = {(step, name): value for _, step, _, name, value in reader.scalars() if step < 3}
    assert rows == {(step, name): v + 100 * step for name, v in NOW.items() for step in (1, 2)}
    for name, value in NOW.items():
        _, steps, found = reader.arrays(name)
        assert steps[:2].tolist() == [1, 2] and found[:2, 0, 0].tolist() == [
            value + 100,
            value + 200,
        ]
        assert reader.latest(name, step=1)[1][0, 0] == value + 100
        assert reader.latest(name, step=2)[1][0, 0] == value + 200


def test_names_of_an_old_file_are_translated_and_nothing_is_called_dead(path):
    old_file(path)
    reader = MetricsReader(path)
    assert_translated(reader)
    for name in MEANS_SOMETHING_ELSE:
        assert len(reader.arrays(name)[0]) == 0 and reader.latest(name) is None, name
    assert not {row[3] for row in reader.scalars()} & set(MEANS_SOMETHING_ELSE)


def test_a_file_of_this_version_keeps_its_names(path):
    writer = MetricsWriter(path, attempt=1)
    for name in (*NOW, *MEANS_SOMETHING_ELSE):
        writer.log(Record(1, 0, {name: 1.0}, {name: np.ones(2)}))
    reader = MetricsReader(path)
    for name in (*NOW, *MEANS_SOMETHING_ELSE):
        assert len(reader.arrays(name)[0]) == 1 and reader.latest(name) is not None
    assert sorted(row[3] for row in reader.scalars()) == sorted((*NOW, *MEANS_SOMETHING_ELSE))


def test_a_resume_of_an_old_file_renames_it_and_new_records_keep_their_own_meaning(path):
    old_file(path)
    writer = MetricsWriter(path, attempt=2, resume_from=2)
    reader = MetricsReader(path)
    assert reader.meta()["schema_version"] == 2
    assert_translated(reader)
    new = {"dead": 7.0, "flagged": 8.0, "saturated": 9.0, "entries": 10.0}
    writer.log(Record(3, 1, new, {name: np.full((2, 4), value) for name, value in new.items()}))
    writer.close()
    assert_translated(reader)
    assert {name: v for _, step, _, name, v in reader.scalars() if step == 3} == new
    assert reader.arrays("dead")[1].tolist() == reader.arrays("saturated")[1].tolist() == [3]
    assert reader.arrays("flagged")[1].tolist() == [1, 2, 3]
    MetricsWriter(path, attempt=3, resume_from=3).close()  # nothing is renamed twice
    assert reader.arrays("dead")[1].tolist() == [3]


def test_a_resume_of_an_old_file_that_fails_half_way_renames_nothing(path, monkeypatch):
    old_file(path)

    def fail(self, values):
        raise sqlite3.OperationalError("disk I/O error")

    monkeypatch.setattr(MetricsWriter, "put", fail)
    with pytest.raises(UserError, match="can't be written"):
        MetricsWriter(path, attempt=2, resume_from=2)
    assert_translated(MetricsReader(path))
    with closing(sqlite3.connect(path)) as connection:
        names = {name for (name,) in connection.execute("SELECT name FROM arrays")}
    assert names == set(SHARED) | set(VINTAGES[0]) | set(VINTAGES[1])


@pytest.mark.parametrize("make", [os.mkfifo, Path.mkdir, lambda path: path.symlink_to(path)])
def test_what_is_no_file_is_one_sentence_and_a_pipe_is_not_waited_for(path, make):
    make(path)
    with pytest.raises(UserError, match=r"metrics.db of run run-0 can't be read \("):
        MetricsReader(path).records()


def test_a_locked_file_is_no_damage(path, monkeypatch):
    written(path, range(3)).close()
    reader = MetricsReader(path)
    connect = sqlite3.connect
    monkeypatch.setattr(sqlite3, "connect", lambda *a, **k: connect(*a, **k | {"timeout": 0}))
    with closing(connect(path)) as other:
        other.executescript("PRAGMA locking_mode = EXCLUSIVE; BEGIN EXCLUSIVE; DELETE FROM meta")
        with pytest.raises(UserError, match=r"is locked by another program, .*: close it there"):
            reader.records()


DAMAGES = [
    ("UPDATE meta SET value = '{'", lambda reader: reader.meta()),
    ("UPDATE arrays SET shape = '[7'", lambda reader: reader.shapes()),
    ("UPDATE arrays SET shape = '{}'", lambda reader: reader.arrays("dead")),
    ("UPDATE arrays SET shape = '[2, 2]' WHERE seq = 1", lambda reader: reader.arrays("dead")),
    ("UPDATE arrays SET shape = '[2, 2]' WHERE seq = 1", lambda reader: reader.shapes()),
    ("UPDATE arrays SET data = 3", lambda reader: reader.latest("dead")),
    ("UPDATE arrays SET data = 3", lambda reader: reader.latest("large")),
    ("UPDATE records SET step = 'x'", lambda reader: reader.arrays("dead")),
    ("UPDATE records SET step = 'x'", lambda reader: reader.scalar("loss")),
]


@pytest.mark.parametrize(("sql", "read"), DAMAGES)
def test_content_of_another_type_or_shape_is_one_sentence(path, sql, read):
    with closing(written(path, range(3))) as writer:
        writer.put_meta(n_bits=4)
    with closing(sqlite3.connect(path)) as connection:
        assert connection.execute(sql).rowcount
        connection.commit()
    with pytest.raises(UserError, match=r"metrics.db of run run-0 can't be read"):
        read(MetricsReader(path))
