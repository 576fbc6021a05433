"""A study as Markdown: its answer, tables and definitions, for a repository's own pages."""

import re

from rdh.studies._tools.tables import Table

MARKS = re.compile(r"([\\`*_\[\]<>|$#~])")


def as_markdown(text: str) -> str:
    """Text of a person's, for Markdown: what would be a mark is shown as it is."""
    return MARKS.sub(r"\\\1", text)


def markdown_table(table: Table) -> list[str]:
    """The lines of a table, with its title above it and what is sure in bold."""
    lines = [f"**{table.title}**", ""]
    lines += [_row([str(name) for name in table.cells]), _row(["---"] * table.cells.shape[1])]
    for cells, marks in zip(table.cells.to_numpy(), table.bold.to_numpy(), strict=True):
        lines.append(
            _row([_cell(text, bool(mark)) for text, mark in zip(cells, marks, strict=True)])
        )
    return [*lines, ""]


def _cell(text: str, is_bold: bool) -> str:
    text = str(text).replace("|", "\\|").replace("<", "&lt;")
    return f"**{text}**" if is_bold and text else text


def _row(cells: list[str]) -> str:
    return f"| {' | '.join(cells)} |"
