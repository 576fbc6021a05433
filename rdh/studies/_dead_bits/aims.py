"""Where does the gain of RDH come from: from freeing dead bits, or from loosening right ones?

The amplifier acts on saturated entries that the gradient of the whole loss asks to leave. With the
aim `labels` it acts only on those that the labels call wrong, so it only frees dead bits. With
`not_labels` it acts only on the others. Every run here has error-aware quantization; the arm
without the amplifier tells its part apart.
"""

from collections.abc import Iterator, Sequence
from dataclasses import replace

from rdh import catalog
from rdh.studies._dead_bits.counts import change, compare, is_sure, mean
from rdh.studies._tools.chapters import Chapter
from rdh.studies._tools.comparing import Result
from rdh.studies._tools.findings import Findings
from rdh.studies._tools.grid import Cell, Contrast
from rdh.studies._tools.sentences import verdict
from rdh.studies._tools.tables import Table, number, without_empty

FREED, LOOSENED = "Freeing dead bits alone (labels)", "Loosening the others alone (not_labels)"
# Part of RDH's gain -> arm or aim after, arm or aim before; "" is the paper's RDH
PARTS = {
    "RDH": ("", "baseline"),
    "EAQL alone": ("eaq", "baseline"),
    "The amplifier on top of EAQL": ("", "eaq"),
    FREED: ("labels", "eaq"),
    LOOSENED: ("not_labels", "eaq"),
    "Freeing instead of loosening": ("labels", "not_labels"),
}
MEASURED = ("map", "dead", "flagged", "cost")
SAID = (
    "All runs but the baseline have error-aware quantization. The paper's amplifier takes every "
    "flagged entry. all_pairs: only those that all training pairs confirm. labels: only those that "
    "are wrong, so it only frees dead bits. not_labels: only the others, the control. All aims but "
    "the paper's are ours. amplifier_scale is a multiple of alpha.",
    "Bold: p is below 0.05 after Holm's correction over the column's comparisons (parts) or over "
    "all other aims and scales.",
)


def aims_of(cells: Sequence[Cell]) -> list[Contrast]:
    """Every other aim and scale of the amplifier against the paper's."""
    known, found = set(cells), []
    for cell in cells:
        usual = replace(cell, swept=())
        if cell.arm == "rdh" and cell.swept and usual in known:
            found.append(Contrast(f"RDH with {cell.setting} instead of the paper's", usual, cell))
    return found


def where_from(findings: Findings) -> Iterator[Chapter]:
    """The chapter of the aims; none if no method has been aimed in another way."""
    aims = aims_of(findings.cells)
    if not aims:
        return
    parts = parts_of(findings.cells)
    results = {
        name: compare(findings, [(one, name, name) for one in (*parts, *aims)]) for name in MEASURED
    }
    by_part = {
        what: compare(findings, [(one, "map", "map") for one in parts if one.what == what])
        for what in PARTS
    }
    against = compare(findings, [(one, "map", "map") for one in aims])
    by_aim: dict[str, list[Result]] = {}
    for one in against:
        by_aim.setdefault(one.contrast.what, []).append(one)
    yield Chapter(
        title="Where the gain of RDH comes from",
        answers=[verdict(what, by_part[what]) for what in (FREED, LOOSENED)],
        said=[
            *(verdict(what, by_part[what]) for what in PARTS if what not in (FREED, LOOSENED)),
            *(verdict(what, some) for what, some in by_aim.items()),
        ],
        tables=[_table_of_parts(by_part), _table_of_aims(findings, against), _run_by_run(by_part)],
        definitions=SAID,
        results=results,
    )


def parts_of(cells: Sequence[Cell]) -> list[Contrast]:
    """The comparisons that take RDH's gain apart, for each method and length that was aimed."""
    aimed = {(one.method, one.n_bits): one for one in cells if one.value("amplifier_aim")}
    known, found = set(cells), []
    for what, words in PARTS.items():
        for method, n_bits in aimed:
            after, before = (_cell(method, n_bits, word) for word in words)
            if {before, after} <= known:
                found.append(Contrast(what, before, after))
    return found


def _cell(method: str, n_bits: int, word: str) -> Cell:
    if word in ("baseline", "eaq"):
        return Cell(method, n_bits, word)
    return Cell(method, n_bits, "rdh", (("amplifier_aim", word),) if word else ())


def _table_of_parts(by_part: dict[str, list[Result]]) -> Table:
    rows: dict[tuple[str, int], dict[str, str]] = {}
    bold: dict[tuple[str, int], dict[str, bool]] = {}
    opens: dict[tuple[str, int], dict[str, Contrast]] = {}
    for what, results in by_part.items():
        for one in results:
            key = one.contrast.after.method, one.contrast.after.n_bits
            first = {"method": catalog.method(key[0]).title, "bits": str(key[1])}
            rows.setdefault(key, first)[what] = change(one, ".4f")
            bold.setdefault(key, dict.fromkeys(first, False))[what] = is_sure(one)
            opens.setdefault(key, {})[what] = one.contrast
    title = "The gain of RDH in MAP, taken apart"
    return without_empty("parts", title, [*rows.values()], [*bold.values()], [*opens.values()])


def _run_by_run(by_part: dict[str, list[Result]]) -> Table:
    """MAP differences of each pair."""
    rows: dict[tuple, dict[str, str]] = {}
    for what, results in by_part.items():
        for one in results:
            method, n_bits = one.contrast.after.method, one.contrast.after.n_bits
            for place, value in enumerate((one.after - one.before).ravel()):
                first = {
                    "method": catalog.method(method).title,
                    "bits": str(n_bits),
                    "pair": str(place),
                }
                row = rows.setdefault((method, n_bits, place), first)
                row[what] = number(float(value), "+.4f")
    made = [rows[key] for key in sorted(rows)]
    plain: list[dict] = [dict.fromkeys(row, False) for row in made]
    return without_empty("run-by-run", "The same, pair by pair", made, plain, [{} for _ in made])


def _table_of_aims(findings: Findings, against: Sequence[Result]) -> Table:
    rows, bold, opens = [], [], []
    for one in sorted(against, key=lambda one: one.contrast.after.method):
        cell = one.contrast.after
        row = {
            "method": catalog.method(cell.method).title,
            "bits": str(cell.n_bits),
            "amplifier": cell.setting,
            "MAP": number(one.effect.after, ".4f"),
            "minus the paper's": change(one, ".4f"),
            "dead": number(mean(findings, cell, "dead"), ".3%"),
            "dead, the paper's": number(mean(findings, one.contrast.before, "dead"), ".3%"),
            "cost": number(mean(findings, cell, "cost"), "+.4f"),
        }
        rows.append(row)
        bold.append({name: name == "minus the paper's" and is_sure(one) for name in row})
        opens.append({"amplifier": one.contrast})
    return without_empty("aims", "Other aims and scales of the amplifier", rows, bold, opens)
