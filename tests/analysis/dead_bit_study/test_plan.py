"""Which runs the study needs."""

from dataclasses import replace

import pytest

from rdh.analysis.dead_bit_study import Study, make_plan, without_dead_bits
from rdh.errors import UserError

STUDY = Study(
    methods=("hashnet", "dpsh"),
    n_bits=(16, 32),
    seeds=(0, 1),
    preset="demo",
    rates=(0.1,),
    etas=(0.1,),
    aim_methods=("dpsh",),
)


def test_every_method_code_length_and_seed_is_run_in_both_arms():
    configs = make_plan(STUDY).configs["counts"]
    asked = {(one.method, one.n_bits, one.seed, one.arm) for one in configs}
    assert len(configs) == len(asked) == 2 * 2 * 2 * 2
    assert {one.arm for one in configs} == {"", "rdh"}


def test_both_arms_of_a_pair_weigh_their_quantization_alike():
    plan = make_plan(replace(STUDY, methods=("csq",), aim_methods=()))
    by_pair: dict[str, set[float | None]] = {}
    for config in plan.all_configs:
        by_pair.setdefault(config.pair_hash, set()).add(config.eta)
    etas = {eta for pair in by_pair.values() for eta in pair}
    assert etas == {0.1, 1.0}, "never CSQ's own"


def test_predictors_add_rates_and_weights_at_one_code_length():
    plan = make_plan(STUDY)
    counts = {one.hash for one in plan.configs["counts"]}
    added = [one for one in plan.configs["predictors"] if one.hash not in counts]
    assert counts <= {one.hash for one in plan.configs["predictors"]}
    assert {one.n_bits for one in added} == {32}
    # a rate: 2 methods x 2 arms x 2 seeds; a weight: HashNet's baseline has none to change
    assert len([one for one in added if one.lr == 0.1]) == 8
    assert sorted(one.arm for one in added if one.lr != 0.1) == ["", "", "rdh", "rdh", "rdh", "rdh"]


def test_aims_have_every_aim_scale_and_the_amplifier_off():
    configs = [one for one in make_plan(STUDY).configs["aims"] if one.seed == 0]
    assert {one.method for one in configs} == {"dpsh"} and {one.n_bits for one in configs} == {32}
    kinds = sorted((one.arm, one.amplifier_aim, one.amplifier_scale) for one in configs)
    assert kinds == sorted(
        [
            ("", "gradient", 1.0),
            ("eaq", "gradient", 1.0),
            ("rdh", "gradient", 0.5),
            ("rdh", "gradient", 1.0),
            ("rdh", "gradient", 2.0),
            ("rdh", "all_pairs", 1.0),
            ("rdh", "labels", 1.0),
            ("rdh", "not_labels", 1.0),
        ]
    )


def test_parts_share_runs_and_each_run_is_planned_once():
    plan = make_plan(STUDY)
    hashes = [one.hash for one in plan.all_configs]
    assert len(hashes) == len(set(hashes))
    assert len(hashes) < sum(map(len, plan.configs.values()))


def test_the_least_number_of_runs_is_known_without_a_plan():
    for parts in (("counts",), ("predictors",), ("aims",), ("counts", "predictors", "aims")):
        study = replace(STUDY, parts=parts)
        assert study.least_runs <= len(make_plan(study).all_configs)
    assert replace(STUDY, parts=("counts",)).least_runs == 16


def test_the_code_length_of_aims_is_32_or_the_first_one():
    assert STUDY.one_length == 32 and replace(STUDY, n_bits=(48, 16)).one_length == 48


def test_a_bad_setting_is_refused():
    with pytest.raises(UserError, match=r"tau must be in \[0, 1\), got 7"):
        make_plan(replace(STUDY, fields={"tau": 7.0}))


def test_methods_in_which_no_bit_can_die_are_left_out_with_a_reason():
    kept, sentences = without_dead_bits(["itq", "dpn", "dpsh"])
    assert kept == ["dpsh"]
    assert sentences == [
        "ITQ is left out: it is fitted at once, without a gradient that a bit could lose.",
        "DPN is left out: it has no saturating activation, so no bit can die in one.",
    ]


def test_only_such_methods_are_refused():
    with pytest.raises(UserError, match=r"--methods must name a method in which bits can die, got"):
        without_dead_bits(["itq", "lsh"])
    with pytest.raises(UserError, match=r"method must be one of .*got 'frob'"):
        without_dead_bits(["frob"])
