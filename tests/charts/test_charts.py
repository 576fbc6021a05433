"""Every figure from data of real shapes: it builds, is described, stays small and has no theme."""

import itertools
import json
import math
from functools import cache

import numpy as np
import pandas as pd
import pytest

from pages.common.live_plot import accessible_name, figure_json
from rdh.charts import palette
from rdh.charts._layout import percent, round_ticks
from rdh.charts.amplifier import amplifier_over_tau
from rdh.charts.bit_worth import (
    bits_enough,
    death_takeaway,
    first_takeaway,
    map_of_first,
    worth_bars,
    worth_by_death,
    worth_takeaway,
)
from rdh.charts.bits import bit_events, bit_strip, class_balance, two_judges
from rdh.charts.comparison import Curve, map_over_time, paired_maps, precision_recall, tie_bands
from rdh.charts.data_sets import MOST_NAMED, items_per_label, labels_per_item, labels_takeaway
from rdh.charts.dead_bits import Series, dead_bits_over_time, event_flow
from rdh.charts.figure import Figure
from rdh.charts.gradients import gradient_norms, gradient_of_one_pair, measured_gradient
from rdh.charts.histograms import OF_F, activation_histogram, h_axis, histogram_over_time
from rdh.charts.losses import loss_split
from rdh.charts.probe_matrix import probe_matrix
from rdh.charts.quadrants import quadrants
from rdh.charts.saturation import by_onset, difference_map, saturation_map, scale_end
from rdh.store.levels import TAU_LEVELS

EDGES = (
    np.arange(-32, 33) * 0.2406
)  # as rdh.training.probes.logit_edges(0.99): even in F, holding 0 and +-atanh(0.99)
HOSTILE = '<img src=x onerror=alert(1)> & %{x} <a href="javascript:1">'
RNG = np.random.default_rng(0)


def steps_of(n: int) -> np.ndarray:
    return 8 * np.arange(1, n + 1)


def counts(*shape: int) -> np.ndarray:
    return RNG.integers(0, 500, shape, dtype=np.int32)


def dead_series(
    n: int, label: str = "HashNet", denominator: float = 32_000.0, has_rdh: bool = True
) -> Series:
    return Series(
        label, "hashnet", has_rdh, steps_of(n), RNG.integers(0, 3000, n).astype(float), denominator
    )


def loss_frame(n: int) -> pd.DataFrame:
    names = ("loss", "similarity_loss", "quantization_loss", "code_regression_loss")
    frame = pd.DataFrame(
        {name: RNG.random(n) for name in names}, index=pd.Index(steps_of(n), name="step")
    )
    frame["code_regression_loss"] = 0.0
    return frame


def pair_table(n_seeds: int) -> pd.DataFrame:
    rows = [
        {
            "method": method,
            "n_bits": n_bits,
            "seed": seed,
            "map_baseline": 0.5,
            "map_rdh": 0.6,
            "map_gain": 0.1,
        }
        for method in ("dpsh", "hashnet")
        for n_bits in (24, 48)
        for seed in range(n_seeds)
    ]
    return pd.DataFrame(
        rows, columns=["method", "n_bits", "seed", "map_baseline", "map_rdh", "map_gain"]
    )


def arm(
    has_rdh: bool, score: float, low: float, high: float
) -> tuple[str, str, bool, dict[str, float]]:
    scores = {"map": score, "map_tie": (low + high) / 2, "map_low": low, "map_high": high}
    return "a", "dpsh", has_rdh, scores


def curve(n_bits: int) -> Curve:
    recall = np.linspace(0, 1, n_bits + 1)
    return Curve("HashNet", "hashnet", True, recall, np.where(recall < 0.1, np.nan, 1 - recall / 2))


@cache
def figures(n: int, n_bits: int) -> dict[str, Figure]:
    """Every figure of these modules for n records of n_bits bits."""
    h = np.tanh(np.linspace(-4.5, 4.5, 361))
    shares, steps, title = RNG.random((n, n_bits)), steps_of(n), {"title": "A sentence"}
    per_step = RNG.random(n)
    per_bit = [RNG.random(n_bits) for _ in range(4)]
    theory = {"without amplifier": h, "with amplifier": 2 * h}
    return {
        "map": saturation_map(steps, shares, what="dead share", order=by_onset(shares), **title),
        "difference": difference_map(steps, shares - RNG.random((n, n_bits)), **title),
        "dead": dead_bits_over_time([dead_series(n)], **title),
        "two dead": dead_bits_over_time([dead_series(n), dead_series(n, has_rdh=False)], **title),
        "figure 1": activation_histogram(EDGES, counts(64), counts(64) // 9, 0.99, **title),
        "one bit now": activation_histogram(EDGES, counts(64), None, 0.99, **title),
        "drift": histogram_over_time(EDGES, steps, counts(n, 64), 0.99, **title),
        "gradient": measured_gradient(EDGES, RNG.normal(size=(2, 64)), counts(64), 0.99, **title),
        "gradient of a pair": gradient_of_one_pair(EDGES, h, theory, 0.99, **title),
        "norms": gradient_norms(steps, per_step, 2 * per_step, **title),
        "quadrants": quadrants(counts(2, 2), RNG.random((2, 2)), 1, **title),
        "matrix": probe_matrix(
            RNG.uniform(-1, 1, (9, n_bits)),
            RNG.random((9, n_bits)) < 0.2,
            [f"item {item}, cat" for item in range(9)],
            np.arange(n_bits),
            0,
            **title,
        ),
        "loss": loss_split(loss_frame(n), quantization="EAQL", **title),
        "strip": bit_strip(*per_bit[:3], np.arange(n_bits), 0, cost=per_bit[3], **title),
        "strip of flags": bit_strip(None, *per_bit[:2], np.arange(n_bits), 0, **title),
        "flow": event_flow(
            steps, counts(n), counts(n), counts(n) // 2, releases=counts(n), **title
        ),
        "flags": event_flow(
            steps,
            *[counts(n), counts(n), counts(n) // 2],
            releases=counts(n),
            what="flagged",
            **title,
        ),
        "flagged": dead_bits_over_time([dead_series(n)], what="flagged", is_wide=True, **title),
        "figure 1, flagged": activation_histogram(
            EDGES, counts(64), counts(64) // 9, 0.99, what="flagged", **title
        ),
        "amplifier": amplifier_over_tau(
            TAU_LEVELS, *RNG.random((3, len(TAU_LEVELS))), 0.99, **title
        ),
        "ties": tie_bands([arm(rdh, 0.5, 0.4, 0.6) for rdh in (False, True)], **title),
        "events": bit_events(steps, counts(n, 2), *counts(3, n), **title),
        "events of flags": bit_events(steps, counts(n, 2), *counts(3, n), flagged=True, **title),
        "judges": two_judges(counts(2) + 500, counts(2), counts(2), **title),
        "classes": class_balance(
            counts(10, 2, 3), counts(10, 2), np.arange(10).astype(str), **title
        ),
        "pr": precision_recall([curve(n_bits)], **title),
        "pairs": paired_maps(pair_table(n), **title)
        if n <= 50
        else paired_maps(pair_table(5), **title),
        "maps": map_over_time([("HashNet", "hashnet", True, steps, RNG.random(n))], **title),
        "worth": worth_bars(per_bit[0] - 0.5, per_bit[1], 0, **title),
        "worth, dead unknown": worth_bars(per_bit[0] - 0.5, None, 0, **title),
        "worth and cost": worth_bars(per_bit[0] - 0.5, per_bit[1], 0, freed=per_bit[2], **title),
        "worth by death": worth_by_death(per_bit[0], per_bit[1], n_bits - 1, **title),
        "of first": map_of_first(np.sort(per_bit[0]), "hashnet", True, **title),
        "labels": items_per_label({str(label): label for label in range(n_bits)}, **title),
        "labels per item": labels_per_item([0, 5, n], **title),
    }


def spec(figure: Figure) -> dict:
    return json.loads(figure_json(figure))


@pytest.mark.parametrize(("n", "n_bits"), [(0, 32), (1, 1), (1, 32), (3, 128), (120, 64)])
def test_every_figure_builds_with_a_title_and_without_a_theme(n, n_bits):
    for name, figure in figures(n, n_bits).items():
        layout = figure.to_plotly_json()["layout"]
        assert (
            "template" not in layout
            and "paper_bgcolor" not in layout
            and "plot_bgcolor" not in layout
        ), name
        assert (
            figure.layout.title.text == "A sentence" and accessible_name(figure) == "A sentence"
        ), name
        assert figure.layout.height >= 240, name
        json.loads(figure_json(figure))


@pytest.mark.parametrize("name", figures(3, 4))
def test_every_axis_says_what_it_shows(name):
    figure = figures(3, 4)[name]
    drawn = figure.checked()
    axes = [*drawn.select_xaxes(), *drawn.select_yaxes()]
    without = [axis.plotly_name for axis in axes if not axis.title.text]
    allowed = {
        "pairs": ["xaxis"],
        "ties": ["yaxis"],
    }  # its twin's, class names, method names, runs
    assert without == allowed.get(name, [])


@pytest.mark.parametrize(("n", "n_bits"), [(1000, 64), (100_000, 64), (1000, 128)])
def test_no_figure_is_over_150_kb_on_the_wire_however_long_the_run(n, n_bits):
    shares = RNG.random((n, n_bits)).astype(np.float32)
    sizes = {
        "map": saturation_map(steps_of(n), shares, title="x", what="dead share"),
        "difference": difference_map(steps_of(n), shares - 0.5, title="x"),
        "drift": histogram_over_time(EDGES, steps_of(n), counts(n, 64), 0.99, title="x"),
        "dead": dead_bits_over_time([dead_series(n), dead_series(n)], title="x"),
        "flow": event_flow(
            steps_of(n), counts(n), counts(n), counts(n), releases=counts(n), title="x"
        ),
        "loss": loss_split(loss_frame(n), title="x", quantization="EAQL"),
        "events": bit_events(steps_of(n), counts(n, 2), *counts(3, n), title="x"),
        "pairs": paired_maps(pair_table(100), title="x"),
        "strip": bit_strip(*shares[:3], np.arange(n_bits), 3, title="x", cost=shares[3]),
        "maps": map_over_time([("a", "dpsh", True, steps_of(n), RNG.random(n))] * 2, title="x"),
    }
    for name, figure in sizes.items():
        assert len(figure_json(figure)) < 150_000, name


def test_the_map_has_one_byte_a_cell():
    data = figures(1000, 64)["map"].data[0]
    assert data.z.dtype == np.uint8 and data.z.shape == (64, 500)


@pytest.mark.parametrize("top", [1.0, 0.3, 0.2, 0.02])
def test_a_cell_of_the_map_is_the_share_in_the_unit_that_the_hover_names(top):
    shares = np.linspace(0, top, 12).reshape(4, 3)
    figure = saturation_map(steps_of(4), shares, title="x", what="dead share")
    trace = figure.data[0]
    unit = int(trace.hovertemplate.rpartition(" in ")[2].partition("<")[0])
    np.testing.assert_allclose(trace.z / unit, shares.T, atol=0.5 / unit)
    assert trace.zmax == pytest.approx(scale_end(top) * unit) and trace.z.max() >= 20
    for value, text in zip(trace.colorbar.tickvals, trace.colorbar.ticktext, strict=True):
        assert float(text.rstrip("%")) / 100 == pytest.approx(value / unit)


def test_two_maps_can_share_one_colour_range():
    first, second = (
        saturation_map(steps_of(3), RNG.random((3, 4)) * scale, title="x", what="d", top=0.9)
        for scale in (0.9, 0.1)
    )
    assert (first.data[0].zmin, first.data[0].zmax) == (second.data[0].zmin, second.data[0].zmax)
    assert first.data[0].hovertemplate == second.data[0].hovertemplate


def test_rows_are_named_by_their_bit_in_any_order():
    shares = np.array([[0.0, 0.9, 0.1], [0.8, 0.9, 0.1]])
    figure = saturation_map(
        steps_of(2), shares, title="x", what="dead share", order=np.array([1, 2, 0])
    )
    assert list(figure.data[0].y) == ["1", "2", "0"] and figure.layout.yaxis.type == "category"
    np.testing.assert_array_equal(figure.data[0].z[2], [0, 80])


def test_bits_are_ordered_by_when_they_die_and_those_that_live_come_last():
    shares = np.array([[0.0, 0.0, 0.6, 0.0], [0.5, 0.0, 0.6, 0.1], [0.5, 0.0, 0.6, 0.9]])
    assert by_onset(shares).tolist() == [2, 0, 3, 1]
    assert by_onset(np.empty((0, 3))).tolist() == [0, 1, 2]


def test_a_death_of_one_record_shows_in_the_map_of_a_long_run():
    shares = np.zeros((5000, 8))
    shares[4321, 5] = 1.0
    z = saturation_map(steps_of(5000), shares, title="x", what="dead share").data[0].z
    assert z[5].max() == 100 and z.astype(int).sum() == 100


def test_a_spike_survives_in_the_lines_of_a_long_run():
    counts_of_run = np.zeros(20_000)
    counts_of_run[12_345] = 77.0
    run = Series("a", "dpsh", True, steps_of(20_000), counts_of_run, 100.0)
    line = dead_bits_over_time([run], title="x").data[0]
    assert line.y.max() == 77 and line.x[line.y.argmax()] == 8 * 12_346
    frame = pd.DataFrame({"similarity_loss": counts_of_run}, index=steps_of(20_000))
    assert loss_split(frame, title="x", quantization="q").data[0].y.max() == 77


def test_a_thinned_map_says_so_in_a_line_of_its_own_and_in_the_names_of_its_data():
    n = 2000
    drift = histogram_over_time(EDGES, steps_of(n), counts(n, 64), 0.99, title="x")
    share = saturation_map(steps_of(n), np.zeros((n, 4)), title="x", what="dead share")
    for figure, kept in ((drift, "4 records"), (share, "maximum of 4 records")):
        first, second = figure.layout.xaxis.title.text.split("<br>")
        assert first == "optimiser step" and f"(each column: {kept})" in second
        assert figure.layout.meta["columns"]["x"] == f"optimiser step (each column: {kept})"
    assert drift.layout.meta["columns"]["y"] == OF_F


def test_the_sign_of_a_difference_survives_the_thinning():
    difference = np.zeros((5000, 4))
    difference[100, 0], difference[2000, 1] = 1.0, -1.0
    figure = difference_map(steps_of(5000), difference, title="x")
    assert (figure.data[0].z[0].max(), figure.data[0].z[1].min()) == (100, -100)
    assert figure.data[0].zmin == -figure.data[0].zmax


def test_a_grey_print_shows_the_sign_of_a_difference():
    grey = [
        0.299 * int(one[1:3], 16) + 0.587 * int(one[3:5], 16) + 0.114 * int(one[5:], 16)
        for one in palette.DIVERGING
    ]
    assert all(np.diff(grey) > 5), "each step is lighter, so the lighter half is the sign +"
    assert grey[4] - grey[0] > 75 and grey[-1] - grey[4] > 75


def test_bars_of_the_event_flow_add_up_to_the_events():
    n = 1000
    deaths, rescues = counts(n), counts(n)
    figure = event_flow(
        steps_of(n), deaths, rescues, deaths // 3, releases=np.zeros_like(deaths), title="x"
    )
    first, relapse, rescue, released = figure.data
    assert len(first.y) <= 300
    assert not released.y.any()
    assert first.y.sum() + relapse.y.sum() == deaths.sum() and -rescue.y.sum() == rescues.sum()
    edges = np.append(rescue.x - rescue.width / 0.94 / 2, steps_of(n)[-1])
    np.testing.assert_allclose(edges, [0, *rescue.customdata[:, 0]], atol=1e-6)


def test_with_releases_the_bars_of_a_record_are_its_change_of_dead_entries():
    deaths, rescues, releases = counts(9), counts(9), counts(9)
    figure = event_flow(steps_of(9), deaths, rescues, deaths // 3, releases=releases, title="x")
    np.testing.assert_allclose(sum(bar.y for bar in figure.data), deaths - rescues - releases)
    assert "no longer calls for the other side" in figure.data[-1].hovertemplate


def test_events_of_flags_have_words_of_their_own_and_no_colour_of_the_dead():
    bars = figures(3, 4)["flags"].data
    assert [bar.name for bar in bars] == ["◆ raised", "◆ raised again", "▲ answered", "dropped"]
    assert not any("213,94,0" in bar.marker.color or bar.marker.color == "#D55E00" for bar in bars)
    assert "its pairs no longer ask" in bars[-1].hovertemplate


@pytest.mark.parametrize("tau", [0.9, 0.99, 0.999])
def test_names_of_ticks_of_h_keep_a_distance_and_none_is_turned(tau):
    edges = np.arange(-32, 33) * math.atanh(tau) / 11
    axis = h_axis(edges)
    named = [(x, text) for x, text in zip(axis["tickvals"], axis["ticktext"], strict=True) if text]
    named.sort()
    pixels = 220 / (edges[-1] - edges[0])
    for (x, text), (next_x, next_text) in itertools.pairwise(named):
        assert (next_x - x) * pixels > 0.5 * 11 * (len(text) + len(next_text)) / 2, (
            text,
            next_text,
        )
    assert axis["tickangle"] == 0 and {"0", "0.99", "−0.99"} <= set(axis["ticktext"])
    assert tau > 0.9 or {"0.9", "−0.9"} <= set(axis["ticktext"])


def test_no_legend_of_a_chart_that_shares_a_row_stands_between_title_and_plot():
    for name in (
        "flow",
        "flags",
        "events",
        "events of flags",
        "judges",
        "loss",
        "gradient",
        "figure 1",
        "pr",
        "two dead",
    ):
        legend = figures(3, 4)[name].layout.legend
        assert (legend.yref, legend.y, legend.yanchor) == ("container", 0, "bottom"), name


def test_titles_of_charts_that_share_a_row_are_broken_before_they_are_cut():
    title, steps = "word " * 30, steps_of(3)
    narrow = [
        saturation_map(steps, np.ones((3, 2)), what="d", top=1.0, title=title),
        saturation_map(steps, np.ones((3, 2)), what="d", narrow=True, title=title),
        event_flow(steps, counts(3), counts(3), counts(3), releases=counts(3), title=title),
        activation_histogram(EDGES, counts(64), None, 0.99, title=title),
        histogram_over_time(EDGES, steps, counts(3, 64), 0.99, title=title),
        loss_split(loss_frame(3), quantization="q", title=title),
        bit_events(steps, counts(3, 2), *counts(3, 3), title=title),
        two_judges(counts(2), counts(2), counts(2), title=title),
        precision_recall([curve(4)], title=title),
        dead_bits_over_time([dead_series(3)], title=title),
        worth_by_death(RNG.random(4), RNG.random(4), 0, title=title),
        map_of_first(RNG.random(4), "dpsh", False, title=title),
    ]
    for figure in narrow:
        assert max(map(len, figure.layout.title.text.split("<br>"))) <= palette.NARROW
    wide = saturation_map(steps, np.ones((3, 2)), what="d", title=title)
    assert max(map(len, wide.layout.title.text.split("<br>"))) > palette.NARROW


def test_runs_with_different_numbers_of_entries_are_compared_by_share():
    figure = dead_bits_over_time([dead_series(5), dead_series(5, denominator=64_000.0)], title="x")
    assert "share" in figure.layout.yaxis.title.text and max(figure.data[0].y) <= 1
    figure = dead_bits_over_time([dead_series(5), dead_series(5)], title="x")
    assert "32,000" in figure.layout.yaxis.title.text


def test_with_and_without_rdh_share_the_hue_and_differ_in_dash():
    with_rdh, without = dead_bits_over_time(
        [dead_series(5), dead_series(5, has_rdh=False)], title="x"
    ).data
    assert with_rdh.line.color == without.line.color == palette.method_color("hashnet")
    assert with_rdh.line.dash == "solid" != without.line.dash


def test_the_shares_of_figure_1_add_up_to_one():
    figure = activation_histogram(EDGES, np.full(64, 10), np.full(64, 2), 0.99, title="x")
    alive, dead = figure.data
    assert (alive.name, dead.name) == ("not dead", "✖ dead")
    assert alive.y.sum() + dead.y.sum() == pytest.approx(1) and dead.y.sum() == pytest.approx(0.2)
    assert dead.marker.color == palette.DEAD
    flagged = figures(3, 4)["figure 1, flagged"].data[1]
    assert flagged.name == "◆ flagged" and flagged.marker.color != palette.DEAD


def test_the_measured_gradient_leaves_vermillion_to_the_dead_and_tells_its_lines_by_dash():
    lines = figures(3, 4)["gradient"].data
    assert palette.DEAD not in {line.line.color for line in lines}
    assert len({line.line.dash for line in lines}) == 2


def test_the_tie_band_reaches_from_the_worst_to_the_best_order_of_each_arm():
    figure = tie_bands([arm(False, 0.5, 0.4, 0.6), arm(True, 0.55, 0.52, 0.7)], title="x")
    bands = [trace for trace in figure.data if trace.mode == "lines"]
    assert [list(band.x) for band in bands] == [[0.4, 0.6], [0.52, 0.7]]
    ends = ["worst order of ties", "best order of ties"]
    assert [list(band.text) for band in bands] == [ends, ends]
    marks = [trace.x[0] for trace in figure.data if trace.name == "MAP"]
    assert marks == [0.5, 0.55] and list(figure.layout.yaxis.ticktext) == ["a", "a"]
    assert [trace.name for trace in figure.data if trace.showlegend] == [
        "worst to best order of ties",
        "expected over ties",
        "MAP",
    ]


def test_a_level_at_which_nothing_is_dead_leaves_a_gap_in_the_recall():
    shares = [np.array([0.1, 0.2]), np.array([np.nan, 0.5]), np.array([np.nan, 0.25])]
    figure = amplifier_over_tau([0.9, 0.99], *shares, 0.99, title="x")
    precision, recall, reach = figure.data
    assert np.isnan(recall.y[0]) and recall.y[1] == 0.5 and reach.y[1] == 0.25
    assert list(precision.x) == ["0.9", "0.99"] and len(figure.layout.shapes) == 1
    assert not amplifier_over_tau([0.9], *[shares[0][:1]] * 3, 0.5, title="x").layout.shapes


def test_the_dashed_lines_of_tau_show_on_light_and_dark():
    lines = [
        shape.line
        for shape in histogram_over_time(
            EDGES, steps_of(5), counts(5, 64), 0.99, title="x"
        ).layout.shapes
    ]
    assert len(lines) == 4
    for below, above in zip(lines[::2], lines[1::2], strict=True):
        assert below.color.startswith("rgba(0,0,0") and below.dash is None
        assert above.color == "#FFFFFF" and above.dash and above.width < below.width


def test_bins_with_few_entries_are_left_out_of_the_measured_gradient():
    entries, sums = np.zeros(64), np.zeros((2, 64))
    entries[:6], sums[:, :6] = [0, 4, 5, 10, 20, 40], 20.0
    figure = measured_gradient(EDGES, sums, entries, 0.99, title="x")
    assert [trace.name for trace in figure.data] == ["without amplifier"]
    np.testing.assert_allclose(figure.data[0].y, [4, 2, 1, 0.5])


def test_terms_that_are_zero_throughout_are_left_out():
    assert [
        trace.name for trace in loss_split(loss_frame(9), title="x", quantization="EAQL").data
    ] == [
        "similarity",
        "EAQL",
        "total",
    ]


def test_a_pair_is_one_line_from_without_to_with():
    figure = paired_maps(pair_table(2), title="x")
    assert len(figure.data) == 4
    x, y = figure.data[0].x, figure.data[0].y
    assert y[:2].tolist() == [0.5, 0.6] and np.isnan(y[2]) and x[0] < x[1] and np.isnan(x[2])
    assert figure.layout.xaxis.ticktext[0] == "DPSH<br>24 bits"


def test_text_of_a_user_cannot_become_markup_or_a_template():
    curve_of_user = Curve(HOSTILE, HOSTILE, True, np.linspace(0, 1, 3), np.ones(3))
    built = [
        class_balance(counts(2, 2, 3), counts(2, 2), np.array([HOSTILE, "ok"]), title="x"),
        precision_recall([curve_of_user], title="x"),
        dead_bits_over_time(
            [dead_series(3, HOSTILE), dead_series(3)], title="x", events=[(8, HOSTILE)]
        ),
        map_over_time([(HOSTILE, HOSTILE, True, steps_of(2), np.ones(2))], title="x"),
        paired_maps(pair_table(1).assign(method=HOSTILE), title="x"),
        loss_split(loss_frame(3), title="x", quantization=HOSTILE),
        saturation_map(steps_of(2), np.ones((2, 2)), title="x", what=HOSTILE),
        items_per_label({HOSTILE: 1}, title="x"),
    ]
    for figure in built:
        text = json.dumps(spec(figure), ensure_ascii=False)
        assert "onerror" in text, "it is shown"
        assert (
            "<img" not in text
            and "<a " not in text
            and "& %{x}" not in text
            and "&amp; %{x}" not in text
        )


def test_every_bit_has_one_bar_of_its_worth_and_the_most_valuable_stands_first():
    worth = np.array([0.1, -0.2, 0.3, 0.0])
    figure = worth_bars(worth, np.full(4, 0.25), 2, title="x")
    drawn = {int(bit): y for bar in figure.data for bit, y in zip(bar.x, bar.y, strict=True)}
    assert (
        drawn == pytest.approx(dict(enumerate(worth)))
        and sum(len(bar.x) for bar in figure.data) == 4
    )
    assert list(figure.layout.xaxis.categoryarray) == ["2", "0", "3", "1"]
    assert [list(bar.x) for bar in figure.data] == [["2", "0", "3"], ["1"]]
    assert palette.DEAD not in {bar.marker.color for bar in figure.data}, "vermillion means dead"
    assert figure.data[0].text[0] == ", 25.00% of the items dead"


def test_the_title_of_the_worth_names_the_best_bit_and_counts_the_harmful():
    assert (
        worth_takeaway(np.array([0.1, 0.2]))
        == "Bit 1 is worth the most: MAP −0.2000 without it; all 2 bits are useful"
    )
    assert worth_takeaway(np.array([0.1, -0.2])).endswith("; 1 of 2 is better left out")


def test_a_link_between_dead_and_worthless_is_called_one_only_beyond_chance():
    falling = np.arange(9.0)[::-1]
    assert "worth less here: rank correlation −1.00 over 9 bits" in death_takeaway(
        falling, np.arange(9.0) ** 3
    )
    assert "worth more here: rank correlation +1.00" in death_takeaway(falling, falling)
    assert "No clear link" in death_takeaway(np.array([1.0, 3, 2, 2, 3, 1]), np.arange(6.0))
    assert "Too few" in death_takeaway(falling, np.zeros(9)) and "Too few" in death_takeaway(
        np.ones(1), np.ones(1)
    )


def test_the_first_bits_that_are_enough_are_marked():
    of_first = np.array([0.2, 0.5, 0.58, 0.6])
    assert bits_enough(of_first) == 3
    assert first_takeaway(of_first) == (
        "The first 3 of 4 bits have 95% of the MAP of all, expected over ties: 0.6000"
    )
    line, mark = map_of_first(of_first, "dpsh", True, title="x").data
    assert len(line.x) == 4 and list(mark.x) == [3] and mark.y[0] == pytest.approx(0.58)


def test_labels_stand_by_frequency_and_all_of_them_are_drawn_even_with_equal_names():
    long = "a" * 40
    bar = items_per_label({long + "1": 3, "rare": 1, long + "2": 9}, title="x").data[0]
    assert list(bar.y) == [9, 3, 1] and bar.text[0] == bar.text[1] and list(bar.x) == [0, 1, 2]
    many = items_per_label({str(label): 1 for label in range(MOST_NAMED + 1)}, title="x")
    assert not many.layout.xaxis.ticktext and "121 of them" in many.layout.xaxis.title.text


def test_the_title_of_the_labels_names_the_ends():
    assert labels_takeaway({"cat": 5, "dog": 5}) == "2 labels with 5 items each"
    assert (
        labels_takeaway({"cat": 5, "<b>": 1200})
        == "2 labels: “&lt;b&gt;” has 1,200 items, “cat” has 5"
    )


@pytest.mark.parametrize("top", [0.01, 0.013, 0.21, 0.3, 0.5, 0.77, 1.0])
def test_ticks_are_round_and_even(top):
    ticks = round_ticks(top)
    assert 4 <= len(ticks) <= 10 and ticks[0] == 0 and ticks[-1] <= top + 1e-9
    np.testing.assert_allclose(np.diff(ticks), ticks[1])
    texts = percent(ticks)
    np.testing.assert_allclose([float(text.rstrip("%")) / 100 for text in texts], ticks, atol=1e-9)


def test_signed_ticks_leave_zero_without_a_sign():
    assert percent(np.array([-0.1, 0.0, 0.1]), "+") == ["−10%", "0%", "+10%"]


@pytest.mark.parametrize("values", [[0.1033, 0.1033], [0.0, 1.0], [0.2, 0.9], [0.999, 1.0]])
def test_an_axis_of_map_holds_its_values_and_nothing_below_0_or_above_1(values):
    runs = [("DCH", "dch", False, np.arange(2), np.array(values))]
    low, high = map_over_time(runs, title="MAP").layout.yaxis.range
    assert 0 <= low <= min(values) and max(values) <= high <= 1 and low < high


def test_a_pair_that_is_run_anew_has_the_colour_scale_of_the_recorded_one():
    assert scale_end(0.202) == scale_end(0.19) == 0.25
    assert scale_end(0.0) == 0.01 and scale_end(0.1) == 0.1 and scale_end(1.0) == 1.0
