"""Pages under test start no background process: a test that wants one starts it itself."""

import pytest

from rdh import execution

REVIVE = execution.revive


@pytest.fixture(autouse=True)
def no_revival(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(execution, "revive", lambda store: None)


@pytest.fixture
def revival(no_revival: None, monkeypatch: pytest.MonkeyPatch) -> None:
    """A page load starts a supervisor again, as it does outside tests."""
    monkeypatch.setattr(execution, "revive", REVIVE)
