"""What a launch form stands for: runs, differences in words, the first pair."""

from pathlib import Path
from time import time

import pytest
from streamlit.testing.v1 import AppTest

from pages.common.experiment import ARMS, Asked, build, said_of_changes, said_of_runs
from pages.common.launch_queue import device_lines
from pages.common.launch_start import changed_copy, changes_said, read_changes
from pages.common.launching import first_pair
from pages.common.number_field import parsed
from pages.common.run_form import in_words_of_the_form, read_fields, read_switches
from rdh import catalog, execution
from rdh.config.presets import preset_config
from rdh.errors import UserError
from rdh.store.run_store import RunStore

PAIR, ALL_SIX, BASELINE = (next(one for one in ARMS if one.startswith(how))
                           for how in ("Pair", "All six", "Baseline"))  # fmt: skip
START = preset_config("demo", method="hashnet").model_dump()


def asked(**more: object) -> Asked:
    plain = Asked({"eta": None}, ["hashnet"], {"hashnet": {}, "dpsh": {}}, "32", "0", PAIR)
    return plain._replace(**more)


def test_runs_are_the_product_of_methods_code_lengths_seeds_and_arms():
    configs = build(START, asked(methods=["hashnet", "dpsh"], bits="24,32", seeds="0-2"))
    slow = [
        (method, bits, seed, arm)
        for method in ("hashnet", "dpsh")
        for bits in (24, 32)
        for seed in (0, 1, 2)
        for arm in ("", "rdh")
    ]
    assert [(one.method, one.n_bits, one.seed, one.arm) for one in configs] == slow
    assert said_of_runs(configs) == (
        "24 runs: HashNet, DPSH · 24, 32 bits · seeds 0, 1, 2 · baseline, RDH"
    )


@pytest.mark.parametrize(
    ("more", "sentence"),
    [
        ({"bits": "16,x"}, "Code lengths takes whole numbers"),
        ({"bits": "16-"}, "Code lengths takes whole numbers"),
        ({"seeds": "-1"}, "Seeds takes whole numbers of 0 or more like .*, got '-1'"),
        ({"bits": ""}, "Code lengths takes at least one whole number"),
        ({"bits": "16,0"}, "n_bits must be in"),
        ({"bits": "2.5"}, "n_bits must be a whole number, got 2.5"),
        ({"bits": "1-64", "seeds": "0-9"}, "at most 200 runs, got 1280"),
        ({"bits": "1e9"}, r"n_bits must be in \[1, 1024\], got 1000000000 \("),
        ({"seeds": "9" * 20}, r"seed must be in \[0, 4294967296\), got 9{20} \("),
        (
            {"fields": {"epochs": parsed("1e9")}},
            r"epochs must be in \[1, 100000\], got 1000000000 ",
        ),
        ({"fields": {"epochs": 1e30}}, r"epochs must be in \[1, 100000\], got 1e\+30 "),
        ({"fields": {"epochs": 2.0}}, r"epochs must be a whole number, got 2.0 "),
    ],
)
def test_code_lengths_that_cannot_be_are_one_sentence(more, sentence):
    with pytest.raises(UserError, match=sentence):
        build(START, asked(**more))


def test_a_plan_shows_as_many_digits_as_a_number_has():
    said = said_of_changes(START, asked(fields={"tau": 0.999999999999, "lr": 0.25}), "the preset")
    assert "τ 0.999999999999 instead of 0.99" in said and "0.25 instead of" in said


def test_a_code_of_one_bit_is_one_bit():
    assert " · 1 bit · " in said_of_runs(build(START, asked(bits="1")))


def test_the_first_pair_of_a_launch_is_shown_whatever_is_launched():
    many = build(START, asked(methods=["hashnet", "dpsh"], seeds="0-2"))
    assert first_pair(many) == (0, 1)
    six = build(START, asked(methods=["dpsh"], arms=ALL_SIX, seeds="0-1"))
    place, other = first_pair(six)
    assert six[other].has_rdh and six[place].arm == "" and six[place].seed == six[other].seed == 0
    assert first_pair(build(START, asked(arms=BASELINE, seeds="0-1"))) == (0, None)
    alone = build(START, asked(arms="With RDH only", seeds="0-1"))
    assert first_pair(alone) == (0, None)


def test_what_differs_from_the_preset_is_said_in_words():
    assert said_of_changes(START, asked(), "Demo") == "All settings are those of Demo."
    changed = asked(fields={"eta": None, "lr": 0.1, "compile": True, "epochs": 60}, bits="64")
    assert said_of_changes(START, changed, "Demo") == (
        "Differs from Demo: Learning rate 0.1 instead of 0.3; Compile the backbone on instead of "
        "off; Code length (bits) 64 instead of 32."
    )
    switched = asked(switches={"hashnet": {"continuation": True}})
    said = "HashNet with continuation on instead of off."
    assert said_of_changes(START, switched, "Demo").endswith(said)
    start = START | {"method_options": {"continuation": True}}
    said = "Differs from Demo: HashNet with continuation off instead of on."
    assert said_of_changes(start, asked(), "Demo") == said
    folder = {"dataset": "image_folder", "dataset_options": {"folder": "few"}}
    changed = asked(fields=folder | {"bad_images": "skip"}, seeds="0-2", methods=["dpsh"])
    assert said_of_changes(START, changed, "Demo") == (
        "Differs from Demo: Method dpsh instead of hashnet; Dataset image_folder instead of "
        "digits; Bad images skip instead of stop; Seed 0-2 instead of 0; Image folder with folder "
        "few instead of image_folder."
    )
    back = asked(fields={"dataset": "image_folder", "dataset_options": {}})
    assert said_of_changes(START | folder, back, "run 1").endswith(
        "Image folder with folder image_folder instead of few."
    )


def test_a_change_that_a_failure_names_is_one_that_a_link_makes():
    said = "a.png cannot be decoded. Replace it, or set bad_images=skip to leave it out."
    assert changes_said(said) == {"bad_images": "skip"}
    assert read_changes(changed_copy("one", changes_said(said))) == {"bad_images": "skip"}
    assert changes_said("Set device=cpu, or backbone=none.") == {}


def test_what_stands_in_the_browser_is_read_as_the_form_reads_it():
    content = {
        "k-epochs": "7",
        "k-lr": "fast",
        "k-eta": " ",
        "k-compile": True,
        "k-optimizer": "adam",
        "k-schedule": "half a word",
        "k-finetune": "on",
    }
    fields = read_fields(content.get, START, "k")
    told = {"epochs": 7, "lr": "fast", "eta": None, "compile": True, "optimizer": "adam"}
    assert told.items() <= fields.items()
    rest = fields.keys() - told.keys()
    assert {name: fields[name] for name in rest} == {name: START[name] for name in rest}
    card = catalog.methods()["hashnet"]
    assert read_switches({"k-hashnet-continuation": True}.get, card, {}, "k") == {
        "continuation": True
    }
    assert read_switches({}.get, card, {"continuation": True}, "k") == {"continuation": True}


def test_devices_are_named_with_their_slots_in_use_and_their_load(tmp_path, monkeypatch):
    store = RunStore(tmp_path / "runs")
    assert device_lines(store, {})[0].startswith("Nothing trains: a launch starts at once")
    ids = [store.create(preset_config("quick", seed=seed)) for seed in range(2)]
    for state in ("queued", "running"):
        known = {run_id: execution.RunState(run_id, state, 1, 0.0) for run_id in ids}
        (said,) = device_lines(store, known)
        assert "not up yet" in said and "Nothing trains" not in said
    devices = [{"label": "GPU 1 (H200)", "slots": 1}, {"label": "GPU 10 (H200)", "slots": 2}]
    monkeypatch.setattr(execution, "supervisor_status", lambda _: {"devices": devices})
    monkeypatch.setattr(execution, "gpu_loads", lambda: {"GPU 1": "54% busy", "GPU 10": "9% busy"})
    run = execution.RunState("a", "running", 1, 0.0, device="GPU 10 (H200)")
    assert device_lines(store, {"a": run}) == [
        "GPU 1 (H200): 0 of 1 slot in use, 54% busy.",
        "GPU 10 (H200): 1 of 2 slots in use, 9% busy.",
    ]


def test_an_unknown_run_to_clone_is_one_sentence_and_the_form_stays(tmp_path, monkeypatch):
    monkeypatch.setenv("RDH_RUNS", str(tmp_path / "runs"))
    app = AppTest.from_file(str(Path(__file__).parents[2] / "app.py"), default_timeout=60)
    app.query_params["clone"] = "hashnet-32-s0-000000"
    app.query_params["set.lr"] = "abc"
    app.switch_page("pages/launch.py").run()
    (said,) = (one.value.replace("\\", "") for one in app.warning)
    assert said.startswith("clone of the address must name a run to copy: There is no run")
    assert "set.lr" in said and said.endswith("Shown instead: the preset Demo.")
    assert app.radio(key="preset").value == "demo" and app.text_input(key="demo-seeds").value == "0"
    assert any("2 runs: DCH · 16 bits" in one.value.replace("\\", "") for one in app.markdown)
    assert any("All settings are those of Demo" in one.value for one in app.caption)
    assert app.query_params.keys() == {"preset"}, "the address names what is shown"
    assert len(app.run().warning) == 1, "it stands as long as the address does"


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        (("set.tua", "0.9"), "A link can't change 'tua' (did you mean tau?), so nothing of it was"),
        (("set.foo", "1"), "A link can't change 'foo', so nothing of it was taken over; change"),
        (("set.lr", "abc"), "Learning rate (lr) must be a number, got 'abc'"),
    ],
)
def test_a_change_that_a_link_cannot_make_is_one_short_sentence(
    change, sentence, tmp_path, monkeypatch
):
    monkeypatch.setenv("RDH_RUNS", str(tmp_path / "runs"))
    run_id = RunStore(tmp_path / "runs").create(preset_config("demo", method="dch"))
    app = AppTest.from_file(str(Path(__file__).parents[2] / "app.py"), default_timeout=60)
    app.query_params["clone"] = run_id
    app.query_params[change[0]] = change[1]
    app.switch_page("pages/launch.py").run()
    (said,) = (one.value.replace("\\", "") for one in app.warning)
    assert said.startswith(sentence) and len(said) < 200 and not app.error
    assert app.query_params["clone"] in (run_id, [run_id]) and change[0] not in app.query_params


@pytest.mark.parametrize(
    ("sentence", "words"),
    [
        ("lr must be in (0, 100], got 0.", "Learning rate (lr) must be above 0 and at most 100, "),
        ("tau must be in [0, 1), got 1.0", "τ (tau) must be at least 0 and below 1, got"),
        ("n_bits must be in [1, 1024]", "Code length (n_bits) must be at least 1 and at most 1024"),
        ("batch_size must be a", "Batch size must be a"),
        (
            "lr must be a number, got 'abc' (initial learning rate).",
            "Learning rate (lr) must be a number, got 'abc'.",
        ),
        (
            "weight_decay must be a number, got 'abc' (weight decay).",
            "Weight decay must be a number, got 'abc'.",
        ),
        (
            "batch_size must be a number, got 'abc' (items a step; pairs need at least 2).",
            "Batch size must be a number, got 'abc' (items a step",
        ),
        ("dataset_options n_query must be", "Number of queries (n_query) must be"),
        ("method_options of dpsh must be among", "method_options of dpsh must be among"),
        ("Seeds takes at least one", "Seeds takes at least one"),
        ("No room is left", "No room is left"),
    ],
)
def test_a_sentence_on_a_setting_has_the_label_of_the_form(sentence, words):
    assert in_words_of_the_form(sentence).startswith(words)


@pytest.mark.parametrize("text", ["1e-400", "-1e-999", "1e400", "0.0e0", "5", "0.25", "1,5", "inf"])
def test_a_number_is_shown_as_it_was_typed_if_no_float_holds_it(text):
    number = parsed(text)
    kept = text if text in ("1e-400", "-1e-999", "1e400", "5", "0.25") else None
    assert kept is None or repr(number) == text
    assert isinstance(number, str) or number == float(text)


def test_a_page_that_is_loaded_anew_says_what_was_just_launched(tmp_path, monkeypatch):
    monkeypatch.setenv("RDH_RUNS", str(tmp_path / "runs"))
    store = RunStore(tmp_path / "runs")

    def said(age: float) -> list[tuple[str, str, str]]:
        app = AppTest.from_file(str(Path(__file__).parents[2] / "app.py"), default_timeout=60)
        with monkeypatch.context() as later:
            later.setattr("pages.common.launching.time.time", lambda: time() + age)
            app.switch_page("pages/launch.py").run()
        assert not app.exception and not app.error
        told = [one.value for one in app.markdown if "launched here" in one.value]
        links = [one.proto for one in app.get("page_link") if one.proto.label.startswith("Open ")]
        return [
            (text, link.label, link.query_string) for text, link in zip(told, links, strict=True)
        ]

    assert said(0) == []
    configs = build(START, asked())
    first, second = execution.submit(store, configs[::-1])
    ((text, label, query),) = said(3)
    assert text.startswith("**2 runs were launched here ") and label == "Open them"
    assert f"run={second}&vs={first}" in query, "the run without RDH comes first"
    assert said(200) == []
    execution.submit(store, build(START, asked(seeds="5-8")))
    ((_, _, query),) = said(30)
    assert "select=" in query
