"""The Live page says how strong the gradient is, and what a run takes of its machine."""

import shutil
import tarfile
from pathlib import Path

import pytest
from streamlit.testing.v1 import AppTest

from pages.common import device_load, live_plot
from pages.common.device_load import load_said
from pages.common.run_status import Status
from rdh import execution
from rdh.config.presets import demo_pair, preset_config
from rdh.execution import RunState
from rdh.store.metrics_writer import MetricsWriter, Record
from rdh.store.recorded import read_recording
from rdh.store.run_store import RunStore

REPO = Path(__file__).parents[2]


def said_on_live(store: RunStore, run_id: str, monkeypatch) -> tuple[list[str], str]:
    """(titles of charts over time, captions)."""
    titles: list[str] = []
    draw = live_plot.live_plotly
    monkeypatch.setenv("RDH_RUNS", str(store.root))
    monkeypatch.setattr(
        "pages.common.time_view.live_plotly",
        lambda figure, **more: (titles.append(figure.layout.title.text), draw(figure, **more)),
    )
    app = AppTest.from_file(str(REPO / "app.py"), default_timeout=60)
    app.query_params["run"] = run_id
    app.switch_page("pages/live.py").run()
    assert not app.exception and not app.error
    return [one.replace("<br>", " ") for one in titles], " ".join(one.value for one in app.caption)


def test_the_norm_of_the_gradient_stands_before_and_after_the_amplifier(tmp_path, monkeypatch):
    recording, store = read_recording(), RunStore(tmp_path / "runs")
    for config, source in zip(demo_pair(), recording.pair, strict=True):
        run_id = store.create(config)
        shutil.copytree(recording.runs.run_dir(source), store.run_dir(run_id) / "of")
        for name in ("metrics.db", "result.json", "split.npz"):
            (store.run_dir(run_id) / "of" / name).rename(store.run_dir(run_id) / name)
        last = {name: value for _, _, _, name, value in store.reader(run_id).scalars()}
        titles, _ = said_on_live(store, run_id, monkeypatch)
        title = f"The norm of the gradient: {last['gradient_norm']:.3g} at the last record"
        if config.amplifier:
            title += f", {last['gradient_norm_amplified']:.3g} after the amplifier"
        assert title in titles
        assert last["gradient_norm_amplified"] >= last["gradient_norm"] > 0


def test_an_old_run_says_that_it_recorded_no_norm(tmp_path, monkeypatch):
    with tarfile.open(REPO / "tests" / "data" / "old_runs.tar.xz") as archive:
        archive.extractall(tmp_path / "runs", filter="data")
    store = RunStore(tmp_path / "runs")
    titles, captions = said_on_live(store, "hashnet-8-s0-cda631", monkeypatch)
    assert "The norm of the gradient was not recorded in this run" in captions
    assert not [one for one in titles if "norm" in one]


def controls_on_live(store: RunStore, run_id: str, monkeypatch) -> set[str]:
    """Labels of what the reader can set."""
    monkeypatch.setenv("RDH_RUNS", str(store.root))
    app = AppTest.from_file(str(REPO / "app.py"), default_timeout=60)
    app.query_params["run"] = run_id
    app.switch_page("pages/live.py").run()
    assert not app.exception
    return {one.label for one in (*app.toggle, *app.select_slider, *app.segmented_control)}


def test_only_what_a_run_can_show_is_to_be_set(tmp_path, monkeypatch):
    of_map = {"Map of", "τ of the map", "Sort bits by onset", "Show flagged"}
    store = RunStore(tmp_path / "runs")
    recording = read_recording()
    finished = recording.pair[1]
    shutil.copytree(recording.runs.run_dir(finished), store.root / finished)
    assert controls_on_live(store, finished, monkeypatch) >= of_map
    assert "Hold the charts" not in controls_on_live(store, finished, monkeypatch)
    waiting = execution.submit(store, [preset_config("quick")])[0]
    assert controls_on_live(store, waiting, monkeypatch) == {*of_map, "Hold the charts"}
    execution.cancel(store, waiting)  # before its first record
    assert controls_on_live(store, waiting, monkeypatch) == set()
    plain = store.create(preset_config("quick", method="greedyhash"))  # none of its bits saturates
    writer = MetricsWriter(store.run_dir(plain) / "metrics.db", attempt=1)
    writer.put_meta(n_bits=32, n_train=100, total_steps=10, tau=0.99)
    writer.log(Record(10, 1, {"loss": 0.5}))
    writer.close()
    assert controls_on_live(store, plain, monkeypatch) & of_map == set()


@pytest.mark.parametrize(
    ("device", "beat", "said"),
    [
        (
            "GPU 1 (H200)",
            {"cores_busy": 1.52, "rss_bytes": 3 * 2**29},
            "Load now: its process: 1.5 cores busy, 1.5 GiB of memory; GPU 1 (H200): 54% busy.",
        ),
        ("GPU 3 (H200)", {"rss_bytes": 2**30}, "Load now: its process: 1.0 GiB of memory."),
        ("GPU 3 (H200)", {"seq": 1}, "Load now: its process does not say yet."),
        (None, {}, ""),
    ],
)
def test_the_load_is_that_of_the_last_heartbeat_and_of_the_device(device, beat, said, monkeypatch):
    loads = {"GPU 1": "54% busy", "GPU 10": "9% busy"}
    monkeypatch.setattr(device_load, "_gpu_loads", lambda: loads)
    running = RunState("a", "running", 1, 0.0, device=device)
    assert load_said(Status("a", running, beat, {})) == said


def test_the_processor_says_how_busy_it_is_and_an_ended_run_has_no_load(monkeypatch):
    beat = {"cores_busy": 2.0}
    looks = iter([(10.0, 20.0), (10.5, 20.6), (13.0, 24.0), (13.0, 24.1)])
    monkeypatch.setattr(device_load, "PROCESSOR", device_load.Processor(lambda: next(looks)))
    running = RunState("a", "running", 1, 0.0, device="cpu")
    said = [load_said(Status("a", running, beat, {})) for _ in range(3)]
    assert said[0] == "Load now: its process: 2.0 cores busy."  # no measure yet, so no 0%
    assert said[1] == said[2] == "Load now: its process: 2.0 cores busy; CPU: processor 75% busy."
    assert load_said(Status("a", RunState("a", "finished", 1, 0.0), beat, {})) == ""
