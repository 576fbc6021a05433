"""Each check on records written by hand: what it counts, and the border from which it fires."""

import numpy as np
import pytest

from rdh.analysis import has_collapsed, whole_percent
from rdh.config.run_config import make_config
from rdh.config.watched import make_watched
from rdh.diagnosis import CannotRun, Evidence, checks, diagnose, tried_config
from rdh.store.levels import TAU_LEVELS

RDH = {"amplifier": True, "quantization": "error_aware", "eta": 1.0}
ENTRIES = 400.0  # 100 items of 4 bits


def counts(n: int = 12, **given: list[float]) -> dict[str, list[float]]:
    """Scalars of the probes, all healthy but for what is given."""
    zeros = [0.0] * n
    names = ("dead", "dead_hard", "wrong", "undecided", "flagged", "flagged_dead", "saturated",
             "deaths", "rescues", "relapses", "releases")  # fmt: skip
    base = dict.fromkeys(names, zeros) | {"entries": [ENTRIES] * n, "loss": [1.0] * n}
    return base | given


def fires(evidence, name):
    return checks()[name].call(evidence)


def one_hot(classes):
    return np.eye(max(classes) + 1, dtype=np.uint8)[np.array(classes)]


def test_codes_have_collapsed_below_half_as_many_as_classes(written):
    labels = one_hot([0, 1, 2, 3] * 10)
    few = written(scalars=counts(n_effective_codes=[1.9]), labels=labels)
    found = fires(few, "collapsed")
    assert found.severity == "fatal" and "have 1.9 codes" in found.sentence
    assert "for 4 classes" in found.sentence
    assert (
        fires(written(scalars=counts(n_effective_codes=[2.0]), labels=labels), "collapsed") is None
    )


def test_a_single_code_of_two_classes_is_a_collapse_and_a_tiny_gallery_is_said(written):
    """Half of two classes is one code: the border would let it through."""
    one_code = {"scalars": counts(n_effective_codes=[1.0])}
    found = fires(written(**one_code, labels=one_hot([0, 1] * 20)), "collapsed")
    assert found.sentence.endswith("of the gallery have 1 code for 2 classes.")
    found = fires(written(**one_code, labels=one_hot([0, 1, 0, 1])), "collapsed")
    assert "The gallery has only" in found.sentence
    two = written(scalars=counts(n_effective_codes=[1.9]), labels=one_hot([0, 1] * 20))
    assert fires(two, "collapsed") is None


@pytest.mark.parametrize(
    ("effective", "distinct", "said"),
    [
        (1.0, 1.0, "Training collapsed: the items of the gallery have 1 code for 4 classes."),
        (
            1.0002,
            2.0,
            "Training nearly collapsed: the items of the gallery have hardly more than 1",
        ),
        (1.8, 30.0, "Training nearly collapsed: the items of the gallery have 1.8 codes, counted"),
    ],
)
def test_a_collapse_is_what_the_pages_call_one_and_what_comes_near_is_called_so(
    written, effective, distinct, said
):
    numbers = {"n_effective_codes": [effective], "n_distinct_codes": [distinct]}
    one = written(scalars=counts(**numbers), labels=one_hot([0, 1, 2, 3] * 10))
    assert fires(one, "collapsed").sentence.startswith(said)
    assert has_collapsed(one.last) == said.startswith("Training collapsed")


@pytest.mark.parametrize(
    ("ill", "other", "said"),
    [
        (RDH, {}, "without the plug-ins learned, so they have part in it"),
        ({}, RDH, "with the plug-ins learned, so they kept it from collapsing"),
        (RDH, {"seed": 1}, ""),
    ],
)
def test_a_collapse_names_the_plug_ins_if_only_they_differ(ill, other, said, written):
    labels = one_hot([0, 1, 2, 3] * 10)
    healthy = written(scalars=counts(n_effective_codes=[9.0]), labels=labels, **other)
    one = written(scalars=counts(n_effective_codes=[1.0]), labels=labels, **ill)
    mechanism = fires(Evidence(one.store, one.run_id, partner=healthy), "collapsed").mechanism
    assert said in mechanism and ("plug-ins learned" in mechanism) == bool(said)


def test_a_run_that_was_ended_early_is_not_called_under_trained(written):
    rising = counts(map=[0.1 * place for place in range(12)])
    assert fires(written(scalars=rising), "under_trained") is not None
    with pytest.raises(CannotRun, match="did not come to the end"):
        fires(written(scalars=rising, state="cancelled"), "under_trained")


@pytest.mark.parametrize(
    ("state", "when"),
    [("finished", "at the end"), ("lost", "at its last record"), ("paused", "at its last record")],
)
def test_only_a_run_that_came_to_its_end_has_numbers_of_the_end(state, when, written):
    one = written(scalars=counts(dead=[40.0] * 12, flagged=[40.0] * 12), state=state)
    assert one.when == when and f"dead {when}" in fires(one, "which_illness").sentence
    one.store.write_json(one.run_id, "control.json", {"attempt": 2})  # resumed
    assert Evidence(one.store, one.run_id).when == "now"


@pytest.mark.parametrize(
    ("share", "said"),
    [(0.0, "0%"), (0.004, "less than 1%"), (0.84, "84%"), (0.996, "more than 99%"), (1.0, "100%")],
)
def test_all_and_none_are_said_only_of_all_and_none(share, said):
    assert whole_percent(share) == said


@pytest.mark.parametrize(
    ("pull", "saturated", "eta", "said"),
    [
        (0.09, 200, 1.0, "at the first record 50% of the entries"),
        (0.09, 200, 0.1, "at the first record 50% of the entries"),
        (0.40, 199, 1.0, "the quantization term was 40% of the loss"),
        (0.39, 199, 1.0, "The records do not tell"),
        (0.40, 200, 1.0, "The records do not tell"),
        (0.09, 199, 0.1, "small or 0, so it is not the cause"),
    ],
)
def test_the_first_record_tells_what_made_the_codes_collapse(pull, saturated, eta, said, written):
    """One item has one code: 400 entries, of which some are saturated at the first record."""
    first = {"quantization_loss": [pull] + [0.0] * 11, "saturated": [saturated] + [400] * 11}
    now = counts(n_effective_codes=[1.0], **first)
    one = written(scalars=now, labels=one_hot([0, 1, 2, 3] * 5), method="dch", lr=3.0, eta=eta)
    found = fires(one, "collapsed")
    assert said in found.mechanism
    assert "loss of DCH has another form" in found.mechanism


def test_a_watched_run_that_collapsed_is_told_a_tenth_of_what_it_told(written):
    one = written(scalars=counts(n_effective_codes=[1.0]), labels=one_hot([0, 1, 2, 3] * 5))
    for told, words in (({}, "lr × 0.1"), ({"lr": 0.5, "eta": 3.0}, "lr 0.05, eta 0.3")):
        one.config = make_watched(name="theirs", n_items=100, n_bits=4, **told)
        found = fires(one, "collapsed")
        assert [remedy.words for remedy in found.remedies] == [words]
        assert "loss of watched may have another form" in found.mechanism


@pytest.mark.parametrize(
    ("middle", "flat", "out", "lr"),
    [
        (0, 0, 4000, 50.0),
        (4000, 2, 3998, 50.0),  # the items that passed before the first step are near 0
        (0, 3, 3997, 500.0),
        (0, 200, 3800, 500.0),
        (0, 201, 3799, 5000.0),
        (4001, 0, 3999, 5000.0),  # less than half are saturated
    ],
)
def test_a_watched_rate_that_is_far_too_high_goes_down_in_large_steps(
    middle, flat, out, lr, written
):
    """At the first record: entries near 0, just beyond tau, and at the largest |F|."""
    histogram = np.zeros((4, 64), np.int64)
    histogram[0, [33, 43, 63]] = middle, flat, out // 2
    histogram[3, 0] = out - out // 2
    for name in ("histogram", "histogram_window"):
        given = {"labels": one_hot([0, 1, 2, 3] * 5), "arrays": {name: histogram}}
        one = written(scalars=counts(n_effective_codes=[1.0]), **given)
        one.config = make_watched(name="theirs", n_items=100, n_bits=4, lr=50000.0)
        (remedy,) = fires(one, "collapsed").remedies
        assert remedy.changes == {"lr": lr}
        assert ("far too high" in remedy.why) == (lr < 5000)
        assert remedy.expect.endswith("divide the rate by ten again.")


BATCH = {"method_options.pairs": "in_batch"}
CIFAR = {"dataset": "cifar10", "backbone": "efficientnet_lite0", "finetune": False}
CIFAR |= {"image_size": 128, "lr": 1.0, "eta": 1.0}


@pytest.mark.parametrize(
    ("fields", "changes", "whose"),
    [
        # digits: rate and weight of the preset at which every method learns
        ({"method": "dch", "lr": 3.0, "eta": 1.0}, [{"lr": 0.03, "eta": 0.1}],
         "The preset “Digits, every method” has lr 0.03 and η 0.1. They stood higher here."),
        ({"method": "dch", "lr": 3.0, "eta": 0.1}, [{"lr": 0.03}], "It stood higher here."),
        ({"method": "dhn", "lr": 0.03, "eta": 10.0}, [{"eta": 0.1}], "leave the side on which"),
        ({"method": "hashnet", "lr": 3.0}, [{"lr": 0.03}], "Smaller steps"),
        ({"method": "hashnet", "lr": 0.03}, [{"lr": 0.003}], "Smaller steps"),
        # stored codes give way to those of the batch
        ({"method": "dpsh", "lr": 0.3, "eta": 1.0},
         [BATCH | {"lr": 0.03, "eta": 0.1}, {"lr": 0.03, "eta": 0.1}], "never old"),
        ({"method": "dpsh", "lr": 0.03, "eta": 0.1}, [BATCH], "never old"),
        ({"method": "dpsh", "lr": 0.03, "eta": 1.0, "method_options": {"pairs": "in_batch"}},
         [{"eta": 0.1}], "It stood higher here."),
        # no preset names a weight: the method's own, or the paper's
        (CIFAR | {"method": "dhn"}, [{"lr": 0.03, "eta": 0.1}], "η 0.1 (that of DHN itself)"),
        (CIFAR | {"method": "hashnet", "quantization": "error_aware", "eta": 5.0},
         [{"lr": 0.03, "eta": 1.0}], "η 1 (that of the paper)"),
        ({"method": "dch", "dataset": "mosaic", "lr": 0.3, "eta": 0.1}, [{"lr": 0.01}],
         "A run with usual settings has lr 0.01."),
    ],
)  # fmt: skip
def test_collapsed_codes_go_back_to_the_usual_rate_and_weight(fields, changes, whose, written):
    now = counts(n_effective_codes=[1.0])
    found = fires(written(scalars=now, labels=one_hot([0, 1, 2, 3] * 5), **fields), "collapsed")
    assert [one.changes for one in found.remedies] == changes
    assert whose in found.remedies[0].why


def test_a_run_that_goes_on_has_not_collapsed_in_its_first_tenth(written):
    logits = np.ones((4, 4))
    given = {"labels": one_hot([0, 1, 2, 1] * 2), "logits": logits, "state": None}
    early = written(scalars=counts(2), total_steps=201, **given)
    assert fires(early, "collapsed") is None
    later = written(scalars=counts(2), total_steps=200, **given)
    assert "looked at during training have 1 code for" in fires(later, "collapsed").sentence


def test_a_loss_that_grows_over_its_lowest_tenth_diverges(written):
    grows = [2.0] * 10 + [1.0] * 10 + [1.4] * 10 + [1.5] * 10
    found = fires(written(scalars={"loss": grows}), "diverging")
    assert found.severity == "costs MAP" and "1.5 in the last tenth" in found.sentence
    assert "1.5 times its lowest tenth (around step" in found.sentence
    rests = [2.0] * 10 + [1.0] * 10 + [1.4] * 20
    assert fires(written(scalars={"loss": rests}), "diverging") is None
    with pytest.raises(CannotRun, match="20 records"):
        fires(written(scalars={"loss": [1.0] * 19}), "diverging")


def test_a_run_that_failed_by_its_numbers_says_so(written):
    told = {"kind": "diverged", "message": "The loss became nan at step 7."}
    found = fires(written(scalars={"loss": [1.0]}, state="failed", result=told), "diverging")
    assert found.severity == "fatal" and found.sentence == "The loss became nan at step 7."


@pytest.mark.parametrize(
    ("fields", "changes"),
    [
        ({"lr": 3.7, "weight_decay": 1.0}, {"lr": 0.03, "weight_decay": 1e-5}),
        ({"lr": 0.03}, {"lr": 0.01}),  # the preset's own
        ({"lr": 0.01, "optimizer": "adam"}, {"lr": 1e-3}),
        ({"lr": 0.01, "hash_lr_scale": 50.0}, {"hash_lr_scale": 1.0}),
    ],
)
def test_a_rate_is_divided_only_if_no_value_lies_above_the_usual(written, fields, changes):
    told = {"kind": "diverged", "message": "The loss became nan at step 7."}
    one = written(scalars={"loss": [1.0]}, state="failed", result=told, **fields)
    assert fires(one, "diverging").remedies[0].changes == changes


@pytest.mark.parametrize(
    ("broken", "fields", "changes"),
    [
        ("quantization", {"lr": 100.0, "eta": 1000.0}, {"lr": 0.03, "eta": 0.1}),
        ("quantization", {"lr": 0.01, "eta": 2.0}, {"eta": 0.1}),
        ("similarity", {"lr": 100.0, "eta": 1000.0}, {"lr": 0.03, "eta": 0.1}),
        ("similarity", {"lr": 100.0, "eta": 2.0}, {"lr": 0.03}),
        ("quantization", {"lr": 100.0, "eta": 0.1}, {"lr": 0.03}),
    ],
)
def test_a_weight_of_quantization_that_may_have_broken_the_numbers_goes_back_too(
    written, broken, fields, changes
):
    told = {"kind": "diverged", "message": f"The {broken} loss became inf at step 3 (epoch 1)."}
    one = written(
        scalars={"loss": [1.0]}, state="failed", result=told, method="greedyhash", **fields
    )
    assert fires(one, "diverging").remedies[0].changes == changes


def test_a_similarity_loss_that_fell_by_less_than_a_hundredth_learned_nothing(written):
    hangs = [0.693] + [0.69] * 19
    found = fires(written(scalars={"similarity_loss": hangs}), "not_learning")
    assert found.severity == "fatal"
    assert "was 0.693 at the first record and is 0.69 now" in found.sentence
    learns = [0.693] + [0.68] * 19
    assert fires(written(scalars={"similarity_loss": learns}), "not_learning") is None
    with pytest.raises(CannotRun, match="a fifth of the training"):
        fires(written(scalars={"similarity_loss": hangs}, total_steps=2000), "not_learning")


def test_codes_that_rest_in_the_middle_at_a_large_scale_are_a_matter_of_the_scale(written):
    half = np.full((10, 40), np.arctanh(0.64))
    gap = {"map": [0.5], "map_train": [0.59]}
    given = {"labels": one_hot([0, 1] * 10), "logits": half, "scalars": gap}
    found = fires(written(**given, method="dpsh", n_bits=40, eta=1.0), "theta_scale")
    assert "at 0.5 Θ can reach 20" in found.sentence and "a mean |h| of 0.64" in found.sentence
    # sigma(-0.5 * 40 * 0.64^2) = 0.0003
    assert "pull with 0% of their force" in found.sentence and "0.09 above" in found.sentence
    # log(99) = 4.595, and (1 + 4.595 / 20) / 2 = .61
    assert "agree in 61% of their bits" in found.mechanism
    assert found.remedies[0].changes == {"method_options.theta_scale": 0.25, "eta": 0.1}
    long = written(**given | {"logits": half + 0.05}, method="dpsh", n_bits=40)
    assert fires(long, "theta_scale") is None
    even = written(**given | {"scalars": gap | {"map": [0.52]}}, method="dpsh", n_bits=40)
    assert fires(even, "theta_scale") is None, "queries are as good as training items"
    weak = written(**given | {"logits": half / 4}, method="dpsh", n_bits=40)
    assert fires(weak, "theta_scale") is None, "similar pairs still pull"
    few = {"labels": one_hot([0, 1] * 10), "logits": half[:, :39], "scalars": gap}
    assert fires(written(**few, method="dpsh", n_bits=39), "theta_scale") is None
    assert fires(written(**given, method="hashnet", n_bits=40), "theta_scale") is None
    with pytest.raises(CannotRun, match="no pair likelihood"):
        fires(written(**given, method="csq", n_bits=40), "theta_scale")


@pytest.mark.parametrize(
    ("saturated", "flagged", "is_found"), [(200, 20, True), (199, 20, False), (200, 19, False)]
)
def test_half_saturated_and_a_tenth_of_them_asked_to_leave_is_too_early(
    saturated, flagged, is_found, written
):
    given = counts(20, saturated=[0, saturated] + [0] * 18, flagged=[0, flagged] + [0] * 18)
    calm = written(scalars=given | {"dead": [1.0] * 20})
    assert fires(calm, "saturated_early") is None, "nothing of it is dead now"
    given |= {"dead": [2.0] * 20}
    found = fires(written(scalars=given), "saturated_early")
    assert (found is not None) is is_found
    if found:
        assert "50% of the entries are saturated at step 20" in found.sentence
        assert "10% of these" in found.sentence


@pytest.mark.parametrize(
    ("finetune", "changed"), [(False, ["lr"]), (True, ["lr", "hash_lr_scale"])]
)
def test_a_frozen_backbone_has_one_rate_so_two_remedies_would_be_one_run(
    finetune, changed, written
):
    given = counts(20, saturated=[0, 200] + [0] * 18, flagged=[0, 20] + [0] * 18)
    given |= {"dead": [2.0] * 20, "loss": [1.0] * 20}
    network = {"finetune": finetune, "backbone": "mlp" if finetune else "efficientnet_lite0"}
    network |= {"image_size": 8 if finetune else 128}
    early = fires(written(scalars=given, **network), "saturated_early")
    told = {"kind": "diverged", "message": "The loss became nan at step 7."}
    network["lr"] = 1e-6  # below any usual one
    one = written(scalars={"loss": [1.0]}, state="failed", result=told, **network)
    for found in (early, fires(one, "diverging")):
        assert [name for remedy in found.remedies for name in remedy.changes] == changed


def gradients(held: int, asked: int) -> dict[str, np.ndarray]:
    """64 bins: `held` of the entries asked stand where the whole gradient points down."""
    sums, count = np.zeros((2, 64)), np.zeros(64)
    count[10], sums[0, 10] = held, 1.0
    count[20], sums[0, 20] = asked - held, -1.0
    count[40], sums[0, 40] = 1000 - asked, -1.0
    return {"gradient_sum": sums, "gradient_count": count}


def test_quantization_wins_where_pairs_get_nowhere_and_a_tenth_of_those_asked_is_held(written):
    stuck = {"loss": [1.0, 2.0], "similarity_loss": [1.0, 0.9]}
    given = {"scalars": stuck, "method": "dpsh", "eta": 1.0}
    found = fires(written(arrays=gradients(50, 500), **given), "quantization_wins")
    assert "pull 50.0% of the entries" in found.sentence and "holds 10% of these" in found.sentence
    assert "at 90% of its first value" in found.sentence
    assert [one.changes for one in found.remedies] == [
        {"eta": 0.1},
        {"amplifier": True, "quantization": "error_aware", "eta": 1.0},
    ]
    assert fires(written(arrays=gradients(49, 500), **given), "quantization_wins") is None
    assert fires(written(arrays=gradients(99, 499), **given), "quantization_wins") is None
    learns = given | {"scalars": stuck | {"similarity_loss": [1.0, 0.89]}}
    assert fires(written(arrays=gradients(50, 500), **learns), "quantization_wins") is None
    with pytest.raises(CannotRun, match="no quantization term"):
        fires(written(scalars={"loss": [1.0]}), "quantization_wins")
    with pytest.raises(CannotRun, match="fewer than 10 epochs"):
        fires(written(arrays=gradients(100, 500), epochs=9, **given), "quantization_wins")


def test_quantization_wins_where_held_entries_show_in_the_codes(written):
    rng = np.random.default_rng(0)
    apart = np.where(rng.random((20, 8)) < 0.5, -1, 1)
    twins = np.concatenate([apart[:, :6], apart[:, :2]], axis=1)  # two bits repeat others

    def run(held=25, asked=100, late=20, gallery=apart, left=0.5):
        """20 records: the last five count what is held, the first two are the first tenth."""
        now = {"held": [0] * 15 + [held] * 5, "asked_back": [0] * 15 + [asked] * 5}
        now |= {"visited_again": [400] * 20, "window_entries": [1000] * 20}
        now |= {"changed_sides": [20, 20] + [0] * 17 + [late]}
        falls = {"similarity_loss": [1.0, left], "loss": [1.0, left]}
        given = {"labels": one_hot([0, 1] * 20), "gallery": gallery, "n_bits": 8, "eta": 10.0}
        scalars = counts(20, **falls, **now)
        one = written(scalars=scalars, arrays=gradients(50, 500), method="dch", **given)
        return fires(one, "quantization_wins")

    found = run()
    assert "ask 10.0% of the entries to leave" in found.sentence
    assert "holds 25% of these; of all entries 10.0% changed sides in the first" in found.sentence
    assert found.sentence.endswith("and 5.0% after it.")
    assert [one.changes for one in found.remedies] == [{"eta": 3.3}]
    assert run(held=24) is None and run(asked=99, held=69) is None and run(late=21) is None
    found = run(held=8, asked=30, late=99, gallery=twins)
    assert found.sentence.endswith("2 of 8 bits are one-sided or repeat another.")
    assert run(held=7, asked=30, late=99, gallery=twins) is None
    assert run(held=20, asked=29, late=99, gallery=twins) is None  # not many are asked
    found = run(held=14, asked=20, late=99, left=0.8)
    assert "ask 2.0% of the entries to leave" in found.sentence and "holds 70%" in found.sentence
    assert found.sentence.endswith("has fallen to 80% of its first value without them.")
    assert run(held=13, asked=20, late=99) is None and run(held=19, asked=19, late=99) is None
    assert run(held=14, asked=20, late=99, left=0.81) is None


def test_under_error_aware_quantization_a_loss_that_stands_still_says_nothing(written):
    given = {"quantization": "error_aware", "eta": 10.0}
    given |= {"scalars": {"loss": [1.0, 2.0], "similarity_loss": [1.0, 1.0]}}
    assert fires(written(arrays=gradients(50, 500), **given), "quantization_wins") is None


def test_quantization_wins_in_a_watched_loop_that_tells_its_term_apart(written):
    apart = {"loss": [1.0, 2.0], "similarity_loss": [1.0, 0.9], "held": [1.0, 1.0]}
    apart |= {"map": [0.5, 0.5]}

    def found(scalars=apart, **told):
        one = written(scalars=scalars, arrays=gradients(50, 500))
        one.config = make_watched(name="theirs", n_items=100, n_bits=4, **told)
        return fires(one, "quantization_wins")

    one = found(eta=10.0, epochs=20)
    assert "at η = 10 the whole gradient holds 10% of these" in one.sentence
    assert one.remedies[0].changes == {"eta": 1.0}
    with pytest.raises(CannotRun, match=r"calls recorder.quantized\(codes\)"):
        found({"loss": [1.0, 2.0]}, eta=10.0, epochs=20)
    with pytest.raises(CannotRun, match="its eta was not told"):
        found(epochs=20)
    with pytest.raises(CannotRun, match="do not tell the epochs"):
        found(eta=10.0)
    with pytest.raises(CannotRun, match="evaluations in the course"):
        found(apart | {"map": [0.5]}, eta=10.0, epochs=20)


def test_nothing_is_held_where_nothing_moves(written):
    still = {"loss": [1.0] * 10, "similarity_loss": [1.0] * 10}
    still |= {"visited_again": [0.0] + [400.0] * 9, "changed_sides": [0.0] * 10}
    one = written(scalars=still, arrays=gradients(50, 500), method="dhn", eta=1.0)
    assert fires(one, "quantization_wins") is None
    assert "0.00% of the entries change their side" in fires(one, "not_learning").sentence


def test_a_memory_is_stale_if_half_of_its_signs_are_of_the_past(written):
    n = 20  # records at steps 10 to 200: those from 20 to 100 count
    again = [0.0] * 2 + [400.0] * 18
    changed = [0.0] * 2 + [200.0 * 9 / 8] * 8 + [0.0] * 10
    given = {"scalars": counts(n, visited_again=again, changed_sides=changed), "method": "dpsh"}
    found = fires(written(**given), "stale_memory")
    assert "50% to" not in found.sentence and "56% of the entries" in found.sentence
    assert found.remedies[0].changes == {"method_options.pairs": "in_batch"}
    fresh = counts(n, visited_again=again, changed_sides=[0.0] * 2 + [199.0] * 8 + [0.0] * 10)
    assert fires(written(scalars=fresh, method="dpsh"), "stale_memory") is None
    with pytest.raises(CannotRun, match="compares with no stored codes"):
        fires(written(**given, method_options={"pairs": "in_batch"}), "stale_memory")
    old = counts(n)
    with pytest.raises(CannotRun, match="kept no record of entries that changed sides"):
        fires(written(scalars=old, method="dpsh"), "stale_memory")


def test_bits_that_other_queries_rank_better_without_are_named(written):
    rng = np.random.default_rng(0)
    classes = [0, 1] * 100
    gallery = np.where(np.array(classes)[:, None] > 0, 1, -1) * np.ones((200, 8), int)
    gallery[:, 5:] = rng.choice([-1, 1], (200, 3))
    gallery[:, :2] *= rng.choice([-1, 1], (200, 2), p=[0.2, 0.8])
    given = {"scalars": {"loss": [1.0]}, "labels": one_hot(classes * 2), "n_bits": 8}
    found = fires(written(gallery=gallery, **given), "harmful_bits")
    assert {5, 6, 7} <= {int(bit) for bit in found.sentence.split("(")[1].split(")")[0].split(", ")}
    gallery[:, 5:] = gallery[:, 2:5]
    assert fires(written(gallery=gallery, **given), "harmful_bits") is None


def test_many_dead_that_cost_call_for_rescue_and_few_do_not(written):
    sick = counts(dead=[4], flagged=[40], flagged_dead=[4], saturated=[100], cost_gallery=[0.02])
    found = fires(written(scalars=sick), "which_illness")
    assert found.severity == "costs MAP"
    assert "1.00% of the entries are dead at the end, which costs +0.0200 MAP" in found.sentence
    assert found.remedies[0].changes == {"amplifier": True, "quantization": "error_aware"}
    no_cost = {name: values for name, values in sick.items() if name != "cost_gallery"}
    unknown = fires(written(scalars=no_cost), "which_illness")
    assert unknown.severity == "note", "no cost was measured"
    assert "costs" not in unknown.sentence and "was not measured" in unknown.mechanism
    free = sick | {"cost_gallery": [0.001]}
    assert fires(written(scalars=free), "which_illness") is None
    right = counts(dead=[1], flagged=[40], flagged_dead=[1], saturated=[100])
    found = fires(written(scalars=right), "which_illness")
    assert found.severity == "note" and "98% of the flagged are not dead" in found.sentence
    assert found.remedies == ()


def test_the_rescue_of_an_old_run_keeps_the_weight_that_it_had(written):
    sick = counts(dead=[4], flagged=[40], flagged_dead=[4], saturated=[100], cost_gallery=[0.02])
    found = fires(written(scalars=sick, method="dpsh"), "which_illness")
    assert found.remedies[0].changes["eta"] == 0.1


def test_the_dead_grow_if_the_slope_of_the_last_third_is_surely_above_zero(written):
    grows = counts(30, dead=[float(n) for n in range(30)])
    found = fires(written(scalars=grows), "dead_growing")
    # the records at 210 ... 300: 9 more dead, exactly
    assert "by 9 entries" in found.sentence and "(95 % interval 9 to 9)" in found.sentence
    wobbles = counts(30, dead=[20 + 9.0 * (n % 2) for n in range(30)])
    assert fires(written(scalars=wobbles), "dead_growing") is None
    slowly = counts(30, dead=[200 + n / 2 for n in range(30)])
    assert fires(written(scalars=slowly), "dead_growing") is None


def reach(acted: int, beyond: int) -> dict[str, np.ndarray]:
    place = TAU_LEVELS.index(0.99)
    found = {}
    names = (
        "amplified_levels",
        "amplified_dead_levels",
        "dead_window_levels",
        "beyond_reach_levels",
    )
    for name, n in zip(names, (2 * acted, acted, acted, beyond), strict=True):
        found[name] = np.zeros(5, np.int32)
        found[name][place] = n
    return found


def test_half_of_the_dead_beyond_reach_is_too_many(written):
    sick = counts(dead=[100], dead_hard=[25])
    found = fires(written(scalars=sick, arrays=reach(80, 40)), "beyond_reach")
    assert found.severity == "note", "without the amplifier it takes nothing away"
    assert found.sentence.startswith("50% of the dead entries that it would act on keep less")
    assert "over 80 visits of mini-batches" in found.sentence, "an entry counts at each visit"
    assert "25% of the 100 that are dead at the end have" in found.sentence
    assert fires(written(scalars=sick, arrays=reach(80, 39)), "beyond_reach") is None
    assert fires(written(scalars=sick, arrays=reach(49, 49)), "beyond_reach") is None


def test_a_watched_run_that_told_no_settings_is_told_the_change_in_words(written):
    one = written(scalars=counts(dead=[100], dead_hard=[25]), arrays=reach(80, 40))
    one.config = make_watched(name="theirs", method="theirs", n_items=100, n_bits=4)
    found = fires(one, "beyond_reach")
    assert [remedy.words for remedy in found.remedies] == ["lr × 0.33", "weight_decay × 10"]


def test_one_sided_and_repeated_bits_are_named(written):
    rng = np.random.default_rng(0)
    gallery = np.where(rng.random((40, 8)) < 0.5, -1, 1)
    gallery[:, 2] = 1
    gallery[:, 5] = -gallery[:, 1]
    given = {"scalars": {"loss": [1.0]}, "labels": one_hot([0, 1] * 40), "n_bits": 8}
    found = fires(written(gallery=gallery, **given), "alike_bits")
    assert "bit 2 has at least 95% of the items on one side" in found.sentence
    assert "bit 5 repeats another (5 as 1)" in found.sentence
    assert found.remedies == ()  # fewer bits lost MAP in half of the pairs
    gallery[:3, 5] *= -1  # r = -.85
    gallery[:3, 2] = -1  # 92.5 %
    assert fires(written(gallery=gallery, **given), "alike_bits") is None


def test_few_images_are_mostly_dead_and_lie_with_another_class(written):
    def run(n_few, n_bits_dead=15, also=0):
        """100 items of two classes, on sides +1 and -1: a few of them on the other class's."""
        side = np.where(np.arange(100) % 2, -1.0, 1.0)[:, None] * np.ones((1, 40))
        logits = 5 * side
        logits[10 : 10 + n_few, :n_bits_dead] *= -1
        logits[10 : 10 + n_few, n_bits_dead:21] *= -0.1  # not saturated, and not dead
        logits[30 : 30 + also, 25:35] *= -1
        given = {"scalars": {"loss": [1.0]}, "labels": one_hot([0, 1] * 100), "n_bits": 40}
        return fires(written(logits=logits, right=side, **given), "few_images")

    found = run(4)
    assert "4 of 100 training items looked at hold 60 of the 60 dead" in found.sentence
    assert "item 110 (class 0, 15 of 40 bits, nearest to class 1)" in found.sentence
    assert run(3) is None and run(6) is None  # too few, and not few
    assert run(4, n_bits_dead=14) is None  # less than three eighths of the bits
    assert run(4, also=54) is not None and run(4, also=55) is None  # a tenth of 600, of 610


def test_classes_with_one_code_are_named(written):
    classes = [0, 1, 2, 3] * 10
    own = np.array([[1] * 32, [1] * 30 + [-1] * 2, [-1] * 32, [1, -1] * 16])
    gallery = own[np.array(classes)]
    given = {"scalars": {"loss": [1.0]}, "labels": one_hot(classes * 2), "n_bits": 32}
    found = fires(written(gallery=gallery, **given), "mixed_classes")
    said = "1 pair of classes shares a code: class 0 and class 1 (2 of 32 bits apart)"
    assert said in found.sentence
    gallery = np.where(gallery == own[1], gallery, gallery)
    apart = own.copy()
    apart[1, :16] = -1
    assert fires(written(gallery=apart[np.array(classes)], **given), "mixed_classes") is None
    several = written(gallery=gallery, **given | {"labels": np.ones((80, 2), np.uint8)})
    with pytest.raises(CannotRun, match="several labels"):
        fires(several, "mixed_classes")


def test_a_map_that_rises_to_its_end_is_under_trained(written):
    rising = [0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.80, 0.805, 0.815]
    # the last at or before three quarters is the seventh
    found = fires(written(scalars={"map": rising}), "under_trained")
    assert "rose by 0.1150 over the last quarter" in found.sentence
    flat = [0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.7, 0.7, 0.7099]
    assert fires(written(scalars={"map": flat}), "under_trained") is None
    with pytest.raises(CannotRun, match="eval_every"):
        fires(written(scalars={"loss": [1.0] * 9, "map": [0.5]}), "under_trained")


def test_each_reason_not_to_trust_a_map_is_named(written):
    labels = one_hot([0, 1] * 10)
    sound = {"map": [0.5], "map_low": [0.46], "map_high": [0.55], "best_map": [0.5]}
    given = {"labels": labels}
    assert fires(written(scalars=sound, **given), "untrusted_map") is None
    wide = fires(written(scalars=sound | {"map_high": [0.56]}, **given), "untrusted_map")
    assert "anything from 0.460 to 0.560" in wide.sentence
    best = fires(written(scalars=sound | {"best_map": [0.505]}, **given), "untrusted_map")
    assert "the best of all evaluations is 0.5050, chosen on the test queries" in best.sentence
    few = sound | {"n_queries_without_relevant": [1.0]}
    assert "1 of 10 queries has no relevant" in fires(written(scalars=few, **given),
                                                       "untrusted_map").sentence  # fmt: skip


def test_a_run_without_parts_lists_what_could_not_run_and_why(written):
    found = diagnose(written(scalars={"loss": [1.0]}))
    assert not found.findings
    assert set(found.ran) | set(found.could_not) == set(checks())
    assert found.could_not["which_illness"] == "the run has no records of the probes"
    assert found.could_not["weak_opponent"] == "it looks at a pair, and no other run was given"
    old = {name: one for name, one in counts().items() if "dead" not in name}
    assert "not counted" in diagnose(written(scalars=old)).could_not["dead_growing"]


def test_a_remedy_for_a_switch_leaves_the_other_switches_as_they_are():
    config = make_config(method="dpsh", method_options={"pairs": "in_batch"})
    tried = tried_config(config, {"method_options.theta_scale": 0.2, "lr": 0.01})
    assert tried.method_options == {"pairs": "in_batch", "theta_scale": 0.2} and tried.lr == 0.01


def test_what_an_illness_explains_is_not_said_again(written):
    labels = one_hot([0, 1, 2] * 10)
    given = counts(20, n_effective_codes=[1.0], map=[0.3], map_low=[0.1], map_high=[0.9])
    found = diagnose(written(scalars=given, labels=labels, gallery=np.ones((15, 4))))
    assert [one.check for one in found.findings] == ["collapsed"]
    assert found.could_not["untrusted_map"] == "“Too few codes” explains what it would say"
    assert "alike_bits" in found.could_not and "mixed_classes" in found.could_not
    titles = {name: one.title for name, one in checks().items()}
    left_out = [one for one in found.missing(titles) if one.startswith("Left out")]
    assert len(left_out) == 1 and left_out[0].startswith(
        "Left out, since Too few codes explains them: "
    )
    assert all(titles[one] in left_out[0] for one in found.explained)


def test_an_untuned_or_a_better_baseline_makes_a_weak_opponent(written):
    rdh = {"amplifier": True, "quantization": "error_aware", "eta": 1.0}
    shared = {"method": "dhn", "lr": 0.03}
    baseline = written(scalars={"map": [0.5]}, eta=1.0, **shared)
    with_rdh = written(scalars={"map": [0.6]}, **rdh, **shared)

    def said() -> str | None:
        pair = Evidence(with_rdh.store, with_rdh.run_id, partner=baseline)
        found = fires(pair, "weak_opponent")
        return found and found.sentence

    assert "with 1 setting of lr and η, so the gain of +0.1000" in said()
    for eta in (0.1, 0.01):
        written(scalars={"map": [0.55]}, eta=eta, **shared)
    assert said() is None
    written(scalars={"map": [0.7]}, eta=0.1, method="dhn", lr=0.1)
    assert "with lr 0.1 and η 0.1" in said() and "it reaches 0.7000" in said()
    other = Evidence(baseline.store, baseline.run_id, partner=with_rdh)
    with pytest.raises(CannotRun, match="it is said of the run with both plug-ins"):
        fires(other, "weak_opponent")
    faster = written(scalars={"map": [0.6]}, **rdh, **shared | {"lr": 0.1})
    with pytest.raises(CannotRun, match=r"more than the plug-ins: in .*lr \(0.03 and 0.1\)"):
        fires(Evidence(faster.store, faster.run_id, partner=baseline), "weak_opponent")
    weaker = written(scalars={"map": [0.6]}, **rdh | {"eta": 0.1}, **shared)
    with pytest.raises(CannotRun, match=r"these differ in eta \((0.1 and 1|1 and 0.1)\)"):
        fires(Evidence(weaker.store, weaker.run_id, partner=with_rdh), "weak_opponent")
    unfair = written(scalars={"map": [0.9]}, **rdh | {"eta": 0.1}, **shared)
    pair = Evidence(unfair.store, unfair.run_id, partner=baseline)
    assert fires(pair, "weak_opponent").sentence == "This is no fair pair: eta differs."


def test_a_fatal_finding_comes_alone(written):
    sick = counts(dead=[100], dead_hard=[25], flagged=[100], flagged_dead=[100], saturated=[200])
    given = {"scalars": sick, "arrays": reach(80, 40), "total_steps": 960}
    alive = diagnose(written(**given))
    assert {one.check for one in alive.findings} == {"beyond_reach", "which_illness"}
    died = {"kind": "diverged", "message": "Training diverged: the loss is NaN."}
    found = diagnose(written(**given, state="failed", result=died))
    assert [one.check for one in found.findings] == ["diverging"]
    assert found.explained["beyond_reach"] == found.explained["which_illness"] == "diverging"
    assert found.could_not["beyond_reach"] == "“Diverging” explains what it would say"
    assert set(found.ran) | set(found.could_not) == set(checks())
    assert not set(found.ran) & set(found.could_not)


def test_where_nothing_was_found_it_is_said_of_which_part_of_the_training(written):
    part = diagnose(written(scalars=counts(8), state="cancelled", total_steps=960))
    assert part.if_empty == "nothing found in the first 80 of 960 steps"
    assert diagnose(written(scalars=counts(8))).if_empty == "nothing found"
