"""A person's own check: one file that fails takes no other check with it."""

import sys
from pathlib import Path

import pytest

from rdh import diagnosis
from rdh.diagnosis import diagnose

OWN = """from rdh.diagnosis import Finding
TITLE = "Own"
def check(evidence):
    {}
"""
FAILING = [
    ("import no_such_module", "line 1: ModuleNotFoundError: No module named 'no_such_module'"),
    ("raise SystemExit(3)", "line 1: SystemExit: 3"),
    ("x = (", "line 1: SyntaxError: "),
    ("TITLE = 'Own'", "TypeError: it must hold a text TITLE and a function check"),
    (OWN.format("pass").replace('"Own"', "3"), "TypeError: it must hold a text TITLE"),
    (OWN.format("return [][3]"), "line 4: IndexError: list index out of range"),
    (OWN.format("return check(evidence)"), "line 4: RecursionError: "),
    (OWN.format("raise SystemExit(3)"), "line 4: SystemExit: 3"),
    (OWN.format("return True"), "TypeError: check must return a Finding or None, got True"),
    ("AFTER = ('nix',)\n" + OWN.format("pass"), "AFTER must name other checks, got 'nix'"),
    ("AFTER = ('own',)\n" + OWN.format("pass"), "AFTER must name other checks, got 'own'"),
    ("AFTER = 'own'\n" + OWN.format("pass"), "AFTER must be a tuple of names, got 'own'"),
]


@pytest.fixture
def own(tmp_path, monkeypatch):
    """Writes the file of a check that is there besides ours."""
    place = tmp_path / "rdh" / "diagnosis"
    place.mkdir(parents=True)
    monkeypatch.setattr(diagnosis, "__path__", [*diagnosis.__path__, str(place)])

    def write_own(text: str, name: str = "own") -> Path:
        path = place / f"{name}.py"
        path.write_text(text)
        return path

    yield write_own
    for path in place.glob("*.py"):
        sys.modules.pop(f"rdh.diagnosis.{path.stem}", None)


@pytest.mark.parametrize(("text", "said"), FAILING)
def test_a_check_that_fails_is_named_with_its_line_and_all_others_go_on(own, written, text, said):
    evidence = written(scalars={"loss": [1.0] * 30})
    others = diagnose(evidence)
    own(text)
    found = diagnose(evidence)
    reason = found.could_not["own"]
    assert reason.startswith("rdh/diagnosis/own.py, line ") and said in reason
    assert reason.endswith("; mend the file")
    assert found.findings == others.findings and found.ran == others.ran


def test_checks_that_wait_for_each_other_are_asked_all_the_same(own, written):
    own("AFTER = ('pair',)\n" + OWN.format("pass"))
    own("AFTER = ('own',)\n" + OWN.format("pass"), "pair")
    assert {"own", "pair"} <= set(diagnose(written(scalars={"loss": [1.0] * 30})).ran)


def test_a_mended_check_is_seen_at_the_next_look(own, written):
    evidence = written(scalars={"loss": [1.0] * 30})
    assert "own" not in diagnose(evidence).ran
    own("import no_such_module")
    assert "own" in diagnose(evidence).could_not
    own(OWN.format("pass"))
    assert "own" in diagnose(evidence).ran
    own(OWN.format("return Finding('note', 'Mended.', '')"))
    assert [one.sentence for one in diagnose(evidence).findings] == ["Mended."]
