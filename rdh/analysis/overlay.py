"""Many runs in one chart: what differs between them, and their curves by setting."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from rdh.config.run_config import PLUG_INS, RunConfig, digest

LONGEST_LABEL = 52  # characters: more would be cut in a legend
OPTIONS = ("method_options", "dataset_options")
OF_LABEL = ("method", "amplifier", "quantization", "amplifier_aim", "amplifier_scale")


@dataclass(frozen=True)
class Recorded:
    """One scalar of a run: steps (n,) and values (n,), n >= 1."""

    run_id: str
    config: RunConfig
    steps: np.ndarray
    values: np.ndarray


@dataclass(frozen=True)
class Overlaid:
    """The runs of one setting: everything but the seed is equal.

    Attributes:
        label: method and plug-ins, and what else differs from the other settings; if that is too
            long for a legend, the end of its first run's id.
        method: its name in the catalog.
        has_rdh: whether both plug-ins are on.
        steps: (n,) at which `mean` and the band are given.
        mean: (n,) over the runs.
        low: (n,) the smallest of them; None for a single run.
        high: (n,) the greatest of them; None for a single run.
        run_ids: of the runs.
    """

    label: str
    method: str
    has_rdh: bool
    steps: np.ndarray
    mean: np.ndarray
    low: np.ndarray | None
    high: np.ndarray | None
    run_ids: tuple[str, ...]


def flat(config: RunConfig) -> dict[str, Any]:
    """All settings by name, the switches of method and data set among them."""
    fields = config.model_dump()
    options = {name: fields.pop(name) for name in OPTIONS}
    return fields | {
        f"{kind.removesuffix('_options')}: {name}": value
        for kind, switches in options.items()
        for name, value in switches.items()
    }


def differing(configs: Mapping[str, RunConfig]) -> dict[str, list[str | None]]:
    """The settings in which runs differ.

    Args:
        configs: run id -> its config.

    Returns:
        Setting -> its value in each run, in their order, as text; None where a run has no such
        setting or leaves it to its default.
    """
    rows = [flat(config) for config in configs.values()]
    names = dict.fromkeys(name for row in rows for name in row)
    told = {name: [value_text(row.get(name)) for row in rows] for name in names}
    return {name.replace("_", " "): values for name, values in told.items() if len(set(values)) > 1}


def value_text(value: object) -> str | None:
    """A setting as text: 3 for 3.0, "on" for True; None for one that is left to its default."""
    if value is None:
        return None
    if isinstance(value, bool):
        return "on" if value else "off"
    return f"{value:g}" if isinstance(value, float) else str(value)


def difference(
    first: RunConfig, second: RunConfig, most: int = 4, *, with_plug_ins: bool = True
) -> str:
    """The settings in which two runs differ: "lr (0.3 and 3)"; "" if they differ in none.

    Args:
        first: config of a run. Its value comes first.
        second: of another one.
        most: settings that are named; of further ones only their number is.
        with_plug_ins: whether what RDH is made of counts too. Without, eta and tau still do, if
            both runs have one: a fair pair agrees in them.
    """
    mine, theirs = flat(first), flat(second)
    said = []
    for name in dict.fromkeys((*mine, *theirs)):
        values = mine.get(name), theirs.get(name)
        is_plug_in = name in PLUG_INS and (name not in ("eta", "tau") or None in values)
        if values[0] != values[1] and (with_plug_ins or not is_plug_in):
            texts = (value_text(one) or "its default" for one in values)
            said.append(f"{name} ({' and '.join(texts)})")
    if len(said) > most:
        n = len(said) - most
        said = [*said[:most], f"{n} more setting{'s' * (n != 1)}"]
    return ", ".join(said[:-1]) + (" and " if len(said) > 1 else "") + "".join(said[-1:])


def overlay(recorded: Sequence[Recorded]) -> list[Overlaid]:
    """A curve for each setting, in the order of its first run.

    Runs of a setting that recorded at other steps are read between their records. Where not all of
    them have been yet, the curve ends, so that a mean is always over the same runs.

    Args:
        recorded: one scalar of each run.
    """
    groups: dict[str, list[Recorded]] = {}
    for one in recorded:
        groups.setdefault(_setting(one.config), []).append(one)
    labels = _labels([runs[0].config for runs in groups.values()])
    return [
        _curve(label if len(label) <= LONGEST_LABEL else _short(runs[0]), runs)
        for label, runs in zip(labels, groups.values(), strict=True)
    ]


def told_apart(configs: Mapping[str, RunConfig]) -> dict[str, str]:
    """The labels of runs; those that have one label are told apart by the settings that differ.

    Args:
        configs: run id -> its config.

    Returns:
        Run id -> label, with the end of the id where no setting differs or too many do.
    """
    labels = {run_id: config.label for run_id, config in configs.items()}
    for label in set(labels.values()):
        same = {one: configs[one] for one in configs if configs[one].label == label}
        if len(same) < 2:
            continue
        longer = dict(zip(same, _labels(list(same.values()), left_out=OF_LABEL), strict=True))
        told = [*longer.values()]
        is_told = len(set(told)) == len(told) and max(map(len, told)) <= LONGEST_LABEL
        labels |= longer if is_told else {one: f"{label}, {one[-6:]}" for one in same}
    return labels


def _short(run: Recorded) -> str:
    """A run by the end of its id, as lists of runs name it: too much differs to be told."""
    return f"{run.config.label}, {run.run_id[-6:]}"


def _setting(config: RunConfig) -> str:
    return digest({name: value for name, value in config.recorded().items() if name != "seed"})


def _labels(
    configs: Sequence[RunConfig], left_out: Sequence[str] = (*OF_LABEL, "seed")
) -> list[str]:
    told = differing({str(place): config for place, config in enumerate(configs)})
    hidden = {name.replace("_", " ") for name in left_out}
    labels = []
    for place, config in enumerate(configs):
        own = [
            f"{name} {values[place]}"
            for name, values in told.items()
            if name not in hidden and values[place] is not None and _counts(values)
        ]
        labels.append(", ".join([config.label, *own]))
    return labels


def _counts(values: Sequence[str | None]) -> bool:
    """Whether a setting tells lines apart: not if all that have it agree, as eta of two arms."""
    return len({value for value in values if value is not None}) > 1


def _curve(label: str, runs: Sequence[Recorded]) -> Overlaid:
    first, last = max(one.steps[0] for one in runs), min(one.steps[-1] for one in runs)
    steps = np.unique(np.concatenate([one.steps for one in runs]))
    within = steps[(steps >= first) & (steps <= last)]
    steps = within if len(within) else runs[0].steps
    values = np.stack([np.interp(steps, one.steps, one.values) for one in runs])
    several = len(runs) > 1
    config = runs[0].config
    return Overlaid(
        label=label + (f" ({len(runs)} seeds)" if several else ""),
        method=config.method,
        has_rdh=config.has_rdh,
        steps=steps,
        mean=values.mean(0),
        low=values.min(0) if several else None,
        high=values.max(0) if several else None,
        run_ids=tuple(one.run_id for one in runs),
    )
