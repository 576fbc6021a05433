"""What a report says, part by part. Command line, page and every kind of report show the same."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from rdh.studies._tools import sentences
from rdh.studies._tools.findings import Findings, Result
from rdh.studies._tools.tables import Table, about_dead, block, definitions, differences


@dataclass(frozen=True)
class Chapter:
    """A part of a report.

    Attributes:
        title: "" if the report has no other part.
        answers: sentences that stand at the top of the report.
        said: further sentences, which stand under the title.
        tables: those without a row are left out.
        definitions: what the numbers are, in sentences.
        about_dead: that of them which only tables with the dead share need; "" if all need all.
        results: measure -> the comparisons of it, for CSV and JSON.
    """

    title: str
    answers: Sequence[str]
    tables: Sequence[Table]
    definitions: Sequence[str]
    results: Mapping[str, Sequence[Result]]
    said: Sequence[str] = field(default=())
    about_dead: str = ""

    def definitions_of(self, table: Table) -> list[str]:
        """Those that stand under a table: of a chapter with a title, under its last one."""
        if self.title and table is not self.tables[-1]:
            return []
        with_dead = any(str(name).startswith("dead") for name in table.cells)
        return [one for one in self.definitions if with_dead or one != self.about_dead]


def of_comparisons(findings: Findings) -> list[Chapter]:
    """The chapter of a study that compares one measure."""
    study = findings.study
    return [
        Chapter(
            "",
            sentences.answer(findings),
            [table for table in (block(findings), differences(findings)) if len(table.cells)],
            definitions(findings),
            {study.measure: findings.results},
            about_dead=about_dead(findings) if study.measure == "map" else "",
        )
    ]


def answer(findings: Findings) -> list[str]:
    """The answer of a study, in sentences."""
    return [line for chapter in findings.chapters for line in chapter.answers]


def tables(findings: Findings) -> list[Table]:
    """All tables of a study."""
    return [table for chapter in findings.chapters for table in chapter.tables]
