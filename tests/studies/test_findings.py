"""Which runs serve a study, what is missing, and the sentence that its numbers make."""

from dataclasses import replace

import numpy as np
import pytest

from rdh import execution, studies
from rdh.studies import answer, expand, look
from rdh.studies._tools.tables import definitions
from tests.studies.conftest import finish, small

SEED = {0: 0.0, 1: 0.01, 2: 0.03}  # what a seed does to both arms
NOISE = {0: 0.0, 1: 0.002, 2: -0.002}  # what it does to RDH alone


def raised_by(gain: float):
    """MAP of a run: .5, what the seed does, and the gain with RDH."""

    def score(one) -> float:
        with_rdh = one.cell.arm == "rdh"
        return 0.5 + SEED[one.seed] + with_rdh * (gain + NOISE[one.seed])

    return score


def test_a_study_without_runs_says_that_there_is_no_answer(store):
    findings = look(store, small())
    assert len(findings.missing) == 12 and findings.n_finished == 0 and findings.frame.empty
    assert answer(findings) == ["RDH: no pair has finished yet, so there is no answer."]


def test_every_run_of_any_sweep_with_the_same_config_serves(store, filled):
    filled(small(), raised_by(0.1))
    findings = look(store, small())
    assert findings.missing == [] and findings.n_finished == 12
    for result in findings.results:
        assert result.effect.n == 3 and result.effect.difference == pytest.approx(0.1)
        assert result.effect.before == pytest.approx(0.5 + np.mean(list(SEED.values())))
    assert answer(findings) == [
        "RDH raises MAP in all 2 cells. Mean difference over 2 cells: +0.1000, 95% interval "
        "[+0.0950, +0.1050] (3 pairs each)."
    ]


def test_a_deleted_run_is_missing_alone(store, filled):
    made = filled(small(), raised_by(0.1))
    config_hash, run_id = next(iter(made.items()))
    execution.delete(store, run_id)
    assert [config.hash for config in look(store, small()).missing] == [config_hash]


def test_of_equal_runs_the_newest_finished_one_counts(store):
    config = expand(small().grids)[0].config
    finish(store, config, 0.1)
    newest = finish(store, config, 0.2)
    store.create(config)  # waits: it does not stand in the way of one that has finished
    assert look(store, small()).runs[config.hash].run_id == newest


def test_a_run_that_waits_is_under_way_and_one_that_was_cancelled_is_missing(store):
    waiting, cancelled = (one.config for one in expand(small().grids)[:2])
    execution.submit(store, [waiting, cancelled])
    ids = {store.config(run_id).hash: run_id for run_id in store.run_ids()}
    execution.cancel(store, ids[cancelled.hash])
    findings = look(store, small())
    missing = {config.hash for config in findings.missing}
    assert waiting.hash not in missing and cancelled.hash in missing and len(missing) == 11
    lines = studies.state_in_words(findings)
    assert lines[0] == "0 of 12 runs have finished, 1 cancelled, 10 missing, 1 queued."
    assert lines[1] == f"{ids[cancelled.hash]}: cancelled: Cancelled before it started."


@pytest.mark.parametrize(
    ("gains", "sentence"),
    [
        ((0.1, 0.1), "RDH raises MAP in all 2 cells. "),
        ((0.1, 0.0), "RDH raises MAP in 1 of 2 cells and lowers it in none; 1 stays open. "),
        ((0.1, -0.1), "Mixed: RDH raises MAP in 1 of 2 cells and lowers it in 1. "),
        ((-0.1, -0.1), "RDH lowers MAP in all 2 cells. "),
        ((0.0, -0.1), "RDH lowers MAP in 1 of 2 cells and raises it in none; 1 stays open. "),
        (
            (0.0, 0.0),
            "RDH has no effect on MAP that these runs can show: after Holm's correction no "
            "interval of 2 cells excludes 0. ",
        ),
    ],
)
def test_the_sentence_has_a_form_for_every_outcome(gains, sentence, store, filled):
    by_method = dict(zip(("dpsh", "hashnet"), gains, strict=True))
    filled(small(), lambda one: raised_by(by_method[one.cell.method])(one))
    assert answer(look(store, small()))[0].startswith(sentence)


def test_two_pairs_have_no_interval_and_the_sentence_says_so(store, filled):
    study = small(seeds=(0, 1))
    filled(study, raised_by(0.1))
    (said,) = answer(look(store, study))
    assert said.startswith("RDH can't be judged: 2 cells have no interval (fewer than 3 pairs). ")
    assert "interval [" not in said and "yet" not in said


def test_one_comparison_under_two_names_counts_once_in_the_correction(store, filled):
    once = small(swept={"tau": (0.99,)})
    twice = replace(once, grids=(*once.grids, *small(swept={"eta": (1.0,)}).grids))
    filled(twice, raised_by(0.1))
    (by_tau, by_eta) = (look(store, one).results for one in (once, twice))
    assert len(by_eta) == 2 * len(by_tau) == 4
    p_values = [one.effect.p_holm for one in by_tau]
    assert [one.effect.p_holm for one in by_eta] == p_values * 2


def test_seeds_crossed_with_splits_are_judged_over_both(store, filled):
    study = small(methods=("dpsh",), splits=(0, 1))
    filled(study, lambda one: raised_by(0.1)(one) + 0.001 * one.split * one.seed)
    (result,) = look(store, study).results
    assert result.before.shape == (3, 2) and result.effect.n == 6
    assert result.effect.interval.method == "bootstrap" and result.effect.verdict == "gain"


def test_dead_shares_are_taken_at_one_level_if_tau_is_swept(store, filled):
    filled(small(), raised_by(0.1), dead=(8.0, 16.0))
    findings = look(store, small())
    assert [one.dead_before for one in findings.results] == pytest.approx([16 / 800] * 2)
    assert any("at tau 0.99." in line for line in definitions(findings))
    swept = small(swept={"tau": (0.9, 0.95)})
    filled(swept, raised_by(0.1), dead=(8.0, 16.0))
    findings = look(store, swept)
    # half as many are dead at .99 as at .9: see `finish`
    shares = [one.dead_after for one in findings.results]
    assert shares == pytest.approx([8 / 800] * 4)
    assert any("at tau 0.99 for all runs" in line for line in definitions(findings))


def test_the_usual_eta_of_the_data_set_is_what_others_are_compared_with():
    study = studies.study("figure6")
    for dataset, usual in (("digits", 1.0), ("mosaic", 0.1)):
        one = study.with_options(settings={"dataset": dataset})
        cells = list(dict.fromkeys(asked.cell for asked in expand(one.grids)))
        contrasts = [c for c in one.contrasts(cells, one.grids) if "another eta" in c.what]
        assert {c.before.value("eta") for c in contrasts} == {usual}
        # HashNet has no plain quantization: without RDH, eta changes nothing
        without = {c.after.method for c in contrasts if c.after.arm == "baseline"}
        assert without == {"dpsh"}


def test_tuned_chooses_on_validation_queries_and_then_asks_for_the_test_queries(store, filled):
    study = studies.study("tuned").with_options(
        preset="quick", methods=("dpsh",), bits=(8,), seeds=(0, 1, 2)
    )
    best = {"baseline": (0.03, 0.1), "rdh": (0.1, 1.0)}

    def score(one) -> float:
        assert one.config.queries == "validation"
        is_best = (one.config.lr, one.config.eta) == best[one.cell.arm]
        return 0.5 + SEED[one.seed] + 0.1 * is_best

    assert len(look(store, study).grids) == 1
    filled(study, score)
    findings = look(store, study)
    tested = [one for one in findings.asked if one.config.queries == "test"]
    assert {(one.cell.arm, one.config.lr, one.config.eta) for one in tested} == {
        ("baseline", 0.03, 0.1),
        ("rdh", 0.03, 0.1),
        ("rdh", 0.1, 1.0),
    }
    assert len(findings.missing) == 9
    pairs = [(one.contrast.before, one.contrast.after) for one in findings.results]
    assert [(a.value("lr"), b.value("lr")) for a, b in pairs] == [(0.03, 0.03), (0.03, 0.1)]
    for one in findings.missing:
        finish(store, one, 0.6 + 0.001 * one.seed)
    assert look(store, study).missing == []


def test_a_search_with_one_seed_is_tested_with_three(store, filled):
    study = studies.study("tuned_more").with_options(preset="quick", methods=("dtsh",), bits=(8,))
    filled(study, lambda one: 0.5 + 0.1 * (one.config.eta == 1))
    missing = look(store, study).missing
    assert {(one.seed, one.amplifier, one.eta) for one in missing} == {
        (seed, arm, 1) for seed in (0, 1, 2) for arm in (False, True)
    }
    assert {one.queries for one in missing} == {"test"} and len(missing) == 6


def test_short_codes_are_paired_with_the_longest_code_without_rdh(store, filled):
    study = studies.study("short_codes").with_options(
        preset="quick", methods=("hashnet",), bits=(8, 16, 32), seeds=(0, 1, 2)
    )
    filled(study, lambda one: one.cell.n_bits / 100 + raised_by(0.2)(one))
    findings = look(store, study)
    assert [one.contrast.what for one in findings.results] == [
        "8 bits with RDH instead of 32 without",
        "16 bits with RDH instead of 32 without",
        "8 bits without RDH instead of 32 without",
        "16 bits without RDH instead of 32 without",
    ]
    gains = [one.effect.difference for one in findings.results]
    assert gains == pytest.approx([0.2 - 0.24, 0.2 - 0.16, -0.24, -0.16])


def test_figure_5_is_answered_by_the_dead_share_and_not_by_map(store):
    study = studies.study("figure5").with_options(
        preset="quick", methods=("hashnet",), bits=(8,), seeds=(0, 1, 2)
    )
    for one in expand(study.grids):
        dead = 100.0 + one.seed if one.cell.arm == "baseline" else 20.0
        finish(store, one.config, 0.5, dead=(0.0, dead))
    findings = look(store, study)
    assert findings.results[0].effect.difference == pytest.approx(-81 / 800)
    assert answer(findings)[0].startswith("RDH lowers the dead share at the end. ")
    assert "Mean difference: -10.125%" in answer(findings)[0]
