"""The order of the modules: which may import which, and which may import torch."""

import ast
import re
import subprocess
import sys
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

HOUSE = Path(__file__).resolve().parents[1]

# From the bottom to the top: a module imports only what stands before it, or parts of its own
# folder, inside functions too. T: needs torch; the others import it inside functions only.
ROWS = [
    "errors", "files", "locks", "folders", "rescue:T", "catalog",
    "landscape", "retrieval", "datasets", "methods:T",
    "config", "backbones:T", "store", "inputs:T",
    "analysis", "diagnosis", "charts", "lessons", "execution", "training:T", "recorder:T", "codes",
    "studies", "exports", "worker", "warm", "bench:T", "commands", "cli", "__main__",
]  # fmt: skip
PLACE = {row.removesuffix(":T"): place for place, row in enumerate(ROWS)}
WITH_TORCH = {row.removesuffix(":T") for row in ROWS if row.endswith(":T")}
WITH_TORCH_TOO = {
    "rdh.retrieval.gpu",
    "rdh.codes.encoder",
    "rdh.codes.export",
}  # parts with torch of a folder without

MOST_FUNCTION_LINES = 45  # signature and docstring apart
MOST_LOOSE = 10  # modules directly under rdh/


@cache
def sources(folder: str) -> dict[str, ast.Module]:
    """Every module below a folder of the house, parsed, by its dotted name."""
    paths = sorted((HOUSE / folder).rglob("*.py")) if folder != "app" else [HOUSE / "app.py"]
    names = [
        ".".join(path.relative_to(HOUSE).with_suffix("").parts).removesuffix(".__init__")
        for path in paths
    ]
    return {
        name: ast.parse(path.read_text(encoding="utf-8"))
        for name, path in zip(names, paths, strict=True)
    }


def imports(tree: ast.AST, *, at_top_only: bool = False) -> Iterator[str]:
    """Dotted names that the tree imports; `from a import b` gives a.b.

    at_top_only: what importing it imports.
    """
    for node in ast.iter_child_nodes(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, "imports are absolute"
            yield from (f"{node.module}.{alias.name}" for alias in node.names)
        elif not (
            at_top_only and isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
        ) and not _for_types_only(node):
            yield from imports(node, at_top_only=at_top_only)


def _for_types_only(node: ast.AST) -> bool:
    return (
        isinstance(node, ast.If)
        and isinstance(node.test, ast.Name)
        and node.test.id == "TYPE_CHECKING"
    )


def unit(name: str) -> str | None:
    """The file or folder right below rdh/ that a dotted name lies in: rdh.charts.bits -> charts.

    None outside, and for rdh itself.
    """
    parts = name.split(".")
    return (
        parts[1]
        if parts[0] == "rdh" and len(parts) > 1 and not parts[1].startswith("__v")
        else None
    )


def module_of(name: str) -> str | None:
    """The module of ours that an imported name lies in or is."""
    known = sources("rdh")
    return (
        name
        if name in known
        else name.rpartition(".")[0]
        if name.rpartition(".")[0] in known
        else None
    )


def needs_torch(name: str) -> bool:
    return unit(name) in WITH_TORCH or module_of(name) in WITH_TORCH_TOO


def functions(tree: ast.Module) -> Iterator[tuple[str, ast.FunctionDef]]:
    """Functions and methods with their names, those inside functions left out."""
    for node in tree.body:
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            yield node.name, node
        elif isinstance(node, ast.ClassDef):
            inner = (
                one for one in node.body if isinstance(one, ast.FunctionDef | ast.AsyncFunctionDef)
            )
            yield from ((f"{node.name}.{one.name}", one) for one in inner)


def test_every_row_stands_for_something_and_everything_has_its_row():
    assert {unit(name) for name in sources("rdh")} - {None} == set(PLACE)


def test_the_map_of_the_house_shows_every_row_in_its_place():
    text = (HOUSE / "docs" / "house.md").read_text(encoding="utf-8")
    table = text.split("## The rows")[1].split("\n## ")[0]
    cells = re.findall(r"^\| (`.*?) \|", table, re.MULTILINE)[1:]  # without the pages
    lines = [re.findall(r"`(\w+)", cell) for cell in reversed(cells)]
    assert {name for line in lines for name in line} == set(PLACE) - {"__main__"}
    ends = [end for line in lines for end in (min(map(PLACE.get, line)), max(map(PLACE.get, line)))]
    assert ends == sorted(ends)


def test_few_modules_lie_loose_under_the_package():
    assert len(list((HOUSE / "rdh").glob("*.py"))) <= MOST_LOOSE


def test_a_module_imports_only_from_below():
    wrong = [
        f"{name} imports {imported}"
        for name, tree in sources("rdh").items()
        for imported in imports(tree)
        if unit(imported) and unit(imported) != unit(name)
        if unit(name) is None or PLACE[unit(imported)] >= PLACE[unit(name)]
    ]
    assert wrong == []


def test_parts_that_files_of_a_kind_share_are_used_there_and_by_the_tests_only():
    """datasets/_tools is for data sets: others go through the door of the folder, rdh.datasets."""
    wrong = []
    for name, tree in [*sources("rdh").items(), *sources("pages").items(), *sources("app").items()]:
        for imported in imports(tree):
            parts = imported.split(".")
            own = [place for place, part in enumerate(parts) if re.match("_[a-z]", part)]
            if (
                parts[0] in ("rdh", "pages")
                and own
                and name.split(".")[: own[0]] != parts[: own[0]]
            ):
                wrong.append(f"{name} imports {imported}")
    assert wrong == []


def test_no_two_modules_import_each_other():
    graph = {
        name: {
            module
            for imported in imports(tree, at_top_only=True)
            if (module := module_of(imported))
        }
        - {name}
        for name, tree in sources("rdh").items()
    }
    done: set[str] = set()

    def visit(name: str, path: tuple[str, ...]) -> None:
        assert name not in path, f"a circle: {' -> '.join((*path[path.index(name) :], name))}"
        if name not in done:
            for other in sorted(graph[name]):
                if not name.startswith(f"{other}."):  # a folder's __init__ may gather its parts
                    visit(other, (*path, name))
            done.add(name)

    for name in graph:
        visit(name, ())


def test_rows_without_torch_import_those_with_it_only_when_asked_to():
    wrong = [
        f"{name} imports {imported}"
        for name, tree in sources("rdh").items()
        if not needs_torch(name)
        for imported in imports(tree, at_top_only=True)
        if needs_torch(imported) or imported.split(".")[0] in ("torch", "torchvision")
    ]
    assert wrong == []


def test_rescue_can_be_copied_out_as_it_is():
    ours = [
        imported for imported in imports(sources("rdh")["rdh.rescue"]) if imported.startswith("rdh")
    ]
    assert ours == []


@pytest.mark.process
def test_importing_any_row_without_torch_leaves_torch_out():
    """In one process: once a module has brought torch in, it stays."""
    names = [name for name in sources("rdh") if not needs_torch(name) and name != "rdh.__main__"]
    script = (
        "import sys, importlib\n"
        "for name in sys.argv[1:]:\n"
        "    importlib.import_module(name)\n"
        "    bad = {'torch', 'torchvision', 'streamlit'} & set(sys.modules)\n"
        "    if bad: sys.exit(f'{name} brings in {bad}')\n"
    )
    answer = subprocess.run(
        [sys.executable, "-c", script, *names],
        capture_output=True,
        text=True,
        check=False,
        cwd=HOUSE,
    )
    assert answer.returncode == 0, answer.stderr
    assert len(names) > 40


def test_nothing_under_rdh_knows_the_pages():
    """Only the benchmark of the pages and the verb `dashboard` speak with their server."""
    foreign = ("streamlit", "pages", "app", "tests")
    wrong = [
        f"{name}: {one}"
        for name, tree in sources("rdh").items()
        if name not in ("rdh.bench._web", "rdh.commands._serve")
        for one in imports(tree)
        if one.split(".")[0] in foreign
    ]
    assert wrong == []


def test_pages_import_their_common_parts_and_rows_without_torch():
    wrong = []
    for name, tree in [*sources("pages").items(), *sources("app").items()]:
        for imported in imports(tree):
            top = imported.split(".")[0]
            is_page = top in ("pages", "app") and not imported.startswith("pages.common")
            is_command = unit(imported) in ("commands", "cli")
            if (
                is_page
                or is_command
                or needs_torch(imported)
                or top in ("torch", "torchvision", "tests")
            ):
                wrong.append(f"{name} imports {imported}")
    assert wrong == []


def test_a_page_is_known_to_the_sidebar():
    from pages.common.sidebar import read_links

    links, warnings = read_links()
    pages = {f"pages/{path.name}" for path in (HOUSE / "pages").glob("[a-z]*.py")}
    assert {link.page for link in links} == pages | {"app.py"} and warnings == []


def test_the_package_itself_holds_the_version_only():
    (docstring, version) = sources("rdh")["rdh"].body
    assert isinstance(docstring, ast.Expr) and version.targets[0].id == "__version__"


def test_the_environment_is_read_where_folders_devices_and_processes_are_found():
    """Everything else is told what it needs. Switches for tests are arguments."""
    readers = {
        module
        for folder in ("rdh", "pages", "app")
        for module, tree in sources(folder).items()
        for node in ast.walk(tree)
        if isinstance(node, ast.Attribute) and node.attr in ("environ", "getenv")
        if isinstance(node.value, ast.Name) and node.value.id == "os"
    }
    assert readers == {
        "rdh.cli",  # RDH_TRACEBACK
        "rdh.folders",  # the three roots, and the browser
        "rdh.execution.lifecycle",  # RDH_SLOTS, before the supervisor is started
        "rdh.execution.supervisor_process",  # RDH_SLOTS and CUDA_VISIBLE_DEVICES
        "rdh.execution.place",  # RDH_FREE_MB
        "rdh.execution.login",  # RDH_LOGIN
        "rdh.execution.queue.possible",  # CUDA_VISIBLE_DEVICES
        "rdh.execution.engine.processes",  # what children inherit
        "rdh.execution.engine.torchrun",  # what torchrun says, and what ranks inherit
        "rdh.commands.dashboard",  # what Streamlit inherits
        "rdh.bench.faults",  # RDH_SLOTS and RDH_FREE_MB of the campaign
        "rdh.bench._faults_world",  # what its processes inherit
        "rdh.bench._faults_ray",  # RDH_ENGINE and the rest of its part of the campaign
        "rdh.bench._ray_head",  # RDH_TEST_RAY, and what the head inherits
        "rdh.commands._queue",  # RDH_KEEP_DAYS, for prune
        "rdh.commands.bench",  # sets OMP_WAIT_POLICY before torch is imported
        "rdh.worker",  # likewise
        "rdh.recorder.given",  # RANK and WORLD_SIZE, as torchrun sets them
    }


def test_no_function_is_too_long():
    lengths = {
        f"{name}.{function}": node.end_lineno - body[0].lineno + 1
        for name, tree in sources("rdh").items()
        for function, node in functions(tree)
        if (body := node.body[1:] if ast.get_docstring(node) else node.body)
    }
    too_long = {name: length for name, length in lengths.items() if length > MOST_FUNCTION_LINES}
    assert too_long == {}


def test_every_module_and_every_public_class_and_function_says_what_it_is():
    silent = []
    for name, tree in sources("rdh").items():
        silent += [] if ast.get_docstring(tree) else [name]
        for node in tree.body:
            is_public = isinstance(
                node, ast.FunctionDef | ast.ClassDef
            ) and not node.name.startswith("_")
            if is_public and not ast.get_docstring(node):
                silent.append(f"{name}.{node.name}")
    assert silent == []


def test_every_public_function_says_what_it_returns_and_takes():
    unsaid = []
    for name, tree in sources("rdh").items():
        for function, node in functions(tree):
            if node.name.startswith("_") and node.name != "__init__":
                continue
            arguments = [*node.args.posonlyargs, *node.args.args, *node.args.kwonlyargs]
            bare = [
                one.arg
                for one in arguments
                if one.annotation is None and one.arg not in ("self", "cls", "ctx")
            ]
            if bare or node.returns is None:
                unsaid.append(f"{name}.{function}: {', '.join(bare) or 'return'}")
    assert unsaid == []


@pytest.mark.parametrize("folder", ["rdh", "pages", "tests"])
def test_no_file_names_a_place_on_one_machine(folder):
    places = ["/" + "work/", "/" + "root/"]
    texts = [
        path
        for path in (HOUSE / folder).rglob("*")
        if path.suffix in (".py", ".js", ".md", ".css", ".html")
    ]
    named = [
        path.name
        for path in [*texts, HOUSE / "app.py"]
        for place in places
        if place in path.read_text(encoding="utf-8")
    ]
    assert named == []
