"""`rdh.rescue` against slow loops, golden numbers, autograd and gradcheck."""

import copy

import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode

from rdh import rescue
from rdh.rescue import (
    GradientAmplifier,
    alpha,
    amplify,
    error_aware_quantization,
    flagged,
    selected_pairs,
    similarity,
)
from tests import naive_rescue

CODES = [[0.995, -0.5, 0.2], [-0.992, -0.9, 0.3], [0.8, 0.997, -0.6], [-0.3, 0.999, -0.7]]
NOTHING = {name: [0] for name in ("entries", "saturated", "flagged", "amplified", "dead")}
GOLDEN = {  # class of each item -> EAQL by normalisation
    (0, 0, 1, 1): {"N1": 0.15139219, "N2": 0.19464711, "N1d": 0.15875454},
    (0, 0, 0, 1): {"N1": 0.11166811, "N2": 0.22333622},
    (0, 0, 1, 2): {"N1": 0.15916969, "N2": 0.22038881, "N3": 0.18816848},
}


def codes(dtype=torch.float64) -> torch.Tensor:
    return torch.tensor(CODES, dtype=dtype)


def one_hot(classes) -> torch.Tensor:
    return torch.eye(3, dtype=torch.float64)[list(classes)]


def mean_similarity_loss(h: torch.Tensor, s: torch.Tensor) -> torch.Tensor:
    theta = h @ h.T / 2
    return (torch.nn.functional.softplus(theta) - s * theta).mean()


def random_case(seed: int, n: int = 7, n_bits: int = 5, zeros: bool = False):
    generator = torch.Generator().manual_seed(seed)
    h = torch.tanh(2 * torch.randn(n, n_bits, generator=generator, dtype=torch.float64))
    if zeros:
        h[torch.rand(n, n_bits, generator=generator) < 0.3] = 0
    labels = (
        torch.rand(n, 4, generator=generator) < 0.35
    ).double()  # multi-label, some rows without any label
    return h, labels


@pytest.mark.parametrize(
    ("classes", "normalization", "expected"),
    [
        (classes, name, value)
        for classes, values in GOLDEN.items()
        for name, value in values.items()
    ],
)
def test_eaql_equals_the_golden_numbers(classes, normalization, expected):
    loss = error_aware_quantization(codes(), similarity(one_hot(classes)), normalization)
    assert loss.item() == pytest.approx(expected, abs=5e-9)


def test_selected_pairs_equal_the_golden_counts():
    signs = codes().sign()
    with_diagonal = selected_pairs(signs, similarity(one_hot([0, 0, 1, 1])).double(), diagonal=True)
    assert with_diagonal.tolist() == [[2, 4, 4]] * 4
    without = selected_pairs(signs, similarity(one_hot([0, 0, 0, 1])).double())
    assert without.tolist() == [[2, 2, 2], [0, 2, 2], [2, 0, 0], [2, 2, 2]]


@pytest.mark.parametrize("normalization", rescue.NORMALIZATIONS)
@pytest.mark.parametrize("zeros", [False, True])
@pytest.mark.parametrize("seed", range(6))
def test_eaql_equals_the_slow_loop_over_pairs(seed, zeros, normalization):
    h, labels = random_case(seed, zeros=zeros)
    s = similarity(labels)
    expected = naive_rescue.error_aware_quantization(h.tolist(), s.tolist(), normalization)
    assert error_aware_quantization(h, s, normalization).item() == pytest.approx(
        expected, rel=1e-12, abs=1e-15
    )


@pytest.mark.parametrize("normalization", rescue.NORMALIZATIONS)
def test_eaql_passes_gradcheck_away_from_zero(normalization):
    h, labels = random_case(3)
    s = similarity(labels)
    assert torch.autograd.gradcheck(
        lambda x: error_aware_quantization(x, s, normalization), (h.requires_grad_(),)
    )


def test_eaql_is_the_plain_mean_when_every_pair_is_right():
    h = torch.tensor([[0.5, -0.2], [0.9, -0.7], [-0.4, 0.3], [-0.8, 0.6]], dtype=torch.float64)
    loss = error_aware_quantization(h, similarity(one_hot([0, 0, 1, 1])))
    assert loss.item() == pytest.approx((h - h.sign()).square().mean().item(), rel=1e-14)


def test_eaql_gives_an_exact_zero_no_gradient():
    h = torch.tensor([[0.0, 0.5], [0.4, -0.3], [-0.2, 0.1]], requires_grad=True)
    error_aware_quantization(h, torch.ones(3, 3)).backward()
    assert h.grad[0, 0] == 0


@pytest.mark.parametrize("normalization", rescue.NORMALIZATIONS)
@pytest.mark.parametrize("value", [0.0, 1.0])
def test_eaql_is_finite_when_all_pairs_are_alike(normalization, value):
    h = torch.tensor([[0.5, -0.5], [0.3, 0.2]], requires_grad=True)
    loss = error_aware_quantization(h, torch.full((2, 2), value), normalization)
    loss.backward()
    assert torch.isfinite(loss) and torch.isfinite(h.grad).all()


def stored_case(seed: int, n_items: int = 23):
    """A batch of 7 whose rows are stored already, and 16 more items. A third is not visited yet."""
    h, labels = random_case(seed, zeros=seed % 2 == 1)
    others, other_labels = random_case(100 + seed, n=n_items - len(h))
    others[torch.rand(len(others), generator=torch.Generator().manual_seed(seed)) < 0.33] = 0
    return h, torch.cat([h, others]), similarity(labels, torch.cat([labels, other_labels]))


@pytest.mark.parametrize("normalization", rescue.NORMALIZATIONS)
@pytest.mark.parametrize("seed", range(6))
def test_eaql_with_stored_codes_equals_the_slow_loop(seed, normalization):
    h, stored, s = stored_case(seed)
    expected = naive_rescue.stored_error_aware_quantization(
        h.tolist(), stored.tolist(), s.tolist(), normalization
    )
    got = error_aware_quantization(h, s, normalization, stored).item()
    assert got == pytest.approx(expected, rel=1e-12, abs=1e-15) and expected > 0


@pytest.mark.parametrize("normalization", rescue.NORMALIZATIONS)
def test_eaql_with_stored_codes_moves_the_batch_alone(normalization):
    h, stored, s = stored_case(4)
    stored.requires_grad_()
    h.requires_grad_()
    assert torch.autograd.gradcheck(
        lambda x: error_aware_quantization(x, s, normalization, stored), (h,)
    )
    error_aware_quantization(h, s, normalization, stored).backward()
    assert stored.grad is None and h.grad.any()


@pytest.mark.parametrize("normalization", rescue.NORMALIZATIONS)
@pytest.mark.parametrize("is_stored", [False, True])
def test_twice_the_weights_times_the_error_is_the_gradient_that_autograd_gives(
    normalization, is_stored
):
    h, stored, s = stored_case(3)
    stored, s = (stored, s) if is_stored else (None, s[:, : len(s)])
    weights = rescue.error_aware_weights(h, s, normalization, stored)
    loss = error_aware_quantization(h.requires_grad_(), s, normalization, stored)
    (gradient,) = torch.autograd.grad(loss, h)
    error = (h - h.sign()).detach()
    assert weights.min() >= 0 and not weights.requires_grad
    assert torch.allclose(2 * weights * error, gradient, rtol=1e-12, atol=0)
    assert (weights * error**2).sum().item() == pytest.approx(loss.item(), rel=1e-12)


def test_eaql_with_nobody_visited_is_zero_and_with_all_stored_it_is_in_batch_with_the_diagonal():
    h, labels = random_case(2)
    s = similarity(labels)
    for normalization in rescue.NORMALIZATIONS:
        assert error_aware_quantization(h, s, normalization, torch.zeros_like(h)).item() == 0
    for normalization in ("N1", "N1d"):
        stored = error_aware_quantization(h, s, normalization, h)
        assert stored.item() == pytest.approx(
            error_aware_quantization(h, s, "N1d").item(), rel=1e-14
        )


@pytest.mark.parametrize("normalization", ["N1", "N3"])
def test_eaql_with_stored_codes_has_the_gradient_of_the_batch_in_expectation(normalization):
    """Averaged over many batches, an item's gradient has the same scale in both forms."""
    generator = torch.Generator().manual_seed(0)
    h = torch.tanh(torch.randn(400, 6, generator=generator, dtype=torch.float64))
    classes = torch.randint(4, (400,), generator=generator)
    sums = {"batch": 0.0, "stored": 0.0}
    for _ in range(150):
        pick = torch.randperm(400, generator=generator)[:40]
        for form in sums:
            x = h[pick].requires_grad_()
            if form == "stored":
                loss = error_aware_quantization(
                    x, similarity(classes[pick], classes), normalization, h
                )
            else:
                loss = error_aware_quantization(x, similarity(classes[pick]), normalization)
            (gradient,) = torch.autograd.grad(loss, x)
            sums[form] += gradient.abs().sum().item()
    assert sums["stored"] == pytest.approx(sums["batch"], rel=0.02)


class LargestResult(TorchDispatchMode):
    """Notes the size of the largest tensor that any operation returns."""

    n_entries = 0

    def __torch_dispatch__(self, function, types, arguments=(), options=None):
        result = function(*arguments, **(options or {}))
        parts = result if isinstance(result, tuple) else (result,)
        self.n_entries = max(
            [self.n_entries, *(part.numel() for part in parts if isinstance(part, torch.Tensor))]
        )
        return result


@pytest.mark.parametrize("normalization", rescue.NORMALIZATIONS)
def test_eaql_with_stored_codes_makes_no_second_matrix_of_pairs(normalization):
    h, stored = torch.randn(50, 4).tanh(), torch.randn(3000, 4).tanh()
    s = (torch.rand(50, 3000) < 0.5).float()
    with LargestResult() as seen:
        error_aware_quantization(h.requires_grad_(), s, normalization, stored).backward()
    assert 0 < seen.n_entries <= 2 * stored.numel() < s.numel()


def test_a_batch_of_one_has_no_pair_and_no_loss():
    for normalization in ("N1", "N2", "N3"):
        assert (
            error_aware_quantization(torch.tensor([[0.5]]), torch.ones(1, 1), normalization).item()
            == 0
        )


@pytest.mark.parametrize("tau", [0.0, 0.5, 0.99])
def test_amplify_equals_the_slow_loop(tau):
    generator = torch.Generator().manual_seed(1)
    h = torch.tanh(3 * torch.randn(20, 8, generator=generator, dtype=torch.float64))
    g = torch.randn(20, 8, generator=generator, dtype=torch.float64)
    assert torch.equal(
        amplify(g, h, tau),
        torch.tensor(naive_rescue.amplify(g.tolist(), h.tolist(), tau), dtype=torch.float64),
    )


@pytest.mark.parametrize(
    ("tau", "expected"),
    [(0.9, 5.263158), (0.95, 10.256410), (0.99, 50.251256), (0.999, 500.250125)],
)
def test_alpha_undoes_the_slope_of_tanh_at_tau(tau, expected):
    assert alpha(tau) == pytest.approx(expected, abs=1e-6)
    assert alpha(tau) * (1 - tau**2) == pytest.approx(1)


def test_amplified_gradient_equals_the_golden_numbers():
    for normalization, g0, g1, z0, z1 in (
        ("N1d", 1.59225004, -0.50930450, 0.01588269, -0.00811628),
        ("N1", 1.59922938, -0.52047144, 0.01595231, -0.00829423),
    ):
        logits = torch.atanh(codes()).requires_grad_()
        h = torch.tanh(logits)
        h.retain_grad()
        out = GradientAmplifier(0.99)(h)
        s = similarity(one_hot([0, 0, 1, 1])).double()
        (mean_similarity_loss(out, s) + error_aware_quantization(out, s, normalization)).backward()
        assert h.grad[0, 0].item() == pytest.approx(g0, abs=5e-9)
        assert h.grad[1, 0].item() == pytest.approx(g1, abs=5e-9)
        assert logits.grad[0, 0].item() == pytest.approx(z0, abs=5e-9)
        assert logits.grad[1, 0].item() == pytest.approx(z1, abs=5e-9)


def test_similarity_gradient_equals_the_golden_numbers():
    h = codes().requires_grad_()
    mean_similarity_loss(h, similarity(one_hot([0, 0, 1, 1])).double()).backward()
    assert h.grad[0].tolist() == pytest.approx([0.03210244, 0.09881940, -0.05122214], abs=5e-9)
    assert h.grad[1].tolist() == pytest.approx([-0.01080183, 0.07578888, -0.04031632], abs=5e-9)


def test_flagged_by_the_similarity_gradient_differs_from_flagged_by_the_total():
    """A large eta points every saturated bit to its own side.

    So by the total gradient no bit is flagged any more.
    """
    h = codes().requires_grad_()
    s = similarity(one_hot([0, 0, 0, 1])).double()
    mean_similarity_loss(h, s).backward()
    by_similarity = flagged(h.detach(), h.grad.clone(), 0.99)
    assert by_similarity.nonzero().tolist() == [[1, 0], [2, 1]]
    (1e4 * (h - h.detach().sign()).square().mean()).backward()
    assert not flagged(h.detach(), h.grad, 0.99).any()


def test_eq_2_is_what_autograd_gives_for_eq_1():
    h, labels = random_case(5)
    s = similarity(labels).double()
    logits = torch.atanh(h).requires_grad_()
    x = torch.tanh(logits)
    theta = x @ x.T / 2
    loss = (torch.nn.functional.softplus(theta) - s * theta).sum() + 0.7 * (
        x - x.detach().sign()
    ).square().sum()
    loss.backward()
    expected = ((torch.sigmoid(h @ h.T / 2) - s) @ h + 2 * 0.7 * (h - h.sign())) * (1 - h**2)
    assert torch.allclose(logits.grad, expected, atol=1e-12)


def test_amplifier_sees_the_sum_of_all_losses_not_each_alone():
    h = torch.tensor([[0.995]], dtype=torch.float64, requires_grad=True)
    out = GradientAmplifier(0.99)(h)
    (
        2 * out.sum() - 3 * out.sum()
    ).backward()  # +2 alone would be amplified; the total -1 asks to stay
    assert h.grad.item() == -1


def test_amplifier_is_the_identity_forward_and_silent_in_eval_and_without_gradients():
    amplifier = GradientAmplifier(0.5)
    h = torch.tensor([[0.9, -0.2]], requires_grad=True)
    assert torch.equal(amplifier(h), h)
    assert amplifier.eval()(h) is h
    assert not list(amplifier.parameters()) and not amplifier.state_dict()
    with torch.no_grad():
        assert torch.equal(amplifier.train()(h), h)


def test_a_sigmoid_is_amplified_where_tanh_of_half_its_logits_would_be():
    """p = sigmoid(F) = (1 + tanh(F / 2)) / 2.

    The same bits are dead, and the gradient at F is larger by the same alpha.
    """
    logits = torch.tensor(
        [[6.0, 6.0, 1.0, -6.0, -6.0, 5.2]], dtype=torch.float64
    )  # 2 p - 1 = .995, .995, .462, -.995, -.995, .989
    g = torch.tensor([[0.3, -0.3, 0.3, -0.3, 0.3, 0.3]], dtype=torch.float64)
    by_sigmoid, by_tanh = logits.clone().requires_grad_(), logits.clone().requires_grad_()
    GradientAmplifier(0.99, activation="sigmoid")(torch.sigmoid(by_sigmoid)).backward(g)
    (GradientAmplifier(0.99)(torch.tanh(by_tanh / 2)) / 2).backward(g)
    assert torch.allclose(by_sigmoid.grad, by_tanh.grad, rtol=1e-9)
    p = torch.sigmoid(logits)
    factor = by_sigmoid.grad / (g * p * (1 - p))
    assert factor[0].tolist() == pytest.approx([alpha(0.99), 1, 1, alpha(0.99), 1, 1])


def test_at_tau_the_amplified_slope_of_a_sigmoid_is_its_largest():
    logits = torch.logit(
        torch.tensor([[(1 + 0.99 + 1e-12) / 2, 0.5]], dtype=torch.float64)
    ).requires_grad_()
    GradientAmplifier(0.99, "sigmoid")(torch.sigmoid(logits)).sum().backward()
    assert logits.grad[0].tolist() == pytest.approx([0.25, 0.25])


def backward(
    amplifier: GradientAmplifier, h: list[list[float]], g: list[list[float]]
) -> torch.Tensor:
    x = torch.tensor(h, requires_grad=True)
    amplifier(x).backward(torch.tensor(g))
    return x.grad


def as_lists(counts: dict[str, torch.Tensor]) -> dict[str, list[int]]:
    return {name: count.tolist() for name, count in counts.items()}


@pytest.mark.parametrize("amplifies", [True, False])
def test_the_amplifier_counts_saturated_flagged_and_amplified_entries_per_bit(amplifies):
    amplifier = GradientAmplifier(0.99, amplifies=amplifies)
    first = backward(
        amplifier, [[0.995, -0.995, 0.2], [0.995, 0.5, 0.1]], [[1.0, 1.0, 1.0], [-1.0, 1.0, 1.0]]
    )
    backward(
        amplifier, [[0.999, -0.999, -0.999]], [[2.0, -2.0, 0.0]]
    )  # accumulates; a zero gradient asks for nothing
    assert first[0, 0].item() == pytest.approx(alpha(0.99) if amplifies else 1)
    assert first[0, 1:].tolist() == [1, 1] and first[1].tolist() == [-1, 1, 1]
    assert as_lists(amplifier.counts()) == {
        "entries": [3, 3, 3],
        "saturated": [3, 2, 1],
        "flagged": [2, 1, 0],
        "amplified": [2, 1, 0] if amplifies else [0, 0, 0],
        "dead": [2, 1, 0],
    }
    assert as_lists(amplifier.counts()) == NOTHING
    backward(amplifier, [[0.999, 0.1]], [[1.0, 1.0]])
    assert amplifier.counts()["flagged"].tolist() == [1, 0]


def test_counts_are_of_the_total_gradient_and_a_second_counter_sees_the_similarity_loss_alone():
    h = torch.tensor([[0.995]], requires_grad=True)
    amplifier, counter = GradientAmplifier(0.99), GradientAmplifier(0.99, amplifies=False)
    codes = amplifier(h)
    (
        2 * counter(codes).sum() - 3 * codes.sum()
    ).backward()  # the pairs ask it to leave, the quantization term holds it
    assert h.grad.item() == -1
    assert amplifier.counts()["flagged"].item() == 0
    assert counter.counts()["flagged"].item() == 1


def test_a_sigmoid_is_counted_as_two_p_minus_one():
    amplifier = GradientAmplifier(0.99, "sigmoid", amplifies=False)
    backward(
        amplifier, [[0.9976, 0.0024, 0.994, 0.5]], [[1.0, -1.0, 1.0, 1.0]]
    )  # 2 p - 1 = .9952, -.9952, .988, 0
    assert as_lists(amplifier.counts()) == {
        "entries": [1] * 4,
        "saturated": [1, 1, 0, 0],
        "flagged": [1, 1, 0, 0],
        "amplified": [0, 0, 0, 0],
        "dead": [1, 1, 0, 0],
    }


def test_nothing_is_counted_in_eval_or_without_gradients_or_before_backward():
    amplifier = GradientAmplifier(0.5)
    h = torch.tensor([[0.9, -0.2]], requires_grad=True)
    with torch.no_grad():
        amplifier(h)
    amplifier(h)
    amplifier.eval()(h).sum().backward()
    assert as_lists(amplifier.counts()) == NOTHING


def test_counts_go_with_a_copy_and_never_into_the_state_dict():
    amplifier = GradientAmplifier(0.5)
    network = torch.nn.Sequential(torch.nn.Linear(3, 2), torch.nn.Tanh(), amplifier)
    network(torch.ones(4, 3)).sum().backward()
    twin = copy.deepcopy(network)
    assert twin[2].counts()["entries"].tolist() == [4, 4]
    assert amplifier.counts()["entries"].tolist() == [4, 4]
    assert set(network.state_dict()) == {"0.weight", "0.bias"}
    network.load_state_dict(twin.state_dict(), strict=True)


def test_counts_inside_autocast_judge_bfloat16_codes_in_float32():
    amplifier = GradientAmplifier(0.99)
    layer = torch.nn.Linear(1, 3, bias=False)
    layer.weight.data = torch.tensor([[9.0], [2.5617], [0.1]])  # bfloat16 tanh: 1, .98828 and .1
    with torch.autocast("cpu", dtype=torch.bfloat16):
        codes = amplifier(torch.tanh(layer(torch.ones(2, 1))))
        codes.sum().backward()
    assert codes.dtype == torch.bfloat16 and 0.988 < codes[0, 1].item() < 0.99
    assert as_lists(amplifier.counts()) == {
        "entries": [2, 2, 2],
        "saturated": [2, 0, 0],
        "flagged": [2, 0, 0],
        "amplified": [2, 0, 0],
        "dead": [2, 0, 0],
    }


def test_class_indices_and_one_hot_labels_say_the_same():
    classes, others = torch.tensor([0, 2, 1, 2]), torch.tensor([2, 0])
    hot = torch.eye(3)
    assert torch.equal(similarity(classes), similarity(hot[classes]))
    assert torch.equal(similarity(classes, others), similarity(hot[classes], hot[others]))
    assert similarity(classes.int()).dtype == torch.float32


def test_a_column_of_integers_holds_class_numbers():
    column, numbers = torch.tensor([[1], [0], [1]]), torch.tensor([1, 0, 1])
    for labels, other in ((column, None), (column, numbers), (numbers, column)):
        assert torch.equal(similarity(labels, other), similarity(numbers))


@pytest.mark.parametrize("dtype", [torch.bool, torch.float32])
def test_a_column_that_may_be_marks_is_refused_with_both_ways_out(dtype):
    marks = torch.tensor([[1], [0], [1]], dtype=dtype)
    words = r"of class numbers pass integers; of marks of one class, add a second column of 0\.$"
    with pytest.raises(ValueError, match=words):
        similarity(marks)
    two = torch.cat([marks, torch.zeros_like(marks)], dim=1)
    assert similarity(two).tolist() == [[1, 0, 1], [0, 0, 0], [1, 0, 1]]
    assert similarity(marks.long()).tolist() == [[1, 0, 1], [0, 1, 0], [1, 0, 1]]


@pytest.mark.parametrize(
    ("labels", "other"),
    [
        (torch.zeros(3), None),
        (torch.zeros(2, 3, 4), None),
        (torch.tensor(1), None),
        (torch.tensor([0, 1]), torch.eye(2)),
        (torch.eye(2), torch.tensor([0, 1])),
        (torch.eye(2), torch.eye(3)),
        (torch.tensor([0, 1]).bool(), None),
        (torch.tensor([[0.0], [2.0]]), None),
        (torch.zeros(3, 0), None),
    ],
)
def test_other_labels_are_refused_with_the_rule(labels, other):
    with pytest.raises(
        ValueError,
        match=r"labels must be class numbers .* multi-hot .*, both sides alike, got torch",
    ):
        similarity(labels, other)


@pytest.mark.parametrize(
    ("labels", "got"),
    [
        (torch.tensor([0, 3, -1]), "-1"),
        (torch.tensor([[0.9, 0.1], [0.1, 0.9]]), "0.9"),
        (torch.tensor([[0.0, 1.0], [float("nan"), 1.0]]), "nan"),
        (torch.tensor([[1, -1], [-1, 1]]), "-1"),
        (torch.eye(3).numpy(), "ndarray: torch.as_tensor makes one"),
        ([0, 1], "list: torch.as_tensor makes one"),
    ],
)
def test_labels_whose_values_say_nothing_are_refused_on_either_side(labels, got):
    other = torch.eye(2) if getattr(labels, "ndim", 1) == 2 else torch.tensor([0])
    for pair in ((labels, None), (other, labels)):
        with pytest.raises(ValueError, match=rf"labels must be class numbers .* got {got}\.$"):
            similarity(*pair)


def test_no_value_is_looked_at_away_from_the_cpu(monkeypatch):
    """A meta tensor has no values: whoever reads one fails, as whoever reads a GPU's waits."""
    monkeypatch.setattr(torch, "is_autocast_enabled", lambda kind: False)  # knows no meta
    codes = torch.zeros(4, 3, device="meta", requires_grad=True)
    for labels in (
        torch.zeros(4, 5, device="meta"),
        torch.zeros(4, dtype=torch.int64, device="meta"),
    ):
        for normalization in rescue.NORMALIZATIONS:
            h = GradientAmplifier(0.9)(codes)
            error_aware_quantization(
                h, similarity(labels, labels.clone()), normalization
            ).backward()
    assert codes.grad.is_meta


def test_labels_of_any_number_type_and_without_an_item_pass():
    hot = torch.tensor([[1, 0, 1], [0, 0, 0], [0, 1, 1]])
    for dtype in (torch.bool, torch.uint8, torch.int64, torch.bfloat16, torch.float64):
        assert similarity(hot.to(dtype)).tolist() == [[1, 0, 1], [0, 0, 0], [1, 0, 1]]
    assert (
        similarity(torch.zeros(0, 3)).shape
        == similarity(torch.zeros(0, dtype=torch.int64)).shape
        == (0, 0)
    )


def test_a_similarity_of_minus_and_plus_one_is_refused_with_the_way_out():
    signed = 2 * similarity(torch.tensor([0, 0, 1])) - 1
    h = torch.randn(3, 4).tanh()
    with pytest.raises(
        ValueError, match=r"similarity must be 0 or 1; \(P \+ 1\) / 2 is, of P = 2 S - 1, got -1\.$"
    ):
        error_aware_quantization(h, signed)
    assert error_aware_quantization(h, (signed + 1) / 2).isfinite()
    for pair in ((h.numpy(), similarity(torch.eye(3))), (h, torch.eye(3).numpy())):
        with pytest.raises(
            ValueError, match=r"in a torch tensor, got ndarray: torch.as_tensor makes one\.$"
        ):
            error_aware_quantization(*pair)


@pytest.mark.parametrize(
    ("act", "message"),
    [
        (lambda h: rescue.saturated(h.numpy(), 0.9), "codes must be .* got ndarray: torch.as_ten"),
        (lambda h: rescue.saturated(h, 1.0), r"tau must be in \[0, 1\), got 1.0"),
        (lambda h: flagged(h, h, float("nan")), r"tau must be in \[0, 1\), got nan"),
        (lambda h: flagged(h, h.tolist(), 0.9), "gradient must be dL/dh, .* got list: torch.as_t"),
        (lambda h: flagged(h, h[0], 0.9), r"of one shape .*, got \(4,\) and \(3, 4\)\."),
        (lambda h: amplify(h[:1], h, 0.9), r"of one shape .*, got \(1, 4\) and \(3, 4\)\."),
        (
            lambda h: error_aware_quantization(h, torch.eye(3), stored_codes=3),
            "stored_codes must be those of all items, .* got int: torch.as_tensor makes one.",
        ),
        (lambda h: error_aware_quantization(h, torch.eye(3), None), "must be one of N1, .*None"),
        (lambda h: GradientAmplifier(0.9, activation=h), "activation must be one of tanh, sigmoid"),
    ],
)
def test_what_fits_no_code_is_one_sentence(act, message):
    with pytest.raises(ValueError, match=message):
        act(torch.zeros(3, 4))


@pytest.mark.parametrize("normalization", rescue.NORMALIZATIONS)
def test_codes_without_a_bit_cost_nothing(normalization):
    assert error_aware_quantization(torch.zeros(3, 0), torch.eye(3), normalization).item() == 0


@pytest.mark.parametrize("lengths", [(1, 5), (5, 1)])
@pytest.mark.parametrize("is_counted", [True, False])
def test_an_amplifier_takes_one_code_length_until_it_is_read(lengths, is_counted):
    amplifier = GradientAmplifier(0.99)
    first = amplifier(torch.full((2, lengths[0]), 0.999, requires_grad=True))
    if is_counted:
        first.sum().backward()
    other = torch.full((2, lengths[1]), 0.999, requires_grad=True)
    with pytest.raises(ValueError, match=rf"of one n_bits, got \(2, {lengths[1]}\)"):
        amplifier(other)
    amplifier.counts()
    amplifier(other).sum().backward()
    assert amplifier.counts()["flagged"].tolist() == [2] * lengths[1]


@pytest.mark.parametrize("tau", [0.0, 0.5])
def test_neither_an_exact_zero_nor_a_zero_gradient_is_flagged_and_the_smallest_gradient_counts(tau):
    h = torch.tensor([[0.0, 0.9, 0.9, 0.9, -0.9]])
    g = torch.tensor([[1.0, 0.0, 1e-45, -1e-45, -1e-45]])
    assert flagged(h, g, tau).tolist() == [[False, False, True, False, True]]


@pytest.mark.parametrize("scale", [0.01, 1, 2.5])
@pytest.mark.parametrize("seed", range(3))
def test_amplify_with_a_mask_and_a_scale_equals_the_slow_loop(seed, scale):
    h, _ = random_case(seed)
    generator = torch.Generator().manual_seed(seed)
    g = torch.randn(h.shape, generator=generator, dtype=h.dtype)
    where = torch.rand(h.shape, generator=generator) < 0.5
    expected = naive_rescue.amplify(g.tolist(), h.tolist(), 0.6, scale, where.tolist())
    torch.testing.assert_close(amplify(g, h, 0.6, scale, where), torch.tensor(expected).double())
    amplifier = GradientAmplifier(0.6, scale=scale, mask=lambda codes, gradient: where)
    leaf = h.clone().requires_grad_()
    amplifier(leaf).backward(g)
    torch.testing.assert_close(leaf.grad, torch.tensor(expected).double())
    counts = amplifier.counts()
    assert torch.equal(counts["flagged"], flagged(h, g, 0.6).sum(0))
    assert torch.equal(counts["amplified"], (flagged(h, g, 0.6) & where).sum(0))
    assert counts["amplified"].sum() < counts["flagged"].sum()


def test_a_mask_of_all_entries_and_a_scale_of_one_are_the_papers_amplifier():
    h, _ = random_case(0)
    g = torch.randn(h.shape, dtype=h.dtype)
    everywhere = torch.ones_like(h, dtype=torch.bool)
    assert torch.equal(amplify(g, h, 0.6, 1.0, everywhere), amplify(g, h, 0.6))


def test_a_mask_sees_h_and_the_total_gradient_also_of_a_sigmoid():
    seen = []

    def mask(codes, gradient):
        seen.append((codes.tolist(), gradient.tolist()))
        return codes > 0

    amplifier = GradientAmplifier(0.5, "sigmoid", mask=mask)
    grad = backward(amplifier, [[0.875, 0.125]], [[1.0, -1.0]])
    assert seen == [([[0.75, -0.75]], [[1.0, -1.0]])]
    assert grad[0].tolist() == pytest.approx([alpha(0.5), -1])


@pytest.mark.parametrize(
    ("mask", "got"),
    [
        (torch.ones(1, 2), r"torch.float32 \(1, 2\)"),
        (torch.ones(2, 1, dtype=torch.bool), r"torch.bool \(2, 1\)"),
        (torch.ones(2, dtype=torch.bool), r"torch.bool \(2,\)"),
        ([[True, False]], "list"),
        (True, "bool"),
    ],
)
def test_a_mask_of_another_shape_or_type_is_refused_in_one_sentence(mask, got):
    rule = r"must be a boolean tensor \(1, 2\) as the codes, got " + got + r"\.$"
    h = torch.tensor([[0.999, 0.5]])
    with pytest.raises(ValueError, match="^where " + rule):
        amplify(torch.ones(1, 2), h, 0.99, where=mask)
    with pytest.raises(ValueError, match="^mask's answer " + rule):
        backward(GradientAmplifier(mask=lambda codes, gradient: mask), h.tolist(), [[1.0, 1.0]])


@pytest.mark.parametrize("scale", [0, -1, float("nan"), float("inf"), "2", None])
def test_a_scale_that_is_no_number_above_0_is_refused_with_the_rule(scale):
    with pytest.raises(ValueError, match=r"^scale must be a number > 0, got .*alpha is 1\.$"):
        GradientAmplifier(scale=scale)
    with pytest.raises(ValueError, match=r"^scale must be a number > 0"):
        amplify(torch.ones(1, 1), torch.ones(1, 1), 0.99, scale)


def test_a_mask_that_can_not_be_called_is_refused():
    with pytest.raises(ValueError, match=r"mask must be a function .*, got Tensor\."):
        GradientAmplifier(mask=torch.ones(1, 2, dtype=torch.bool))


def test_loops_that_use_the_old_name_of_the_test_get_the_same():
    assert rescue.dead is flagged


def test_amplify_leaves_its_argument_alone():
    g = torch.ones(1, 1)
    amplify(g, torch.full((1, 1), 0.999), 0.99)
    assert g.item() == 1


def test_bfloat16_codes_are_judged_in_float32():
    """.98828 is below tau, but bfloat16 would round tau down to it and call the bit saturated."""
    h = torch.tensor([[0.98828125]], dtype=torch.bfloat16)
    assert not rescue.saturated(h, 0.99).item()


def test_everything_is_float32_inside_autocast():
    h = torch.tanh(torch.randn(6, 4)).requires_grad_()
    with torch.autocast("cpu", dtype=torch.bfloat16):
        s = similarity(torch.eye(3)[[0, 0, 1, 1, 2, 2]])
        loss = error_aware_quantization(h, s)
        half = error_aware_quantization(h.bfloat16(), s)
    assert loss.dtype == half.dtype == torch.float32
    assert loss.item() == pytest.approx(error_aware_quantization(h, s).item(), rel=1e-6)


@pytest.mark.parametrize("tau", [-0.1, 1.0, 2.0, float("nan"), "a", None])
def test_tau_outside_its_range_is_refused_with_the_rule(tau):
    with pytest.raises(ValueError, match=r"tau must be in \[0, 1\), got"):
        GradientAmplifier(tau)


def test_wrong_shapes_and_names_are_refused_with_the_rule():
    with pytest.raises(ValueError, match=r"similarity \(n, n\), .*, got \(3, 2\) and \(2, 2\)"):
        error_aware_quantization(torch.zeros(3, 2), torch.zeros(2, 2))
    with pytest.raises(ValueError, match=r"need \(n, N\), got \(3, 2\) and \(3, 4\) and \(5, 2\)"):
        error_aware_quantization(torch.zeros(3, 2), torch.zeros(3, 4), "N1", torch.zeros(5, 2))
    with pytest.raises(ValueError, match=r"stored_codes \(N, n_bits\)"):
        error_aware_quantization(torch.zeros(3, 2), torch.zeros(3, 4), "N1", torch.zeros(4, 3))
    with pytest.raises(ValueError, match="activation must be one of tanh, sigmoid, got 'relu'"):
        GradientAmplifier(0.99, "relu")
    amplifier = GradientAmplifier(0.99)
    with pytest.raises(ValueError, match=r"must be \(n, n_bits\) of one n_bits, got \(2, 3, 4\)"):
        amplifier(torch.zeros(2, 3, 4, requires_grad=True))
    amplifier(torch.zeros(2, 3, requires_grad=True)).sum().backward()
    with pytest.raises(ValueError, match=r"of one n_bits, got \(2, 4\)"):
        amplifier(torch.zeros(2, 4, requires_grad=True))
    with pytest.raises(ValueError, match="normalization must be one of N1, N2, N3, N1d, got 'N9'"):
        error_aware_quantization(torch.zeros(3, 2), torch.zeros(3, 3), "N9")
