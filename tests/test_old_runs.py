"""A runs folder of an earlier version still lists, shows, compares and resumes.

data/old_runs.tar.xz was written by the code of commit 4703a3c, before the rooms, the new names of
metrics and the new registry: on 8x8 digits, 8 bits, with its own supervisor. The expected numbers
are what that code showed.
"""

import tarfile
import time
from pathlib import Path

import pandas as pd
import pytest
from streamlit.testing.v1 import AppTest

from rdh import analysis, cli, datasets, execution
from rdh.codes.encoder import Encoder
from rdh.config.run_config import with_plug_ins
from rdh.files import read_arrays
from rdh.store.run_store import RunStore

REPO = Path(__file__).parents[1]
PATIENCE = 600.0  # seconds; far above what anything here takes
BASELINE, RDH, ITQ = "hashnet-8-s0-cda631", "hashnet-rdh-8-s0-e44703", "itq-8-s0-60c3ed"
CANCELLED, LOST, QUEUED = "hashnet-rdh-8-s2-33bead", "dpsh-8-s3-d0d8e0", "csq-8-s4-04c8d4"
STATES = {
    BASELINE: "finished",
    RDH: "finished",
    ITQ: "finished",
    CANCELLED: "cancelled",
    LOST: "lost",
    QUEUED: "queued",
}
# What that version called dead, and what is called flagged now: at the end, and at the peak.
FLAGGED = {BASELINE: (480, 480), RDH: (0, 78), CANCELLED: (1, 1), LOST: (0, 0)}
MAP = {BASELINE: 0.10349082201017652, RDH: 0.25409386687631363, ITQ: 0.5396932765227513}
LAST_STEP = 2000  # of the runs that can go on


@pytest.fixture
def old(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> RunStore:
    with tarfile.open(Path(__file__).parent / "data" / "old_runs.tar.xz") as archive:
        archive.extractall(tmp_path / "runs", filter="data")
    monkeypatch.setenv("RDH_RUNS", str(tmp_path / "runs"))
    return RunStore(tmp_path / "runs")


@pytest.fixture
def no_revival(monkeypatch: pytest.MonkeyPatch) -> None:
    """Looking starts no supervisor."""
    monkeypatch.setattr(execution, "revive", lambda store: None)


def states(store: RunStore) -> dict[str, str]:
    return {run_id: run.state for run_id, run in execution.states(store).items()}


def test_all_runs_are_listed_oldest_first_with_their_reasons(old):
    assert list(states(old).items()) == list(STATES.items())
    runs = execution.states(old)
    assert runs[CANCELLED].reason == "Cancelled on request; resume goes on from step 31."
    assert runs[LOST].reason == "The process was killed (signal 9)."


def test_without_its_registry_the_folder_lists_the_same(old):
    """A lost run has no result: it counts as running until a supervisor has looked for it."""
    (old.root / "registry.db").unlink()
    assert states(old) == STATES | {LOST: "running"}


@pytest.mark.parametrize("run_id", STATES)
def test_config_and_pair_keep_their_hashes(old, run_id):
    assert old.config(run_id).hash == old.submission(run_id)["config_hash"]
    assert old.config(BASELINE).pair_hash == old.config(RDH).pair_hash


def test_a_sweep_asked_for_again_trains_nothing_again(old):
    base = old.config(BASELINE)
    pair = [with_plug_ins(base, rdh=rdh) for rdh in (False, True)]
    assert execution.submit(old, pair, sweep="small") == [BASELINE, RDH]
    assert states(old) == STATES


def test_flagged_entries_are_those_that_the_old_version_counted_as_dead(old):
    for run_id, (at_end, peak) in FLAGGED.items():
        dead = analysis.dead_bits(old.reader(run_id))
        assert (dead.flagged, dead.flagged_peak, dead.entries) == (at_end, peak, 480)
        assert not dead.is_counted
    assert analysis.dead_bits(old.reader(ITQ)) is None


def test_the_pair_is_compared_by_the_old_numbers(old):
    table = analysis.run_table(old, STATES)
    assert dict(zip(table["run_id"], table["map"], strict=True)) == MAP
    pairs = analysis.pairs(table)
    assert pairs[["run_id_baseline", "run_id_rdh"]].to_numpy().tolist() == [[BASELINE, RDH]]
    pd.testing.assert_series_equal(
        pairs.loc[0, ["map_gain", "flagged_at_end_baseline", "flagged_at_end_rdh"]],
        pd.Series([MAP[RDH] - MAP[BASELINE], 1.0, 0.0]),
        check_names=False,
        check_index=False,
        check_dtype=False,
    )


def test_the_command_line_lists_and_shows_them(old, no_revival, capsys):
    assert cli.main(["runs"]) == 0
    lines = capsys.readouterr().out.splitlines()[1:]
    assert [line.split()[0] for line in lines] == list(STATES)
    for run_id, state in STATES.items():
        assert cli.main(["runs", "show", run_id]) == 0
        shown = capsys.readouterr().out
        assert shown.startswith(f"{run_id}: ") and f", {state}\n" in shown
    assert cli.main(["runs", "show", BASELINE]) == 0
    shown = capsys.readouterr().out
    assert "480 of 480 entries (100.00%)" in shown and analysis.NOT_COUNTED in shown
    assert "cost" not in shown and "dead at the end" not in shown


@pytest.mark.parametrize("page", ["live", "bits", "compare", "runs"])
@pytest.mark.parametrize("run_id", STATES)
def test_every_page_shows_every_old_run(old, no_revival, page, run_id):
    app = open_page(page, run_id)
    assert not app.exception
    numbers = {metric.label: (metric.value, metric.delta) for metric in app.metric}
    if page == "live" and run_id in FLAGGED:
        at_end = FLAGGED[run_id][0]
        assert numbers["◆ Flagged"] == (f"{at_end / 480:.2%}", f"{at_end} of 480")
        assert "✖ Dead" not in numbers
        assert any("the dead were not counted" in one.value.lower() for one in app.info)
    if page == "compare" and run_id in (BASELINE, RDH):
        assert numbers["MAP"][0] == "0.2541", "of the second run, with RDH"
        verdict = " ".join(one.value for one in app.markdown)
        assert "MAP goes from 0.1035 to 0.2541 (+0.1506)" in verdict


def open_page(page: str, run_id: str) -> AppTest:
    app = AppTest.from_file(str(REPO / "app.py"), default_timeout=60)
    app.query_params["run"] = run_id
    return app.switch_page(f"pages/{page}.py").run()


def test_an_old_network_encodes_as_it_did(old):
    """Nearly all codes: the last digits of a logit depend on the processor."""
    then = read_arrays(old.run_dir(RDH) / "codes" / "final.npz")
    data = datasets.load("digits", old.root)
    images = [data.image(int(item)) for item in then["gallery_ids"][:400]]
    now = Encoder(old, RDH, device="cpu").encode(images)
    assert (now == then["gallery"][:400]).all(axis=1).mean() > 0.98


def test_clone_and_delete(old, no_revival, capsys):
    clone = old.config(RDH).model_copy(update={"seed": 9})
    (run_id,) = execution.submit(old, [clone])
    assert states(old)[run_id] == "queued"
    execution.delete(old, ITQ)
    assert ITQ not in states(old)


@pytest.mark.process
def test_cancelled_and_lost_runs_go_on_and_the_queued_one_starts(old):
    before = {run_id: old.reader(run_id).scalars() for run_id in (CANCELLED, LOST)}
    resumed, refused = execution.resume_all(old)
    assert sorted(resumed) == sorted([CANCELLED, LOST]) and not refused
    execution.ensure_supervisor(old)
    try:
        wait_for_the_end(old)
    finally:
        execution.stop_supervisor(old)
    assert set(states(old).values()) == {"finished"}
    for run_id, start in ((CANCELLED, 31), (LOST, 8)):
        run, result, reader = execution.states(old)[run_id], old.result(run_id), old.reader(run_id)
        assert (run.attempt, result["step"]) == (2, LAST_STEP) and result["metrics"]["map"] > 0.1
        assert next((step, kind) for _, step, _, kind, _ in reader.events()) == (start, "resume")
        # One series under one name, from the first record of the old version to the last.
        for name in ("flagged", "flags_raised", "loss"):
            steps = [step for _, step, _, key, _ in reader.scalars() if key == name]
            assert steps == sorted(set(steps)) and steps[-1] == LAST_STEP
            then = [step for _, step, _, key, _ in before[run_id] if key == name and step <= start]
            assert then and steps[: len(then)] == then
        # What the old version did not count begins with the resume, and the log says so.
        dead = [step for _, step, _, key, _ in reader.scalars() if key == "dead"]
        assert start < dead[0] and dead[-1] == LAST_STEP
        assert reader.arrays("dead_levels")[1].tolist() == dead
        assert max(reader.arrays("flagged_levels_window")[1], default=0) <= start
        log = (old.run_dir(run_id) / "log.txt").read_text()
        assert "the probes count each item from its next visit on" in log


def wait_for_the_end(store: RunStore) -> None:
    deadline = time.monotonic() + PATIENCE
    while not all(run.is_final for run in execution.states(store).values()):
        assert time.monotonic() < deadline, states(store)
        time.sleep(0.1)
