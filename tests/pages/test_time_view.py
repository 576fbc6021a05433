"""The steps that charts over time show: what lies inside, and a zoom that finds every spike."""

import numpy as np
import pandas as pd
import pytest

from pages.common.time_view import WHOLE, TimeView
from rdh.charts._thinning import smoothed
from rdh.charts.losses import loss_split


def test_a_view_keeps_the_records_inside_and_one_more_at_each_end():
    steps = np.arange(10, 110, 10)
    assert steps[TimeView(35, 62, 100).rows(steps)].tolist() == [30, 40, 50, 60, 70]
    assert steps[TimeView(1, 5, 100).rows(steps)].tolist() == [10]
    assert steps[WHOLE.rows(steps)].tolist() == steps.tolist()


@pytest.mark.parametrize(("first", "last"), [(0, 40_000), (15_000, 25_000), (19_990, 20_010)])
def test_a_spike_of_one_step_is_seen_at_every_zoom(first, last):
    loss = pd.DataFrame({"loss": np.ones(40_000)}, index=np.arange(1, 40_001))
    loss.loc[20_000, "loss"] = 7
    shown = TimeView(first, last, 40_000).frame(loss)
    (line,) = loss_split(shown, title="x", quantization="plain").data
    assert max(line.y) == 7 and line.x[int(np.argmax(line.y))] == 20_000


def test_a_smoothed_value_is_the_weighted_mean_of_all_before():
    values, weight = np.array([1.0, 5.0, 2.0, 8.0]), 0.6
    wanted = [np.average(values[: i + 1], weights=weight ** np.arange(i, -1, -1)) for i in range(4)]
    np.testing.assert_allclose(smoothed(values, weight), wanted)


def test_a_smoothed_curve_keeps_the_raw_one_faint_behind_it():
    loss = pd.DataFrame({"loss": [3.0, 1.0, 2.0]}, index=[1, 2, 3])
    raw, mean = loss_split(loss, title="x", quantization="plain", smoothing=0.5).data
    assert raw.opacity < 1 and raw.showlegend is False and list(raw.y) == [3, 1, 2]
    assert mean.opacity is None and mean.name == "total"
