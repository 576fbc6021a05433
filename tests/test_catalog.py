"""Cards are read from source text; here they are held against what importing gives."""

import dataclasses
import inspect
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path
from typing import get_type_hints

import pytest
from pydantic.fields import FieldInfo

import rdh.methods
from rdh import catalog, cli, datasets
from rdh.catalog import Switch
from rdh.catalog.complaints import bounds_of
from rdh.config.run_config import make_config
from rdh.errors import UserError
from rdh.methods import Method, method_class

METHOD_FACTS = (
    "title",
    "color",
    "activation",
    "kind",
    "trains_on",
    "stores_all_codes",
    "plain_weight",
    "one_device",
    "landscape",
)


def assert_switches(card: catalog.Card, function, skipped: int) -> None:
    """Names, defaults, types, bounds and meanings are those of the real signature."""
    parameters = list(inspect.signature(function).parameters.values())[skipped:]
    assert all(one.kind is inspect.Parameter.KEYWORD_ONLY for one in parameters)
    assert [switch.name for switch in card.switches] == [one.name for one in parameters]
    hints = get_type_hints(function, include_extras=True)
    for switch, one in zip(card.switches, parameters, strict=True):
        assert (switch.default, type(switch.default)) == (one.default, type(one.default))
        real = FieldInfo.from_annotation(hints[one.name])
        assert switch.field.annotation == real.annotation
        assert bounds_of(switch.field) == bounds_of(real)
        assert switch.meaning and switch.meaning == real.description


@pytest.mark.parametrize("name", catalog.methods())
def test_a_methods_card_is_what_importing_gives(name):
    card, cls = catalog.method(name), method_class(name)
    assert card.name == name
    text = inspect.getdoc(import_module(f"rdh.methods.{name}"))
    assert card.text == text.strip() and card.headline == text.splitlines()[0]
    for fact in METHOD_FACTS:
        assert getattr(card, fact) == getattr(cls, fact)
    assert_switches(card, cls.__init__, 4)


def test_every_method_takes_the_same_three_things_first():
    for name in catalog.methods():
        names = list(inspect.signature(method_class(name).__init__).parameters)[:4]
        assert names == ["self", "n_bits", "labels", "seed"] and issubclass(
            method_class(name), Method
        )


@pytest.mark.parametrize("name", catalog.datasets())
def test_a_data_sets_card_is_what_importing_gives(name):
    card, module = catalog.dataset(name), import_module(f"rdh.datasets.{name}")
    assert card.text == inspect.getdoc(module).strip()
    assert card.title == card.headline.partition(":")[0]
    assert card.is_multi_label is module.is_multi_label
    assert card.top_k == getattr(module, "top_k", None)
    assert card.has_download == hasattr(module, "download")
    assert_switches(card, module.load, 1)


@pytest.mark.parametrize("name", catalog.backbones())
def test_a_backbones_card_is_what_importing_gives(name):
    card = catalog.backbone(name)
    function = getattr(catalog.import_plug_in(card.file), name)
    assert card.text == inspect.getdoc(function).strip()
    assert list(inspect.signature(function).parameters) == ["image_size", "weights"]
    assert card.title != name and card.headline


def test_each_kind_is_in_alphabetical_order_and_holds_what_the_design_names():
    for cards in (catalog.methods(), catalog.datasets(), catalog.backbones()):
        assert list(cards) == sorted(cards)
        assert all(
            name == card.name and card.title and card.headline for name, card in cards.items()
        )
        assert len({card.title for card in cards.values()}) == len(cards)
    assert {"dpsh", "dhn", "hashnet"} <= set(catalog.methods())
    assert {"digits", "cifar10"} <= set(catalog.datasets())
    assert {
        "mlp",
        "efficientnet_lite0",
        "alexnet",
        "resnet18",
        "resnet50",
        "vit_b_16",
        "convnext_tiny",
        "none",
    } <= set(catalog.backbones())


def test_a_network_of_torchvision_has_a_card_without_looking_it_up():
    card = catalog.backbone("torchvision:mobilenet_v2")
    assert card.name == "torchvision:mobilenet_v2" and card.headline.startswith(
        "mobilenet_v2 of torchvision"
    )
    assert card.pretrained and card.trainable
    assert catalog.backbone("mlp") == catalog.backbones()["mlp"]


@pytest.mark.process
def test_reading_all_cards_imports_neither_torch_nor_a_method():
    script = (
        "import sys; from rdh import catalog; catalog.methods(), catalog.datasets(), "
        "catalog.backbones()\nbad = [name for name in sys.modules if name.split('.')[0] in "
        "('torch', 'sklearn', 'torchvision') or name.startswith(('rdh.methods', 'rdh.datasets', "
        "'rdh.backbones'))]\nprint(bad)"
    )
    answer = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True
    )
    assert answer.stdout.strip() == "[]"


METHOD = '''"""Toy: a method for this test.

Objective: none.
"""

from typing import Annotated, Literal

HELPER = 3


def helper(x): ...


class Base: ...


class Toy(Base):
    """A toy."""

    title = "Toy-1"
    activation: str | None = "sigmoid"
    plain_weight = "share"
    weights = [HELPER, HELPER]

    def __init__(
        self, n_bits, labels, seed, *,
        share: Annotated[float, Field(ge=-1, lt=2.5, description="a share")] = -0.5,
        pick: Annotated[Literal["a", "b"], Field(description="one of two")] = "b",
        n: int | None = None,
        where: PathBelow = "a/b",
    ):
        ...
'''


@pytest.fixture
def house(tmp_path, monkeypatch) -> Iterator[Path]:
    """A copy of the folders that the catalog reads, for files of one's own."""
    for folder in catalog.KINDS:
        ignored = shutil.ignore_patterns("__pycache__")
        shutil.copytree(catalog.PACKAGE / folder, tmp_path / "rdh" / folder, ignore=ignored)
    monkeypatch.setattr(catalog, "PACKAGE", tmp_path / "rdh")
    return tmp_path / "rdh"


def test_a_new_file_gets_its_card_without_any_registration(house):
    before = catalog.methods()
    (house / "methods" / "toy.py").write_text(METHOD)
    (house / "methods" / "_base.py").write_text("def (")  # not a method's file
    assert list(catalog.methods()) == sorted([*before, "toy"]) and catalog.broken() == {}
    card = catalog.method("toy")
    assert (card.title, card.headline) == ("Toy-1", "Toy: a method for this test.")
    assert (card.activation, card.plain_weight, card.plain_default) == ("sigmoid", "share", -0.5)
    assert card.switches == (
        Switch("share", -0.5, "float", meaning="a share", ge=-1, lt=2.5),
        Switch("pick", "b", "str", ("a", "b"), meaning="one of two"),
        Switch("n", None, "int", is_optional=True),
        Switch("where", "a/b", "PathBelow"),
    )
    options = {"where": "c", "n": None, "share": 2, "pick": "a"}
    assert card.checked(options, "method_options") == {"pick": "a", "share": 2.0, "where": "c"}
    with pytest.raises(ValueError, match=r"method_options share must be in \[-1, 2.5\), got 2.5"):
        card.checked({"share": 2.5}, "method_options")


CLASS = "class Own:\n"
INIT = "    def __init__(self, n_bits, labels, seed, {}): ...\n"
LOAD = "'''Own: mine.'''\n\ndef load({}): ...\n"
BROKEN = [  # folder, text of own.py, reason
    ("methods", "class A(Method):\n    def (", "line 2: invalid syntax"),
    ("methods", "", "line 1: it defines no class"),
    ("methods", f"{CLASS}    title = 'HashNet'", r"line 1: its title 'HashNet' is that of rdh/.*"),
    ("methods", f"{CLASS}    title = 3", r"line 2: title must be text, got 3"),
    ("methods", f"{CLASS}    title = ''", r"line 2: title must not be empty, got ''"),
    ("methods", f"{CLASS}    title = name", r"line 2: title must be a literal, got name"),
    ("methods", f"{CLASS}    color = 'red'", r"line 2: color must be like \^#.*, got 'red'"),
    ("methods", f"{CLASS}    kind = 'tiny'", r"line 2: kind must be one of deep, shallow, got .*"),
    ("methods", f"{CLASS}    plain_weight = 'w'", r"line 2: plain_weight must name a float .*"),
    ("methods", CLASS + INIT.format("**options"), r"line 2: __init__ must take self, .* options"),
    ("methods", CLASS + INIT.format("a=1"), r"line 2: __init__ must take self, .*, got a"),
    ("methods", CLASS + INIT.format("*args"), r"line 2: __init__ must take self, .*, got args"),
    ("methods", CLASS + INIT.format("*, a: int"), r"line 2: the switch a needs a default"),
    ("methods", CLASS + INIT.format("*, a=1"), r"line 2: the switch a needs a type"),
    ("methods", CLASS + INIT.format("*, a: list = 1"), r"line 2: the type of a must be int, .*"),
    ("methods", CLASS + INIT.format("*, a: int = max(1, 2)"), r"line 2: a must be a literal, .*"),
    ("methods", CLASS + INIT.format("*, a: int = 1.5"), r"line 2: the default of a must be a .*"),
    (
        "methods",
        CLASS + INIT.format("*, a: Annotated[int, Field(ge=3)] = 1"),
        r"line 2: the default of a must be at least 3, got 1",
    ),
    (
        "methods",
        CLASS + INIT.format("*, a: Annotated[int, Field(multiple_of=3)] = 3"),
        r"line 2: Field of a takes numbers as ge, gt, le, lt and a description, got .*",
    ),
    ("datasets", "'''Own: mine.'''", "line 1: it defines no function load"),
    ("datasets", LOAD.format("root, **options"), r"line 3: load must take root, .*, got options"),
    ("datasets", LOAD.format("root, n=3"), r"line 3: load must take root, .*, got n"),
    ("datasets", LOAD.format(""), r"line 3: load must take root, .*"),
    ("datasets", "'''Own.'''\ntop_k = 0\ndef load(root): ...", r"line 2: top_k must be at .*"),
    ("datasets", "'''Own.'''\n# \xfc\ndef load(root): ...", "line 2: it is not UTF-8 text"),
    ("backbones", "import", "line 1: invalid syntax"),
    ("backbones", "@backbone(title=3)\ndef own(): ...", r"line 2: own must take image_size, .*"),
    (
        "backbones",
        "@backbone(titel='A')\ndef own(image_size, weights): ...",
        r"line 1: titel is not a fact of a BackboneCard",
    ),
    ("backbones", "\0", "line 1: .* null bytes.*"),
    ("methods", "x = " + "(" * 2000 + ")" * 2000, r"line 1: .*"),
]
KINDS = {"methods": "method", "datasets": "data set", "backbones": "backbone"}


@pytest.mark.parametrize(("folder", "text", "reason"), BROKEN, ids=range(len(BROKEN)))
def test_a_broken_file_is_one_entry_with_its_line_and_everything_else_goes_on(
    house, folder, text, reason
):
    before = {kind: getattr(catalog, kind)() for kind in catalog.KINDS}
    (house / folder / "own.py").write_text(text, encoding="latin-1")
    path = f"rdh/{folder}/own.py"
    (entry,) = catalog.broken().items()
    assert entry[0] == path and re.fullmatch(reason, entry[1])
    assert {kind: getattr(catalog, kind)() for kind in catalog.KINDS} == before
    assert make_config(method="dpsh", dataset="mosaic").method == "dpsh"
    with pytest.raises(UserError) as caught:
        make_config(**{catalog.KINDS[folder]: "own"})
    assert str(caught.value) == (
        f"The {KINDS[folder]} own can't be used: {path}, {entry[1]}. Mend the file, or move it "
        f"out of rdh/{folder}."
    )
    (house / folder / "own.py").unlink()
    assert catalog.broken() == {}  # nothing is remembered of it


@pytest.mark.parametrize("make", [Path.mkdir, os.mkfifo, lambda path: path.symlink_to("nowhere")])
def test_what_is_no_file_is_an_entry_too(house, make):
    make(house / "methods" / "own.py")
    assert catalog.broken() == {"rdh/methods/own.py": "line 1: it is not a file"}


def test_a_file_is_read_again_when_it_changes(house):
    path = house / "methods" / "own.py"
    path.write_text("class Own(")
    assert "own" not in catalog.methods()
    path.write_text("class Own:\n    title = 'One'")
    assert catalog.method("own").title == "One" and catalog.broken() == {}
    path.write_text("class Own:\n    title = 'Two'")  # as long as before
    os.utime(path, ns=(0, 0))
    assert catalog.method("own").title == "Two"


def test_of_two_files_with_one_title_the_copy_is_left_out(house):
    shutil.copy(house / "methods" / "hashnet.py", house / "methods" / "a_copy.py")
    reason = "line 1: its title 'HashNet' is that of rdh/methods/hashnet.py"
    assert catalog.broken() == {"rdh/methods/a_copy.py": reason}
    assert "hashnet" in catalog.methods() and "a_copy" not in catalog.methods()


def test_names_that_are_in_no_file_are_told_of_the_files_that_are_left_out(house):
    (house / "backbones" / "scratch.py").write_text("def (")
    with pytest.raises(
        UserError, match=r"backbone must be one of alexnet, .* left out: rdh/backbones/scratch.py, "
    ):
        catalog.backbone("mlp")


def test_the_verbs_warn_once_for_each_broken_file(house, capsys):
    (house / "methods" / "own.py").write_text("class A(\n")
    (house / "datasets" / "own.py").write_text("load = 3")
    for verb in ("methods", "data"):
        assert cli.main([verb, "--data-root", str(house)]) == 0
        said = capsys.readouterr()
        assert "digits" in said.out or "hashnet" in said.out
        warned = [line for line in said.err.splitlines() if line.startswith("warning: ")]
        assert [line.split(",")[0] for line in warned] == [
            "warning: rdh/methods/own.py is left out",
            "warning: rdh/datasets/own.py is left out",
        ]
        assert "line 1: '(' was never closed" in warned[0]


@pytest.fixture
def importable(house, monkeypatch) -> Iterator[Path]:
    """A copy of the folders in which imports also find files that a test adds."""
    for package in (rdh.datasets, rdh.methods):
        folder = house / package.__name__.removeprefix("rdh.")
        monkeypatch.setattr(package, "__path__", [*package.__path__, str(folder)])
    yield house
    for name in ("rdh.datasets.own", "rdh.methods.own"):
        sys.modules.pop(name, None)


RAISING = [
    ("import no_such_module_here\n\ndef load(root): ...", 2, "ModuleNotFoundError: No module"),
    ("\n1 / 0\n\ndef load(root): ...", 3, "ZeroDivisionError: division by zero"),
    ("def load(root):\n    return [][3]", 3, "IndexError: list index out of range"),
    ("def load(root):\n    import no_such_module", 3, "ModuleNotFoundError: No module named"),
    ("def load(root):\n    raise Exception", 3, "Exception"),
    ("raise SystemExit(7)\n\ndef load(root): ...", 2, "SystemExit: 7"),
    ("def load(root):\n    raise SystemExit(7)", 3, "SystemExit: 7"),
    ("def load(root):\n    return load(root)", 3, "RecursionError: maximum recursion depth"),
    (
        "from rdh.datasets import Dataset\n\n"
        "def load(root):\n    return Dataset('own', [1, 2], ['a'], '', None)",
        5,
        "TypeError: labels must be an array (n, 1 classes), got list",
    ),
    ("def load(root):\n    return 3", 1, "TypeError: load must return a Dataset, got int"),
]


@pytest.mark.parametrize(("text", "line", "error"), RAISING)
def test_a_data_set_that_raises_is_a_sentence_and_the_other_sets_go_on(
    importable, capsys, text, line, error
):
    path = importable / "datasets" / "own.py"
    path.write_text(f"'''Own: mine.'''\n{text}")
    place = f"rdh/datasets/own.py, line {line}: {error}"
    assert cli.main(["data"]) == 0
    said = capsys.readouterr().out
    assert place in said and "digits       ready" in said
    assert cli.main(["data", "show", "own"]) == 0
    assert place in capsys.readouterr().err
    path.write_text(
        "'''Own: mine.'''\nfrom rdh.datasets.digits import load as load_digits\n\n"
        "def load(root):\n    return load_digits(root)"
    )
    assert len(datasets.load("own", "unused")) == 1797  # mended


def test_a_method_file_without_a_method_is_one_sentence(importable):
    (importable / "methods" / "own.py").write_text("class Own:\n    pass\n")
    with pytest.raises(UserError, match=r"own.py defines no class derived from Method: write one"):
        method_class("own")


def test_a_method_whose_import_raises_is_one_sentence(importable):
    (importable / "methods" / "own.py").write_text(
        "import no_such_module\n\nclass Own:\n    pass\n"
    )
    with pytest.raises(UserError, match=r"own can.t be used: rdh/methods/own.py, line 1"):
        method_class("own")


def test_ranges_of_data_set_switches_hold_in_the_api_too():
    with pytest.raises(UserError, match=r"^dataset_options n_items must be in \[20, 1000000\]"):
        datasets.load("mosaic", "unused", n_items=-5)
    with pytest.raises(UserError, match=r"^dataset_options of digits must be among .*, got 'x'"):
        datasets.load("digits", "unused", x=1)


def test_a_card_cannot_be_changed():
    with pytest.raises(ValueError, match="frozen"):
        catalog.method("dpsh").title = "other"
    with pytest.raises(dataclasses.FrozenInstanceError):
        catalog.method("dpsh").switches[0].name = "other"
