"""Every page on every kind of store: nothing yet, waiting, finished, failed.

No traceback, no torch in the web process.
"""

import ast
import contextlib
import re
import shutil
import sqlite3
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from streamlit.testing.v1 import AppTest

from pages.common import live_plot, run_form, side_by_side
from pages.common.run_status import progress_text, read_status
from rdh import catalog, datasets, execution, worker
from rdh.charts.figure import Figure
from rdh.config.presets import demo_pair, preset_config
from rdh.config.run_config import RunConfig, make_config, with_plug_ins
from rdh.recorder import Recorder
from rdh.store.metrics_reader import MetricsReader
from rdh.store.notes import change_notes
from rdh.store.run_store import RunStore

REPO = Path(__file__).parents[2]
MARKUP = "<script>1</script>"
ADDRESS = "run vs clone bit map q mask to class preset study dataset show find method tag form axis"
NUMBERS = "step steps tau eta h_i smooth lesson top split bits S amp"
HOSTILE_ADDRESS = dict.fromkeys(ADDRESS.split(), MARKUP) | dict.fromkeys(NUMBERS.split(), "-1e999")
PAGES = ["app.py", *sorted(str(path.relative_to(REPO)) for path in (REPO / "pages").glob("*.py"))]


@pytest.fixture(scope="module")
def stores(tmp_path_factory) -> dict[str, RunStore]:
    """Four kinds of stores.

    One is empty, one has a waiting pair, one a pair that was trained for two epochs, and one a run
    that diverged.
    """
    made = {
        name: RunStore(tmp_path_factory.mktemp(name) / "runs")
        for name in ("empty", "waiting", "finished", "failed")
    }
    base = preset_config("quick", epochs=2)
    pair = [with_plug_ins(base, rdh=rdh) for rdh in (False, True)]
    execution.submit(made["waiting"], pair)
    for config in pair:
        run_id = made["finished"].create(config)
        assert worker.main([str(made["finished"].run_dir(run_id))]) == 0
    watch_hostile(made["failed"])
    run_id = made["failed"].create(
        make_config(
            dataset="digits",
            method="hashnet",
            epochs=2,
            dataset_options={"train_per_class": 10_000},
        )
    )
    assert worker.main([str(made["failed"].run_dir(run_id))]) == 1
    return made


def watch_hostile(store: RunStore) -> None:
    """A finished run of a loop of others, whose name and tag are markup."""
    with Recorder(MARKUP, n_items=4, n_bits=2, labels=[0, 0, 1, 1], runs=store.root) as recorder:
        recorder.evaluate(np.eye(2) * 2 - 1, np.eye(2) * 2 - 1, [0, 1], [0, 1])
    change_notes(store, recorder.run_id, add=[MARKUP])


def open_app(page: str, store: RunStore, monkeypatch, **query: str) -> AppTest:
    monkeypatch.setenv("RDH_RUNS", str(store.root))
    app = AppTest.from_file(
        str(REPO / "app.py"), default_timeout=60
    )  # as the server does: a page alone has no neighbours
    for name, value in query.items():
        app.query_params[name] = value
    return app.run() if page == "app.py" else app.switch_page(page).run()


def words(app: AppTest) -> str:
    parts = [*app.info, *app.error, *app.warning, *app.caption, *app.markdown, *app.metric]
    return " ".join(str(part.value) + str(getattr(part, "label", "")) for part in parts)


@pytest.mark.parametrize("page", PAGES)
@pytest.mark.parametrize("kind", ["empty", "waiting", "finished", "failed"])
def test_no_page_shows_a_traceback_on_any_store_whatever_its_address_says(
    page, kind, stores, monkeypatch
):
    """The store of a failed run also holds one with a hostile name and tag, which is opened."""
    named = [run_id for run_id in stores[kind].run_ids() if run_id.startswith("script")]
    assert len(named) == (kind == "failed")
    address = HOSTILE_ADDRESS | ({"run": named[0]} if named else {})
    app = open_app(page, stores[kind], monkeypatch, **address)
    assert not app.exception
    for one in [*app.markdown, *app.caption]:
        assert not one.allow_html or MARKUP not in one.value
    for one in [*app.error, *app.warning, *app.info]:
        assert MARKUP not in one.value.replace(f"`{MARKUP}`", ""), "as code, or escaped"


@pytest.mark.parametrize("page", PAGES)
def test_what_stands_twice_in_an_address_is_at_most_one_sentence(page, stores, monkeypatch):
    twice = {name: ["h", "F"] for name in ADDRESS.split()}
    twice |= {name: ["true", "false"] for name in ("log", "amp", "eaq", "real", "flags", "worth")}
    twice |= {name: ["2", "3"] for name in NUMBERS.split() if name != "amp"}
    app = open_app(page, stores["finished"], monkeypatch, **twice)
    assert not app.exception and not [one.value for one in app.error if "be shown" in one.value]
    told = [one.value for one in app.warning if "asks for what this page" in one.value]
    assert len(told) <= 1
    if page == "pages/landscape.py":
        assert "amp = `true`, `false` (shown: `False`)" in told[0]


@pytest.mark.parametrize(
    "page", ["pages/data.py", "pages/landscape.py", "pages/launch.py", "pages/live.py"]
)
def test_a_file_of_ones_own_that_is_still_being_written_is_at_most_a_warning(
    page, stores, monkeypatch, tmp_path
):
    for folder in catalog.KINDS:
        shutil.copytree(catalog.PACKAGE / folder, tmp_path / folder)
        (tmp_path / folder / "own.py").write_text("def (", encoding="utf-8")
    with monkeypatch.context() as patch:
        patch.setattr(catalog, "PACKAGE", tmp_path)
        app = open_app(page, stores["finished"], monkeypatch)
    assert not app.exception and not app.error
    warned = [str(one.value).replace("\\", "") for one in app.warning]
    broken = [text for text in warned if "own.py is left out, line 1: invalid syntax" in text]
    assert len(broken) == (3 if page == "pages/launch.py" else 0)


@pytest.mark.parametrize("page", ["pages/live.py", "pages/bits.py", "pages/compare.py"])
def test_an_empty_store_says_what_to_do_next(page, stores, monkeypatch):
    assert "There are no runs yet" in words(open_app(page, stores["empty"], monkeypatch))


def test_a_failed_run_without_a_partner_says_why_it_failed_where_it_is_compared(
    stores, monkeypatch
):
    run_id = next(one for one in stores["failed"].run_ids() if one.startswith("hashnet"))
    app = open_app("pages/compare.py", stores["failed"], monkeypatch, run=run_id)
    (said,) = [one.value for one in app.warning if "This run failed" in one.value]
    assert "but the split needs" in said.replace("\\", "")


@pytest.mark.parametrize(("typed", "got"), [("", "nothing was entered"), ("x", "got x")])
def test_a_refused_bit_says_what_was_entered(stores, monkeypatch, typed, got):
    app = open_app("pages/bits.py", stores["finished"], monkeypatch)
    app.text_input(key="bit").set_value(typed).run()
    (said,) = [one.value for one in app.warning if "Bit must be" in one.value]
    assert f", {got}; shown is bit" in said


def test_a_failed_run_says_why_in_one_sentence(stores, monkeypatch):
    app = open_app("pages/live.py", stores["failed"], monkeypatch)
    assert "the split needs" in app.error[0].value and "Traceback" not in app.error[0].value
    said = open_app("app.py", stores["failed"], monkeypatch).dataframe[0].value["diagnosis"][0]
    assert said.startswith("Class '0' has 178 images, but the split needs") and said.endswith(" …")


def test_a_waiting_run_says_that_it_waits(stores, monkeypatch):
    shown = words(open_app("pages/live.py", stores["waiting"], monkeypatch))
    assert "PyTorch is being loaded, then it starts" in shown, "every slot is free"
    assert "first data are on their way" in shown


def test_a_run_waits_for_a_slot_only_if_another_one_trains(tmp_path):
    store = RunStore(tmp_path)
    first, second = (store.create(make_config(seed=seed)) for seed in range(2))
    trains, waits = (
        execution.RunState(run_id, state, 1, 0.0)
        for run_id, state in ((first, "running"), (second, "queued"))
    )
    alone = read_status(store, second, {second: waits})
    assert progress_text(alone, None) == "PyTorch is being loaded, then it starts"
    behind = read_status(store, second, {first: trains, second: waits})
    assert progress_text(behind, None) == "waiting for a free slot, then it starts"
    third = store.create(make_config(seed=2))
    first_of_all = execution.RunState(third, "queued", 1, 9.0, priority=1)
    known = {first: trains, second: waits, third: first_of_all}
    assert progress_text(read_status(store, second, known), None).endswith(
        "; place 2 in the queue by priority"
    )
    assert "place" not in progress_text(read_status(store, third, known), None)


def test_of_a_pair_that_ended_before_its_first_record_nothing_is_promised(tmp_path, monkeypatch):
    store = RunStore(tmp_path / "runs")
    base = preset_config("quick")
    pair = execution.submit(store, [with_plug_ins(base, rdh=rdh) for rdh in (False, True)])
    for run_id in pair:
        execution.cancel(store, run_id)
    for page in ("pages/compare.py", "app.py"):
        said = words(open_app(page, store, monkeypatch, run=pair[0], vs=pair[1]))
        assert "HashNet and HashNet + RDH ended without counts of dead bits" in said.replace(
            "\\", ""
        )
        assert "resume them on Runs, or launch the pair again" in said
        assert "they come with" not in said and "appears when" not in said, page
        assert "comes with" not in said, page


@pytest.mark.parametrize(
    ("seconds", "age", "words"),
    [
        (59.0, 0, "alive"),
        (3 * 60.0, 0, ":orange[⚠ stalled: no step"),
        (0.0, 120, ":orange[⚠ no sign of life for 2 min"),
        (0.0, 20, "· last heard 20 s ago"),
    ],
)
def test_a_run_without_a_step_or_a_heartbeat_is_said_in_amber(tmp_path, seconds, age, words):
    store = RunStore(tmp_path)
    run_id = store.create(make_config())
    beat = {"phase": "training", "step": 5, "total_steps": 9, "attempt": 1, "at": time.time() - age}
    store.write_json(run_id, "hb.json", beat | {"seconds_since_step": seconds})
    state = execution.RunState(run_id, "running", 1, 0.0)
    assert words in progress_text(read_status(store, run_id, {run_id: state}), None)


def test_live_shows_the_numbers_with_their_denominators(stores, monkeypatch):
    app = open_app("pages/live.py", stores["finished"], monkeypatch)
    labels = [metric.label for metric in app.metric]
    assert labels[0] == "Step" and "MAP" in labels and any("Dead" in label for label in labels)
    assert "of 32,000" in " ".join(metric.delta for metric in app.metric)


@pytest.fixture
def growing(stores, monkeypatch) -> list[str]:
    """The pair of `finished`, with one more record of each run before every read of the pages.

    Returns:
        what the charts of a page say: their titles.
    """
    titles: list[str] = []

    def note(figure, **_) -> None:
        titles.append(figure.layout.title.text)

    for module in (live_plot, side_by_side):
        monkeypatch.setattr(module, "live_plotly", note)
    for name in ("arrays", "scalars", "meta"):
        read = getattr(MetricsReader, name)
        monkeypatch.setattr(
            MetricsReader,
            name,
            lambda reader, *args, read=read: [add_record(reader.path), read(reader, *args)][1],
        )
    return titles


def add_record(path: Path) -> None:
    """One more record of a run: the last one again, ten steps later."""
    with contextlib.closing(sqlite3.connect(path, isolation_level=None)) as db:
        (seq,) = db.execute("SELECT MAX(seq) FROM scalars WHERE name = 'dead'").fetchone()
        db.execute("BEGIN IMMEDIATE")
        new = db.execute(
            "INSERT INTO records (step, epoch, at) SELECT (SELECT MAX(step) FROM records) + 10, "
            "epoch, at FROM records WHERE seq = ?",
            (seq,),
        ).lastrowid
        db.execute(
            "INSERT INTO scalars SELECT ?, name, value FROM scalars WHERE seq = ?", (new, seq)
        )
        db.execute(
            "INSERT INTO arrays (seq, name, dtype, shape, data) SELECT ?, name, dtype, shape, "
            "data FROM arrays WHERE seq = ?",
            (new, seq),
        )
        db.execute("COMMIT")


@pytest.mark.parametrize("page", ["pages/live.py", "pages/bits.py", "pages/compare.py"])
def test_all_parts_of_a_page_show_the_same_step_while_records_arrive(
    page, stores, monkeypatch, tmp_path, growing
):
    shutil.copytree(stores["finished"].root, tmp_path / "runs")
    app = open_app(page, RunStore(tmp_path / "runs"), monkeypatch)
    assert not app.exception and not app.error and growing
    texts = [*growing, *(f"step {tile.value}" for tile in app.metric if tile.label == "Step")]
    steps = {step for text in texts for step in re.findall(r"step (\d[\d,]*)", text or "")}
    assert len(steps) == 1, texts


def test_a_run_that_met_a_broken_image_is_launched_again_without_it(tmp_path, monkeypatch):
    store = RunStore(tmp_path / "runs")
    run_id = store.create(preset_config("quick"))
    said = "a.png cannot be decoded. Replace it, or set bad_images=skip to leave it out."
    result = {"state": "failed", "kind": "input", "attempt": 1, "message": said}
    store.write_json(run_id, "result.json", result)
    app = open_app("pages/live.py", store, monkeypatch, run=run_id)
    links = [one.proto.query_string for one in app.get("page_link")]
    assert f"clone={run_id}&set.bad_images=skip" in links


def test_compare_says_how_a_run_of_the_pair_died_and_offers_no_partner_that_cannot_be(
    stores, monkeypatch, tmp_path
):
    store = RunStore(shutil.copytree(stores["finished"].root, tmp_path / "runs"))
    first, second = store.run_ids()
    cut = {"state": "cancelled", "attempt": 1, "step": 8, "message": "Cancelled on request."}
    store.write_json(first, "result.json", cut)
    greedy = store.create(preset_config("quick", method="greedyhash"))
    (store.root / "registry.db").unlink(missing_ok=True)
    said = []
    for page in ("app.py", "pages/compare.py"):
        app = open_app(page, store, monkeypatch, run=first, vs=second)
        (one,) = [one.value for one in app.info if one.value.startswith("**So far.**")]
        assert "⊘ cancelled, last record at step" in one and "no verdict" in one
        said.append(one)
    assert said[0] == said[1]
    app = open_app("pages/compare.py", store, monkeypatch, run=greedy, vs="none")
    assert "GreedyHash has no run with RDH" in words(app) and "saturates" in words(app)
    assert "Launch its partner" not in [one.proto.label for one in app.get("page_link")]
    app = open_app("pages/compare.py", store, monkeypatch, run=first, vs="none")
    assert "Launch its partner" in [one.proto.label for one in app.get("page_link")]


def test_an_unknown_run_in_the_url_is_said_and_the_newest_is_shown(stores, monkeypatch):
    app = open_app("pages/live.py", stores["finished"], monkeypatch, run="../../etc/passwd")
    assert "There is no run" in app.warning[0].value and not app.exception


@pytest.mark.parametrize("page", ["pages/live.py", "pages/bits.py", "pages/compare.py"])
def test_a_run_that_cannot_be_read_is_no_default_and_takes_nothing_else_with_it(
    page, stores, monkeypatch, tmp_path
):
    store = RunStore(shutil.copytree(stores["finished"].root, tmp_path / "runs"))
    bad = store.create(preset_config("quick", seed=7))
    (store.root / bad / "config.json").write_text("[]")
    (store.root / "registry.db").unlink(missing_ok=True)
    app = open_app(page, store, monkeypatch)
    assert app.query_params["run"] != [bad] and not app.error
    if page != "pages/bits.py":
        assert app.query_params["vs"] != [bad]
    app = open_app(page, store, monkeypatch, run=bad)
    assert [error.value for error in app.error] and not app.exception
    if page == "pages/compare.py":
        assert "All pairs that have finished" in [one.value for one in app.subheader]


def test_a_bit_beyond_the_code_does_not_break_the_page(stores, monkeypatch):
    app = open_app("pages/bits.py", stores["finished"], monkeypatch, bit="9999")
    assert not app.exception and int(app.text_input(key="bit").value) < 32


def test_a_finished_run_is_ranked_without_each_of_its_bits(stores, monkeypatch):
    app = open_app("pages/bits.py", stores["finished"], monkeypatch, worth="true")
    assert not app.exception and not app.error and "Each bit is left out alone" in words(app)


def test_a_fitted_run_without_probes_is_ranked_too_and_says_that_its_dead_bits_are_not_known(
    tmp_path, monkeypatch
):
    store = RunStore(tmp_path / "runs")
    run_id = store.create(preset_config("quick", method="lsh"))
    assert worker.main([str(store.run_dir(run_id))]) == 0
    app = open_app("pages/bits.py", store, monkeypatch, worth="true")
    assert not app.exception and not app.error and "which bits were dead is not known" in words(app)


@pytest.mark.parametrize("kind", ["waiting", "failed"])
def test_a_run_without_final_codes_says_why_no_bit_is_ranked(kind, stores, monkeypatch):
    shown = words(open_app("pages/bits.py", stores[kind], monkeypatch, worth="true"))
    assert "which a run keeps when it finishes" in shown


def test_the_data_page_shows_the_card_of_a_data_set_and_obeys_its_switches(stores, monkeypatch):
    app = open_app("pages/data.py", stores["empty"], monkeypatch)
    shown = {metric.label: metric.value for metric in app.metric}
    assert (shown["Items"], shown["Queries"], shown["Training"]) == ("1,797", "100", "1,000")
    app.text_input(key="data-digits-query_per_class").set_value("5").run()
    assert [metric.value for metric in app.metric][:2] == ["1,797", "50"]
    app.text_input(key="data-digits-query_per_class").set_value("500").run()
    assert "500" in app.warning[0].value and not app.metric and not app.exception


def test_the_data_page_says_what_to_do_about_a_data_set_that_is_not_there(
    stores, monkeypatch, tmp_path
):
    monkeypatch.setenv("RDH_DATA", str(tmp_path))
    app = open_app("pages/data.py", stores["empty"], monkeypatch, set="coco")
    assert "No COCO in" in app.warning[0].value and app.code[0].value.startswith(
        "python -m rdh data prepare coco"
    )
    app.selectbox(key="set").set_value("nus_wide").run()
    assert "No NUS-WIDE in" in app.warning[0].value and not app.code


def test_the_data_page_names_broken_images_and_a_folder_that_is_not_there(
    stores, monkeypatch, tmp_path
):
    monkeypatch.setenv("RDH_DATA", str(tmp_path))
    datasets.example("image_folder", tmp_path)
    folder = tmp_path / "image_folder"
    for path in sorted(folder.glob("ant/*")):
        path.write_bytes(b"no image")
    app = open_app("pages/data.py", stores["empty"], monkeypatch, set="image_folder")
    (said,) = [one.value.replace("\\", "") for one in app.warning]
    found = re.match(r"(\d+) of the (\d+) images that were looked at can't be read: ant/", said)
    assert found and 0 < int(found[1]) < int(found[2]) and "bad_images is skip" in said
    assert f"The data folder is {tmp_path}." in words(app).replace("\\", "")
    app.text_input(key="data-image_folder-folder").set_value("gone").run()
    assert f"There is no folder {folder.with_name('gone')}:" in words(app).replace("\\", "")
    app.text_input(key="data-image_folder-folder").set_value("/tmp").run()
    assert "from the data folder on" in app.error[0].value


@pytest.mark.parametrize("name", list(catalog.datasets()))
def test_the_data_page_opens_for_every_data_set(name, stores, monkeypatch, tmp_path):
    monkeypatch.setenv("RDH_DATA", str(tmp_path))
    app = open_app("pages/data.py", stores["empty"], monkeypatch, set=name)
    assert not app.exception and not app.error and catalog.datasets()[name].title in words(app)


def test_the_equation_of_the_landscape_has_the_plug_ins_that_are_drawn(stores, monkeypatch):
    app = open_app("pages/landscape.py", stores["empty"], monkeypatch)
    assert "with RDH" in app.latex[0].value, "nothing is on: the equation shows what would help"
    app.button(key="preset-Deep saturation").click().run()
    assert "with amplifier" in app.latex[0].value and "with RDH" not in app.latex[0].value
    app.toggle(key="eaq").set_value(True).run()
    assert "with RDH" in app.latex[0].value and "with amplifier" not in app.latex[0].value


@pytest.mark.parametrize("page", PAGES[1:])
def test_a_page_ends_by_saying_what_its_address_was_refused(page):
    last = ast.parse((REPO / page).read_text(encoding="utf-8")).body[-1]
    assert ast.unparse(last) == "end_page()"


def test_every_setting_of_a_run_is_in_the_form_once():
    drawn = [*run_form.FIRST, *(name for names in run_form.groups().values() for name in names)]
    assert sorted([*drawn, *run_form.ELSEWHERE]) == sorted(RunConfig.model_fields)


def test_a_setting_that_no_group_names_comes_last(monkeypatch):
    monkeypatch.setattr(run_form, "GROUPS", {"Data": ("split_seed",)})
    assert list(run_form.groups()) == ["Data", "Further settings"]
    assert "backbone" in run_form.groups()["Further settings"]


@pytest.fixture
def submitted(monkeypatch) -> list[RunConfig]:
    """What the form hands to the queue, which does not start."""
    configs: list[RunConfig] = []

    def submit(_, asked: list[RunConfig], **__: str) -> list[str]:
        configs.extend(asked)
        return ["hashnet-32-s0-aaaaaa"]

    monkeypatch.setattr(execution, "submit", submit)
    monkeypatch.setattr(execution, "ensure_supervisor", lambda _: None)
    return configs


def test_a_collapsed_run_is_praised_nowhere(stores, monkeypatch, tmp_path):
    store = RunStore(shutil.copytree(stores["finished"].root, tmp_path / "runs"))
    sick, well = sorted(store.run_ids(), key=lambda one: store.config(one).has_rdh)
    with contextlib.closing(sqlite3.connect(store.run_dir(sick) / "metrics.db")) as db, db:
        db.execute("UPDATE scalars SET value = 1 WHERE name = 'n_distinct_codes'")
    app = open_app("pages/compare.py", store, monkeypatch, run=sick, vs=well)
    tiles = [(one.value, one.delta) for one in app.metric if one.label == "✖ Dead"]
    assert tiles[0] == ("–", "collapsed") and tiles[1][0].endswith("%")
    assert "Not drawn. Dead in HashNet minus dead in HashNet + RDH" in words(app)
    live = open_app("pages/live.py", store, monkeypatch, run=sick)
    assert {one.label: one.value for one in live.metric}["Cost of the dead"] == "–"
    titles: list[str] = []

    def note(figure: Figure) -> str:
        titles.append(figure.layout.title.text)
        return "{}"

    monkeypatch.setattr(live_plot, "figure_json", note)
    bits = words(open_app("pages/bits.py", store, monkeypatch, run=sick))
    assert titles[0] == "The run collapsed to one code, so its dead entries say nothing"
    assert not re.search(r"\*\*Bit \d+\*\*, of [\d,]+ training items: [\d,]+ dead", bits)


def press_launch(app: AppTest) -> AppTest:
    return next(one for one in app.button if one.label == "Launch").click().run()


def test_a_launch_keeps_the_switches_of_each_method_and_of_the_data_set(
    stores, monkeypatch, submitted
):
    app = open_app("pages/launch.py", stores["empty"], monkeypatch)
    app.multiselect(key="demo-methods").set_value(["hashnet", "dsdh", "csq"])
    app.selectbox(key="demo-dataset").set_value("mosaic").run()
    app.toggle(key="demo-hashnet-continuation").set_value(True)
    app.selectbox(key="demo-dsdh-schedule").set_value("batch")
    app.selectbox(key="demo-mosaic-grid").set_value(3)
    app.text_input(key="demo-mosaic-n_items").set_value("100")
    press_launch(app)
    assert not app.exception and len(submitted) == 6
    options = {config.method: config.method_options for config in submitted}
    assert options == {"hashnet": {"continuation": True}, "dsdh": {"schedule": "batch"}, "csq": {}}
    assert {config.dataset for config in submitted} == {"mosaic"}
    assert all(config.dataset_options == {"grid": 3, "n_items": 100} for config in submitted)


@pytest.mark.parametrize("preset", ["demo", "quick"])
def test_an_untouched_form_launches_the_pair_of_the_command_line(
    preset, stores, monkeypatch, submitted
):
    press_launch(open_app("pages/launch.py", stores["empty"], monkeypatch, preset=preset))
    base = preset_config(preset, method="hashnet")
    pair = [with_plug_ins(base, rdh=rdh) for rdh in (False, True)]
    wanted = demo_pair() if preset == "demo" else pair
    assert [config.hash for config in submitted] == [config.hash for config in wanted]


def test_all_six_arms_are_launched_where_the_method_has_a_term_to_leave_out(
    stores, monkeypatch, submitted
):
    app = open_app("pages/launch.py", stores["empty"], monkeypatch)
    app.multiselect(key="demo-methods").set_value(["dpsh", "hashnet", "lsh"]).run()
    app.radio(key="demo-arms").set_value(
        next(arms for arms in app.radio(key="demo-arms").options if "six" in arms)
    )
    press_launch(app)
    arms = {
        method: [config.arm for config in submitted if config.method == method]
        for method in ("dpsh", "hashnet", "lsh")
    }
    assert arms == {
        "dpsh": ["", "noq", "ga", "ga-noq", "eaq", "rdh"],
        "hashnet": ["", "ga", "eaq", "rdh"],
        "lsh": [""],
    }


def test_a_copy_of_a_run_starts_from_its_switches(stores, monkeypatch, tmp_path, submitted):
    store = RunStore(tmp_path / "runs")
    config = make_config(
        method="dagh",
        method_options={"n_anchors": 50},
        epochs=7,
        dataset_options={"query_per_class": 5},
    )
    app = open_app("pages/launch.py", store, monkeypatch, clone=store.create(config))
    press_launch(app)
    assert submitted[0].hash == config.hash


def test_an_aim_on_the_launch_form_is_for_the_runs_with_the_amplifier(
    stores, monkeypatch, submitted
):
    app = open_app("pages/launch.py", stores["empty"], monkeypatch)
    app.selectbox(key="demo-amplifier_aim").set_value("labels")
    app.text_input(key="demo-amplifier_scale").set_value("2")
    press_launch(app)
    assert not app.exception
    assert [one.label for one in submitted] == [
        "DCH",
        "DCH + RDH, aimed by labels, 2 × alpha",
    ]
    refused = open_app("pages/launch.py", stores["empty"], monkeypatch)
    refused.selectbox(key="demo-amplifier_aim").set_value("labels")
    refused.radio(key="demo-arms").set_value("Baseline only")
    press_launch(refused)
    assert len(submitted) == 2 and len(refused.error) == 1
    assert "must be gradient if the amplifier is off, got 'labels'" in refused.error[0].value


@pytest.mark.parametrize(
    ("methods", "seeds", "arms", "sentence"),
    [
        (["hashnet"], "four", "Pair", "Seeds takes whole numbers"),
        ([], "0", "Pair", "at least one method"),
        (["lsh", "itq"], "0", "With RDH only", "must go with the method"),
        (["hashnet"], "0-150", "All four", "at most 200 runs, got 604"),
    ],
)
def test_bad_input_on_the_launch_form_is_one_sentence_and_nothing_is_lost(
    methods, seeds, arms, sentence, stores, monkeypatch, submitted
):
    app = open_app("pages/launch.py", stores["empty"], monkeypatch)
    app.multiselect(key="demo-methods").set_value(methods)
    app.text_input(key="demo-seeds").set_value(seeds)
    app.radio(key="demo-arms").set_value(
        next(one for one in app.radio(key="demo-arms").options if one.startswith(arms))
    )
    app.text_input(key="demo-epochs").set_value("7")
    press_launch(app)
    assert (
        sentence in app.error[0].value
        and len(app.error) == 1
        and not submitted
        and not app.exception
    )
    assert (app.text_input(key="demo-seeds").value, app.text_input(key="demo-epochs").value) == (
        seeds,
        "7",
    )
    assert app.multiselect(key="demo-methods").value == methods


@pytest.mark.parametrize(
    ("field", "typed", "sentence"),
    [
        ("lr", "0.0", "Learning rate (lr) must be above 0 and at most 100, got 0.0"),
        ("lr", "1e400", "Learning rate (lr) must be a finite number, got 1e400"),
        ("lr", "0,3", "must be a number with a decimal point, like 0.3, got '0,3'"),
        ("epochs", "-3", "Epochs must be at least 1 and at most 100000, got -3"),
        ("epochs", "2.7", "Epochs must be a whole number, got 2.7"),
        ("epochs", "", "Epochs must be a whole number, got ''"),
        ("n_bits", "100000", "(n_bits) must be at least 1 and at most 1024, got 100000"),
        ("batch_size", "1_000", "Batch size must be a whole number, got '1_000'"),
        ("eta", "-1", "η (eta) must be at least 0 and at most 1000, got -1"),
        ("seeds", "", "Seeds takes at least one whole number, got ''"),
        ("device", "tpu", "Device must be auto, cpu, cuda or cuda:N, got 'tpu'"),
        ("digits-query_per_class", "2.5", "(query_per_class) must be a whole number, got 2.5"),
    ],
)
def test_what_was_typed_and_cannot_be_is_one_sentence_and_stays_in_its_line(
    field, typed, sentence, stores, monkeypatch, submitted
):
    app = open_app("pages/launch.py", stores["empty"], monkeypatch)
    app.text_input(key=f"demo-{field}").set_value(typed)
    press_launch(app)
    said = app.error[0].value.replace("\\", "")
    assert sentence in said and len(app.error) == 1 and not submitted
    assert app.text_input(key=f"demo-{field}").value == typed


def test_an_eta_that_no_run_would_use_is_one_sentence(stores, monkeypatch, submitted):
    app = open_app("pages/launch.py", stores["empty"], monkeypatch)
    app.multiselect(key="demo-methods").set_value(["hashnet"]).run()
    app.radio(key="demo-arms").set_value("Baseline only")
    app.text_input(key="demo-eta").set_value("0.4")
    press_launch(app)
    assert [card.value.replace("\\", "") for card in app.error] == [
        "η (eta) must be left out for HashNet: there is no quantization term to weigh, got 0.4; "
        "ask for RDH or for another method."
    ]
    assert not submitted
    app.radio(key="demo-arms").set_value("Pair: with and without RDH")
    press_launch(app)
    assert [config.eta for config in submitted] == [None, 0.4]


@pytest.mark.parametrize("count", [{}, {"done": 3, "of": 10}])
def test_the_phase_that_a_worker_names_is_shown_as_text(count, tmp_path, monkeypatch):
    store = RunStore(tmp_path / "runs")
    (run_id,) = execution.submit(store, [make_config()])
    beat = {"attempt": 1, "at": time.time(), "phase": "![a](https://a.test/a.png) **b**"} | count
    store.write_json(run_id, "hb.json", beat)
    app = open_app("pages/live.py", store, monkeypatch, run=run_id)
    shown = [one.value for one in [*app.markdown, *app.caption] if "a.test" in one.value]
    assert shown and all(r"!\[a\](https\://a.test/a.png) \*\*b\*\*" in text for text in shown)


def test_a_seed_named_twice_and_runs_that_were_there_are_said_at_the_launch(tmp_path, monkeypatch):
    monkeypatch.setattr(execution, "ensure_supervisor", lambda _: None)
    store = RunStore(tmp_path / "runs")
    for notes in ([], ["Seeds named some more", "The same settings with the same seed ran here"]):
        app = open_app("pages/launch.py", store, monkeypatch)
        app.text_input(key="demo-seeds").set_value("1,1,1" if notes else "1")
        press_launch(app)
        said = [card.value for card in app.info if "first data" not in card.value]
        assert len(said) == len(notes)
        assert all(shown.startswith(note) for shown, note in zip(said, notes, strict=True))
        for run_id in store.run_ids():
            store.write_json(run_id, "result.json", {"attempt": 1, "state": "finished"})
    assert len(store.run_ids()) == 4


@pytest.mark.process
def test_no_page_brings_torch_into_the_web_process(stores):
    code = (
        "import sys; from streamlit.testing.v1 import AppTest\n"
        "app = AppTest.from_file('app.py', default_timeout=60).run()\n"
        f"for page in {PAGES[1:]!r}:\n    assert not app.switch_page(page).run().exception, page\n"
        "assert 'torch' not in sys.modules and 'torchvision' not in sys.modules"
    )
    env = {
        "RDH_RUNS": str(stores["finished"].root),
        "PYTHONPATH": str(REPO),
        "PATH": "/usr/bin:/bin",
        "HOME": str(stores["finished"].root),
    }
    done = subprocess.run(
        [sys.executable, "-c", code],
        cwd=REPO,
        env=env,
        capture_output=True,
        text=True,
        timeout=180,
    )
    assert done.returncode == 0, done.stderr[-2000:]


def test_a_run_whose_records_are_lost_says_so_once_on_every_page(stores, monkeypatch, tmp_path):
    """Its metrics.db is empty, or cut; the pages and the list of runs say the same of it."""
    store = RunStore(shutil.copytree(stores["finished"].root, tmp_path / "runs"))
    empty, cut = store.run_ids()
    files = [store.run_dir(one) / "metrics.db" for one in (empty, cut)]
    files[0].write_bytes(b"")
    files[1].write_bytes(files[1].read_bytes()[: files[1].stat().st_size // 2])
    said = {empty: "is empty, so its records are lost", cut: "can't be read"}
    for run_id, problem in said.items():
        for page in ("live", "bits", "compare", "retrieval"):
            app = open_app(f"pages/{page}.py", store, monkeypatch, run=run_id, vs="none")
            told = [one.value for one in app.error if problem in one.value]
            assert len(told) == (page != "compare") and not app.exception, page
            links = [one.proto.query_string for one in app.get("page_link")]
            assert (f"clone={run_id}" in links) == (page != "retrieval") or told, page
        app = open_app("pages/definitions.py", store, monkeypatch, run=run_id)
        (told,) = [one.value for one in app.warning if problem in one.value]
        assert told.endswith("The numbers are of the newest runs.")
        app = open_app("pages/runs.py", store, monkeypatch)
        assert problem in words(app) and "launch it again, then delete this one" in words(app)
    app = open_app("app.py", store, monkeypatch)
    assert "Your last pair" not in words(app) and "metrics.db" in str(app.dataframe[0].value)
