"""Presets: named starting points."""

import pytest

from rdh import catalog
from rdh.config.presets import PRESETS, preset_config
from rdh.config.run_config import RunConfig, with_plug_ins
from rdh.errors import UserError


@pytest.mark.parametrize("name", PRESETS)
def test_every_preset_is_a_valid_config_of_every_method_in_both_arms(name):
    for method, card in catalog.methods().items():
        config = preset_config(name, method=method)
        assert config.method == method
        if card.saturates:
            assert (
                with_plug_ins(config, rdh=True).pair_hash
                == with_plug_ins(config, rdh=False).pair_hash
            )


@pytest.mark.parametrize("name", PRESETS)
def test_a_preset_names_only_what_it_changes(name):
    preset, default = PRESETS[name], RunConfig()
    assert set(preset.fields) <= set(RunConfig.model_fields)
    assert "seed" not in preset.fields and "method" not in preset.fields
    assert any(getattr(default, field) != value for field, value in preset.fields.items())
    assert preset.title and preset.text.endswith((".", "?"))


def test_of_the_digits_the_preset_for_every_method_weighs_both_arms_by_its_own_eta():
    """At the demo's rate and weight DPSH collapses; measured, see `rdh.methods.dpsh`."""
    for rdh in ({}, {"amplifier": True, "quantization": "error_aware"}):
        config = preset_config("digits", method="dpsh", **rdh)
        assert (config.dataset, config.lr, config.eta) == ("digits", 0.03, 0.1)


def test_fields_go_before_the_preset():
    config = preset_config("demo", n_bits=8, epochs=2)
    assert (config.n_bits, config.epochs, config.lr) == (8, 2, PRESETS["demo"].fields["lr"])


def test_no_preset_means_the_defaults():
    assert preset_config(None) == RunConfig()


def test_an_unknown_preset_lists_the_choices():
    with pytest.raises(
        UserError, match=r"preset must be one of demo, digits, quick, offline, paper, got 'fast'"
    ):
        preset_config("fast")


def test_a_bad_field_on_top_of_a_preset_is_refused():
    with pytest.raises(UserError, match=r"n_bits must be in \[1, 1024\], got 0"):
        preset_config("demo", n_bits=0)


def test_the_paper_preset_is_the_papers_recipe():
    config = preset_config("paper")
    assert (config.dataset, config.backbone, config.finetune, config.image_size) == (
        "cifar10",
        "alexnet",
        True,
        224,
    )
    assert (config.lr, config.schedule, config.batch_size, config.epochs) == (
        0.01,
        "cosine",
        128,
        150,
    )
    assert (config.tau, config.weight_decay, config.augment) == (0.99, 1e-5, True)
