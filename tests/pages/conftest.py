"""Pages under test start no background process: a test that wants one starts it itself."""

import pytest

from rdh import execution


@pytest.fixture(autouse=True)
def no_revival(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(execution, "revive", lambda store: None)
