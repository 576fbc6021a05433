"""Entries as an evaluation judges them, against loops over single entries."""

from typing import Any

import numpy as np
import pytest
import torch

from rdh import catalog
from rdh.retrieval import evaluate, pack_codes
from rdh.training import evaluate as evaluate_module
from rdh.training import judge as judge_module
from rdh.training import loop
from rdh.training.costs import training_costs
from rdh.training.evaluate import encode
from rdh.training.judge import Judgement, counts, judge, lists
from rdh.training.state import TrainingState
from tests.naive_judge import naive_sides, one_batch_gradient
from tests.training.test_loop import (  # noqa: F401 (digits, one_thread: fixtures)
    DEEP,
    OPTIONS,
    Log,
    assert_equal,
    config,
    digits,
    one_thread,
    weights,
)

WILD = {"tau": 0.7, "lr": 2.0, "n_bits": 6, "epochs": 2}  # saturates within a few steps
TANH = [name for name in DEEP if catalog.method(name).saturates]


def trained(digits: Any, **fields: Any) -> tuple[TrainingState, Log, loop.Outcome]:  # noqa: F811
    settings = config(**WILD | fields)
    log, run = Log(), loop.start(settings, digits(settings))
    return run, log, log.fit(run)


def wild(digits: Any, **fields: Any) -> tuple[TrainingState, Log, Any]:  # noqa: F811
    """A start whose hash layer is so steep that many entries are saturated, dead ones among them.

    Returns (run, the log of its evaluation, what `evaluate_run` returned).
    """
    size = {"query_per_class": 2, "train_per_class": 15}  # in a class of six, nobody can be wrong
    settings = config(**{"tau": 0.6, "n_bits": 6, "dataset_options": size} | fields)
    log, run = Log(), loop.start(settings, digits(settings))
    run.method.on_epoch_start(0)
    with torch.no_grad():
        for parameter in run.network.head.parameters():
            parameter *= 100
    save = log.codes.__setitem__
    return run, log, evaluate_module.evaluate_run(run, log.records.append, save_codes=save)


def whole(run: TrainingState) -> Judgement:
    train = run.inputs.split.train
    return judge(run, np.arange(len(train)), encode(run, train), all_pairs=True)


def evaluations(log: Log) -> list[Any]:
    return [record for record in log.records if "map" in record.scalars]


@pytest.mark.parametrize("method", ["hashnet", "dpsh", "adsh"])
def test_every_entry_is_judged_as_the_slow_loop_does(digits, method):  # noqa: F811
    options = {"adsh": {"n_samples": 60}}.get(method, {})
    run, _, _ = wild(digits, method=method, method_options=options)
    found = whole(run)
    labels = run.inputs.train_labels
    h = torch.tanh(torch.from_numpy(found.logits))
    if method != "adsh":  # trains on the whole gallery: too much for a slow loop
        sides = naive_sides(np.where(found.logits >= 0, 1, -1), labels.numpy())
        np.testing.assert_array_equal(found.right, sides)
    every = np.arange(len(labels)) if method != "adsh" else np.sort(run.method.sample.numpy())
    np.testing.assert_array_equal(found.items[found.asked], every)
    run.method.remember(h, torch.arange(len(h)))
    gradient = torch.zeros_like(h)
    gradient[every] = one_batch_gradient(run.method, h, labels, torch.from_numpy(every))
    for item, bit in np.ndindex(*h.shape):
        code, right = float(h[item, bit]), found.right[item, bit]
        saturated, side = abs(code) >= np.float32(0.6), 1 if code >= 0 else -1
        assert found.saturated[item, bit] == saturated
        assert found.wrong[item, bit] == (right == -side)
        assert found.dead[item, bit] == (saturated and right == -side)
        asks = float(gradient[item, bit]) * code
        if abs(asks) > 1e-7:  # below, rounding decides
            assert found.flagged_all_pairs[item, bit] == (saturated and asks > 0)
    assert found.dead.any() and found.flagged_all_pairs.any()


@pytest.mark.parametrize("method", TANH)
def test_an_evaluation_logs_all_counts_in_one_record(digits, method):  # noqa: F811
    options = OPTIONS.get(method, {})
    run, log, outcome = trained(digits, method=method, method_options=options, eval_every=1)
    assert [record.step for record in evaluations(log)] == [
        run.steps_per_epoch,
        2 * run.steps_per_epoch,
    ]
    record, n_bits = evaluations(log)[-1], 6
    scalars, arrays = record.scalars, record.arrays
    expected, by_bit = counts(whole(run))
    assert expected.items() <= scalars.items() and expected.items() <= outcome.counted.items()
    assert outcome.summary()["metrics"]["train_dead"] == scalars["train_dead"]
    assert scalars["train_entries"] == len(run.inputs.train_labels) * n_bits
    assert scalars["train_dead"] == arrays["train_dead_by_bit"].sum()
    assert (
        scalars["train_flagged"]
        == arrays["train_flagged_by_bit"].sum()
        == by_bit["train_flagged_by_bit"].sum()
    )
    assert scalars["train_dead"] <= min(scalars["train_wrong"], scalars["train_saturated"])
    assert scalars["train_flagged_confirmed"] <= scalars["train_flagged_all_pairs"]
    sides = {"query"} | ({"gallery"} - {catalog.method(method).trains_on})
    assert {name.split("_")[0] for name in scalars if name.endswith("_entries")} - {
        "flagged",
        "probe",
    } == {"train", *sides}
    assert {f"cost_{side}" for side in sides} <= scalars.keys()
    assert ("cost_by_bit_gallery" in arrays) == ("gallery" in sides)
    assert arrays["cost_by_bit_train"].shape == (n_bits,)
    asked_some = method in ("adsh", "dihn", "dagh")
    assert ("flagged_entries" in scalars) == ("train_dead_asked" in scalars) == asked_some


@pytest.mark.parametrize("method", TANH)
def test_training_goes_on_bit_by_bit_as_without_any_evaluation(digits, method):  # noqa: F811
    options = {"method": method, "method_options": OPTIONS.get(method, {}), "epochs": 4}
    often, log, outcome = trained(digits, eval_every=1, quantization="plain", **options)
    never, other, expected = trained(digits, eval_every=0, quantization="plain", **options)
    assert_equal(weights(often), weights(never))
    assert_equal(*(list(run.method.state_dict().values()) for run in (often, never)))
    np.testing.assert_array_equal(log.codes["final"]["query"], other.codes["final"]["query"])
    assert outcome.counted == expected.counted and outcome.evaluation.map == expected.evaluation.map


@pytest.mark.parametrize(
    "fields", [{"probe_every": 0}, *({"method": name} for name in ("dpn", "orthohash", "itq"))]
)
def test_nothing_is_judged_without_probes_or_saturation(digits, fields):  # noqa: F811
    settings = config(**{"n_bits": 6, "epochs": 2} | fields)
    if fields.get("method") == "itq":
        from rdh.training import shallow as engine
    else:
        engine = loop
    run = engine.start(settings, digits(settings))
    log = Log()
    outcome = engine.fit(
        run,
        log=log.records.append,
        save_checkpoint=log.save,
        save_codes=lambda name, arrays: log.codes.__setitem__(name, arrays),
    )
    names = {name for record in log.records for name in (*record.scalars, *record.arrays)}
    assert not any(name.startswith(("train_", "cost_", "gallery_", "query_")) for name in names)
    assert outcome.counted == {} and "train_dead" not in outcome.summary()["metrics"]
    assert all("right" not in arrays for arrays in log.codes.values())


@pytest.mark.parametrize("method", ["dpsh", "daph"])
def test_costs_are_those_of_codes_flipped_by_hand(digits, method):  # noqa: F811
    run, log, _ = wild(digits, method=method)
    found, record = whole(run), evaluations(log)[-1]
    labels, split = run.inputs.labels, run.inputs.split
    train_labels, n = labels[split.train], len(split.train)

    def flipped(logits: np.ndarray, mask: np.ndarray) -> np.ndarray:
        return pack_codes(np.where(logits >= 0, 1, -1) * np.where(mask, -1, 1))

    def score(*sides: Any) -> float:
        return evaluate(*sides, n_bits=6, headline=False).map_tie

    order = np.random.default_rng(run.config.seed).permutation(n)
    asking, asked = order[: n // 5], order[n // 5 :]
    pair_labels = train_labels[asking], train_labels[asked]
    asks = pack_codes(run.method.query_side(encode(run, split.train)))[asking]
    as_it_is = score(asks, pack_codes(found.logits)[asked], *pair_labels)
    assert record.scalars["map_train"] == pytest.approx(as_it_is, abs=1e-12)
    for name, mask in (("cost_train", found.dead), ("cost_flagged", found.flagged)):
        freed = score(asks, flipped(found.logits, mask)[asked], *pair_labels)
        assert record.scalars[name] == pytest.approx(freed - as_it_is, abs=1e-12)
    parts = {}
    for name in ("query", "gallery"):
        ids = getattr(split, name)
        logits = getattr(run.method, f"{name}_side")(encode(run, ids))
        right = found.sides.of_labels(torch.from_numpy(labels[ids]))
        saturated = np.abs(np.tanh(logits)) >= np.float32(0.6)
        dead = saturated & (np.sign(logits) == -right.numpy()) & (right.numpy() != 0)
        assert record.scalars[f"{name}_dead"] == dead.sum() > 0
        parts[name] = pack_codes(logits), flipped(logits, dead), labels[ids]
    query, gallery = parts["query"], parts["gallery"]
    as_it_is = score(query[0], gallery[0], query[2], gallery[2])
    freed = score(query[0], gallery[1], query[2], gallery[2])
    assert record.scalars["cost_gallery"] == pytest.approx(freed - as_it_is, abs=1e-12)
    freed = score(query[1], gallery[0], query[2], gallery[2])
    assert record.scalars["cost_query"] == pytest.approx(freed - as_it_is, abs=1e-12)


def test_as_many_random_entries_are_flipped_as_are_flagged(digits, monkeypatch):  # noqa: F811
    run, _, _ = wild(digits, method="dpsh")
    found, seen = whole(run), []
    from rdh.training import costs

    class Score(costs.FreedMap):
        def of_gallery(self, flips: np.ndarray) -> float:
            seen.append(flips)
            return super().of_gallery(flips)

    monkeypatch.setattr(costs, "FreedMap", Score)
    labels = run.inputs.labels[run.inputs.split.train]
    packed = pack_codes(found.logits)
    training_costs(found, (packed, packed), labels, None, 0)
    dead, flagged, random = seen[:3]
    n = len(labels)
    gallery = np.sort(np.random.default_rng(0).permutation(n)[n // 5 :])
    np.testing.assert_array_equal(dead, found.dead[gallery])
    np.testing.assert_array_equal(flagged, found.flagged[gallery])
    assert random.any() and not (random & ~found.saturated[gallery]).any()
    chosen = costs._random_saturated(found, np.random.default_rng(0))
    assert chosen.sum() == found.flagged.sum() > 0


def test_flags_are_asked_of_a_limited_choice_that_the_seed_makes(digits, monkeypatch):  # noqa: F811
    run, _, _ = wild(digits, method="hashnet")
    monkeypatch.setattr(judge_module, "MOST_FLAGS", 20)
    first, second = whole(run), whole(run)
    assert len(first.asked) == 20 and not np.delete(first.flagged, first.asked, 0).any()
    np.testing.assert_array_equal(first.asked, second.asked)
    np.testing.assert_array_equal(first.flagged, second.flagged)
    scalars, _ = counts(first)
    assert scalars["flagged_entries"] == 20 * 6 and scalars["train_entries"] == 150 * 6
    assert scalars["train_dead"] == first.dead.sum()
    assert scalars["train_dead_asked"] == first.dead[first.asked].sum()


# Files of codes


def test_a_file_of_codes_lists_the_deepest_entries_of_each_bit(digits, monkeypatch):  # noqa: F811
    run, log, _ = wild(digits, method="dpsh")
    probe = log.codes["probe-0"]
    monkeypatch.setattr(judge_module, "MOST_LISTED", 3)
    found, train = whole(run), run.inputs.split.train
    arrays = lists(found, train)
    contrast = found.flagged & (found.right == np.where(found.codes >= 0, 1, -1))
    for name, mask in (("dead", found.dead), ("contrast", contrast)):
        np.testing.assert_array_equal(arrays[f"{name}_counts"], mask.sum(0))
        assert mask.any()
        for bit in range(6):
            depth = sorted(np.abs(found.logits[mask[:, bit], bit]), reverse=True)[:3]
            rows = np.flatnonzero(arrays[f"{name}_bits"] == bit)
            items = np.searchsorted(train, arrays[f"{name}_ids"][rows])
            np.testing.assert_array_equal(np.abs(found.logits[items, bit]), depth)
            np.testing.assert_array_equal(found.codes[items, bit], arrays[f"{name}_codes"][rows])
            if name == "dead":
                flagged = arrays["dead_flagged"][rows]
                np.testing.assert_array_equal(found.flagged[items, bit], flagged)
    assert arrays.keys() <= probe.keys() and probe["n_items"] == probe["n_flag_items"] == 150
    rows = np.searchsorted(train, probe["ids"])
    np.testing.assert_array_equal(probe["right"], found.right[rows])


@pytest.mark.parametrize(("finetune", "n_looked_at"), [(False, 60), (True, 20)])
def test_an_expensive_network_is_asked_for_some_items_at_most_epochs(
    digits,  # noqa: F811
    monkeypatch,
    finetune,
    n_looked_at,
):
    monkeypatch.setattr(evaluate_module, "N_PROBE_ITEMS", 20)
    settings = config(**WILD | {"method": "dpsh"})
    run, log = loop.start(settings, digits(settings)), Log()
    run.config = settings.model_copy(update={"finetune": finetune})
    log.fit(run)
    looked_at = {name: int(arrays["n_items"]) for name, arrays in log.codes.items() if "p" in name}
    assert looked_at == {"probe-0": n_looked_at, "probe-4": n_looked_at, "probe-8": 60}
    probe = log.codes["probe-4"]
    assert probe["ids"].shape == (20,) and probe["right"].shape == (20, 6)
    if finetune:
        assert set(probe["dead_ids"]) | set(probe["contrast_ids"]) <= set(probe["ids"])


def test_an_evaluation_encodes_and_judges_every_item_once(digits, monkeypatch):  # noqa: F811
    settings = config(**WILD | {"method": "hashnet", "eval_every": 1})
    run, log = loop.start(settings, digits(settings)), Log()
    encoded, judged = [], []
    real_encode, real_judge = evaluate_module.encode, evaluate_module.judge
    monkeypatch.setattr(
        evaluate_module,
        "encode",
        lambda run, ids, stop: (encoded.append((run.step, ids)), real_encode(run, ids, stop))[1],
    )
    monkeypatch.setattr(
        evaluate_module,
        "judge",
        lambda run, *args, **how: (judged.append(run.step), real_judge(run, *args, **how))[1],
    )
    log.fit(run)
    assert judged == [0, 4, 8] and list(log.codes) == ["probe-0", "probe-4", "probe-8", "final"]
    split = run.inputs.split
    for step in (4, 8):
        ids = np.concatenate([ids for at, ids in encoded if at == step])
        assert len(np.unique(ids)) == len(ids)
        assert set(ids) == {*split.query, *split.gallery, *split.train}
