"""Which runs the study of dead bits needs.

Three parts, each a question:

* *counts*: every method and code length, with and without RDH. How many entries are flagged, how
  many are dead, and what do they cost?
* *predictors*: the same runs, and at one code length other learning rates and weights. Which count
  predicts MAP?
* *aims*: at one code length, the amplifier aimed and scaled in other ways, and switched off. Where
  does the gain of RDH come from?

Both arms of a pair weigh their quantization by the same eta. Parts share runs: equal settings are
one run.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from rdh import catalog
from rdh.config.presets import preset_config
from rdh.config.run_config import RunConfig, plug_in_fields
from rdh.errors import UserError

PARTS = ("counts", "predictors", "aims")
USUAL_BITS = 32  # of the parts with one code length, if it was asked for
OTHER_AIMS = ("all_pairs", "labels", "not_labels")
OTHER_SCALES = (0.5, 2.0)


@dataclass(frozen=True)
class Study:
    """What was asked for.

    Args:
        methods: Names, each with a saturating activation.
        n_bits: Code lengths.
        seeds: Of weights and order.
        preset: Starting point of all runs; None: the defaults.
        fields: Settings of all runs, on top of the preset.
        parts: Of PARTS.
        rates: Learning rates of the predictors, besides that of the preset.
        etas: Weights of the quantization of the predictors, besides that of the preset.
        aim_methods: The methods of the aims.
    """

    methods: tuple[str, ...]
    n_bits: tuple[int, ...]
    seeds: tuple[int, ...]
    preset: str | None = None
    fields: dict[str, Any] = field(default_factory=dict)
    parts: tuple[str, ...] = PARTS
    rates: tuple[float, ...] = ()
    etas: tuple[float, ...] = ()
    aim_methods: tuple[str, ...] = ()

    @property
    def one_length(self) -> int:
        """The code length of predictors and aims."""
        return USUAL_BITS if USUAL_BITS in self.n_bits else self.n_bits[0]

    @property
    def least_runs(self) -> int:
        """Its plan has at least as many runs. Known before the plan, which takes time to make."""
        pairs = len(self.methods) * len(self.n_bits) * len(self.seeds)
        variants = 1 + 1 + 1 + len(OTHER_AIMS) + len(OTHER_SCALES)
        of_aims = len(self.aim_methods) * len(self.seeds) * variants
        return max(
            2 * pairs if {"counts", "predictors"} & set(self.parts) else 0,
            of_aims if "aims" in self.parts else 0,
        )


@dataclass(frozen=True)
class Plan:
    """The configs of each part, each once, and sentences about what can't be run."""

    configs: dict[str, list[RunConfig]]
    refusals: list[str]

    @property
    def all_configs(self) -> list[RunConfig]:
        """Those of all parts, each once."""
        every = (config for configs in self.configs.values() for config in configs)
        return list({config.hash: config for config in every}.values())


def without_dead_bits(methods: list[str]) -> tuple[list[str], list[str]]:
    """Splits names of methods: those in which a bit can die, and sentences about the others.

    Raises:
        UserError: There is no such method, or in none of them a bit can die.
    """
    kept, sentences = [], []
    for name in methods:
        card = catalog.method(name)
        why = (
            "it is fitted at once, without a gradient that a bit could lose"
            if card.is_shallow
            else "it has no saturating activation, so no bit can die in one"
        )
        if len(card.arms()) > 1:
            kept.append(name)
        else:
            sentences.append(f"{card.title} is left out: {why}.")
    if not kept:
        raise UserError(
            f"--methods must name a method in which bits can die, got {', '.join(methods)}; "
            f"`python -m rdh dead-bits --methods all` takes all of them."
        )
    return kept, sentences


def make_plan(study: Study) -> Plan:
    """The runs of a study.

    Raises:
        UserError: A setting is bad.
    """
    refusals: list[str] = []
    makers = {"counts": _counts, "predictors": _predictors, "aims": _aims}
    configs = {}
    for part in study.parts:
        made = makers[part](study, refusals)
        configs[part] = list({config.hash: config for config in made}.values())
    return Plan(configs, list(dict.fromkeys(refusals)))


def _counts(study: Study, refusals: list[str]) -> Iterator[RunConfig]:
    for method in study.methods:
        for n_bits in study.n_bits:
            for seed in study.seeds:
                yield from _pair(study, method, n_bits, seed)


def _predictors(study: Study, refusals: list[str]) -> Iterator[RunConfig]:
    yield from _counts(study, refusals)
    others = [{"lr": rate} for rate in study.rates] + [{"eta": eta} for eta in study.etas]
    for method in study.methods:
        for other in others:
            for seed in study.seeds:
                yield from _pair(study, method, study.one_length, seed, **other)


def _aims(study: Study, refusals: list[str]) -> Iterator[RunConfig]:
    others: list[dict[str, Any]] = [{"amplifier": False}]
    others += [{"amplifier_aim": aim} for aim in OTHER_AIMS]
    others += [{"amplifier_scale": scale} for scale in OTHER_SCALES]
    for method in study.aim_methods:
        for seed in study.seeds:
            asked = (method, study.one_length, seed)
            yield from _pair(study, *asked)
            for other in others:
                try:
                    yield _config(study, *asked, **(plug_in_fields(rdh=True) | other))
                except UserError as error:
                    refusals.append(f"{catalog.method(method).title}: {error}")


def _pair(
    study: Study, method: str, n_bits: int, seed: int, **others: Any
) -> tuple[RunConfig, RunConfig]:
    """The baseline and the run with RDH, both with the eta of the latter."""
    with_rdh = _config(study, method, n_bits, seed, **others, **plug_in_fields(rdh=True))
    plain = others | {"eta": with_rdh.eta} | plug_in_fields(rdh=False)
    return _config(study, method, n_bits, seed, **plain), with_rdh


def _config(study: Study, method: str, n_bits: int, seed: int, **others: Any) -> RunConfig:
    asked = {"method": method, "n_bits": n_bits, "seed": seed}
    return preset_config(study.preset, **(study.fields | asked | others))
