"""Figure 3's landscape: golden numbers, slow loops, autograd, charts and page.

Autograd runs on Equation 1 and on the methods themselves.
"""

import itertools
import math
from pathlib import Path

import numpy as np
import pytest
import torch
from streamlit.testing.v1 import AppTest

from pages.common.landscape_presets import address_of
from rdh import catalog
from rdh.charts import palette
from rdh.charts.descent import descent_figure, gain_figure
from rdh.charts.landscape import MAX_OVERLAY, BitOverlay, landscape_figure
from rdh.charts.landscape_text import aimed_name, equation_latex, gradient_number, number
from rdh.errors import UserError
from rdh.landscape import (
    EQUATION_1,
    Pair,
    PairForm,
    areas,
    critical_eta,
    descent_path,
    effective_gain,
    gradient_terms,
    jump_at_zero,
    landscape,
    pushes,
    wrong_way,
    zero_crossings,
)
from rdh.methods import method_class
from rdh.rescue import amplify, error_aware_quantization
from tests.naive import naive_pair_gradient, naive_pair_loss

PAGE = str(Path(__file__).parents[2] / "pages" / "landscape.py")
RDH = {"amplifier": True, "quantization": "error_aware"}
FORMS = [
    EQUATION_1,
    PairForm(0.5, 0.5, "squared", 0.1, 12),
    PairForm(1.0, 1.0, "log_cosh", 0.1, 4),
    PairForm(10 / 32, 1.0, "none", 0.0, 32),
]


def gradient(h: float, pair: Pair, form: PairForm = EQUATION_1, **plug_ins) -> float:
    return float(gradient_terms(h, pair, form, **plug_ins).gradient)


# Golden numbers of the paper's setting: h_j = 0.9, S = 1


@pytest.mark.parametrize(
    ("h", "baseline", "rescued"),
    [
        (-0.5, 0.37469, -0.37531),
        (-0.01, 1.52883, -0.45097),
        (-0.99, -0.01052, -0.54861),
        (0.5, -1.04969, -1.04969),
    ],
)
def test_figure_3_setting_gives_the_golden_gradients(h: float, baseline: float, rescued: float):
    assert gradient(h, Pair()) == pytest.approx(baseline, abs=5e-6)
    assert gradient(h, Pair(), **RDH) == pytest.approx(rescued, abs=5e-6)


@pytest.mark.parametrize(("eta", "zero"), [(0.5, -0.4996), (1.0, -0.738), (2.0, -0.866)])
def test_zero_crossing_moves_left_as_eta_grows(eta: float, zero: float):
    assert zero_crossings(Pair(eta=eta)) == [pytest.approx(zero, abs=5e-4)]
    assert wrong_way(Pair(eta=eta)) == [(pytest.approx(zero, abs=5e-4), 0.0)]


def test_small_eta_only_weakens_the_push():
    pair = Pair(eta=0.1)
    border = areas(pair)[0][2]
    assert zero_crossings(pair) == [] and wrong_way(pair) == []
    assert border == pytest.approx(-0.363, abs=5e-4)
    assert gradient(border, pair) == pytest.approx(-0.3119, abs=5e-5)
    assert jump_at_zero(pair)[0] == pytest.approx(-0.25)


def test_cliff_at_zero_is_four_eta_deep():
    assert jump_at_zero(Pair()) == (pytest.approx(1.55), pytest.approx(-2.45))
    left, right = jump_at_zero(Pair(), quantization="error_aware")
    assert (left, right) == (pytest.approx(-0.45), pytest.approx(-2.45))


def test_alpha_and_effective_gain_fall_off_behind_tau():
    assert Pair().alpha == pytest.approx(50.2513, abs=5e-5)
    gains = effective_gain(np.arctanh([0.95, 0.99, 0.995, 0.999, 0.9999]), 0.99)
    assert gains == pytest.approx([0.0975, 1.0, 0.501, 0.1005, 0.0100], abs=5e-4)


def test_critical_eta_is_a_quarter_of_h_j():
    assert critical_eta(Pair()) == pytest.approx(0.225)
    assert zero_crossings(Pair(eta=0.2251)) and not zero_crossings(Pair(eta=0.2249))


# Slow references


def test_gradient_equals_the_slow_loops_everywhere():
    grid = itertools.product(
        (-1.0, -0.995, -0.99, -0.5, -0.01, 0.0, 0.3, 0.95, 1.0),
        (-0.9, -0.2, 0.0, 0.7, 1.0),
        (0, 1),
        (0.0, 0.1, 2.0),
        (0.0, 0.95, 0.99),
        (False, True),
        ("none", "plain", "error_aware"),
    )
    for h, h_j, similarity, eta, tau, amplifier, quantization in grid:
        slow = naive_pair_gradient(h, h_j, similarity, eta, tau, amplifier, quantization)
        pair = Pair(h_j, similarity, eta, tau)
        fast = gradient(h, pair, amplifier=amplifier, quantization=quantization)
        assert fast == pytest.approx(slow, abs=1e-12), (h, pair, amplifier, quantization)


@pytest.mark.parametrize("h", [-0.97, -0.4, 0.2, 0.9])
def test_gradient_is_the_slope_of_equation_1(h: float):
    z, step = math.atanh(h), 1e-6
    rise = naive_pair_loss(math.tanh(z + step), 0.9, 0, 0.7) - naive_pair_loss(
        math.tanh(z - step), 0.9, 0, 0.7
    )
    assert gradient(h, Pair(0.9, 0, 0.7)) == pytest.approx(rise / (2 * step), abs=1e-7)


@pytest.mark.parametrize(
    ("h_j", "similarity", "eta"), [(0.9, 1, 1.0), (-0.4, 1, 0.1), (0.6, 0, 2.0)]
)
def test_gradient_equals_autograd_on_equation_1(h_j: float, similarity: int, eta: float):
    h = np.array([-0.999, -0.6, -0.1, 0.3, 0.95])
    z = torch.tensor(np.arctanh(h), requires_grad=True)
    h_i = torch.tanh(z)
    theta = h_i * h_j / 2
    pair_terms = 2 * (torch.nn.functional.softplus(theta) - similarity * theta)  # (i, j) and (j, i)
    (pair_terms + eta * (h_i - h_i.detach().sign()) ** 2).sum().backward()
    fast = gradient_terms(h, Pair(h_j, similarity, eta)).gradient
    assert fast == pytest.approx(z.grad.numpy(), abs=1e-12)


# The methods themselves: n times their mean-normalised gradient is the mean over pairs of the
# declared form


def codes_of_one_bit(n_bits: int, bit: int) -> torch.Tensor:
    codes = torch.zeros(3, n_bits, dtype=torch.float64)
    codes[:, bit] = torch.tensor([-0.6, 0.8, 0.3], dtype=torch.float64)
    return codes.requires_grad_()


@pytest.mark.parametrize("n_bits", [1, 4, 24])
@pytest.mark.parametrize("name", ["dpsh", "dhn", "hashnet"])
def test_declared_form_is_what_the_method_differentiates(name: str, n_bits: int):
    labels = torch.eye(2, dtype=torch.float64)[[0, 0, 1]]
    similar = (labels @ labels.T).numpy()
    bit = n_bits - 1
    codes = codes_of_one_bit(n_bits, bit)
    indices = torch.arange(3)
    method = method_class(name)(n_bits, labels, 0)
    method.remember(codes.detach(), indices)
    method.similarity_loss(codes, labels, indices).backward()
    h = codes.detach()[:, bit].numpy()
    form = PairForm.from_card(catalog.method(name).landscape, n_bits)
    share = np.full((3, 3), 1 / 3)
    if name == "hashnet":  # mean over similar pairs + mean over dissimilar pairs
        share = 3 * np.where(similar == 1, 1 / similar.sum(), 1 / (9 - similar.sum()))
    expected = [
        sum(
            share[i, j] * gradient_terms(h[i], Pair(h[j], int(similar[i, j])), form).similarity
            for j in range(3)
        )
        for i in range(3)
    ]
    assert 3 * codes.grad[:, bit].numpy() == pytest.approx(expected, abs=1e-12)


@pytest.mark.parametrize("n_bits", [1, 4])
@pytest.mark.parametrize("name", ["dpsh", "dhn", "hashnet"])
def test_declared_quantization_is_the_methods_own(name: str, n_bits: int):
    codes = codes_of_one_bit(n_bits, 0)
    loss = method_class(name)(n_bits, torch.eye(3, dtype=torch.float64), 0).quantization_loss(codes)
    form = PairForm.from_card(catalog.method(name).landscape, n_bits)
    h = codes.detach()[:, 0].numpy()
    declared = gradient_terms(h, Pair(), form).quantization
    if loss is None:
        assert not declared.any()
        return
    loss.backward()
    assert 3 * codes.grad[:, 0].numpy() == pytest.approx(declared, abs=1e-12)


@pytest.mark.parametrize(
    ("h_i", "h_j", "similarity"), [(-0.995, 0.9, 1), (0.5, 0.9, 1), (0.995, 0.2, 0), (-0.3, 0.2, 0)]
)
def test_rdh_curve_equals_the_plug_ins_used_in_training(h_i: float, h_j: float, similarity: int):
    pair = Pair(h_j, similarity, 0.7, 0.99)
    codes = torch.tensor([[h_i], [h_j]], dtype=torch.float64, requires_grad=True)
    similar = torch.tensor([[1.0, similarity], [similarity, 1.0]], dtype=torch.float64)
    (0.7 * error_aware_quantization(codes, similar)).backward()
    terms = gradient_terms(h_i, pair, **RDH)
    assert 2 * codes.grad[0, 0].item() == pytest.approx(float(terms.quantization), abs=1e-12)
    total = torch.tensor([[float(terms.total)]], dtype=torch.float64)
    amplified = amplify(total, codes.detach()[:1], 0.99).item()
    assert amplified == pytest.approx(float(terms.total * terms.amplification), rel=1e-12)


# Properties


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("plug_ins", [{}, RDH])
def test_gradient_is_odd_in_both_bits(form: PairForm, plug_ins: dict):
    h = np.linspace(-1, 1, 41)
    for h_j, similarity in itertools.product((-0.9, 0.3), (0, 1)):
        here = gradient_terms(h, Pair(h_j, similarity), form, **plug_ins).gradient
        there = gradient_terms(-h, Pair(-h_j, similarity), form, **plug_ins).gradient
        assert there == pytest.approx(-here, abs=1e-15)


@pytest.mark.parametrize("form", FORMS)
def test_wrong_way_begins_exactly_above_the_critical_weight(form: PairForm):
    for h_j, similarity in itertools.product((-0.9, 0.05, 1.0), (0, 1)):
        critical = critical_eta(Pair(h_j, similarity), form)
        if not np.isfinite(critical):
            assert wrong_way(Pair(h_j, similarity, 100.0), form) == []
            continue
        for factor in (0.99, 1.01):
            weighed = PairForm(
                form.theta_scale,
                form.pair_weight,
                form.quantization,
                factor * critical,
                form.n_bits,
            )
            assert bool(wrong_way(Pair(h_j, similarity), weighed)) == (factor > 1)


@pytest.mark.parametrize("form", FORMS)
def test_rdh_never_pushes_the_wrong_way(form: PairForm):
    for h_j, similarity, eta in itertools.product((-1.0, -0.3, 0.6), (0, 1), (0.1, 3.0)):
        assert wrong_way(Pair(h_j, similarity, eta), form, quantization="error_aware") == []


def test_pushes_cover_the_whole_range_and_point_at_the_resting_place():
    spans = pushes(Pair())
    assert [direction for _, _, direction in spans] == [1, -1, 1]
    assert (
        spans[0][0] == -1
        and spans[-1][1] == 1
        and spans[0][1] == spans[1][0] == zero_crossings(Pair())[0]
    )


def test_areas_are_mirrored_when_the_target_is_the_other_side():
    here, there = areas(Pair()), areas(Pair(h_j=-0.9))
    assert [number for number, _, _ in here] == [1, 2, 3, 4]
    assert there == [
        (n, pytest.approx(-high), pytest.approx(-low)) for n, low, high in reversed(here)
    ]
    assert areas(Pair(h_j=0.0)) == []


def test_effective_gain_is_exact_where_float32_has_rounded_to_one():
    assert effective_gain(20.0) == pytest.approx(4 * np.exp(-40.0), rel=1e-12)
    assert effective_gain([-3.0, 3.0], 0.99)[0] == effective_gain([-3.0, 3.0], 0.99)[1]


def test_without_rdh_a_bit_comes_to_rest_on_the_wrong_side_and_with_it_crosses():
    options = {"n_steps": 300, "learning_rate": 0.5}
    for start in (-0.99, -0.5, -0.05):
        trapped, rescued = (
            descent_path(start, Pair(), **options),
            descent_path(start, Pair(), **options, **RDH),
        )
        assert trapped.h[0] == rescued.h[0] == pytest.approx(start)
        assert trapped.h[-1] == pytest.approx(zero_crossings(Pair())[0], abs=1e-6)
        assert rescued.h[-1] > 0.99


def test_descent_step_is_learning_rate_times_gradient():
    path = descent_path(0.2, Pair(), n_steps=3, learning_rate=0.25)
    assert np.diff(path.z) == pytest.approx(-0.25 * path.gradient[:-1])
    assert path.h == pytest.approx(np.tanh(path.z))


# Bad input


@pytest.mark.parametrize(
    ("values", "sentence"),
    [
        ({"tau": 1.0}, r"tau must be in \[0, 1\), got 1.0"),
        ({"tau": float("nan")}, "tau must be"),
        ({"h_j": -1.01}, r"h_j must be in \[-1, 1\], got -1.01"),
        ({"similarity": 2}, "similarity must be 0 or 1, got 2"),
        ({"eta": -0.1}, "eta must be a number >= 0, got -0.1"),
        ({"eta": float("inf")}, "eta must be"),
    ],
)
def test_bad_setting_is_one_clear_sentence(values: dict, sentence: str):
    with pytest.raises(UserError, match=sentence):
        Pair(**values)


def test_other_bad_input_is_named():
    with pytest.raises(UserError, match=r"h_i must be in \[-1, 1\]"):
        gradient_terms(1.5, Pair())
    with pytest.raises(UserError, match="none, plain or error_aware, got 'l2'"):
        gradient_terms(0.5, Pair(), quantization="l2")
    with pytest.raises(UserError, match="strictly between -1 and 1"):
        descent_path(-1.0, Pair(), n_steps=1, learning_rate=0.1)
    with pytest.raises(UserError, match="must be one of squared, log_cosh, none, got 'l1'"):
        PairForm(quantization="l1")
    with pytest.raises(UserError, match="n_bits must be at least 1, got 0"):
        PairForm.from_card({"theta_scale_times_bits": 10.0}, 0)


# Charts


def labels_of(figure) -> str:
    return " ".join(annotation.text or "" for annotation in figure.layout.annotations)


def test_figure_says_the_finding_without_a_hover():
    figure = landscape_figure(landscape(Pair(), amplifier=False, quantization="plain"), -0.5)
    assert (
        figure.layout.title.text
        == "At η = 1 descent pushes the bit the wrong way for hᵢ from −0.738 to 0."
    )
    assert "comes to rest<br>at h = −0.738" in labels_of(figure) and "+0.3747" in labels_of(figure)
    assert all(f"<b>{area}</b>" in labels_of(figure) for area in (1, 2, 3, 4))
    assert figure.layout.template is None and figure.layout.paper_bgcolor is None
    assert {"similarity term", "quantization term", "sum: without RDH"} <= {
        trace.name for trace in figure.data
    }


def test_terms_drawn_add_up_to_the_sum_drawn():
    figure = landscape_figure(landscape(Pair()), 0.3)
    y = {trace.name: np.asarray(trace.y) for trace in figure.data if trace.name}
    assert y["similarity term"] + y["quantization term"] == pytest.approx(
        y["sum: without RDH"], abs=1e-15
    )
    assert "with RDH" in y


@pytest.mark.parametrize("axis", ["h", "F"])
@pytest.mark.parametrize("form", FORMS)
def test_extreme_settings_can_be_drawn(form: PairForm, axis: str):
    extremes = [
        (-1.0, 0, 3.0, 0.999),
        (0.0, 1, 0.0, 0.0),
        (0.0, 1, 3.0, 0.99),
        (1.0, 1, 0.0, 0.999),
        (0.9, 0, 3.0, 0.0),
    ]
    for (h_j, similarity, eta, tau), h_i in zip(
        extremes, (-0.99999, 0.0, 0.5, 0.99999, -0.3), strict=True
    ):
        figure = landscape_figure(landscape(Pair(h_j, similarity, eta, tau), form), h_i, axis=axis)
        low, high = figure.layout.yaxis.range
        assert low < 0 < high and figure.layout.title.text
        assert "NaN" not in figure.to_json()


def test_deep_saturation_is_named_in_the_title():
    figure = landscape_figure(landscape(Pair(), quantization="plain"), -0.9999)
    first = (
        "A dead bit: at hᵢ = −0.9999 tanh lets 0.02% of its gradient through, with "
        "the amplifier 1%."
    )
    assert figure.layout.title.text.replace("<br>", " ").startswith(first)
    assert "only 1% of it" in gain_figure(0.99, -0.5).layout.title.text.replace("<br>", " ")


def test_the_title_speaks_of_this_bit_and_of_the_others_apart():
    said = landscape_figure(landscape(Pair()), -0.9).layout.title.text.replace("<br>", " ")
    assert said == (
        "At η = 1 descent pushes a bit the wrong way where hᵢ is between −0.738 and 0, with RDH "
        "nowhere. It pushes this bit the right way."
    )


@pytest.mark.parametrize("eta", [0.0, 0.1, 1.0])
def test_the_names_of_the_areas_stand_above_the_plot(eta):
    figure = landscape_figure(landscape(Pair(eta=eta)), -0.5, axis="F")
    named = [one for one in figure.layout.annotations if "<b>3</b>" in one.text]
    assert "<b>1</b> suppressed · <b>2</b> " in " ".join(one.text for one in named)
    assert all(one.yanchor == "bottom" and one.y == 1 for one in named)


def test_real_bits_are_not_drawn_through_the_numbers_of_the_axis():
    overlay = BitOverlay(np.array([0.1]), np.array([0.2]))
    layout = landscape_figure(landscape(Pair()), 0.3, overlay=overlay).layout
    assert layout.xaxis.position == 0 and layout.yaxis2.domain[1] < layout.yaxis.domain[0]


def test_overlay_is_thinned_openly_and_its_label_escaped():
    n = MAX_OVERLAY + 1
    overlay = BitOverlay(np.linspace(-1, 1, n), gradient=np.zeros(n), label="<b>%{x}</b>")
    figure = landscape_figure(landscape(Pair()), 0.3, axis="F", overlay=overlay)
    rug, points = figure.data[-2:]
    assert len(rug.x) == len(points.x) == MAX_OVERLAY
    assert rug.name == "&lt;b&gt;%&#123;x}&lt;/b&gt;: 4,000 of 4,001"
    assert np.isfinite(np.asarray(rug.x, dtype=float)).all()


def test_a_question_shows_no_number_beside_the_bit_and_calls_the_middle_no_cliff():
    scene = landscape(Pair(eta=0.0))
    texts = lambda **more: [  # noqa: E731
        one.text for one in landscape_figure(scene, -0.5, axis="F", **more).layout.annotations
    ]
    value = gradient_number(float(gradient_terms(-0.5, Pair(eta=0.0)).gradient))
    assert f"<b>{value}</b>" in texts()
    assert f"<b>{value}</b>" not in texts(names_values=False)
    assert any("<b>3</b> middle" in text for text in texts())


def test_ticks_and_dots_of_real_bits_each_have_their_own_name():
    overlay = BitOverlay(np.array([0.1]), np.array([0.2]), None, "how many", "their mean × 7")
    names = [one.name for one in landscape_figure(landscape(Pair()), 0.3, overlay=overlay).data]
    assert names[-2:] == ["how many", "their mean × 7"]


def test_empty_overlay_draws_nothing():
    figure = landscape_figure(
        landscape(Pair()), 0.3, overlay=BitOverlay(np.array([]), weight=np.array([]))
    )
    assert len(figure.data[-1].x) == 0


def test_descent_is_drawn_up_to_the_step():
    path = descent_path(-0.5, Pair(), n_steps=10, learning_rate=0.5)
    figure = descent_figure(path, path, 1, 4)
    assert [len(trace.x) for trace in figure.data] == [5, 1, 5, 1]
    assert figure.layout.title.text.startswith("After 4 steps: without RDH at")


def test_equation_carries_the_numbers_of_the_bit():
    latex = equation_latex(-0.99, Pair(), EQUATION_1)
    assert (
        r"\{-0.5486+0.0200" in latex
        and "=−0.0105" in latex
        and r"\underbrace{50.25}_{\alpha}" in latex
    )
    assert r"\tfrac{0.1}{4}\tanh" in equation_latex(0.5, Pair(), FORMS[2])
    assert r"\tanh" not in equation_latex(0.5, Pair(), FORMS[3])


def test_numbers_are_written_for_people():
    assert [number(-0.7379), number(0.0), number(-0.0001), number(2.0)] == ["−0.738", "0", "0", "2"]
    assert [gradient_number(0.37469), gradient_number(-0.00010995), gradient_number(0.0)] == [
        "+0.3747",
        "−0.00011",
        "0",
    ]


def test_palette_keeps_arms_apart_without_colour():
    plain, rescued = (palette.arm_line("#0072B2", with_rdh)["dash"] for with_rdh in (False, True))
    assert (plain, rescued) == ("6px,4px", "solid")
    assert palette.arm_marker("#0072B2", False)["symbol"] == "circle-open"
    assert (
        palette.method_color("HashNet") == "#009E73"
        and palette.method_color("unheard") == palette.NEUTRAL
    )
    assert palette.DEAD not in {card.color for card in catalog.methods().values()}
    assert palette.colorscale(palette.DIVERGING)[4] == [0.5, "#8A8A8A"]
    assert palette.translucent("#0072B2", 0.5) == "rgba(0,114,178,0.5)"
    assert palette.escape("a\n <b>" + 90 * "x").startswith("a &lt;b&gt;x") and palette.escape(
        90 * "x"
    ).endswith("…")


# Aim


@pytest.mark.parametrize("similarity", [0, 1])
@pytest.mark.parametrize("h_j", [0.9, -0.9, 0.0])
def test_an_aimed_amplifier_acts_on_the_flagged_bits_of_one_side(h_j, similarity):
    h = np.linspace(-0.999, 0.999, 801)
    for quantization in ("plain", "error_aware"):
        for aim, side in (("flagged", 0), ("wrong", -1), ("right", 1)):
            pair = Pair(h_j, similarity, tau=0.9, aim=aim, scale=3.0)
            terms = gradient_terms(h, pair, amplifier=True, quantization=quantization)
            for x, total, factor in zip(h, terms.total, terms.amplification, strict=True):
                acts = abs(x) >= 0.9 and x * total > 0
                if side:
                    acts = acts and x * pair.target * side > 0
                assert factor == pytest.approx(3 / (1 - 0.9**2) if acts else 1)


def test_an_aim_at_the_wrong_side_frees_the_bit_as_the_paper_does_and_one_at_the_right_does_not():
    options = {"n_steps": 300, "learning_rate": 0.5, **RDH}
    paper, wrong, right = (
        descent_path(-0.995, Pair(aim=aim), **options) for aim in ("flagged", "wrong", "right")
    )
    assert np.array_equal(paper.h, wrong.h) and paper.h[-1] > 0
    assert right.h[-1] < paper.h[-1]
    slow, fast = (descent_path(-0.995, Pair(scale=scale), **options) for scale in (0.1, 2))
    assert slow.h[20] < paper.h[20] < fast.h[20]


def test_the_descent_names_its_aim():
    path = descent_path(-0.5, Pair(), n_steps=10, learning_rate=0.5)
    name = aimed_name("wrong", 2.0)
    assert name == "with RDH, wrong bits only, 2 × α"
    assert aimed_name("flagged", 1.0) == "with RDH"
    figure = descent_figure(path, path, 1, 4, name=name)
    assert name in [trace.name for trace in figure.data]
    assert name in figure.layout.title.text.replace("<br>", " ")


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"aim": "labels"}, r"aim must be one of flagged, wrong, right, got 'labels'\."),
        ({"scale": 0}, r"scale must be a number > 0, got 0\. The paper has 1\."),
        ({"scale": np.nan}, r"scale must be a number > 0, got nan"),
    ],
)
def test_a_bad_aim_or_scale_of_a_pair_is_refused(fields, message):
    with pytest.raises(UserError, match=message):
        Pair(**fields)


# Page


def page(**query: str) -> AppTest:
    test = AppTest.from_file(PAGE, default_timeout=30)
    for name, value in query.items():
        test.query_params[name] = value
    test.run()
    assert not test.exception
    return test


def readouts(test: AppTest) -> dict[str, tuple[str, str]]:
    return {metric.label: (metric.value, metric.delta) for metric in test.metric}


def test_untouched_page_shows_the_wrong_way():
    shown = readouts(page())
    assert shown["∂L/∂F, without RDH"] == ("+0.3747", "✗ wrong way")
    assert shown["∂L/∂F, + RDH"] == ("−0.3753", "✓ right way")
    assert shown["Critical η"] == ("0.225", "1 is above")


def test_the_question_of_start_opens_the_page_at_a_dead_bit():
    said = (Path(PAGE).parent / "common" / "start.py").read_text(encoding="utf-8")
    assert said.count('query_params=address_of("A dead bit")') == 1
    test = page(**address_of("A dead bit"))
    assert test.button(key="preset-A dead bit").proto.type == "primary"


def test_page_takes_its_state_from_the_url():
    test = page(
        h_i="-0.99", eta="0.1", tau="0.95", S="0", axis="F", amp="true", form="DHN", bits="16"
    )
    state = test.session_state
    assert [state[key] for key in ("h_i", "eta", "tau", "S", "axis", "amp", "form", "bits")] == [
        -0.99, 0.1, 0.95, 0, "F", True, "DHN", 16,
    ]  # fmt: skip


@pytest.mark.parametrize(
    "bad", [{"tau": "1"}, {"h_j": "7"}, {"form": "<b>"}, {"S": "2"}, {"eta": "nan"}, {"h_i": "x"}]
)
def test_page_ignores_nonsense_in_the_url(bad: dict[str, str]):
    assert readouts(page(**bad)) == readouts(page())


def test_the_descent_can_be_aimed_from_the_page_and_the_url_and_nothing_else_changes():
    test = page(h_i="-0.99", S="1", aim="Only if wrong", scale="2.0")
    state = test.session_state
    assert (state["aim"], state["scale"]) == ("wrong", 2.0)
    assert readouts(test) == readouts(page(h_i="-0.99", S="1"))
    test.selectbox(key="aim").set_value("right").run()
    assert not test.exception and test.session_state["aim"] == "right"
    test.button(key="preset-With RDH").click().run()
    assert (test.session_state["aim"], test.session_state["scale"]) == ("flagged", 1.0)


def test_presets_set_every_control():
    test = page(h_j="0.2", form="HashNet")
    test.button(key="preset-With RDH").click().run()
    assert not test.exception
    assert readouts(test)["∂L/∂F, + RDH"] == ("−0.5486", "✓ right way")
    assert test.session_state["form"] == "Eq. (1)" and test.session_state["eaq"] is True


def test_play_starts_over_at_the_end_and_steps_one_by_one():
    test = page()
    test.button(key="play").click().run()
    assert (
        not test.exception
        and test.session_state["playing"] is True
        and test.session_state["step"] < 300
    )
    test.button(key="play").click().run()
    assert test.session_state["playing"] is False


def test_without_a_run_the_real_bits_are_recorded_and_the_page_says_why_they_leave_the_curve(
    tmp_path, monkeypatch
):
    monkeypatch.setenv("RDH_RUNS", str(tmp_path / "runs"))
    said = " ".join(one.value for one in page(real="true").caption)
    assert "of the recorded run without RDH" in said
    assert "The curve is Eq. (1) for one pair" in said and "by the loss of DCH" in said
    assert "of them lie beyond |F| = 6" in said
