"""Every page on every kind of store: nothing yet, waiting, finished, failed. No traceback, no torch in the web process."""

import subprocess
import sys
from pathlib import Path

import pytest
from streamlit.testing.v1 import AppTest

from rdh import execution, worker
from rdh.config import make_config, with_plug_ins
from rdh.presets import preset_config
from rdh.store import RunStore

HOUSE = Path(__file__).parents[1]
PAGES = ["app.py", *sorted(str(path.relative_to(HOUSE)) for path in (HOUSE / "pages").glob("*.py"))]


@pytest.fixture(scope="module")
def stores(tmp_path_factory) -> dict[str, RunStore]:
    """empty; waiting: a pair in the queue; finished: a pair trained for two epochs; failed: a run that diverged."""
    made = {
        name: RunStore(tmp_path_factory.mktemp(name) / "runs") for name in ("empty", "waiting", "finished", "failed")
    }
    base = preset_config("quick", epochs=2)
    pair = [with_plug_ins(base, rdh=rdh) for rdh in (False, True)]
    execution.submit(made["waiting"], pair)
    for config in pair:
        run_id = made["finished"].create(config)
        assert worker.main([str(made["finished"].run_dir(run_id))]) == 0
    run_id = made["failed"].create(
        make_config(dataset="digits", method="hashnet", epochs=2, dataset_options={"train_per_class": 10_000})
    )
    assert worker.main([str(made["failed"].run_dir(run_id))]) == 1
    return made


def open_app(page: str, store: RunStore, monkeypatch, **query: str) -> AppTest:
    monkeypatch.setenv("RDH_RUNS", str(store.root))
    app = AppTest.from_file(
        str(HOUSE / "app.py"), default_timeout=60
    )  # as the server does: a page alone has no neighbours
    for name, value in query.items():
        app.query_params[name] = value
    return app.run() if page == "app.py" else app.switch_page(page).run()


def words(app: AppTest) -> str:
    parts = [*app.info, *app.error, *app.warning, *app.caption, *app.markdown, *app.metric]
    return " ".join(str(part.value) + str(getattr(part, "label", "")) for part in parts)


@pytest.mark.parametrize("page", PAGES)
@pytest.mark.parametrize("kind", ["empty", "waiting", "finished", "failed"])
def test_no_page_shows_a_traceback_on_any_store(page, kind, stores, monkeypatch):
    app = open_app(page, stores[kind], monkeypatch)
    assert not app.exception


@pytest.mark.parametrize("page", ["pages/live.py", "pages/bits.py", "pages/compare.py"])
def test_an_empty_store_says_what_to_do_next(page, stores, monkeypatch):
    assert "There are no runs yet" in words(open_app(page, stores["empty"], monkeypatch))


def test_a_failed_run_says_why_in_one_sentence(stores, monkeypatch):
    app = open_app("pages/live.py", stores["failed"], monkeypatch)
    assert "the split needs" in app.error[0].value and "Traceback" not in app.error[0].value


def test_a_waiting_run_says_that_it_waits(stores, monkeypatch):
    shown = words(open_app("pages/live.py", stores["waiting"], monkeypatch))
    assert "waiting for a free slot" in shown and "first data are on their way" in shown


def test_live_shows_the_numbers_with_their_denominators(stores, monkeypatch):
    app = open_app("pages/live.py", stores["finished"], monkeypatch)
    labels = [metric.label for metric in app.metric]
    assert labels[0] == "Step" and "MAP" in labels and any("Dead" in label for label in labels)
    assert "of 32,000" in " ".join(metric.delta for metric in app.metric)


def test_an_unknown_run_in_the_url_is_said_and_the_newest_is_shown(stores, monkeypatch):
    app = open_app("pages/live.py", stores["finished"], monkeypatch, run="../../etc/passwd")
    assert "There is no run" in app.warning[0].value and not app.exception


def test_a_bit_beyond_the_code_does_not_break_the_page(stores, monkeypatch):
    app = open_app("pages/bits.py", stores["finished"], monkeypatch, bit="9999")
    assert not app.exception and app.number_input(key="bit").value < 32


@pytest.mark.parametrize(
    ("field", "value", "sentence"),
    [("demo-seeds", "four", "Seeds takes whole numbers"), ("demo-methods", [], "at least one method")],
)
def test_bad_input_on_the_launch_form_is_one_sentence_and_launches_nothing(field, value, sentence, stores, monkeypatch):
    app = open_app("pages/launch.py", stores["empty"], monkeypatch)
    widget = app.multiselect(key=field) if field.endswith("methods") else app.text_input(key=field)
    widget.set_value(value)
    app.button[-1].click().run()
    assert sentence in app.error[0].value and not stores["empty"].run_ids() and not app.exception


def test_no_page_brings_torch_into_the_web_process(stores):
    code = (
        "import sys; from streamlit.testing.v1 import AppTest\n"
        "app = AppTest.from_file('app.py', default_timeout=60).run()\n"
        f"for page in {PAGES[1:]!r}:\n    assert not app.switch_page(page).run().exception, page\n"
        "assert 'torch' not in sys.modules and 'torchvision' not in sys.modules"
    )
    env = {
        "RDH_RUNS": str(stores["finished"].root),
        "PYTHONPATH": str(HOUSE),
        "PATH": "/usr/bin:/bin",
        "HOME": str(stores["finished"].root),
    }
    done = subprocess.run([sys.executable, "-c", code], cwd=HOUSE, env=env, capture_output=True, text=True, timeout=180)
    assert done.returncode == 0, done.stderr[-2000:]
