"""Every chart that a test here makes must be one that Plotly's schema takes.

Charts have titles: figures without one are those that a test makes by hand.
"""

from collections.abc import Iterator

import numpy as np
import pytest

from rdh.charts.figure import Figure

seen: set[str] = set()


@pytest.fixture(autouse=True)
def figures_that_plotly_takes(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    made: list[Figure] = []
    begin = Figure.__init__
    monkeypatch.setattr(Figure, "__init__", lambda self: (begin(self), made.append(self))[0])
    yield
    for figure in made:
        if figure.layout.title and (shape := repr(shape_of(figure.__dict__))) not in seen:
            seen.add(shape)
            figure.checked()


def shape_of(value: object) -> object:
    """A figure without its numbers: those of one shape are checked once."""
    if isinstance(value, dict):
        return {name: shape_of(one) for name, one in value.items()}
    if isinstance(value, list | tuple):
        return sorted({repr(shape_of(one)) for one in value})
    if isinstance(value, np.ndarray):
        return value.dtype.str, value.ndim
    return type(value).__name__ if isinstance(value, int | float) else value
