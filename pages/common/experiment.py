"""What a filled launch form stands for: its runs, what differs from its start, all in words."""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from pages.common.number_field import parsed
from pages.common.run_form import label
from rdh import catalog
from rdh.catalog import Card
from rdh.config.ranges import is_repeated, parse_numbers
from rdh.config.run_config import (
    RunConfig,
    arms_together,
    check_eta_counts,
    make_config,
    with_usual_eta,
)
from rdh.errors import UserError

BASELINE, RDH = (False, "plain"), (True, "error_aware")  # (amplifier, quantization)
AMPLIFIER, EAQL = (True, "plain"), (False, "error_aware")
NO_TERM, AMPLIFIER_NO_TERM = (False, "none"), (True, "none")
ARMS = {
    "Pair: with and without RDH": [BASELINE, RDH],
    "All four: baseline, each plug-in alone, both": [BASELINE, AMPLIFIER, EAQL, RDH],
    "All six: these, and without any quantization": [
        BASELINE,
        NO_TERM,
        AMPLIFIER,
        AMPLIFIER_NO_TERM,
        EAQL,
        RDH,
    ],
    "Baseline only": [BASELINE],
    "With RDH only": [RDH],
    "Amplifier only": [AMPLIFIER],
    "EAQL only": [EAQL],
    "No quantization only": [NO_TERM],
}
MAX_RUNS = 200
BITS = "Code lengths"


class Asked(NamedTuple):
    """What the form says.

    Attributes:
        fields: fields of RunConfig that all runs share.
        methods: their names.
        switches: the switches of each method.
        bits: code lengths, as typed.
        seeds: as typed.
        arms: a key of ARMS.
    """

    fields: dict[str, Any]
    methods: list[str]
    switches: dict[str, dict[str, Any]]
    bits: str
    seeds: str
    arms: str


def build(start: Mapping[str, Any], asked: Asked) -> list[RunConfig]:
    """The runs asked for, the arms of a pair one after the other.

    Raises:
        UserError: one sentence for the first field that is wrong.
    """
    if not asked.methods:
        raise UserError("Methods must name at least one method.")
    seeds = parse_numbers("Seeds", asked.seeds)
    bits = _lengths(asked.bits)
    n_runs = len(asked.methods) * len(bits) * len(seeds) * len(ARMS[asked.arms])
    if n_runs > MAX_RUNS:
        raise UserError(
            f"One launch makes at most {MAX_RUNS} runs, got {n_runs}; choose fewer "
            f"methods, code lengths or seeds."
        )
    owns, arms = [], []
    for method in asked.methods:
        for n_bits in bits:
            for seed in seeds:
                for amplifier, quantization in ARMS[asked.arms]:
                    if fits(method, amplifier, quantization):
                        options = asked.switches[method]
                        own = {"method": method, "method_options": options}
                        owns.append(own | {"n_bits": n_bits, "seed": seed})
                        arms.append({"amplifier": amplifier, "quantization": quantization})
    shared = {**start, **asked.fields}
    if shared["eta"] is None:  # left empty: the same weight in all arms
        del shared["eta"]
    configs = [
        make_config(**with_usual_eta(shared | own | arm))
        for own, arm in zip(owns, arms_together(arms), strict=True)
    ]
    if not configs:
        names = ", ".join(catalog.methods()[method].title for method in asked.methods)
        raise UserError(
            f"What to compare must go with the method, got “{asked.arms}” for {names}: "
            f"it lacks what that would switch (a saturating activation, a loss, a quantization "
            f"term of its own); choose another comparison."
        )
    eta = asked.fields.get("eta")
    check_eta_counts(None if eta == start["eta"] else eta, configs)  # only what a person typed
    return configs


def _lengths(text: str) -> list[Any]:
    """Code lengths as typed; a single one that is no list is checked as a number, by RunConfig."""
    one = parsed(text.strip())
    return [one] if not isinstance(one, str) else parse_numbers(BITS, text)


def fits(method: str, amplifier: bool, quantization: str) -> bool:
    """Whether an arm makes sense for a method.

    If a method has no plain quantization term, the arm without quantization is its baseline.
    """
    card = catalog.method(method)
    if quantization == "none" and not card.has_plain_term:
        return False
    return card.refusal(amplifier, quantization) is None


def said_of_seeds(text: str) -> list[str]:
    """A sentence if a seed is named twice."""
    if not is_repeated("Seeds", text):
        return []
    return [f"Seeds named some more than once ({text}); each runs once."]


def said_of_runs(configs: Sequence[RunConfig]) -> str:
    """What runs there are: "12 runs: HashNet, DPSH × 16, 32 bits × seeds 0, 1, 2 × 2 arms"."""
    n = len(configs)
    methods = ", ".join(dict.fromkeys(config.method_card.title for config in configs))
    bits = ", ".join(dict.fromkeys(str(config.n_bits) for config in configs))
    seeds = list(dict.fromkeys(config.seed for config in configs))
    shown = ", ".join(map(str, seeds[:5])) + (f" and {len(seeds) - 5} more" if seeds[5:] else "")
    arms = ", ".join(dict.fromkeys(_arm(config) for config in configs))
    bits += " bit" if bits == "1" else " bits"
    return (
        f"{n} run{'s' * (n != 1)}: {methods} · {bits} · seed{'s' * (len(seeds) != 1)} "
        f"{shown} · {arms}"
    )


def _arm(config: RunConfig) -> str:
    plug_ins = config.label.removeprefix(config.method_card.title).strip(" +,")
    return plug_ins or "baseline"


def said_of_changes(start: Mapping[str, Any], asked: Asked, name: str) -> str:
    """How the settings differ from those that the form began with, in words.

    Args:
        start: the fields of the preset or run.
        asked: what the form says.
        name: of the preset or run.
    """
    fields = {"method": ", ".join(asked.methods)} | asked.fields
    fields |= {"n_bits": parsed(asked.bits.strip()), "seed": parsed(asked.seeds.strip())}
    changes = [
        f"{label(key)} {_value(value)} instead of {_value(start[key])}"
        for key, value in fields.items()
        if key in start and key != "dataset_options" and _differs(key, value, start[key])
    ]
    data, before = fields.get("dataset", start["dataset"]), start["dataset_options"]
    is_same, card = data == start["dataset"], catalog.datasets()[data]
    switched = _switches(card, fields.get("dataset_options", before), before if is_same else {})
    if switched:
        changes.append(f"{card.title} with {switched}")
    for method, own in asked.switches.items():
        learner = catalog.methods()[method]
        before = start["method_options"] if method == start["method"] else {}
        if switched := _switches(learner, own, before):
            changes.append(f"{learner.title} with {switched}")
    if not changes:
        return f"All settings are those of {name}."
    return f"Differs from {name}: {'; '.join(changes)}."


def _differs(key: str, value: Any, before: Any) -> bool:
    return value != before and not (key == "eta" and value is None)


def _value(value: Any) -> str:
    if isinstance(value, bool):
        return "on" if value else "off"
    if not isinstance(value, float):
        return "auto" if value is None else str(value)
    short = f"{value:g}"
    return short if float(short) == value else str(value)  # 0.999999999999 is not 1


def _switches(card: Card, own: Mapping[str, Any], before: Mapping[str, Any]) -> str:
    """The switches of a card that differ: "folder few instead of image_folder"; "" if none does.

    Args:
        card: of a method or data set.
        own: their values; a default may be missing.
        before: those of the start.
    """
    values = (
        (one.name, own.get(one.name, one.default), before.get(one.name, one.default))
        for one in card.switches
    )
    return ", ".join(
        f"{name.replace('_', ' ')} {_value(value)} instead of {_value(was)}"
        for name, value, was in values
        if value != was
    )
