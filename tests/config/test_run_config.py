"""RunConfig: what is refused, in which words, and what makes two configs equal."""

import json
from pathlib import Path

import pytest
from pydantic import ValidationError

from rdh import catalog
from rdh.catalog import DatasetCard, MethodCard, Switch
from rdh.config.checks import check_devices
from rdh.config.run_config import (
    RunConfig,
    arm_fields,
    arms_together,
    changed,
    check_eta_counts,
    make_config,
    plug_in_fields,
    with_plug_ins,
    with_usual_eta,
)
from rdh.errors import UserError
from rdh.store.run_store import RunStore

PRETRAINED = {"backbone": "efficientnet_lite0", "dataset": "cifar10", "image_size": 128}
AIMED = ("all_pairs", "labels", "not_labels")
REFUSED = [
    # an aim and a scale of an amplifier that is off, and values that there are not
    (
        {"amplifier_aim": "labels"},
        r"^amplifier_aim must be gradient if the amplifier is off, got 'labels'; switch .* out\.$",
    ),
    (
        {"amplifier_scale": 2, "quantization": "error_aware"},
        r"^amplifier_scale must be 1 if the amplifier is off, got 2; switch .* out\.$",
    ),
    (
        {"amplifier": True, "amplifier_aim": "label"},
        r"amplifier_aim must be one of gradient, all_pairs, labels, not_labels, got 'label'",
    ),
    ({"amplifier": True, "amplifier_scale": 0}, r"amplifier_scale must be in \(0, 1000\], got 0 "),
    ({"amplifier": True, "amplifier_scale": 1001}, r"amplifier_scale must be .*, got 1001 "),
    ({"amplifier": True, "amplifier_scale": float("nan")}, r"amplifier_scale .*, got nan "),
    ({"method": "dpn", "amplifier": True, "amplifier_aim": "labels"}, r"amplifier must be off"),
    # values out of range
    (
        {"tau": 1.0},
        r"tau must be in \[0, 1\), got 1.0 \(saturation threshold .*the paper uses 0.99\)\.",
    ),
    ({"tau": -0.1}, r"tau must be in \[0, 1\), got -0.1"),
    ({"tau": float("nan")}, r"tau must be a finite number, got nan"),
    ({"n_bits": 0}, r"n_bits must be in \[1, 1024\], got 0 \(bits of a code\)\."),
    ({"n_bits": 4096}, r"n_bits must be in \[1, 1024\], got 4096"),
    (
        {"batch_size": 1},
        r"batch_size must be in \[2, 65536\], got 1 \(items a step; pairs need at least 2\)\.",
    ),
    ({"lr": 0}, r"lr must be in \(0, 100\], got 0"),
    ({"lr": float("inf")}, r"lr must be a finite number, got inf"),
    ({"eta": -1}, r"eta must be in \[0, 1000\], got -1"),
    ({"momentum": 1.0}, r"momentum must be in \[0, 1\), got 1.0"),
    ({"seed": -1}, r"seed must be in \[0, 4294967296\), got -1"),
    ({"split_seed": 2**32}, r"split_seed must be in \[0, 4294967296\), got 4294967296"),
    ({"n_bits": 10**5000}, r"n_bits must be in \[1, 1024\], got a very long int"),
    # names that are not there: the choices are listed
    ({"method": "hashnett"}, r"method must be one of .*dhn, .*dpsh, .*hashnet.*, got 'hashnett'"),
    ({"dataset": "mnist"}, r"dataset must be one of .*cifar10, .*digits.*, got 'mnist'"),
    (
        {"backbone": "vgg"},
        r"backbone must be one of alexnet, .*mlp.* or torchvision:NAME, got 'vgg'",
    ),
    (
        {"backbone": "torchvision:"},
        r"backbone must be one of .* or torchvision:NAME, got 'torchvision:'",
    ),
    ({"backbone": "torchvision:../x"}, r"or torchvision:NAME, got 'torchvision:../x'"),
    ({"quantization": "eaq"}, r"quantization must be one of none, plain, error_aware, got 'eaq'"),
    ({"schedule": "linear"}, r"schedule must be one of cosine, constant, step, got 'linear'"),
    ({"optimizer": "lion"}, r"optimizer must be one of sgd, rmsprop, adam, adamw, got 'lion'"),
    ({"precision": "float16"}, r"precision must be one of float32, bfloat16, got 'float16'"),
    ({"compile": 1}, r"compile must be true or false, got 1"),
    (
        {"weights": "pretraned"},
        r"weights must be pretrained, none or the path of a file .*, got 'pretraned'",
    ),
    ({"weights": ""}, r"weights must be pretrained, none or the path of a file .*, got ''"),
    ({"weights": "a\0b.pth"}, r"weights must be pretrained, none or the path"),
    (
        {"weights": "~nobody-here/x.pth"},
        r"weights must be a path below a home folder that there is",
    ),
    ({"device": "tpu"}, r"device must be auto, cpu, cuda or cuda:N, got 'tpu'"),
    ({"devices": 0}, r"devices must be in \[1, 64\], got 0 "),
    ({"devices": "2"}, r"devices must be a whole number, got '2'"),
    ({"devices": 2, "device": "cuda:1"}, r"device must be auto, cuda or cpu for several devices"),
    ({"devices": 4, "batch_size": 7}, r"batch_size must be at least 8 for 4 devices, .* got 7"),
    (
        {"devices": 2, "method": "itq"},
        r"devices must be 1 for itq, got 2: it is fitted once, so there are no steps to share",
    ),
    ({"device": "cuda:x"}, r"device must be auto, cpu, cuda or cuda:N, got 'cuda:x'"),
    # keys that are not there
    ({"nbits": 32}, r"'nbits' is not a setting of a run; did you mean n_bits\?"),
    ({"learning": 1}, r"'learning' is not a setting of a run"),
    (
        {"zzzz": 1},
        r"'zzzz' is not a setting of a run; `python -m rdh train --help` lists them\.",
    ),
    # wrong kinds: nothing is guessed
    ({"n_bits": "32"}, r"n_bits must be a whole number, got '32'"),
    ({"n_bits": 3.5}, r"n_bits must be a whole number, got 3.5"),
    ({"n_bits": 32.0}, r"n_bits must be a whole number, got 32.0"),
    ({"n_bits": True}, r"n_bits must be a whole number, got True"),
    ({"n_bits": None}, r"n_bits must be a whole number, got None"),
    ({"n_bits": "9" * 5000}, r"n_bits must be a whole number, got '9{50,60}… \(bits of a code\)"),
    ({"lr": "0.1"}, r"lr must be a number, got '0.1'"),
    ({"tau": True}, r"tau must be a number, got True"),
    ({"amplifier": "yes"}, r"amplifier must be true or false, got 'yes'"),
    ({"amplifier": 1}, r"amplifier must be true or false, got 1"),
    ({"method": 3}, r"method must be text, got 3"),
    # options of methods and data sets
    ({"method_options": 3}, r"method_options must be switches by name, got 3"),
    ({"method_options": {1: 2}}, r"method_options must be switches by name, got 1"),
    (
        {"method_options": {"pairs": "in_batch"}},
        r"method_options of hashnet must be among alpha_times_bits.*, got 'pairs'",
    ),
    (
        {"method": "dpsh", "method_options": {"pairs": "all"}},
        r"method_options pairs must be one of stored, in_batch, got 'all'",
    ),
    (
        {"method": "dpsh", "method_options": {"theta_scale": "1"}},
        r"method_options theta_scale must be a number, got '1'",
    ),
    (
        {"method": "dpsh", "method_options": {"theta_scale": True}},
        r"method_options theta_scale must be a number, got True",
    ),
    (
        {"method": "dpsh", "method_options": {"theta_scale": float("nan")}},
        r"theta_scale must be a finite number, got nan",
    ),
    (
        {"dataset_options": {"query_per_class": 2.5}},
        r"dataset_options query_per_class must be a whole number, got 2.5",
    ),
    (
        {"dataset_options": {"root": "/"}},
        r"dataset_options of digits must be among query_per_class.*, got 'root'",
    ),
    # ranges of switches
    (
        {"method": "dpsh", "method_options": {"theta_scale": 0}},
        r"method_options theta_scale must be at least 1e-06, got 0\.",
    ),
    (
        {"method": "itq", "method_options": {"rounds": -1}},
        r"method_options rounds must be at least 0, got -1\.",
    ),
    (
        {"dataset": "mosaic", "dataset_options": {"n_items": -5}},
        r"dataset_options n_items must be in \[20, 1000000\], got -5\.",
    ),
    (
        {"dataset": "mosaic", "dataset_options": {"grid": 4}},
        r"dataset_options grid must be one of 2, 3, got 4\.",
    ),
    (
        {"dataset": "arrays", "dataset_options": {"n_query": -5}},
        r"dataset_options n_query must be at least 0, got -5\.",
    ),
    (
        {"dataset": "image_list", "dataset_options": {"top_k": -1}},
        r"dataset_options top_k must be at least 0, got -1\.",
    ),
    (
        {"dataset": "image_folder", "dataset_options": {"query_per_class": -3}},
        r"dataset_options query_per_class must be at least 0, got -3\.",
    ),
    (
        {"dataset": "image_folder", "dataset_options": {"folder": "../../etc"}},
        r"dataset_options folder must be a relative path, without `\.\.`, .* got '../../etc'\.",
    ),
    (
        {"dataset": "arrays", "dataset_options": {"file": "/etc/passwd"}},
        r"dataset_options file must be a relative path",
    ),
    # settings that do not go together
    (
        {"finetune": False},
        r"finetune must be on for the backbone mlp: it has no pretrained weights to freeze\.",
    ),
    (
        {"backbone": "alexnet", "image_size": 32},
        r"image_size must be at least 63 for the backbone alexnet, got 32",
    ),
    (
        {"method": "dpn", "amplifier": True},
        r"amplifier must be off for dpn: nothing saturates there",
    ),
    (
        {"method": "itq", "quantization": "error_aware"},
        r"quantization must be plain for itq, got 'error_aware': it is fitted, without a loss",
    ),
    (
        {**PRETRAINED, "finetune": False, "augment": True},
        r"augment must be off when finetune is off",
    ),
    (
        {**PRETRAINED, "finetune": False, "compile": True},
        r"compile must be off when finetune is off",
    ),
    (
        {**PRETRAINED, "finetune": False, "precision": "bfloat16"},
        r"precision must be float32 when finetune is off",
    ),
    (
        {**PRETRAINED, "finetune": False, "weights": "none"},
        r"finetune must be on for the backbone efficientnet_lite0: weights=none leaves "
        r"it with no pretrained weights",
    ),
    (
        {"backbone": "vit_b_16", "image_size": 128},
        r"image_size must be 224 for the backbone vit_b_16, got 128",
    ),
    (
        {"backbone": "none"},
        r"finetune must be off for the backbone none: there is no network to train",
    ),
    (
        {"backbone": "none", "finetune": False, "weights": "x.pth"},
        r"weights must be pretrained for the backbone none",
    ),
]


TEXTS = {"title": "Own", "text": "Own: mine.", "file": "rdh/methods/own.py"}


def add_card(monkeypatch, kind: str, card) -> None:
    """A card beside those of the folder."""
    cards = getattr(catalog, kind)() | {card.name: card}
    monkeypatch.setattr(catalog, kind, lambda: cards)


@pytest.mark.parametrize(
    ("fields", "sentence"), REFUSED, ids=[str(next(iter(fields))) for fields, _ in REFUSED]
)
def test_bad_input_is_refused_in_one_sentence(fields, sentence):
    with pytest.raises(UserError, match=sentence) as caught:
        make_config(**fields)
    text = str(caught.value)
    assert "\n" not in text and len(text) < 500 and "pydantic" not in text.lower()


def test_numbers_of_the_other_kind_are_taken_where_nothing_is_lost():
    config = make_config(lr=1, eta=2, quantization="error_aware")
    assert (config.lr, config.eta) == (1.0, 2.0) and isinstance(config.lr, float)


def test_the_ends_of_the_ranges_are_allowed():
    make_config(tau=0, n_bits=1, batch_size=2, momentum=0, eta=0, probe_every=0, eval_every=0)
    make_config(tau=0.999999, n_bits=1024, seed=2**32 - 1, device="cuda:7")


def test_a_config_cannot_be_changed():
    with pytest.raises(ValidationError, match="frozen"):
        make_config().n_bits = 64


def test_the_amplifier_is_refused_for_a_method_without_an_activation(monkeypatch):
    add_card(monkeypatch, "methods", MethodCard(name="flat", activation=None, **TEXTS))
    assert make_config(method="flat").arm == ""
    with pytest.raises(UserError, match="amplifier must be off for flat: nothing saturates there"):
        make_config(method="flat", amplifier=True)
    with pytest.raises(UserError, match="amplifier must be off for flat"):
        with_plug_ins(make_config(method="flat"), rdh=True)


def test_a_switch_of_every_kind_is_checked(monkeypatch):
    switches = (
        Switch("n", 1, "int"),
        Switch("x", 1.0, "float"),
        Switch("on", True, "bool"),
        Switch("word", "a", "str"),
        Switch("rest", None, "int", is_optional=True),
    )
    add_card(monkeypatch, "methods", MethodCard(name="hashnet", switches=switches, **TEXTS))
    good = {"n": 2, "x": 2, "on": False, "word": "b", "rest": None}
    assert make_config(method_options=good).method_options == {
        "n": 2,
        "on": False,
        "word": "b",
        "x": 2.0,
    }
    for name, value, kind in (
        ("n", 2.0, "whole"),
        ("n", None, "whole"),
        ("n", True, "whole"),
        ("on", 1, "true or"),
        ("word", 3, "text"),
    ):
        with pytest.raises(UserError, match=f"method_options {name} must be .*{kind}"):
            make_config(method_options={name: value})


def test_eta_is_one_for_single_label_data_and_a_tenth_for_multi_label_data(monkeypatch):
    assert make_config(quantization="error_aware").eta == 1.0
    assert make_config(quantization="error_aware", eta=0.3).eta == 0.3
    assert make_config(quantization="plain").eta is None
    add_card(monkeypatch, "datasets", DatasetCard(name="many", is_multi_label=True, **TEXTS))
    assert make_config(dataset="many", quantization="error_aware").eta == 0.1


def test_equal_configs_have_equal_hashes():
    assert make_config().hash == make_config().hash
    assert make_config(lr=1).hash == make_config(lr=1.0).hash
    one = make_config(method="dpsh", method_options={"theta_scale": 1, "pairs": "in_batch"})
    other = make_config(method="dpsh", method_options={"pairs": "in_batch", "theta_scale": 1.0})
    assert one == other and one.hash == other.hash
    assert (
        make_config(quantization="error_aware").hash
        == make_config(quantization="error_aware", eta=1).hash
    )


def test_a_method_can_say_why_it_needs_one_device():
    card = catalog.method("hashnet").model_copy(update={"one_device": "it asks the network itself"})
    check_devices(make_config(), card)
    sentence = "devices must be 1 for hashnet, got 2: it asks the network itself; set devices=1"
    with pytest.raises(ValueError, match=sentence):
        check_devices(make_config(devices=2), card)


def test_every_field_counts_in_the_hash():
    other = {
        "method": "dpsh",
        "n_bits": 48,
        "method_options": {"alpha_times_bits": 5.0},
        "amplifier": True,
        "quantization": "none",
        "eta": 0.5,
        "tau": 0.9,
        "eaq_normalization": "N2",
        "dataset": "cifar10",
        "dataset_options": {"query_per_class": 5},
        "split_seed": 1,
        "queries": "validation",
        "bad_images": "skip",
        "backbone": "alexnet",
        "image_size": 64,
        "augment": True,
        "epochs": 3,
        "batch_size": 64,
        "lr": 0.1,
        "momentum": 0.5,
        "weight_decay": 0.1,
        "schedule": "constant",
        "hash_lr_scale": 10.0,
        "seed": 1,
        "device": "cpu",
        "devices": 2,
        "probe_every": 5,
        "eval_every": 1,
        "checkpoint_every": 1,
        "weights": "none",
        "precision": "bfloat16",
        "compile": True,
        "optimizer": "rmsprop",
    }
    base = {
        "image_size": 63,
        "quantization": "error_aware",
    }  # the smallest for all backbones; eta has something to weigh
    hashes = {make_config(**(base | {name: value})).hash for name, value in other.items()}
    with_others = {"finetune", "eaq_pairs", "amplifier_aim", "amplifier_scale"}
    assert set(other) | with_others == set(RunConfig.model_fields)
    assert len(hashes | {make_config(**base).hash}) == len(other) + 1
    aims = [{}, {"amplifier_scale": 2}, *({"amplifier_aim": aim} for aim in AIMED)]
    assert len({make_config(amplifier=True, **aim).hash for aim in aims}) == 5
    assert make_config(**PRETRAINED, finetune=False).hash != make_config(**PRETRAINED).hash
    assert make_config(method="dpsh", eaq_pairs="stored").hash != make_config(method="dpsh").hash


def test_pairs_with_stored_codes_need_a_method_that_stores_them():
    assert make_config(method="dsdh", eaq_pairs="stored").eaq_pairs == "stored"
    with pytest.raises(
        UserError,
        match=r"in_batch for hashnet, got 'stored': it stores no codes of all training items; set ",
    ):
        make_config(method="hashnet", eaq_pairs="stored")


@pytest.mark.parametrize("aim", [{}, {"amplifier_aim": "labels", "amplifier_scale": 2}])
def test_a_run_folder_keeps_the_hash_of_its_config(tmp_path, aim):
    store = RunStore(tmp_path)
    config = make_config(amplifier=True, **aim)
    run_id = store.create(config)
    assert store.submission(run_id)["config_hash"] == config.hash
    assert store.config(run_id) == config


def test_a_path_of_weights_is_kept_whole_and_need_not_be_there(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    config = make_config(weights="mine.pth")
    assert (
        config.weights == str(tmp_path / "mine.pth") == make_config(**config.model_dump()).weights
    )
    assert make_config(weights="~/mine.pth").weights == str(Path.home() / "mine.pth")
    assert (
        make_config(weights="mine.pth", finetune=False).finetune is False
    )  # even of a network without other weights


def test_networks_of_torchvision_need_no_card():
    config = make_config(backbone="torchvision:mobilenet_v2", finetune=False, image_size=32)
    assert config.backbone == "torchvision:mobilenet_v2"
    with pytest.raises(
        UserError,
        match="finetune must be on for the backbone torchvision:mobilenet_v2: weights=none",
    ):
        make_config(backbone="torchvision:mobilenet_v2", finetune=False, weights="none")


def test_a_copy_with_a_change_has_its_own_hash():
    config = make_config()
    before = config.hash
    assert config.model_copy(update={"lr": 0.5}).hash == make_config(lr=0.5).hash != before


def test_the_runs_of_a_pair_share_the_pair_hash_and_nothing_else_does():
    base = make_config(method="dpsh", seed=2)
    plug_ins = [
        {"amplifier": True},
        {"amplifier": True, "amplifier_aim": "labels"},
        {"amplifier": True, "amplifier_scale": 0.5},
        {"quantization": "none"},
        {"quantization": "error_aware", "eta": 0.2},
        {"tau": 0.9},
        {"eaq_normalization": "N3"},
        {"eaq_pairs": "stored"},
    ]
    pair = [make_config(**(base.model_dump() | change)) for change in plug_ins]
    assert {config.pair_hash for config in pair} == {base.pair_hash}
    assert len({config.hash for config in [base, *pair]}) == 9
    for change in (
        {"seed": 3},
        {"n_bits": 16},
        {"method_options": {"pairs": "in_batch"}},
        {"split_seed": 1},
        {"device": "cpu"},
    ):
        assert make_config(**(base.model_dump() | change)).pair_hash != base.pair_hash


def test_a_round_trip_through_json_keeps_config_and_hash():
    config = make_config(
        method="dpsh",
        method_options={"theta_scale": 1, "pairs": "in_batch"},
        amplifier=True,
        quantization="error_aware",
        lr=1e-5 / 3,
        tau=0.1 + 0.2,
    )
    back = make_config(**json.loads(json.dumps(config.model_dump())))
    assert back == config and (back.hash, back.pair_hash) == (config.hash, config.pair_hash)


def test_with_plug_ins_makes_the_two_arms_of_a_pair():
    base = make_config(method="dpsh", tau=0.95, eta=0.4)
    without, with_rdh = with_plug_ins(base, rdh=False), with_plug_ins(base, rdh=True)
    assert (without.amplifier, without.quantization, without.has_rdh) == (False, "plain", False)
    assert (with_rdh.amplifier, with_rdh.quantization, with_rdh.eta, with_rdh.has_rdh) == (
        True,
        "error_aware",
        0.4,
        True,
    )
    assert without.pair_hash == with_rdh.pair_hash and without.tau == with_rdh.tau == 0.95


def test_a_method_without_an_activation_has_one_arm():
    assert catalog.method("hashnet").arms() == (False, True)
    assert catalog.method("dpn").arms() == catalog.method("itq").arms() == (False,)


def test_hashes_are_those_of_the_first_releases():
    old_words = make_config(method="dpsh", method_options={"pairs": "batch"})
    assert old_words.method_options == {"pairs": "in_batch"}
    assert (old_words.hash, old_words.pair_hash) == ("19a31d5942b11e2f", "60889bbc24cdde8c")
    assert make_config(**old_words.model_dump()).hash == old_words.hash
    assert make_config().hash == "7d766eabe51b197d"
    with_rdh = make_config(method="dpsh", amplifier=True, quantization="error_aware")
    assert (with_rdh.hash, with_rdh.pair_hash) == ("8612a6bef683277f", "55132bd0dbef2cc2")
    explicit = {"amplifier_aim": "gradient", "amplifier_scale": 1}
    assert make_config(**(with_rdh.model_dump() | explicit)).hash == with_rdh.hash
    old = {name: value for name, value in with_rdh.model_dump().items() if name not in explicit}
    assert make_config(**old) == with_rdh
    below = make_config(dataset="arrays", dataset_options={"file": "./mine/arrays.npz"})
    assert below.dataset_options == {"file": "./mine/arrays.npz"}  # as it was given


def test_a_plain_term_may_be_weighed_by_a_switch_of_any_name(monkeypatch):
    switches = (Switch("strength", 0.25, "float"),)
    card = MethodCard(name="own", switches=switches, plain_weight="strength", **TEXTS)
    add_card(monkeypatch, "methods", card)
    assert make_config(method="own", eta=0.4).eta == 0.4 and card.plain_default == 0.25
    assert not make_config(method="own", quantization="none").weighs_quantization


def test_a_config_outlives_the_file_of_its_method(monkeypatch):
    config = make_config(method="dpsh", eta=0.4)
    monkeypatch.setattr(catalog, "methods", dict)
    assert config.label == "DPSH" and config.weighs_quantization and config.arm == ""
    assert config.model_copy(update={"seed": 3}).label == "DPSH"


def test_a_clone_leaves_behind_what_means_nothing_to_it():
    old = make_config(
        method="dpsh", method_options={"theta_scale": 1.0}, **plug_in_fields(rdh=True)
    )
    assert changed(old.model_dump(), {"seed": 1}).method_options == {"theta_scale": 1.0}
    other = changed(old.model_dump(), {"method": "hashnet", "dataset": "mosaic"})
    assert (other.method_options, other.eta) == ({}, 0.1)  # eta: the default of multi-label data
    assert changed(old.model_dump(), {"dataset": "mosaic", "eta": 1.0}).eta == 1.0


def test_an_eta_that_nothing_would_use_is_refused():
    plain, rdh = (make_config(eta=0.4, **plug_in_fields(rdh=rdh)) for rdh in (False, True))
    check_eta_counts(0.4, [plain, rdh])
    check_eta_counts(None, [plain])
    with pytest.raises(UserError, match=r"eta must be left out for HashNet: .*, got 0\.4; ask"):
        check_eta_counts(0.4, [plain])


def test_a_weight_that_eta_would_overrule_is_refused():
    own = {"method_options": {"quantization_weight": 0.5}}
    config = make_config(method="dsh", **own)
    check_eta_counts(None, [config, config.model_copy(update={"quantization": "error_aware"})])
    with pytest.raises(UserError, match=r"quantization_weight must be left .* 0\.5 and eta 0\.1"):
        check_eta_counts(None, [make_config(method="dsh", eta=0.1, **own)])


def test_where_eta_weighs_nothing_runs_with_any_eta_share_one_baseline():
    etas = (None, 0.1, 1.0)
    assert (
        len({make_config(eta=eta, **plug_in_fields(rdh=False)).hash for eta in etas}) == 1
    )  # HashNet has no plain term
    assert (
        len({make_config(eta=eta, method="dpsh", **plug_in_fields(rdh=False)).hash for eta in etas})
        == 3
    )
    assert len({make_config(eta=eta, method="dpsh", quantization="none").hash for eta in etas}) == 1


def test_an_eta_that_was_asked_for_reaches_the_arm_with_rdh():
    assert make_config(eta=0.4, **plug_in_fields(rdh=True)).eta == 0.4
    assert make_config(eta=0.4, **plug_in_fields(rdh=False)).eta is None


@pytest.mark.parametrize(
    ("amplifier", "quantization", "arm", "label"),
    [
        (False, "plain", "", "HashNet"),
        (True, "error_aware", "rdh", "HashNet + RDH"),
        (True, "plain", "ga", "HashNet + amplifier"),
        (False, "error_aware", "eaq", "HashNet + EAQL"),
        (False, "none", "noq", "HashNet without quantization"),
        (True, "none", "ga-noq", "HashNet + amplifier, without quantization"),
    ],
)
def test_the_arm_and_the_label_say_which_plug_ins_are_on(amplifier, quantization, arm, label):
    config = make_config(amplifier=amplifier, quantization=quantization)
    assert (config.arm, config.label) == (arm, label)


@pytest.mark.parametrize(
    ("fields", "label"),
    [
        ({"amplifier_aim": "all_pairs"}, "HashNet + RDH, aimed by all pairs"),
        ({"amplifier_aim": "labels"}, "HashNet + RDH, aimed by labels"),
        ({"amplifier_aim": "not_labels"}, "HashNet + RDH, aimed against labels"),
        ({"amplifier_scale": 2}, "HashNet + RDH, 2 × alpha"),
        (
            {"quantization": "none", "amplifier_aim": "labels", "amplifier_scale": 0.5},
            "HashNet + amplifier, without quantization, aimed by labels, 0.5 × alpha",
        ),
    ],
)
def test_the_label_names_an_aim_and_a_scale_and_the_arm_stays(fields, label):
    plain, aimed = (
        make_config(**(plug_in_fields(rdh=True) | {"quantization": "error_aware"} | some))
        for some in ({name: fields[name] for name in fields if name == "quantization"}, fields)
    )
    assert aimed.label == label and aimed.arm == plain.arm


def test_a_baseline_made_of_an_aimed_run_has_the_default_aim():
    aimed = make_config(**plug_in_fields(rdh=True), amplifier_aim="labels", amplifier_scale=2)
    baseline = with_plug_ins(aimed, rdh=False)
    assert (baseline.amplifier_aim, baseline.amplifier_scale) == ("gradient", 1)
    assert baseline == with_plug_ins(make_config(), rdh=False)
    assert with_plug_ins(aimed, rdh=True) == aimed
    assert changed(aimed.model_dump(), {"amplifier": False}).amplifier_aim == "gradient"
    with pytest.raises(UserError, match="amplifier_aim must be gradient if the amplifier is off"):
        changed(baseline.model_dump(), {"amplifier_aim": "labels"})


def test_of_arms_that_start_together_only_those_with_the_amplifier_take_the_aim():
    baseline, rdh = (plug_in_fields(rdh=on) for on in (False, True))
    off = {"amplifier_aim": "gradient", "amplifier_scale": 1.0}
    assert arms_together([baseline, rdh]) == [baseline | off, rdh]
    assert arms_together([baseline, baseline]) == [baseline, baseline]  # so that it is refused


def test_every_field_says_what_it_means():
    assert all(field.description for field in RunConfig.model_fields.values())


def test_the_defaults_are_the_papers_hyper_parameters():
    config = make_config()
    assert (config.lr, config.weight_decay, config.schedule, config.batch_size) == (
        0.01,
        1e-5,
        "cosine",
        128,
    )
    assert (config.tau, config.epochs, config.has_rdh) == (0.99, 150, False)


def test_a_field_that_came_later_changes_no_hash_and_no_file_at_its_usual_value():
    config = make_config()
    assert "queries" not in config.recorded() and config.queries == "test"
    assert make_config(**config.recorded()) == config
    other = make_config(queries="validation")
    assert other.recorded()["queries"] == "validation" and other.hash != config.hash
    assert other.pair_hash != config.pair_hash  # other queries are no fair pair
    assert "devices" not in config.recorded() and make_config(devices=2).recorded()["devices"] == 2


# One eta for all arms


@pytest.mark.parametrize(("dataset", "eta"), [("digits", 1.0), ("mosaic", 0.1)])
def test_a_new_run_weighs_quantization_alike_in_every_arm(dataset, eta):
    base = {"method": "dpsh", "dataset": dataset}
    for arm in ("baseline", "ga", "eaq", "rdh"):
        assert make_config(**with_usual_eta(base | arm_fields("dpsh", arm))).eta == eta
    assert make_config(**with_usual_eta(base | arm_fields("dpsh", "noq"))).eta is None


@pytest.mark.parametrize("named", [{"eta": None}, {"method_options": {"quantization_weight": 0.1}}])
def test_the_methods_own_weight_stays_within_reach(named):
    config = make_config(**with_usual_eta({"method": "dpsh"} | named))
    assert config.eta is None and config.weighs_quantization


def test_a_config_that_is_read_back_keeps_its_empty_eta():
    old = make_config(method="dpsh")
    assert old.eta is None and make_config(**old.model_dump()).hash == old.hash


@pytest.mark.parametrize("bad", [{"method": 3}, {"dataset": [1]}, {"method_options": 1}])
def test_bad_fields_are_left_for_the_check(bad):
    with pytest.raises(UserError):
        make_config(**with_usual_eta(bad))


def test_a_clone_with_another_method_or_data_set_gets_the_usual_eta():
    old = make_config(method="dpsh", eta=0.4).model_dump()
    assert changed(old, {"seed": 1}).eta == 0.4
    assert changed(old, {"method": "dhn"}).eta == 0.4
    assert changed(old, {"dataset": "mosaic"}).eta == 0.1
    assert changed(make_config().model_dump(), {"method": "dpsh"}).eta == 1.0
