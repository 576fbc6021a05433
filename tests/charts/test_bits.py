"""The charts of the Bits page say what their numbers are."""

import numpy as np
import pytest

from rdh.charts import palette
from rdh.charts.bit_worth import freed_takeaway, worth_bars
from rdh.charts.bits import MOST_CLASSES, bit_events, bit_strip, class_balance, two_judges

RNG = np.random.default_rng(0)


def bars(figure, *, of: str) -> dict:
    """x -> y of the bars whose name ends so."""
    (trace,) = [trace for trace in figure.data if trace.name.endswith(of)]
    return dict(zip(trace.x, np.asarray(trace.y, dtype=float), strict=True))


def test_the_strip_shows_dead_above_and_flagged_and_saturated_below_in_the_given_order():
    dead, flagged, saturated = np.array([[0.0, 0.01, 0.02], [0.2, 0.1, 0.0], [0.3, 0.2, 0.1]])
    figure = bit_strip(
        dead, flagged, saturated, np.array([2, 0, 1]), 0, title="x", cost=np.array([0, 0.1, 0.2])
    )
    for of, values in (("dead", dead), ("flagged", flagged), ("saturated", saturated)):
        assert bars(figure, of=of) == pytest.approx({str(b): values[b] for b in (2, 0, 1)})
    axes = {trace.name[2:]: trace.yaxis for trace in figure.data}
    assert axes == {"dead": "y", "flagged": "y2", "saturated": "y2"}
    assert [trace.marker.color == palette.DEAD for trace in figure.data] == [True, False, False]
    assert figure.data[0].customdata.tolist() == [0.2, 0, 0.1], "the cost, in the same order"
    (mark,) = figure.layout.shapes
    assert (mark.x0, mark.x1) == (0.5, 1.5), "bit 0 is the second"


def test_without_a_count_of_the_dead_the_flagged_stand_above_and_no_bar_is_vermillion():
    shares = RNG.random((2, 3))
    figure = bit_strip(None, *shares, np.arange(3), 1, title="x")
    assert {trace.name[2:]: trace.yaxis for trace in figure.data} == {
        "saturated": "y2",
        "flagged": "y",
    }
    assert palette.DEAD not in {trace.marker.color for trace in figure.data}
    assert "flagged" in figure.layout.yaxis.title.text


@pytest.mark.parametrize("n", [9, 1000])
def test_the_bars_of_a_bit_add_up_to_the_change_of_its_dead_entries(n):
    deaths, rescues, releases = RNG.integers(0, 9, (3, n)).astype(np.uint32)
    figure = bit_events(
        8 * np.arange(1, n + 1), RNG.integers(0, 99, (n, 2)), deaths, rescues, releases, title="x"
    )
    flows = [trace for trace in figure.data if trace.type == "bar"]
    assert [trace.name for trace in flows] == ["died", "rescued", "released"]
    change = int(deaths.sum()) - int(rescues.sum()) - int(releases.sum())
    assert sum(trace.y.sum() for trace in flows) == change
    assert len(flows[0].x) <= 100 and all((trace.customdata >= 0).all() for trace in flows)


def test_both_judges_share_out_the_same_saturated_entries():
    saturated, flagged, dead = np.array([40, 60]), np.array([10, 20]), np.array([1, 0])
    figure = two_judges(saturated, flagged, dead, title="x")
    total: dict[str, float] = {}
    for trace in figure.data:
        for row, count in zip(trace.y, trace.x, strict=True):
            total[row] = total.get(row, 0) + count
    assert total == {
        f"{s} side, {j}": n for j in ("gradient", "labels") for s, n in (("−", 40), ("+", 60))
    }


def test_a_class_is_named_with_the_side_that_its_items_call_for():
    counts = np.zeros((4, 2, 3), int)
    counts[:3, 1, 0] = 10
    calls = np.array([[0, 10], [8, 2], [0, 0], [0, 0]])
    figure = class_balance(counts, calls, np.array(["cat", "dog", "elk", "fox"]), title="x")
    assert list(figure.data[0].y) == ["cat → +", "dog → − (80%)", "elk undecided", "fox (no items)"]


def test_of_many_classes_those_with_the_most_dead_are_shown_and_the_others_counted():
    n = MOST_CLASSES + 7
    counts = np.ones((n, 2, 3), int)
    counts[n - 1, 0, 2] = 5
    counts[0] = 0
    figure = class_balance(counts, np.ones((n, 2)), np.arange(n).astype(str), title="x")
    names = [name.split()[0] for name in figure.data[0].y]
    assert len(names) == MOST_CLASSES and names[-1] == str(n - 1) and "0" not in names
    assert "7 classes" in figure.layout.xaxis.title.text


def test_what_a_bit_costs_is_marked_beside_what_it_is_worth():
    worth, freed = np.array([0.1, -0.2, 0.3]), np.array([0.01, 0.0, 0.02])
    figure = worth_bars(worth, None, 2, title="x", freed=freed)
    (marks,) = [trace for trace in figure.data if trace.type == "scatter"]
    assert marks.marker.color == palette.DEAD
    assert dict(zip(marks.x, marks.y, strict=True)) == pytest.approx(
        {str(bit): freed[bit] for bit in (2, 0, 1)}
    )
    assert "bit 2 wins the most: MAP +0.0200" in freed_takeaway(freed)
    assert "any bit wins no MAP" in freed_takeaway(-freed)
