"""Runs drawn together: settings that differ, and means over seeds."""

import numpy as np
import pytest

from rdh.analysis.overlay import Recorded, difference, differing, overlay, told_apart
from rdh.charts.overlay import overlaid
from rdh.config.presets import preset_config
from rdh.config.run_config import make_config, with_plug_ins


def recorded(name: str, config, steps, values) -> Recorded:
    return Recorded(name, config, np.array(steps), np.array(values, dtype=float))


def test_only_settings_that_differ_are_told_with_the_switches_of_the_methods():
    configs = {
        "a": make_config(method="dsdh", method_options={"schedule": "batch"}, lr=0.5),
        "b": make_config(method="hashnet", lr=0.5, compile=True),
    }
    told = differing(configs)
    assert told["method"] == ["dsdh", "hashnet"] and told["compile"] == ["off", "on"]
    assert told["method: schedule"] == ["batch", None]
    assert "lr" not in told and "seed" not in told
    assert differing({"a": configs["a"], "c": configs["a"]}) == {}
    assert differing({}) == {}


def test_seeds_of_a_setting_become_a_mean_with_the_band_of_all_of_them():
    base = make_config(lr=0.5)
    runs = [
        recorded("a", base, [10, 20, 30], [1, 2, 3]),
        recorded("x", make_config(lr=0.25), [10, 20], [7, 8]),
        recorded("b", base.model_copy(update={"seed": 1}), [10, 20, 30, 40], [3, 6, 5, 9]),
    ]
    both, other = overlay(runs)
    assert both.label == "HashNet, lr 0.5 (2 seeds)" and both.run_ids == ("a", "b")
    assert both.steps.tolist() == [10, 20, 30], "after step 30 it would be a mean of one"
    assert both.mean.tolist() == [2, 4, 4]
    assert both.low.tolist() == [1, 2, 3] and both.high.tolist() == [3, 6, 5]
    assert other.label == "HashNet, lr 0.25" and other.low is None and other.high is None


def test_runs_that_recorded_at_other_steps_are_read_between_their_records():
    base = make_config()
    first = recorded("a", base, [0, 10, 20], [0, 10, 20])
    second = recorded("b", base.model_copy(update={"seed": 1}), [5, 15], [1, 3])
    (line,) = overlay([first, second])
    assert line.steps.tolist() == [5, 10, 15]
    np.testing.assert_allclose(line.mean, [(5 + 1) / 2, (10 + 2) / 2, (15 + 3) / 2])


def test_arms_differ_by_their_label_alone():
    base = make_config()
    runs = [recorded(str(rdh), with_plug_ins(base, rdh=rdh), [1], [0.5]) for rdh in (False, True)]
    assert [line.has_rdh for line in overlay(runs)] == [False, True]
    assert [line.label for line in overlay(runs)] == ["HashNet", "HashNet + RDH"]
    assert overlay([]) == []


def test_where_too_much_differs_for_a_legend_a_line_has_the_end_of_its_id():
    others = {"epochs": 7, "batch_size": 32, "lr": 0.25, "momentum": 0.5, "tau": 0.5}
    runs = [
        recorded("hashnet-32-s0-1a2b3c", make_config(), [1], [0.5]),
        recorded("hashnet-32-s0-4d5e6f", make_config(**others), [1], [0.5]),
    ]
    assert [line.label for line in overlay(runs)] == ["HashNet, 1a2b3c", "HashNet, 4d5e6f"]


@pytest.mark.parametrize("is_share", [False, True])
def test_a_chart_has_a_line_for_each_setting_a_band_for_several_seeds_and_tells_lines_apart(
    is_share,
):
    base = make_config()
    runs = [
        recorded(f"{lr}-{seed}", make_config(lr=lr, seed=seed), [1, 2], [0.1 * lr, 0.2 * seed])
        for lr in (0.25, 0.5)
        for seed in (0, 1)
    ] + [recorded("rdh", with_plug_ins(base, rdh=True), [1, 2], [0.5, 0.6])]
    figure = overlaid(overlay(runs), title="t", y_title="MAP", is_share=is_share)
    named = [trace for trace in figure.data if trace.showlegend is None]
    assert len(named) == 3 and len(figure.data) == 5
    looks = [(trace.line.dash, trace.marker.symbol) for trace in named]
    assert len(set(looks)) == 3
    bands = [trace for trace in figure.data if trace.fill == "toself"]
    assert [len(trace.x) for trace in bands] == [4, 4]


def test_over_a_single_step_the_range_of_the_seeds_is_a_bar():
    runs = [
        recorded(str(seed), make_config(seed=seed), [9], [value])
        for seed, value in enumerate((0.2, 0.3, 0.7))
    ]
    (point,) = [
        trace
        for trace in overlaid(overlay(runs), title="t", y_title="MAP", is_share=False).data
        if trace.name
    ]
    assert point.y[0] == pytest.approx(0.4)
    assert point.error_y.array[0] == pytest.approx(0.3)
    assert point.error_y.arrayminus[0] == pytest.approx(0.2)


def test_runs_of_one_label_are_told_apart_by_what_differs_or_by_their_ids():
    base = preset_config(
        "demo", method="dch", n_bits=16, amplifier=True, quantization="error_aware"
    )
    low, fast = (base.model_copy(update=one) for one in ({"eta": 0.1}, {"eta": 0.1, "lr": 3.0}))
    told = told_apart
    assert told({"a": base, "b": low}) == {"a": "DCH + RDH, eta 1", "b": "DCH + RDH, eta 0.1"}
    assert told({"a": low, "b": fast}) == {"a": "DCH + RDH, lr 0.3", "b": "DCH + RDH, lr 3"}
    same = told({"dch-16-s0-aaaaaa": base, "dch-16-s0-bbbbbb": base})
    assert [*same.values()] == ["DCH + RDH, aaaaaa", "DCH + RDH, bbbbbb"]
    plain = base.model_copy(update={"amplifier": False, "quantization": "plain"})
    assert [*told({"a": plain, "b": base}).values()] == ["DCH", "DCH + RDH"]


def test_plug_ins_are_no_difference_of_a_pair_but_eta_and_tau_of_both_are():
    base = preset_config("demo", method="dch")
    plain, rdh = (with_plug_ins(base, rdh=one) for one in (False, True))
    assert difference(plain, rdh).startswith("amplifier (off and on)")
    assert difference(plain, rdh, with_plug_ins=False) == ""
    other = make_config(**rdh.model_dump() | {"lr": 3.0, "tau": 0.9, "amplifier_scale": 2.0})
    assert difference(plain, other, with_plug_ins=False) == (
        f"tau (0.99 and 0.9) and lr ({plain.lr:g} and 3)"
    )
