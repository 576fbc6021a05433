"""Charts of the landscape are checked as all others are."""

from tests.charts.conftest import figures_that_plotly_takes

__all__ = ["figures_that_plotly_takes"]
