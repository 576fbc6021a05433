"""Cards are read from source text; here they are held against what importing gives."""

import inspect
import shutil
import subprocess
import sys
import types
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path
from typing import Literal, get_args, get_origin, get_type_hints

import pytest

from rdh import catalog, cli
from rdh.config.run_config import make_config
from rdh.errors import UserError
from rdh.methods import Method, method_class

METHOD_FACTS = ("title", "activation", "kind", "trains_on", "landscape")


def assert_switches(card: catalog.Card, function, skipped: int) -> None:
    """Names, defaults, kinds and choices of the keyword arguments, as the real signature has them."""
    parameters = list(inspect.signature(function).parameters.values())[skipped:]
    real = [one for one in parameters if one.kind is inspect.Parameter.KEYWORD_ONLY]
    assert [switch.name for switch in card.switches] == [one.name for one in real]
    hints = get_type_hints(function)
    for switch, one in zip(card.switches, real, strict=True):
        assert (switch.default, type(switch.default)) == (one.default, type(one.default))
        hint = hints[one.name]
        if get_origin(hint) is Literal:
            assert switch.choices == get_args(hint) and switch.default in switch.choices
            assert switch.kind == type(switch.choices[0]).__name__
        else:
            kind = get_args(hint)[0] if get_args(hint) else hint  # of `int | None` the first
            assert (switch.kind, switch.choices) == (kind.__name__, ())


@pytest.mark.parametrize("name", catalog.methods())
def test_a_methods_card_is_what_importing_gives(name):
    card, cls = catalog.methods()[name], method_class(name)
    assert (card.name, card.title) == (name, cls.title)
    text = inspect.getdoc(import_module(f"rdh.methods.{name}"))
    assert card.text == text.strip() and card.headline == text.splitlines()[0]
    assert card.title.split("-")[0] in card.headline
    for fact in METHOD_FACTS:
        if hasattr(cls, fact) and (fact in card.facts or fact in vars(cls)):
            assert card.facts[fact] == getattr(cls, fact)
    assert card.facts["activation"] == cls.activation
    assert_switches(card, cls.__init__, 4)


def test_every_method_takes_the_same_three_things_first():
    for name in catalog.methods():
        names = list(inspect.signature(method_class(name).__init__).parameters)[:4]
        assert names == ["self", "n_bits", "labels", "seed"] and issubclass(
            method_class(name), Method
        )


@pytest.mark.parametrize("name", catalog.datasets())
def test_a_data_sets_card_is_what_importing_gives(name):
    card, module = catalog.datasets()[name], import_module(f"rdh.datasets.{name}")
    assert card.text == inspect.getdoc(module).strip()
    assert card.title == card.headline.partition(":")[0]
    assert card.facts["is_multi_label"] is module.is_multi_label
    assert card.facts["has_download"] == hasattr(module, "download")
    assert_switches(card, module.load, 1)


@pytest.mark.parametrize("name", catalog.backbones())
def test_a_backbones_card_is_what_importing_gives(name):
    card = catalog.backbones()[name]
    function = getattr(import_module(f"rdh.backbones.{card.facts['file']}"), name)
    assert card.text == inspect.getdoc(function).strip()
    assert list(inspect.signature(function).parameters) == ["image_size", "weights"]
    assert card.title == card.facts["title"] and isinstance(card.facts["pretrained"], bool)


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
    assert (
        card.facts == {"pretrained": True} and catalog.backbone("mlp") == catalog.backbones()["mlp"]
    )


@pytest.mark.process
def test_reading_all_cards_imports_neither_torch_nor_a_method():
    script = (
        "import sys; from rdh import catalog; catalog.methods(), catalog.datasets(), "
        "catalog.backbones()\n"
        "bad = [name for name in sys.modules if name.split('.')[0] in ('torch', "
        "'sklearn', 'torchvision') "
        "or name.startswith(('rdh.methods', 'rdh.datasets', 'rdh.backbones'))]\n"
        "print(bad)"
    )
    answer = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True
    )
    assert answer.stdout.strip() == "[]"


SOURCE = '''"""Toy: a method for this test.

Objective: none.
"""

from typing import Literal

HELPER = 3


def helper(x): ...


class Base: ...


class Toy(Base):
    """A toy."""

    title = "Toy-1"
    activation: str | None = "sigmoid"
    weights = [HELPER, HELPER]
    LIMIT = 4

    def __init__(self, n_bits, labels, seed, *, root=None, share: float = -0.5, pick: Literal["a", "b"] = "b", n: int | None = None):
        ...
'''


def test_a_new_file_gets_its_card_without_any_registration(tmp_path, monkeypatch):
    (tmp_path / "methods").mkdir()
    (tmp_path / "methods" / "toy.py").write_text(SOURCE)
    (tmp_path / "methods" / "_base.py").write_text("raise RuntimeError")
    monkeypatch.setattr(catalog, "HOUSE", tmp_path)
    cards = catalog.methods.__wrapped__()
    assert list(cards) == ["toy"]
    card = cards["toy"]
    assert (card.title, card.headline) == ("Toy-1", "Toy: a method for this test.")
    assert card.facts == {"title": "Toy-1", "activation": "sigmoid"}  # what is computed is no fact
    assert card.switches == (
        catalog.Switch("share", -0.5, "float"),
        catalog.Switch("pick", "b", "str", ("a", "b")),
        catalog.Switch("n", None, "int"),
    )


@pytest.mark.parametrize("name", sorted(catalog.methods()))
def test_every_switch_of_a_method_says_what_it_means(name):
    assert [switch.name for switch in catalog.methods()[name].switches if not switch.meaning] == []


def test_a_meaning_is_what_the_docstring_says_after_the_name():
    meanings = {switch.name: switch.meaning for switch in catalog.methods()["dsdh"].switches}
    assert (
        meanings["classifier_penalty"] == "nu / mu"
        and meanings["code_weight"] == "eta / mu in the B-step"
    )


@pytest.fixture
def house(tmp_path, monkeypatch) -> Iterator[Path]:
    """A copy of the folders that the catalog reads, for files of one's own."""
    for folder in ("methods", "datasets", "backbones"):
        shutil.copytree(
            catalog.HOUSE / folder, tmp_path / folder, ignore=shutil.ignore_patterns("__pycache__")
        )
    monkeypatch.setattr(catalog, "HOUSE", tmp_path)
    forget()
    yield tmp_path
    forget()


def forget() -> None:
    for cards in (catalog.methods, catalog.datasets, catalog.backbones):
        cards.cache_clear()


BROKEN = [
    (
        "methods",
        "class A(Method):\n    def (",
        r"invalid syntax \(own.py, line 2\)\): mend it, or move it out of rdh/methods",
    ),
    ("methods", "", r"it defines no class\): mend it"),
    (
        "methods",
        "class Twin:\n    title = 'HashNet'",
        r"must have a name and a title of its own, got 'own' and 'HashNet'",
    ),
    (
        "methods",
        "class A:\n    def __init__(self, *, a: int = max(1, 2)): ...",
        r"can't be read \(malformed node",
    ),
    (
        "datasets",
        "'''Own: mine.'''",
        r"it defines no function load\): mend it, or move it out of rdh/datasets",
    ),
    ("datasets", "'''Own: ü'''\ndef load(root): ...", None),  # not in UTF-8, as it is written below
    ("backbones", "import", r"invalid syntax \(own.py, line 1\)"),
]


@pytest.mark.parametrize(("folder", "text", "message"), BROKEN)
def test_a_file_that_is_none_of_its_kind_is_named_in_one_sentence_everywhere(
    house, capsys, folder, text, message
):
    (house / folder / "own.py").write_text(text, encoding="latin-1")
    with pytest.raises(UserError, match=rf"^{house / folder / 'own.py'} .*{message or 'utf-8'}"):
        getattr(catalog, folder)()
    with pytest.raises(UserError, match=rf"^{house / folder / 'own.py'} .*{message or 'utf-8'}"):
        make_config(method="hashnet")
    assert cli.main(["train", "--here", "--preset", "quick", "--runs", str(house / "runs")]) == 2
    said = capsys.readouterr().err.strip()
    assert (
        said.startswith(str(house / folder / "own.py")) and said.endswith(".") and "\n" not in said
    )
    (house / folder / "own.py").unlink()
    assert make_config(method="hashnet").method == "hashnet"  # nothing is remembered of it


def test_a_method_file_without_a_method_is_one_sentence(house, monkeypatch):
    module = types.ModuleType("rdh.methods.own")
    module.__file__ = "own.py"
    monkeypatch.setitem(sys.modules, "rdh.methods.own", module)
    with pytest.raises(
        UserError,
        match=r"own.py defines no class derived from Method: write one, or remove the file\.",
    ):
        method_class("own")
