"""What a launch form stands for: runs, differences in words, the first pair."""

from pathlib import Path

import pytest
from streamlit.testing.v1 import AppTest

from pages.common.experiment import ARMS, Asked, build, said_of_changes, said_of_runs
from pages.common.launch_queue import device_lines
from pages.common.launching import first_pair
from pages.common.run_form import read_fields, read_switches
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
        ({"bits": ""}, "Code lengths takes at least one whole number"),
        ({"bits": "16,0"}, "n_bits must be in"),
        ({"bits": "2.5"}, "n_bits must be a whole number, got 2.5"),
        ({"bits": "1-64", "seeds": "0-9"}, "at most 200 runs, got 1280"),
    ],
)
def test_code_lengths_that_cannot_be_are_one_sentence(more, sentence):
    with pytest.raises(UserError, match=sentence):
        build(START, asked(**more))


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
    assert said_of_changes(START, switched, "Demo").endswith("HashNet with continuation on.")


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
    (said,) = (one.value.replace("\\", "") for one in app.error)
    assert said.startswith("clone of the address must name a run to copy: There is no run")
    assert "set.lr" in said and said.endswith("Shown instead: the preset Demo.")
    assert app.radio(key="preset").value == "demo" and app.text_input(key="demo-seeds").value == "0"
    assert any("2 runs: DCH · 16 bits" in one.value.replace("\\", "") for one in app.markdown)
    assert any("All settings are those of Demo" in one.value for one in app.caption)
