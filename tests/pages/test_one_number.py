"""One word, one number: no two pages show two numbers of one name for one run at one step."""

import contextlib
import json
import re
import shutil
import sqlite3
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest
from streamlit.testing.v1 import AppTest

from pages.common import live_plot
from rdh import analysis, cli, execution, worker
from rdh.charts.figure import Figure
from rdh.config.presets import preset_config
from rdh.config.run_config import with_plug_ins
from rdh.store.run_store import RunStore
from tests.pages.labels import DEFINED, without_definition

REPO = Path(__file__).parents[2]
PAGES = ["app.py", *sorted(str(path.relative_to(REPO)) for path in (REPO / "pages").glob("*.py"))]
TAU = 0.5  # so low that entries are dead within two epochs
SHARE, COUNT, SIGNED, MAP = r"([\d.]+)%", r"([\d,]+)", r"([+−]\d\.\d{4})", r"(\d\.\d{4})"
WORD = "(dead|flagged|saturated)"
# Sentences and titles of one run: pattern -> the names of its groups. "word": what is counted.
OF_ONE_RUN = {
    rf"{SHARE} of the entries (?:are )?{WORD}(?: at step {COUNT})?": ("share", "word", "step"),
    rf"(Dead|Flagged|Saturated): {SHARE} of the entries": ("word", "share"),
    rf"{COUNT} {WORD} entries now": ("count", "word"),
    rf"over time: [\d.]+% (saturated) at first, {SHARE} now": ("word", "share"),
    rf"{COUNT} of {COUNT} entries are {WORD} \({SHARE}\)": ("count", "of", "word", "share"),
    rf"of the {COUNT} (dead) are flagged": ("count", "word"),
    rf"{SIGNED} MAP, of those in the gallery": ("cost",),
    rf"MAP is {MAP}": ("map",),
}
# Sentences of both runs: the first and the second number.
OF_BOTH = {
    rf"entries are dead \({SHARE}\); [^:]*: [\d,]+ \({SHARE}\)": "dead share",
    rf"Their cost: {SIGNED} and {SIGNED} MAP": "cost",
    rf"MAP goes from {MAP} to {MAP}": "map",
    rf"MAP at the last evaluation: [^\d]*{MAP}, [^\d]*{MAP}": "map",
    rf"Dead entries: \w+ {COUNT} at step [\d,]+; \w+ \+ RDH {COUNT} at": "dead count",
}


@pytest.fixture(scope="module")
def finished(tmp_path_factory) -> RunStore:
    """A pair of two epochs with an evaluation after each; entries are dead at its end."""
    store = RunStore(tmp_path_factory.mktemp("walk") / "runs")
    base = preset_config("quick", epochs=2, eval_every=1, tau=TAU, probe_every=4)
    for rdh in (False, True):
        run_id = store.create(with_plug_ins(base, rdh=rdh))
        assert worker.main([str(store.run_dir(run_id))]) == 0
    return store


@pytest.fixture
def running(finished: RunStore, tmp_path: Path) -> RunStore:
    """The same pair in the middle of its training: each run ends at another record."""
    store = RunStore(shutil.copytree(finished.root, tmp_path / "runs"))
    (store.root / "registry.db").unlink(missing_ok=True)
    for kept, run_id in zip((0.8, 0.9), pair_of(store), strict=True):
        (store.run_dir(run_id) / "result.json").unlink()
        with contextlib.closing(sqlite3.connect(store.run_dir(run_id) / "metrics.db")) as db, db:
            (last,) = db.execute("SELECT MAX(seq) FROM records").fetchone()
            for table in ("scalars", "arrays", "events", "records"):
                db.execute(f"DELETE FROM {table} WHERE seq > ?", (int(kept * last),))
    assert {state.state for state in execution.states(store).values()} == {"running"}
    return store


def pair_of(store: RunStore) -> list[str]:
    """The baseline, then the run with RDH."""
    return sorted(store.run_ids(), key=lambda run_id: store.config(run_id).has_rdh)


@cache
def truth(store: RunStore, run_id: str, until: int | None = None) -> dict[str, str]:
    """The numbers of a run straight from its records up to a step, as text."""
    last: dict[str, float] = {}
    for _, step, _, name, value in store.reader(run_id).scalars():
        if until is None or step <= until:
            last[name] = value
    words = ("dead", "flagged", "saturated")
    return (
        {f"{word} share": f"{100 * last[word] / last['entries']:.2f}" for word in words}
        | {f"{word} count": f"{last[word]:,.0f}" for word in words}
        | {
            "of": f"{last['entries']:,.0f}",
            "cost": f"{last['cost_gallery']:+.4f}".replace("-", "−"),
            "map": f"{last['map']:.4f}",
        }
    )


@pytest.fixture
def figures(monkeypatch) -> list[Figure]:
    """The charts of a page."""
    drawn: list[Figure] = []

    def note(figure: Figure) -> str:
        drawn.append(figure)
        return "{}"

    monkeypatch.setattr(live_plot, "figure_json", note)
    return drawn


def open_page(page: str, store: RunStore, run_id: str, other: str, monkeypatch) -> AppTest:
    monkeypatch.setenv("RDH_RUNS", str(store.root))
    app = AppTest.from_file(str(REPO / "app.py"), default_timeout=60)
    app.query_params["run"], app.query_params["vs"] = run_id, other
    app.query_params["flags"] = app.query_params["worth"] = "true"
    app = app.run() if page == "app.py" else app.switch_page(page).run()
    assert not app.exception and not app.error, page
    return app


def sentences(app: AppTest, figures: list[Figure]) -> list[str]:
    titles = [re.sub(r"<br>", " ", figure.layout.title.text or "") for figure in figures]
    parts = [*app.info, *app.warning, *app.caption, *app.markdown, *app.subheader]
    return [*titles, *(re.sub(r"\\(.)", r"\1", str(part.value)) for part in parts)]


def read_sentence(
    text: str, store: RunStore, run_id: str, pair: list[str]
) -> Iterator[tuple[str, str, str]]:
    """(name, number shown, number of the records) of each number that a sentence has a name for.

    run_id: the run that the page is about, unless the sentence names another one.
    """
    mine, both = run_id, pair
    for pattern, name in OF_BOTH.items():
        for found in re.finditer(pattern, text):
            yield from (
                (name, shown, truth(store, one)[name])
                for shown, one in zip(found.groups(), both, strict=True)
            )
            text = text.replace(found[0], "")
    if "HashNet + RDH" in text:
        mine = both[1]
    elif "HashNet" in text:
        mine = both[0]
    for pattern, names in OF_ONE_RUN.items():
        for found in re.finditer(pattern, text):
            groups = dict(zip(names, found.groups(), strict=True))
            word, step = groups.pop("word", "").lower(), groups.pop("step", None)
            recorded = truth(store, mine, int(step.replace(",", "")) if step else None)
            for kind, shown in groups.items():
                name = f"{word} {kind}" if kind in ("share", "count") else kind
                yield name, shown, recorded[name]


def read_tiles(app: AppTest, runs: list[dict[str, str]]) -> Iterator[tuple[str, str, str]]:
    """The tiles of a page: those of a run stand together and begin anew with a label seen before.

    runs: the truth of the run whose tiles come first, and so on.
    """
    left, seen = iter(runs), set()
    of: dict[str, str] = {}
    for tile in app.metric:
        word = tile.label.split()[-1].lower()
        if tile.label in seen or not of:
            of, seen = next(left), set()
        seen.add(tile.label)
        if word in ("dead", "flagged", "saturated") and "Cost" not in tile.label:
            yield f"{word} share", tile.value.rstrip("%"), of[f"{word} share"]
            count, total = tile.delta.split(" of ")
            yield f"{word} count", count, of[f"{word} count"]
            yield "of", total, of["of"]
        elif "Cost" in tile.label:
            yield "cost", tile.value, of["cost"]
        elif word == "map":
            yield "map", tile.value, of["map"]


def read_tables(app: AppTest, of: dict[str, dict[str, str]]) -> Iterator[tuple[str, str, str]]:
    """Numbers of tables whose rows or columns are runs. of: the truth by id and by label."""
    for table in (one.value for one in [*app.dataframe, *app.table]):
        for column in table.columns.intersection(list(of)):
            cells = table[column].to_dict()
            for word in ("dead", "flagged", "saturated"):
                shown = re.fullmatch(rf"{SHARE} \({COUNT} of {COUNT}\)", cells[word])
                yield f"{word} share", shown[1], of[column][f"{word} share"]
                yield f"{word} count", shown[2], of[column][f"{word} count"]
            yield "cost", cells["cost of the dead, MAP"], of[column]["cost"]
            yield "map", cells["MAP"], of[column]["map"]
        if "cost of the dead" in table:
            for row in table.dropna(subset=["cost of the dead"]).to_dict("records"):
                run_id = next(one for one in of if one.endswith(row["run"]))
                yield from zip(NAMES, as_shown(row), map(of[run_id].get, NAMES), strict=True)
        if "95% interval" in table:
            cells = [table.iloc[0][name].split(" → ") for name in ("dead", "cost", "MAP")]
            for (dead, *others), label in zip(
                zip(*cells, strict=True), ("HashNet", "HashNet + RDH"), strict=True
            ):
                shown = [dead.rstrip("%"), *others]
                yield from zip(NAMES, shown, map(of[label].get, NAMES), strict=True)


NAMES = ("dead share", "cost", "map")


def as_shown(row: dict) -> list[str]:
    """NAMES of a row as the reader sees them: some tables hold numbers, and a format for them."""
    if isinstance(row["dead"], str):
        return [row["dead"].rstrip("%"), row["cost of the dead"], row["MAP"]]
    cost = analysis.map_points(row["cost of the dead"])
    score = row["MAP"] if row.get("MAP") is not None else row["MAP so far"]
    return [f"{row['dead']:.2f}", cost, f"{score:.4f}"]


@pytest.mark.parametrize("kind", ["finished", "running"])
@pytest.mark.parametrize("with_rdh", [False, True])
def test_no_page_shows_another_number_under_the_same_name(
    kind, with_rdh, request, monkeypatch, figures
):
    store = request.getfixturevalue(kind)
    baseline, rdh = pair_of(store)
    run_id, other = (rdh, baseline) if with_rdh else (baseline, rdh)
    of = {one: truth(store, one) for one in (baseline, rdh)}
    assert all(of[one]["dead count"] != "0" for one in of), "nothing is dead: nothing is tested"
    found: dict[str, set[str]] = {}
    for page in PAGES:
        figures.clear()
        app = open_page(page, store, run_id, other, monkeypatch)
        has_both = page in ("pages/compare.py", "pages/retrieval.py")
        order = [baseline, rdh] if has_both else [run_id]
        by_name = of | {"HashNet": of[baseline], "HashNet + RDH": of[rdh]}
        numbers = [
            *read_tiles(app, [of[one] for one in order] if "data" not in page else [{}] * 9),
            *read_tables(app, by_name),
        ]
        said = sentences(app, figures)
        for text in said:
            numbers += read_sentence(text, store, run_id, [baseline, rdh])
        for name, shown, recorded in numbers:
            assert shown == recorded, (page, name)
            found.setdefault(name, set()).add(page)
        if page == "pages/compare.py":
            assert ("Verdict" in " ".join(said)) == (kind == "finished"), "no verdict too early"
        assert "None" not in " ".join(said).replace("`None`", ""), page
        assert not without_definition(app, figures), (page, "define it, or say that it needs none")
    of_finished = {"pages/retrieval.py"}  # it shows numbers of no other run
    found = {name: pages - of_finished for name, pages in found.items()}
    named = {"pages/live.py", "pages/compare.py", "pages/definitions.py", "pages/runs.py", "app.py"}
    assert found["dead share"] == found["map"] | {"app.py"} == found["cost"] | {"app.py"} == named
    assert found["flagged share"] >= {"pages/live.py", "pages/definitions.py"}


@pytest.mark.parametrize("kind", ["finished", "running"])
def test_the_command_line_says_the_numbers_of_the_pages(kind, request, monkeypatch, capsys):
    store = request.getfixturevalue(kind)
    monkeypatch.setenv("RDH_RUNS", str(store.root))
    monkeypatch.setattr(execution, "revive", lambda store: None)
    when = "at the end" if kind == "finished" else "now"
    for run_id in pair_of(store):
        of = truth(store, run_id)
        assert cli.main(["runs", "show", run_id, "--json"]) == 0
        numbers = json.loads(capsys.readouterr().out)["dead_bits"]
        assert analysis.map_points(numbers["cost"]) == of["cost"]
        for word in ("dead", "flagged", "saturated"):
            assert f"{numbers[word]:,.0f}" == of[f"{word} count"]
        assert cli.main(["runs", "show", run_id]) == 0
        shown = re.sub(r" +", " ", capsys.readouterr().out)
        assert f"cost of the dead {of['cost']} MAP, of those in the gallery" in shown
        for word in ("dead", "flagged"):
            count, total = (of[name].replace(",", " ") for name in (f"{word} count", "of"))
            share = of[f"{word} share"]
            assert f"{word} {when} {count} of {total} entries ({share}%)" in shown


def test_the_words_that_define_the_labels_of_the_pages_are_there():
    assert set(DEFINED.values()) <= set(analysis.WORDS)
