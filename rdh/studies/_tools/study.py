"""What a study is, and how a person's options change it."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from rdh.catalog import lines_of, what_failed
from rdh.config.ranges import parse_names, parse_numbers
from rdh.errors import UserError
from rdh.studies._tools.grid import Cell, Contrast, Grid, by_arm

if TYPE_CHECKING:
    from rdh.charts.figure import Figure
    from rdh.studies._tools.chapters import Chapter
    from rdh.studies._tools.findings import Findings


PLACED = {"methods", "bits"}  # lists that a study's grids may share out
OPTIONS = ("preset", "dataset", "methods", "bits", "seeds", "splits")
# Columns of runs that can be compared, and their words. The second line is of `dead_bits`.
MEASURES = {"map": "MAP", "dead_at_end": "the dead share at the end"} | {
    "dead": "the dead share",
    "flagged": "the flagged share",
    "cost": "the cost of the dead",
    "map_train": "MAP inside the training set",
}
FORMS = dict.fromkeys(MEASURES, ".4f") | dict.fromkeys(("dead_at_end", "dead", "flagged"), ".3%")


@dataclass(frozen=True)
class Published:
    """Figures that were published, to stand beside ours.

    Attributes:
        source: where they come from, and what differs from a run here.
        values: (method, arm, n_bits) -> MAP.
        dataset: the data set that they are of; on others they are not shown.
    """

    source: str
    values: Mapping[tuple[str, str, int], float]
    dataset: str = "cifar10"


def no_more(findings: "Findings") -> tuple[Grid, ...]:
    """No further grids."""
    return ()


def usual_figures(findings: "Findings") -> "dict[str, Figure]":
    """The figures that fit what the study varies."""
    from rdh.studies._tools.figures import fitting  # charts bring plotly: not needed for a list

    return fitting(findings)


def usual_chapters(findings: "Findings") -> "list[Chapter]":
    """One, of all comparisons."""
    from rdh.studies._tools.chapters import of_comparisons  # it needs this file

    return of_comparisons(findings)


@dataclass(frozen=True)
class Study:
    """A question about RDH, the runs that answer it, and how the answer is drawn.

    Attributes:
        name: as it is typed; that of its file.
        title: a few words.
        question: one sentence.
        grids: what is to be run.
        contrasts: cells and grids -> what is compared with what.
        further: findings -> grids that depend on results, once all before them have finished.
        figures: findings -> figures by name.
        chapters: findings -> what a report says, part by part.
        measure: what is compared, a key of `MEASURES`.
        published: figures of the paper.
        notes: what a reader has to know, a sentence each.
        command: what trains the runs that are missing, if a person asked by a command.
    """

    name: str
    title: str
    question: str
    grids: tuple[Grid, ...]
    contrasts: Callable[[Sequence[Cell], Sequence[Grid]], list[Contrast]] = by_arm
    further: "Callable[[Findings], tuple[Grid, ...]]" = no_more
    figures: "Callable[[Findings], dict[str, Figure]]" = usual_figures
    chapters: "Callable[[Findings], list[Chapter]]" = usual_chapters
    measure: str = "map"
    published: Published | None = None
    notes: tuple[str, ...] = field(default=())
    command: str = ""

    @property
    def is_staged(self) -> bool:
        """Whether further runs depend on results."""
        return self.further is not no_more

    def wrong_part(self) -> str:
        """What is of a wrong type, in words; "" if nothing is. A person wrote the file."""
        for name in ("title", "question"):
            if not isinstance(getattr(self, name), str):
                return f"{name} must be text, got {getattr(self, name)!r}"
        if self.measure not in MEASURES:
            return f"measure must be one of {', '.join(MEASURES)}, got {self.measure!r}"
        for name, kind in (("grids", Grid), ("notes", str)):
            values = getattr(self, name)
            if not isinstance(values, tuple) or not all(isinstance(one, kind) for one in values):
                return f"{name} must be a tuple of {kind.__name__}, got {values!r}"
        if not self.grids:
            return "grids must name at least one Grid, got none"
        for name in ("methods", "bits", "arms", "seeds", "splits"):
            for grid in self.grids:
                if not isinstance(getattr(grid, name), tuple):
                    return f"{name} of a Grid must be a tuple, got {getattr(grid, name)!r}"
        return ""

    def asked(self, hook: str, *arguments: Any) -> Any:
        """What a function of the study's own file returns.

        Args:
            hook: contrasts, further, figures or chapters.
            arguments: what it takes.

        Raises:
            UserError: Its code raises, or it returns another kind of thing.
        """
        kinds = {"further": (tuple,), "figures": (dict,)}.get(hook, (list, tuple))
        file = f"rdh/studies/{self.name}.py"
        try:
            found = getattr(self, hook)(*arguments)
            reason = ""
            if not isinstance(found, kinds):
                reason = f"{hook} must return a {kinds[0].__name__}, got {found!r}"
        except UserError:
            raise
        except (Exception, SystemExit) as error:
            if not lines_of(file, error):
                raise  # nothing of a person's own
            reason = f"{hook}, {what_failed(file, error)}"
        if reason:
            raise UserError(
                f"The study {self.name} can't be used: {file}, {reason}; mend the file."
            )
        return found

    def with_options(self, *, settings: Mapping[str, Any] | None = None, **changes: Any) -> "Study":
        """The study with some parts of all its grids replaced.

        A method or code length that some grids have and others not stays where it is, and a grid
        without any left is no part of the study.

        Args:
            settings: added to what is fixed.
            changes: fields of `Grid` by name; None leaves them as they are.
        """
        given = {name: value for name, value in changes.items() if value is not None}
        grids = []
        for grid in self.grids:
            placed = {name: self._placed(grid, name, given[name]) for name in PLACED & {*given}}
            if all(values or not given[name] for name, values in placed.items()):
                fixed = {**grid.fixed, **(settings or {})}
                grids.append(replace(grid, **{**given, **placed, "fixed": fixed}))
        return replace(self, grids=tuple(grids))

    def _placed(self, grid: Grid, name: str, asked: Sequence[Any]) -> tuple[Any, ...]:
        """Those asked for that a grid has, or that no grid has."""
        own = {value for one in self.grids for value in getattr(one, name)}
        return tuple(one for one in asked if one in getattr(grid, name) or one not in own)

    def with_words(
        self,
        words: Mapping[str, str | None],
        *,
        settings: Mapping[str, Any] | None = None,
        mark: str = "",
    ) -> "Study":
        """The study with options as a person types them.

        Args:
            words: of `OPTIONS`, for example {"bits": "24,48", "seeds": "0-4"}; None or left out:
                as the study has it.
            settings: added to what is fixed.
            mark: stands before the names in sentences, for example "--".

        Raises:
            UserError: A text is no list or range. Names are checked when the grid is expanded.
        """
        given = {name: text for name, text in words.items() if text is not None}
        settings = dict(settings or {})
        if "dataset" in given:
            settings["dataset"] = given["dataset"]
        lists: dict[str, Any] = {
            name: tuple(parse_numbers(f"{mark}{name}", given[name]))
            for name in ("bits", "seeds", "splits")
            if name in given
        }
        if "methods" in given:
            lists["methods"] = tuple(parse_names(given["methods"], f"{mark}methods"))
        return self.with_options(settings=settings, preset=given.get("preset"), **lists)
