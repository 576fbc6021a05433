"""The paper's two plug-ins for anybody's PyTorch training: Gradient Amplifier (Eq. 3) and
Error-Aware Quantization Loss (Eq. 4).

Zhao et al., "Rescuing Deep Hashing from Dead Bits Problem", IJCAI 2021. Imports torch alone: copy
it as it is. In a loop of your own:

    amplifier = GradientAmplifier(tau=0.99)                             # before the loop
    codes = amplifier(torch.tanh(logits))
    loss = your_similarity_loss(codes, labels) + eta * error_aware_quantization(codes,
    similarity(labels))

h = codes in [-1, 1], (n, n_bits); g = dL/dh; s = sgn(h), sgn(0) = 0: an exact zero is never
selected; S in {0, 1}: similar items.
"""

from contextlib import AbstractContextManager, nullcontext

import torch
from torch import Tensor, nn

NORMALIZATIONS = ("N1", "N2", "N3", "N1d")
LABEL_RULE = (
    "labels must be class numbers >= 0, integers (n,) or (n, 1), or multi-hot labels of 0 and 1, "
    "(n, 2 or more classes), both sides alike"
)


def alpha(tau: float) -> float:
    """Amplification factor 1 / (1 - tau^2) of Eq. 3: undoes tanh's damping at |h| = tau.

    ValueError unless 0 <= tau < 1.
    """
    if not isinstance(tau, float | int) or not 0 <= tau < 1:
        raise ValueError(f"tau must be in [0, 1), got {tau!r}. The paper uses 0.99.")
    return 1 / (1 - tau**2)


def widen(tensor: Tensor) -> Tensor:
    """The tensor in float32, or float64 as it is, inside autocast too: around tau bfloat16 has only
    .98828, .99219, .99609 and 1.
    """
    return tensor if tensor.dtype == torch.float64 else tensor.float()


def outside_autocast(device: torch.device) -> AbstractContextManager:
    """A context in which matrix products on the device keep their tensors' types.

    Free where autocast is off, unlike torch's own.
    """
    return (
        torch.autocast(device.type, enabled=False)
        if torch.is_autocast_enabled(device.type)
        else nullcontext()
    )


def saturated(codes: Tensor, tau: float) -> Tensor:
    """Boolean (n, n_bits): |h| >= tau."""
    return widen(codes).abs() >= tau


def dead(codes: Tensor, gradient: Tensor, tau: float) -> Tensor:
    """Boolean (n, n_bits): the test of Eq. 3, |h| >= tau and sgn(h) = sgn(g).

    Descent moves h against g: equal signs ask it to leave its side. The amplifier gives the total's
    g, comparisons the similarity loss's.
    """
    leaving = (
        widen(codes) * widen(gradient).sign()
    )  # |h| where g asks the bit to leave its side, else -|h| or 0
    return leaving >= tau if tau > 0 else leaving > 0


def amplify(gradient: Tensor, codes: Tensor, tau: float) -> Tensor:
    """Eq. 3: alpha * g where a bit is dead by the gradient given, g elsewhere. Returns a new
    tensor, (n, n_bits).

    gradient: dL/dh of the TOTAL loss at tanh's output (Algorithm 1, steps 7-9). Saturated bits that
    it asks to stay are left alone.
    """
    return torch.where(dead(codes, gradient, tau), gradient * alpha(tau), gradient)


class GradientAmplifier(nn.Module):
    """Eq. 3 as a module: put it between the activation and every loss term. Nothing happens in eval
    mode or without gradients.

    codes (n, n_bits) go through unchanged; only the gradient that comes back is amplified. One
    backward call on the summed loss: two would
    test two partial gradients. activation: "tanh" for h in [-1, 1]; "sigmoid" for p in [0, 1],
    judged as h = 2 p - 1: the same alpha undoes its damping, dp/dF = p (1 - p) = (1 - h^2) / 4.
    amplifies: False only counts, for a plain baseline. ValueError for another tau or name.
    """

    def __init__(self, tau: float = 0.99, activation: str = "tanh", amplifies: bool = True) -> None:
        super().__init__()
        alpha(tau)
        if activation not in ("tanh", "sigmoid"):
            raise ValueError(f"activation must be one of tanh, sigmoid, got {activation!r}.")
        self.tau, self.activation, self.amplifies = tau, activation, amplifies
        self._n_bits: int | None = None  # of the codes that are counted
        self._counts = torch.zeros(
            3, 1, dtype=torch.int64
        )  # (3, n_bits) from the first step on; in no state dict

    def forward(self, codes: Tensor) -> Tensor:
        if not (self.training and codes.requires_grad and torch.is_grad_enabled()):
            return codes
        if codes.ndim != 2 or codes.shape[1] != (self._n_bits or codes.shape[1]):
            raise ValueError(
                f"one amplifier's codes must be (n, n_bits) of one n_bits, got "
                f"{tuple(codes.shape)}."
            )
        self._n_bits = codes.shape[1]
        judged, codes = codes.detach(), codes.clone()
        codes.register_hook(
            lambda gradient: self._receive(gradient, judged)
        )  # the total: summed over all consumers
        return codes

    def _receive(self, gradient: Tensor, codes: Tensor) -> Tensor:
        codes = codes if self.activation == "tanh" else 2 * widen(codes) - 1
        parts = (
            torch.ones_like(codes, dtype=torch.bool),
            saturated(codes, self.tau),
            dead(codes, gradient, self.tau),
        )
        self._counts = self._counts.to(codes.device) + torch.stack([part.sum(0) for part in parts])
        return amplify(gradient, codes, self.tau) if self.amplifies else gradient

    def counts(self) -> dict[str, Tensor]:
        """What backward calls brought since the last reading: int64 (n_bits,) on the CPU; (1,)
        before any. Begins anew from 0.

        dead: saturated, and the arriving gradient (the total before amplification) asks them to
        leave. Waits for the device. `counter(codes)` of a second GradientAmplifier(amplifies=False)
        counts by the loss that it is given to alone.
        """
        counts, self._counts, self._n_bits = self._counts.cpu(), self._counts.new_zeros(3, 1), None
        return dict(zip(("entries", "saturated", "dead"), counts, strict=True))


def _check_tensor(rule: str, part: Tensor) -> None:
    if not isinstance(part, Tensor):
        raise ValueError(
            f"{rule}, in a torch tensor, got {type(part).__name__}: torch.as_tensor makes one."
        )


def _check_values(rule: str, part: Tensor, *, are_numbers: bool = False) -> None:
    """Numbers must be >= 0, other values 0 or 1. Nothing is read from a GPU, which would wait."""
    if part.device.type != "cpu":
        return
    wrong = part < 0 if are_numbers else part * part != part
    if wrong.any().tolist():
        raise ValueError(f"{rule}, got {part[wrong][0].item():.4g}.")


def similarity(labels: Tensor, other: Tensor | None = None) -> Tensor:
    """S_ij = 1 if two items share a label, else 0.

    Values are looked at on the CPU alone, since a GPU would have to be waited for; multi-hot ones
    in the first 1024 rows.

    Args:
        labels: Class numbers >= 0, integers (n,) or (n, 1); or 0 and 1 of any type, multi-hot
            (n, n_classes) with at least two classes, a row of 0 for an item without a label.
        other: The other items' labels, of the same kind; None compares labels with themselves.

    Returns:
        float32 (n, n) or (n, n_other).

    Raises:
        ValueError: For other shapes, types and values. A single column that does not hold integers
            is refused, as it may be class numbers or the marks of one class.

    >>> similarity(torch.tensor([0, 1, 0]))
    tensor([[1., 0., 1.],
            [0., 1., 0.],
            [1., 0., 1.]])
    """
    sides = (labels,) if other is None else (labels, other)
    kinds = {_are_class_numbers(side) for side in sides}
    other = labels if other is None else other
    if kinds == {True}:
        return (labels.reshape(-1, 1) == other.reshape(1, -1)).float()
    if kinds == {True, False} or labels.shape[1] != other.shape[1]:
        raise ValueError(f"{LABEL_RULE}, got {_form(labels)} and {_form(other)}.")
    return share_a_label(labels, other)


def _are_class_numbers(labels: Tensor) -> bool:
    """The rule of `similarity`. `rdh.retrieval.labels` states it too, for arrays."""
    _check_tensor(LABEL_RULE, labels)
    is_column = labels.ndim == 2 and labels.shape[1] == 1
    is_integer = not labels.is_floating_point() and labels.dtype != torch.bool
    if (labels.ndim == 1 or is_column) and is_integer:
        _check_values(LABEL_RULE, labels, are_numbers=True)
        return True
    if labels.ndim != 2 or labels.shape[1] < 2:
        wide = "; of marks of one class, add a second column of 0" if is_column else ""
        raise ValueError(
            f"{LABEL_RULE}, got {_form(labels)}: of class numbers pass integers{wide}."
        )
    _check_values(LABEL_RULE, labels[:1024])
    return False


def _form(labels: Tensor) -> str:
    return f"{labels.dtype} {tuple(labels.shape)}"


def share_a_label(labels: Tensor, other: Tensor) -> Tensor:
    """`similarity` of multi-hot labels, unchecked: for every step of a loop whose labels were
    checked once.
    """
    with outside_autocast(labels.device):
        return (labels.float() @ other.float().T).gt_(
            0
        )  # in place: (n, n_other) is the largest array of a step


def selected_pairs(
    signs: Tensor, similarity: Tensor, diagonal: bool = False, others: Tensor | None = None
) -> Tensor:
    """c of Eq. 4's closed form: for every (i, k), with how many items j bit k of i has the right
    relation. Shape (n, n_bits).

    signs (n, n_bits) in {-1, 0, +1}; similarity (n, n) in {0, 1} of the same dtype. diagonal: count
    j = i too. others: the signs (N, n_bits) of other items j; similarity is (n, N) then, without a
    diagonal: pass diagonal=True.
    """
    sizes, others = signs.abs(), signs if others is None else others
    counted = (sizes if others is signs else others.abs()).sum(0) / 2
    counted = (
        counted if diagonal else counted - similarity.diagonal().unsqueeze(1)
    )  # without labels S_ii = 0
    agreeing = torch.addmm(
        others.sum(0), similarity, others, beta=-0.5
    )  # S s - sum(s) / 2 = P s / 2
    return torch.addcmul(sizes * counted, signs, agreeing)


def error_aware_quantization(
    codes: Tensor, similarity: Tensor, normalization: str = "N1", stored_codes: Tensor | None = None
) -> Tensor:
    """Error-Aware Quantization Loss (Eq. 4): pulls a bit to its own sign only as far as its pairs
    call that sign right.

    A pair (i, j) selects bit k iff S_ij = 1 and the signs agree, or S_ij = 0 and they differ;
    selected, both members pay q = (h - sgn h)^2, half each. With c_i^k = how many j select (i, k),
    a constant, the sum over ordered pairs is sum c * q, and one (n, n) x (n, n_bits) product
    replaces n^2 n_bits comparisons, exactly: c = (|s| * sum_j |s_j| + s * (P s)) / 2, P = 2 S - 1.
    codes (n, n_bits) in [-1, 1], for a sigmoid's outputs p pass 2 p - 1; similarity (n, n) in {0,
    1}, symmetric. normalization:
      N1 mean over ordered pairs i != j and bits: the plain mean quantization where every pair is
      right; N1d with the pairs i = j, which always count (weight 1 / n); N2 mean over the selected
      entries; N3 half the mean over similar pairs + half over dissimilar, 0 if none
    stored_codes (N, n_bits): all N training items' last codes, constants to be paired with, 0
    (never selected) before a first visit; similarity is (n, N). The batch member pays q whole: in
    expectation its gradient is in-batch's. Its own row counts too: N1d is N1. Returns a scalar >=
    0, float32 (float64 for float64 codes); 0 without pairs or bits. ValueError on wrong shapes,
    names, types, values.
    """
    if normalization not in NORMALIZATIONS:
        raise ValueError(
            f"normalization must be one of {', '.join(NORMALIZATIONS)}, got {normalization!r}."
        )
    rule = "similarity must be 0 or 1; (P + 1) / 2 is, of P = 2 S - 1"
    _check_tensor(rule, similarity)
    _check_values(rule, similarity[:4])
    _check_tensor("codes must be real", codes)
    others = codes if stored_codes is None else stored_codes  # the items j
    if (
        codes.ndim != 2
        or others.shape[1:] != codes.shape[1:]
        or similarity.shape != (len(codes), len(others))
    ):
        got = " and ".join(
            str(tuple(part.shape)) for part in (codes, similarity, stored_codes) if part is not None
        )
        raise ValueError(
            f"codes (n, n_bits) need similarity (n, n), stored_codes (N, n_bits) need "
            f"(n, N), got {got}."
        )
    weights = error_aware_weights(codes.detach(), similarity, normalization, stored_codes)
    return (
        weights
        * nn.functional.mse_loss(widen(codes), widen(codes.detach()).sign(), reduction="none")
    ).sum()


def error_aware_weights(
    codes: Tensor, similarity: Tensor, normalization: str, stored_codes: Tensor | None
) -> Tensor:
    """w >= 0 (n, n_bits) of EAQL = sum w * q; constant, so that 2 w * (h - sgn h) is its gradient.

    Takes detached codes, checks nothing.
    """
    diagonal = stored_codes is not None or normalization == "N1d"
    with outside_autocast(codes.device):
        signs = widen(codes).sign()
        similarity = similarity.to(signs.dtype)
        others = signs if stored_codes is None else stored_codes.detach().sign().to(signs.dtype)
        if normalization == "N3":
            return _class_balanced(signs, similarity, diagonal, others)
        selected = selected_pairs(signs, similarity, diagonal, others)
        n_entries = max(signs.shape[1] * (similarity.numel() - (0 if diagonal else len(signs))), 1)
        return selected / (selected.sum().clamp(min=1) if normalization == "N2" else n_entries)


def _class_balanced(signs: Tensor, similarity: Tensor, diagonal: bool, others: Tensor) -> Tensor:
    """N3: c split by S_ij, each part divided by its own number of pairs.

    One product on [s, |s|] serves both parts.
    """
    both = torch.cat([others, others.abs()], dim=1)
    similar, total = similarity @ both, both.sum(0)  # sums over the similar j, over all j
    n_similar, n_pairs = similarity.sum(), similarity.numel()
    if not diagonal:
        own = similarity.diagonal().unsqueeze(1)
        similar, total = similar - own * both, total - both
        n_similar, n_pairs = n_similar - own.sum(), n_pairs - len(signs)
    weights = 0
    for sign, sums, n in ((1, similar, n_similar), (-1, total - similar, n_pairs - n_similar)):
        by_sign, nonzero = sums.chunk(
            2, dim=1
        )  # |s| * nonzero +- s * by_sign: twice c's pairs of the kind
        weights = weights + (signs.abs() * nonzero + sign * signs * by_sign) / n.clamp(min=1)
    return weights / max(4 * signs.shape[1], 1)
