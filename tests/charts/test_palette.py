"""Lines that mean different things stay apart in grey, on both themes, and for deuteranopes."""

import itertools
import re

import numpy as np
import pytest

from rdh import catalog
from rdh.charts import palette
from rdh.charts.figure import Figure, Part
from rdh.charts.lessons import quantization_figure, tanh_figure
from rdh.charts.probe_matrix import GREYS
from rdh.landscape import Pair
from tests.charts import test_charts

BACKGROUNDS = {"light": "#FFFFFF", "dark": "#0E1117"}  # of Streamlit's themes
TEXTS = {"light": "#31333F", "dark": "#FAFAFA"}
APART = 20  # units of L* or of Delta E: seen at a glance
# Machado, Oliveira, Fernandes 2009: deuteranopia, on linear RGB
DEUTERANOPIA = np.array(
    [
        [0.367322, 0.860646, -0.227968],
        [0.280085, 0.672501, 0.047413],
        [-0.011820, 0.042940, 0.968881],
    ]
)
TO_XYZ = np.array(
    [
        [0.4124564, 0.3575761, 0.1804375],
        [0.2126729, 0.7151522, 0.0721750],
        [0.0193339, 0.1191920, 0.9503041],
    ]
)


def linear(color: str, theme: str) -> np.ndarray:
    """A colour as linear RGB, laid over the background of the theme."""
    if color.startswith("var("):
        color = TEXTS[theme]
    opacity = 1.0
    if found := re.fullmatch(r"rgba\((.+)\)", color):
        *values, opacity = map(float, found[1].split(","))
    else:
        values = [int(color[i : i + 2], 16) for i in (1, 3, 5)]
    under = [int(BACKGROUNDS[theme][i : i + 2], 16) for i in (1, 3, 5)]
    rgb = (opacity * np.array(values) + (1 - opacity) * np.array(under)) / 255
    return np.where(rgb <= 0.04045, rgb / 12.92, ((rgb + 0.055) / 1.055) ** 2.4)


def lab(rgb: np.ndarray) -> np.ndarray:
    """CIE L*a*b* of linear RGB, white point D65."""
    xyz = TO_XYZ @ np.clip(rgb, 0, 1) / (TO_XYZ @ np.ones(3))
    f = np.where(xyz > (6 / 29) ** 3, np.cbrt(xyz), xyz / (3 * (6 / 29) ** 2) + 4 / 29)
    return np.array([116 * f[1] - 16, 500 * (f[0] - f[1]), 200 * (f[1] - f[2])])


def test_lightness_is_that_of_known_colours():
    for color, lightness in (("#FFFFFF", 100), ("#000000", 0), ("#777777", 50.03)):
        assert lab(linear(color, "light"))[0] == pytest.approx(lightness, abs=0.05)


def lines_of(figure: Figure) -> dict[tuple, list[Part]]:
    """The named curves of each panel of a chart."""
    found: dict[tuple, list[Part]] = {}
    for trace in figure.data:
        is_line = trace.type == "scatter" and "lines" in (trace.mode or "")
        if is_line and trace.showlegend is not False and trace.line.width != 0:
            found.setdefault((trace.xaxis, trace.yaxis), []).append(trace)
    return found


def look_of(trace: Part) -> tuple:
    """All of a curve's look but its colour."""
    marker = trace.marker.symbol if "markers" in trace.mode else None
    is_wide = (trace.line.width or 2) >= 5
    return trace.line.dash or "solid", marker, is_wide


def same_in_grey(figure: Figure, theme: str) -> list[tuple[str, str]]:
    """Pairs of curves of one panel that differ neither in their look nor in lightness."""
    return [
        (one.name, other.name)
        for group in lines_of(figure).values()
        for one, other in itertools.combinations(group, 2)
        if one.name != other.name
        and look_of(one) == look_of(other)
        and abs(lab(linear(one.line.color, theme))[0] - lab(linear(other.line.color, theme))[0])
        < APART
    ]


def with_lines() -> dict[str, Figure]:
    lessons = {
        "tanh": tanh_figure(2.0, shows_answer=True),
        "quantization": quantization_figure(0.5, Pair(), shows_answer=True),
    }
    return test_charts.figures(12, 4) | lessons


@pytest.mark.parametrize("theme", list(BACKGROUNDS))
def test_curves_of_one_chart_differ_in_dash_mark_or_lightness(theme):
    alike = {name: same_in_grey(figure, theme) for name, figure in with_lines().items()}
    assert {name: pairs for name, pairs in alike.items() if pairs} == {}


@pytest.mark.parametrize("method", list(catalog.methods()))
def test_without_and_with_rdh_differ_in_dash_and_mark_and_both_are_seen(method):
    color = palette.method_color(method)
    lines = [palette.arm_line(color, with_rdh) for with_rdh in (False, True)]
    marks = [palette.arm_marker(color, with_rdh) for with_rdh in (False, True)]
    assert lines[0]["dash"] != lines[1]["dash"] and marks[0]["symbol"] != marks[1]["symbol"]
    for theme, background in BACKGROUNDS.items():
        seen = abs(lab(linear(color, theme))[0] - lab(linear(background, theme))[0])
        assert seen >= APART, f"{method} on {theme}"


def test_any_two_methods_and_dead_bits_have_colours_that_are_told_apart():
    colors = {name: lab(linear(card.color, "light")) for name, card in catalog.methods().items()}
    colors["dead"] = lab(linear(palette.DEAD, "light"))
    near = [
        (one, other)
        for one, other in itertools.combinations(colors, 2)
        if np.linalg.norm(colors[one] - colors[other]) < APART
    ]
    assert near == []


MEANINGS = {
    "dead": palette.DEAD,
    "saturated": palette.STATE_COLORS["saturated"],
    "free": palette.NEUTRAL,
    "gradient": palette.GRADIENT,
}
CONFUSABLE = [("dead", "saturated"), ("dead", "free"), ("dead", "gradient"), ("saturated", "free")]


@pytest.mark.parametrize("theme", list(BACKGROUNDS))
@pytest.mark.parametrize("pair", CONFUSABLE)
def test_colours_of_different_meaning_stay_apart_for_deuteranopes(pair, theme):
    seen = [lab(DEUTERANOPIA @ linear(MEANINGS[name], theme)) for name in pair]
    assert np.linalg.norm(seen[0] - seen[1]) >= APART


@pytest.mark.parametrize("theme", list(BACKGROUNDS))
def test_curves_of_one_chart_stay_apart_for_deuteranopes(theme):
    for name, figure in with_lines().items():
        for group in lines_of(figure).values():
            for one, other in itertools.combinations(group, 2):
                if one.name == other.name or look_of(one) != look_of(other):
                    continue
                seen = [
                    lab(DEUTERANOPIA @ linear(trace.line.color, theme)) for trace in (one, other)
                ]
                assert np.linalg.norm(seen[0] - seen[1]) >= APART, (name, one.name, other.name)


def test_the_dead_of_a_map_of_samples_are_told_by_their_mark_and_by_lightness():
    dead = lab(linear(palette.DEAD, "light"))[0]
    for end in (GREYS[0], GREYS[-1]):  # a dead entry is saturated: its cell has one of the ends
        assert abs(dead - lab(linear(end, "light"))[0]) >= APART


def test_words_on_every_colour_of_the_scale_are_read():
    for place, ink in zip(shares := np.linspace(0, 1, 201), palette.inks(shares), strict=True):
        at = place * (len(palette.SEQUENTIAL) - 1)
        low, part = palette.SEQUENTIAL[int(at)], at % 1
        high = palette.SEQUENTIAL[min(int(at) + 1, len(palette.SEQUENTIAL) - 1)]
        mixed = "#" + "".join(
            f"{round((1 - part) * int(low[i : i + 2], 16) + part * int(high[i : i + 2], 16)):02X}"
            for i in (1, 3, 5)
        )
        assert contrast(mixed, ink) > 4.5


def contrast(*colors: str) -> float:
    """As WCAG 2.2 defines it."""
    lights = []
    for color in colors:
        parts = [int(color[i : i + 2], 16) / 255 for i in (1, 3, 5)]
        red, green, blue = (
            one / 12.92 if one <= 0.04045 else ((one + 0.055) / 1.055) ** 2.4 for one in parts
        )
        lights.append(0.2126 * red + 0.7152 * green + 0.0722 * blue + 0.05)
    return max(lights) / min(lights)
