"""What a study asks for: grids of runs, and the comparisons between their cells."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import chain, islice, pairwise, product
from typing import Any

from rdh import catalog
from rdh.config.checks import near_word
from rdh.config.presets import preset_config
from rdh.config.run_config import AIM_OFF, ARM_LABELS, RunConfig, arm_fields, usual_eta
from rdh.errors import UserError

MOST_RUNS = 1000
# What a grid sets by words of its own, and the word
OWN_WORDS = {
    "method": "methods",
    "n_bits": "bits",
    "seed": "seeds",
    "split_seed": "splits",
    "amplifier": "arms",
    "quantization": "arms",
}
# Begins the sentence about an arm that is compared with the first one
SUBJECTS = {
    "baseline": "The baseline",
    "noq": "Leaving quantization out",
    "ga": "The amplifier alone",
    "ga-noq": "The amplifier without quantization",
    "eaq": "EAQL alone",
    "rdh": "RDH",
}


@dataclass(frozen=True)
class Grid:
    """Runs that are crossed: methods x bits x arms x seeds x splits x swept settings.

    Attributes:
        methods: names of the catalog.
        bits: code lengths.
        arms: keys of `run_config.ARMS`; the first is what the others are compared with.
        seeds, splits: of weights and order, and of the images; each without a hole.
        swept: setting -> values, for example {"tau": (0.9, 0.99)}.
            "method_options.theta_scale" names a switch.
        fixed: settings of all runs.
        preset: starting point; None: the defaults of RunConfig.
    """

    methods: tuple[str, ...]
    bits: tuple[int, ...]
    arms: tuple[str, ...] = ("baseline", "rdh")
    seeds: tuple[int, ...] = (0, 1, 2, 3, 4)
    splits: tuple[int, ...] = (0,)
    swept: Mapping[str, tuple[Any, ...]] = field(default_factory=dict)
    fixed: Mapping[str, Any] = field(default_factory=dict)
    preset: str | None = "offline"

    @property
    def n_runs(self) -> int:
        """Runs of the whole grid, equal ones counted more than once."""
        parts = (self.methods, self.bits, self.arms, self.seeds, self.splits, *self.swept.values())
        total = 1
        for part in parts:
            total *= len(part)
        return total


@dataclass(frozen=True)
class Cell:
    """Runs that differ only in seed and split. `swept` holds (setting, value)."""

    method: str
    n_bits: int
    arm: str
    swept: tuple[tuple[str, Any], ...] = ()

    @property
    def title(self) -> str:
        """For tables: "HashNet + RDH"."""
        return catalog.method(self.method).title + ARM_LABELS[self.arm]

    @property
    def setting(self) -> str:
        """The swept values in words: "tau 0.9, eta 1", or ""."""
        return ", ".join(f"{name.rpartition('.')[2]} {_shown(value)}" for name, value in self.swept)

    def value(self, name: str) -> Any:
        """The value of a swept setting; None if it is not swept."""
        return dict(self.swept).get(name)


@dataclass(frozen=True)
class Asked:
    """One run that a grid asks for."""

    cell: Cell
    seed: int
    split: int
    config: RunConfig


@dataclass(frozen=True)
class Contrast:
    """Two cells that are compared pair by pair: `after` minus `before`.

    `what` begins the sentence about all contrasts that share it: "RDH", "24 bits with RDH".
    """

    what: str
    before: Cell
    after: Cell


def expand(grids: Iterable[Grid]) -> list[Asked]:
    """Every run that the grids ask for, each config once.

    All arms of a pair weigh quantization alike. A setting that an arm does not use (tau without the
    amplifier, eta without a quantization term) stays at its usual value there, so that equal runs
    are one run.

    Raises:
        UserError: A setting is bad, a method can't have an arm, or a grid is empty or too large.
    """
    asked: dict[tuple[Cell, int, int], Asked] = {}
    grids = list(grids)
    _check_size(grids)
    for grid in grids:
        _check(grid)
        for method, n_bits, arm in product(grid.methods, grid.bits, grid.arms):
            for values in product(*grid.swept.values()):
                cell = Cell(method, n_bits, arm, tuple(zip(grid.swept, values, strict=True)))
                for split, seed in product(grid.splits, grid.seeds):
                    config = _config(grid, cell, seed, split)
                    asked.setdefault((cell, seed, split), Asked(cell, seed, split, config))
    return list(asked.values())


def by_arm(cells: Sequence[Cell], grids: Sequence[Grid] = ()) -> list[Contrast]:
    """Every arm against the first one, everything else equal."""
    known, found = set(cells), []
    first = cells[0].arm if cells else "baseline"
    for cell in cells:
        before = replace(cell, arm=first)
        if cell.arm != first and before in known:
            found.append(Contrast(SUBJECTS[cell.arm], before, cell))
    return found


def by_value(
    cells: Sequence[Cell], name: str, usual: Any, what: str, *, arm: str = "rdh"
) -> list[Contrast]:
    """Every value of a swept setting against its usual value, within one arm that uses it.

    Args:
        cells: of the study.
        name: of the setting.
        usual: the value that the others are compared with.
        what: begins the sentence.
        arm: the arm.
    """
    known, found = set(cells), []
    for cell in cells:
        value = cell.value(name)
        if cell.arm != arm or value is None or value == usual or not _uses(cell, name):
            continue
        others = tuple((key, usual if key == name else one) for key, one in cell.swept)
        before = replace(cell, swept=others)
        if before in known:
            found.append(Contrast(what, before, cell))
    return found


def _config(grid: Grid, cell: Cell, seed: int, split: int) -> RunConfig:
    arm = arm_fields(cell.method, cell.arm)
    unused = () if arm["amplifier"] else AIM_OFF
    fields = {name: value for name, value in grid.fixed.items() if name not in unused}
    for name, value in cell.swept:
        if name != "eta" and not _uses(cell, name):
            continue  # tau would only move the counts, and there is nothing to aim
        field_name, dot, option = name.partition(".")
        fields[field_name] = {**fields.get(field_name, {}), option: value} if dot else value
    own = {"method": cell.method, "n_bits": cell.n_bits, "seed": seed, "split_seed": split}
    return preset_config(grid.preset, **(fields | own | arm))


def _uses(cell: Cell, name: str) -> bool:
    """Whether a setting changes anything in the arm of a cell."""
    arm = arm_fields(cell.method, cell.arm)
    if name == "eta":
        is_plain = arm["quantization"] == "plain" and catalog.method(cell.method).has_plain_term
        return is_plain or arm["quantization"] == "error_aware"
    return arm["amplifier"] or name not in ("tau", *AIM_OFF)


def _check_size(grids: Sequence[Grid]) -> None:
    n_runs = sum(grid.n_runs for grid in grids)
    if n_runs > MOST_RUNS:
        parts = " and ".join(
            " x ".join(
                f"{len(part)} {name}"
                for name, part in [
                    ("methods", grid.methods),
                    ("code lengths", grid.bits),
                    ("arms", grid.arms),
                    ("seeds", grid.seeds),
                    ("splits", grid.splits),
                    *((f"values of {name}", values) for name, values in grid.swept.items()),
                ]
                if len(part) > 1
            )
            for grid in grids
        )
        raise UserError(
            f"A study has at most {MOST_RUNS} runs, got {n_runs} ({parts}); ask for fewer seeds, "
            f"code lengths or values."
        )


def _check(grid: Grid) -> None:
    """UserError for an empty list, a hole in the seeds, or a setting that has a word of its own."""
    lists = {
        "methods": grid.methods,
        "bits": grid.bits,
        "arms": grid.arms,
        "seeds": grid.seeds,
        "splits": grid.splits,
        **{f"sweep {name}": values for name, values in grid.swept.items()},
    }
    for name, values in lists.items():
        if not values:
            raise UserError(f"{name} of a study must name at least one value, got none.")
    check_whole("seeds", grid.seeds)
    check_whole("splits", grid.splits)
    for name in (*grid.swept, *grid.fixed):
        word = OWN_WORDS.get(name, name if name in OWN_WORDS.values() else None)
        if word:
            raise UserError(
                f"{name} of a study is named by {word}, not by set or sweep; leave it out there."
            )
        field_name = name.partition(".")[0]
        if field_name not in RunConfig.model_fields:
            known = [OWN_WORDS.get(one, one) for one in RunConfig.model_fields]
            near = near_word(field_name, dict.fromkeys(known))
            raise UserError(f"{field_name!r} is not a setting of a run; {near}")
        if name in grid.swept and name in grid.fixed:
            raise UserError(f"{name} of a study is both swept and set; leave one of them out.")


def check_whole(name: str, numbers: Sequence[int]) -> None:
    """UserError if seeds have a hole: a seed that is left out may have been looked at before."""
    named = sorted(set(numbers))
    holes = (range(one + 1, after) for one, after in pairwise(named))
    missing = list(islice(chain.from_iterable(holes), 6))  # there may be a million of them
    if missing:
        text = ", ".join(map(str, missing[:5])) + (", ..." if len(missing) > 5 else "")
        raise UserError(
            f"{name} of a study must have no hole, so that no result is left out, got "
            f"{min(numbers)} to {max(numbers)} without {text}; name a range like 0-4."
        )


def usual_value(grids: Sequence[Grid], name: str) -> Any:
    """The value of a setting if it is not swept: what a grid sets, its preset's or the default."""
    grid = grids[0]
    if name in grid.fixed:
        return grid.fixed[name]
    fields = preset_config(grid.preset, **dict(grid.fixed)).model_dump()
    if name == "eta":
        return usual_eta(catalog.dataset(fields["dataset"]))
    return fields[name]


def _shown(value: Any) -> str:
    return f"{value:g}" if isinstance(value, float) else str(value)
