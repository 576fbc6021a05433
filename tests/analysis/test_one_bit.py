"""One bit of one run against slow loops over its items."""

import numpy as np
import pytest

from rdh.analysis.one_bit import (
    Event,
    Look,
    called_sides,
    changes,
    class_balance,
    costliest_first,
    events_between,
)
from tests.naive_probes import called_side

TAU = 0.9


def items(seed: int, *, most_labels: int, n: int = 150) -> tuple[np.ndarray, np.ndarray]:
    """Codes of one bit and labels: class 0 leans to +, class 1 is split, class 5 has no items."""
    rng = np.random.default_rng(seed)
    labels = np.zeros((n, 6), np.uint8)
    for row in labels[4:]:  # four items without a label
        row[rng.choice(5, rng.integers(1, most_labels + 1), replace=False)] = 1
    lean = np.where(labels[:, 0], 1.5, np.where(labels[:, 2], -1.5, 0))
    return np.tanh(rng.normal(lean, 1.5)), labels


def look(seed: int, ids: np.ndarray | None = None) -> Look:
    rng = np.random.default_rng(seed)
    ids = np.arange(200) if ids is None else ids
    return Look(ids, np.tanh(rng.normal(0, 1.5, len(ids))), rng.integers(-1, 2, len(ids)), TAU)


def state_of(one: Look, item: int) -> tuple[int, bool, int]:
    """(side, whether dead, called side) of an item of the data set."""
    place = list(one.ids).index(item)
    side, right = (1 if one.codes[place] >= 0 else -1), int(one.right[place])
    return side, abs(one.codes[place]) >= TAU and side * right == -1, right


def code_of(one: Look, item: int) -> float:
    return float(one.codes[list(one.ids).index(item)])


@pytest.mark.parametrize("most_labels", [1, 3])
def test_the_called_sides_are_those_of_a_slow_vote(most_labels):
    codes, labels = items(3, most_labels=most_labels)
    signs = [[1 if code >= 0 else -1] for code in codes]
    expected = [called_side(row.tolist(), signs, labels.tolist(), 0) for row in labels]
    assert called_sides(codes, labels).tolist() == expected
    assert {-1, 0, 1} == set(expected) and not any(expected[:4])


def test_an_item_is_dead_if_it_is_saturated_on_the_side_that_is_not_called_for():
    one = Look(
        np.arange(6),
        np.array([0.95, -0.95, 0.95, 0.5, -0.0, -0.9]),
        np.array([-1, -1, 0, -1, -1, 1]),
        TAU,
    )
    assert one.dead.tolist() == [True, False, False, False, False, True]
    assert one.nearly_dead.tolist() == [3, 4], "the deepest first; -0 is on the + side"


def test_changes_between_two_looks_are_those_of_a_slow_loop():
    before, after = look(1), look(2, np.arange(260)[::-1][:180])
    first, second, groups = changes(before, after)
    common = sorted(set(before.ids) & set(after.ids))
    assert first.ids.tolist() == second.ids.tolist() == common
    expected: dict[str, list[int]] = {name: [] for name in groups}
    for item in common:
        (old_side, was_dead, _), (side, is_dead, right) = (
            state_of(before, item),
            state_of(after, item),
        )
        if is_dead and not was_dead:
            stayed = old_side == side and abs(code_of(before, item)) >= TAU
            expected["turned" if stayed else "died"].append(item)
        elif was_dead and old_side == side and abs(code_of(after, item)) < TAU:
            expected["loosened"].append(item)
        elif old_side != side and right == side:
            expected["rescued" if was_dead else "to_right"].append(item)
        elif old_side != side:
            expected["to_wrong" if right else "to_undecided"].append(item)
    assert {name: second.ids[places].tolist() for name, places in groups.items()} == expected
    assert all(places for name, places in expected.items() if name != "turned")


def test_an_entry_that_stays_can_die_when_the_side_that_is_called_for_changes():
    codes = np.array([1.0, 1.0, -1.0], np.float32)
    before, after = (
        Look(np.arange(3), codes, np.array(right), TAU) for right in ([1, 0, 1], [-1, -1, 1])
    )
    groups = changes(before, after)[2]
    assert groups["turned"].tolist() == [0, 1] and not len(groups["died"])
    events = events_between({10: before, 20: after})
    assert [(one.item, one.kind, one.stayed) for one in events] == [
        (0, "died", True),
        (1, "died", True),
    ]


def test_events_between_looks_are_those_of_a_slow_loop_the_newest_first():
    looks = {0: look(1), 70: look(2, np.arange(260)[::-1][:180]), 160: look(3)}
    expected: list[Event] = []
    for since, step in ((0, 70), (70, 160)):
        before, after = looks[since], looks[step]
        for item in sorted(set(before.ids) & set(after.ids)):
            (old_side, was_dead, _), (side, is_dead, _) = (
                state_of(before, item),
                state_of(after, item),
            )
            stayed = side == old_side and abs(code_of(after, item)) >= TAU
            kinds = ["rescued"] if was_dead and not stayed else []
            kinds += ["released"] if was_dead and stayed and not is_dead else []
            kinds += ["died"] if is_dead and not (was_dead and stayed) else []
            codes = code_of(before, item), code_of(after, item)
            stayed &= abs(codes[0]) >= TAU
            expected += [Event(step, since, int(item), kind, *codes, stayed) for kind in kinds]
    events = events_between(looks)
    assert sorted(map(repr, events)) == sorted(map(repr, expected))
    assert {one.kind for one in events} == {"died", "rescued", "released"}
    steps = [one.step for one in events]
    assert steps == sorted(steps, reverse=True)
    newest = [abs(one.after) for one in events if one.step == 160]
    assert newest == sorted(newest, reverse=True)


def test_items_near_the_border_come_with_the_nearest_first():
    codes = np.array([0.2, -0.05, 0.0, 0.09, -0.1, 0.99])
    one = Look(np.arange(6), codes, np.ones(6, int), TAU)
    assert one.near_border.tolist() == [2, 1, 3]


@pytest.mark.parametrize("most_labels", [1, 3])
def test_the_balance_of_the_classes_is_that_of_a_slow_loop(most_labels):
    codes, labels = items(5, most_labels=most_labels)
    one = Look(np.arange(len(codes)), codes, called_sides(codes, labels), TAU)
    expected, calls = np.zeros((6, 2, 3), int), np.zeros((6, 2), int)
    for item in range(len(codes)):
        side, is_dead, right = state_of(one, item)
        for number in np.flatnonzero(labels[item]):
            state = 2 if is_dead else int(abs(codes[item]) >= TAU)
            expected[number, int(side > 0), state] += 1
            if right:
                calls[number, int(right > 0)] += 1
    counted, called = class_balance(one, labels)
    np.testing.assert_array_equal(counted, expected)
    np.testing.assert_array_equal(called, calls)
    assert counted[:, :, 2].any() and not counted[5].any()


def test_bits_that_cost_come_first_then_dead_ones_then_all_others():
    cost = np.array([0.0, -0.01, 0.002, 0.0, 0.01, np.nan])
    dead = np.array([0, 9, 3, 2, 1, 7])
    assert costliest_first(cost, dead).tolist() == [4, 2, 5, 3, 1, 0]
    assert costliest_first(None, dead).tolist() == [1, 5, 2, 3, 4, 0]
    assert costliest_first(None, np.zeros(3)).tolist() == [0, 1, 2]
