"""Sentences over the landscape's charts, and Eq. (2) with the numbers filled in."""

import numpy as np

from rdh.landscape import (
    Descent,
    Landscape,
    Pair,
    PairForm,
    effective_gain,
    gradient_terms,
    wrong_way,
)

AREAS = """
| area | what happens to the gradient | border |
|---|---|---|
| 1 | hᵢ is far from its target, but tanh′ suppresses the push | local minimum left of 0 |
| 2 | quantization works against the pair, and wins if η is above critical | from there to 3 |
| 3 | the cliff: quantization changes its direction at 0 | \\|hᵢ\\| ≤ 0.02 |
| 4 | the target's side: the push calms down | beyond 3 |

**Our reading.** The paper draws the borders and gives no numbers; the two above are ours. Its text
says that in area 2 the gradient "seems to be decreased", and keeps the wrong direction for a large
η: its orange line. By its own Eq. (2), with hⱼ = 0.9, the wrong direction begins at η = 0.225.
That is below η = 1, which it states for the figure. The presets show both.

**What one pair leaves out.** A batch averages many pairs. Here the code's other bits add nothing to
Θ. Methods train on means: against the average pair, quantization weighs η / K, where K is the
number of bits. Choose a method as the objective to see that.
"""


def number(value: float, digits: int = 3, sign: bool = False) -> str:
    """A number for people: a true minus sign, no trailing zeros, 0 without a sign."""
    text = f"{value:+.{digits}f}" if sign else f"{value:.{digits}f}"
    text = text.rstrip("0").rstrip(".") if "." in text else text
    return "0" if text in ("-0", "+0") else text.replace("-", "−")


def gradient_number(value: float) -> str:
    """A signed gradient with at least two significant digits: a saturated bit's is tiny."""
    if value == 0:
        return "0"
    digits = max(4, 1 - int(np.floor(np.log10(abs(value)))))
    return f"{value:+.{digits}f}".replace("-", "−")


def arm_name(amplifier: bool, quantization: str) -> str:
    """The plug-ins in words: both of them are RDH."""
    if quantization == "error_aware":
        return "with RDH" if amplifier else "with error-aware quantization"
    return "with amplifier" if amplifier else "without RDH"


def landscape_takeaway(scene: Landscape, h_i: float) -> str:
    """Sentences on what happens to a bit at h_i, and on the intervals with a wrong push."""
    return " ".join(filter(None, [_dead_sentence(scene, h_i), _direction_sentence(scene, h_i)]))


def _dead_sentence(scene: Landscape, h_i: float) -> str:
    """Eq. 3's dead bit: |h_i| >= tau and a gradient of h_i's sign."""
    terms = gradient_terms(
        h_i, scene.pair, scene.form, amplifier=scene.amplifier, quantization=scene.quantization
    )
    if abs(h_i) < scene.pair.tau or terms.total * h_i <= 0:
        return ""
    first = (
        f"A dead bit: at hᵢ = {number(h_i, 5)} tanh lets {percent(float(terms.slope))} of its "
        f"gradient through"
    )
    return first + (
        f", with the amplifier {percent(terms.slope * terms.amplification)}."
        if scene.amplifier
        else "."
    )


def percent(share: float) -> str:
    """A share with two significant digits: "0.02%"."""
    return f"{float(f'{100 * share:.2g}'):g}%"


def _direction_sentence(scene: Landscape, h_i: float) -> str:
    pair, form = scene.pair, scene.form
    weight = form.plain_weight(pair.eta)
    if pair.target == 0:
        return (
            "With hⱼ = 0 the similarity term is silent: quantization alone moves the bit, "
            "to its own side."
        )
    if scene.wrong_way:
        low, high = scene.wrong_way[0]
        is_here = low <= h_i <= high
        where = f"{'for' if is_here else 'where'} hᵢ {'from' if is_here else 'is between'}"
        where += f" {number(low)} {'to' if is_here else 'and'} {number(high)}"
        what = "the bit" if is_here else "a bit"
        said = f"At η = {number(weight)} descent pushes {what} the wrong way {where}"
        if scene.has_plug_ins:
            still = wrong_way(pair, form, quantization=scene.quantization)
            name = arm_name(scene.amplifier, scene.quantization)
            said += f", {name} too" if still else f", {name} nowhere"
        return f"{said}." if is_here else f"{said}. It pushes this bit the right way."
    if not scene.baseline.quantization.any():
        return "Without plain quantization every push goes the right way; only tanh damps it."
    return f"At η = {number(weight)} no push goes the wrong way; quantization only weakens it."


def gain_takeaway(tau: float) -> str:
    """How far past tau the amplifier still helps."""
    deep = 1 - (1 - tau) / 100
    gain = float(effective_gain(np.arctanh(deep), tau))
    full = f"The amplifier gives a dead bit at |h| = {number(tau)} the full slope"
    return f"{full}, but one at {number(deep, 5)} only {percent(gain)} of it."


def aimed_name(aim: str, scale: float) -> str:
    """RDH with an aim and a scale of its amplifier, in words."""
    only = {"wrong": ", wrong bits only", "right": ", right bits only"}.get(aim, "")
    return f"with RDH{only}{'' if scale == 1 else f', {number(scale)} × α'}"


def descent_takeaway(
    baseline: Descent, rescued: Descent, target: int, step: int, name: str = "with RDH"
) -> str:
    """Sentences on both bits at this step: are they on the side that the pair asks for?"""

    def place(path: Descent) -> str:
        side = (
            "" if target == 0 else " (right side)" if path.h[step] * target > 0 else " (wrong side)"
        )
        return f"at {number(path.h[step], 4, sign=True)}{side}"

    steps = "1 step" if step == 1 else f"{step} steps"
    return f"After {steps}: without RDH {place(baseline)}, {name} {place(rescued)}."


def equation_latex(
    h_i: float,
    pair: Pair,
    form: PairForm,
    *,
    amplifier: bool = True,
    quantization: str = "error_aware",
) -> str:
    """Eq. (2) in this form's symbols, then with the numbers of h_i, without and with plug-ins."""
    scale = 2 * form.theta_scale * form.pair_weight
    factor = "" if scale == 1 else rf"{scale:.4g}\,"
    weight = r"\eta" if form.quantization_weight is None else f"{form.quantization_weight:g}"
    weight = weight if form.n_bits == 1 else rf"\tfrac{{{weight}}}{{{form.n_bits}}}"
    plain = {
        "squared": rf"\;+\;2{weight}\,[h_i-\mathrm{{sgn}}\,h_i]",
        "log_cosh": rf"\;+\;{weight}\tanh(|h_i|-1)\,\mathrm{{sgn}}\,h_i",
        "none": "",
    }[form.quantization]
    theta = rf"\Theta={form.theta_scale:.4g}\,h_i h_j"
    symbols = rf"\big\{{{factor}[\sigma(\Theta)-S]\,h_j{plain}\big\}}\,(1-h_i^2)"
    rows = [rf"\frac{{\partial L}}{{\partial F_i}}&={symbols}", theta.replace("=", "&=", 1)]
    arms = {arm_name(*arm): arm for arm in ((False, "plain"), (amplifier, quantization))}
    for name, (is_amplified, term) in arms.items():
        terms = gradient_terms(h_i, pair, form, amplifier=is_amplified, quantization=term)
        alpha = (
            rf"\cdot\underbrace{{{pair.alpha:.2f}}}_{{\alpha}}" if terms.amplification > 1 else ""
        )
        braces = rf"\big\{{{terms.similarity:+.4f}{terms.quantization + 0.0:+.4f}\big\}}"
        value = gradient_number(float(terms.gradient))
        short = name.removesuffix(" quantization")
        rows.append(rf"\text{{{short}}}&={braces}{alpha}\cdot{terms.slope:.4g}={value}")
    return r"\begin{aligned}" + r"\\[6pt]".join(rows) + r"\end{aligned}"
