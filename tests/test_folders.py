"""The three roots: who names them, and what is refused."""

from pathlib import Path

import pytest

from rdh import folders
from rdh.errors import UserError

SETTINGS = ("RDH_DATA", "RDH_CACHE", "RDH_RUNS")


@pytest.fixture(autouse=True)
def no_settings(monkeypatch):
    for name in SETTINGS:
        monkeypatch.delenv(name, raising=False)


def test_without_settings_the_roots_are_the_defaults(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    home = Path.home() / ".cache" / "rdh"
    assert folders.data_root() == home / "data" and folders.named_data_root() is None
    assert folders.cache_root() == home and folders.cache_folder("features") == home / "features"
    assert folders.named_cache_root() is None
    assert folders.runs_root() == tmp_path / "runs"


def test_the_environment_names_them_and_an_option_goes_first(tmp_path, monkeypatch):
    for name in SETTINGS:
        monkeypatch.setenv(name, str(tmp_path / name))
    assert folders.data_root() == folders.named_data_root() == tmp_path / "RDH_DATA"
    assert folders.cache_folder("labels") == tmp_path / "RDH_CACHE" / "labels"
    assert folders.runs_root() == tmp_path / "RDH_RUNS"
    assert folders.data_root(tmp_path / "mine") == tmp_path / "mine"
    assert folders.runs_root(tmp_path / "mine") == tmp_path / "mine"


def test_a_relative_path_and_the_home_sign_become_absolute(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    assert folders.data_root("data") == tmp_path / "data"
    assert folders.data_root("~/data") == tmp_path / "home" / "data"


@pytest.mark.parametrize("name", SETTINGS)
def test_a_setting_that_is_no_path_is_one_sentence_that_names_it(name, monkeypatch):
    monkeypatch.setenv(name, "~nosuchuser/x")
    root = {"RDH_DATA": folders.data_root, "RDH_CACHE": folders.cache_root}
    with pytest.raises(UserError, match=rf"'~nosuchuser/x' is not a path .*{name}\.$"):
        root.get(name, folders.runs_root)()
