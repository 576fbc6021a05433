"""The paper's two plug-ins for any PyTorch training loop.

Gradient Amplifier (Eq. 3) and Error-Aware Quantization Loss (Eq. 4) of Zhao et al., "Rescuing Deep
Hashing from Dead Bits Problem", IJCAI 2021. This file imports torch alone: copy it as it is. In a
loop of your own:

    amplifier = GradientAmplifier(tau=0.99)  # before the loop
    codes = amplifier(torch.tanh(logits))
    loss = your_similarity_loss(codes, labels)
    loss = loss + eta * error_aware_quantization(codes, similarity(labels))

Letters: h = codes in [-1, 1], (n, n_bits); g = dL/dh; s = sgn(h) with sgn(0) = 0, so that an exact
zero is never selected; S in {0, 1}, 1 for a pair of similar items.
"""

import math
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext

import torch
from torch import Tensor, nn

NORMALIZATIONS = ("N1", "N2", "N3", "N1d")
LABEL_RULE = (
    "labels must be class numbers >= 0, integers (n,) or (n, 1), or multi-hot labels of 0 and 1, "
    "(n, 2 or more classes), both sides alike"
)


def alpha(tau: float) -> float:
    """Amplification factor 1 / (1 - tau^2) of Eq. 3. It undoes tanh's damping at |h| = tau.

    Raises:
        ValueError: Unless 0 <= tau < 1.

    >>> round(alpha(0.99), 2)
    50.25
    """
    if not isinstance(tau, float | int) or not 0 <= tau < 1:
        raise ValueError(f"tau must be in [0, 1), got {tau!r}. The paper uses 0.99.")
    return 1 / (1 - tau**2)


def widen(tensor: Tensor) -> Tensor:
    """The tensor in float32, also inside autocast; float64 stays as it is.

    Near tau, bfloat16 has only the values .98828, .99219, .99609 and 1.
    """
    return tensor if tensor.dtype == torch.float64 else tensor.float()


def outside_autocast(device: torch.device) -> AbstractContextManager:
    """A context in which matrix products on the device keep their tensors' types.

    Unlike torch's own, it costs nothing if autocast is off.
    """
    return (
        torch.autocast(device.type, enabled=False)
        if torch.is_autocast_enabled(device.type)
        else nullcontext()
    )


def saturated(codes: Tensor, tau: float) -> Tensor:
    """Whether |h| >= tau, boolean (n, n_bits).

    Raises:
        ValueError: For another tau, and for codes that are no tensor.

    >>> saturated(torch.tensor([[0.5, -0.999]]), 0.99)
    tensor([[False,  True]])
    """
    _check_codes(codes, tau)
    return widen(codes).abs() >= tau


def _check_codes(codes: Tensor, tau: float) -> None:
    alpha(tau)
    _check_tensor("codes must be h in [-1, 1], (n, n_bits)", codes)


def flagged(codes: Tensor, gradient: Tensor, tau: float) -> Tensor:
    """The test of Eq. 3: |h| >= tau and sgn(h) = sgn(g).

    Gradient descent moves h against g, so equal signs ask the bit to flip. The paper calls such a
    bit dead. Only the labels know whether it is on the wrong side.

    Args:
        codes: h in [-1, 1], (n, n_bits).
        gradient: g, (n, n_bits). The amplifier passes that of the total loss; comparisons between
            methods pass that of the similarity loss.
        tau: In [0, 1).

    Returns:
        Boolean (n, n_bits).

    Raises:
        ValueError: For another tau, and for anything but two tensors of one shape.

    >>> flagged(torch.tensor([[0.995, 0.995, 0.5]]), torch.tensor([[1.0, -1.0, 1.0]]), 0.99)
    tensor([[ True, False, False]])
    """
    _check_codes(codes, tau)
    _check_tensor("gradient must be dL/dh, (n, n_bits) as the codes", gradient)
    if gradient.shape != codes.shape:
        raise ValueError(
            f"gradient and codes must be of one shape (n, n_bits), got {tuple(gradient.shape)} and "
            f"{tuple(codes.shape)}."
        )
    # |h| if g asks the bit to leave its side, else -|h| or 0
    leaving = widen(codes) * widen(gradient).sign()
    return leaving >= tau if tau > 0 else leaving > 0


dead = flagged  # its name until November 2026, for loops that were written then


def amplify(
    gradient: Tensor, codes: Tensor, tau: float, scale: float = 1.0, where: Tensor | None = None
) -> Tensor:
    """Eq. 3: alpha * g if a bit is flagged by the gradient given, else g.

    The paper has neither scale nor where: they are ours.

    Args:
        gradient: dL/dh of the TOTAL loss at tanh's output (Algorithm 1, steps 7-9), (n, n_bits).
        codes: h in [-1, 1], (n, n_bits).
        tau: In [0, 1).
        scale: A multiple of alpha, > 0.
        where: Boolean (n, n_bits), the entries that may be amplified. None: all.

    Returns:
        A new tensor (n, n_bits). The gradient of saturated bits that should stay is unchanged.

    Raises:
        ValueError: For another tau or scale, and for a mask of another shape or type.

    >>> amplify(torch.tensor([[1.0, 1.0]]), torch.tensor([[0.8, -0.8]]), 0.6)
    tensor([[1.5625, 1.0000]])
    >>> half = torch.tensor([[True, False]])
    >>> amplify(torch.ones(1, 2), torch.tensor([[0.8, 0.8]]), 0.6, scale=2, where=half)
    tensor([[3.1250, 1.0000]])
    """
    factor = _checked_scale(scale) * alpha(tau)
    chosen = flagged(codes, gradient, tau)
    if where is not None:
        chosen = chosen & _checked_mask("where", where, codes)
    return torch.where(chosen, gradient * factor, gradient)


def _checked_scale(scale: float) -> float:
    if not isinstance(scale, float | int) or not 0 < scale < math.inf:
        raise ValueError(f"scale must be a number > 0, got {scale!r}. The paper's alpha is 1.")
    return scale


def _checked_mask(name: str, mask: Tensor, codes: Tensor) -> Tensor:
    if not isinstance(mask, Tensor) or mask.dtype != torch.bool or mask.shape != codes.shape:
        got = _form(mask) if isinstance(mask, Tensor) else type(mask).__name__
        raise ValueError(
            f"{name} must be a boolean tensor {tuple(codes.shape)} as the codes, got {got}."
        )
    return mask.to(codes.device)


class GradientAmplifier(nn.Module):
    """Eq. 3 as a module, to put between the activation and every loss term.

    Codes (n, n_bits) pass unchanged. Only the gradient that comes back is amplified. Call backward
    once, on the sum of all losses: two calls would test two partial gradients. Nothing happens in
    eval mode or without gradients.

    Args:
        tau: In [0, 1). The paper uses 0.99.
        activation: "tanh" for h in [-1, 1], or "sigmoid" for p in [0, 1], judged as h = 2 p - 1.
            The same alpha undoes the sigmoid's damping: dp/dF = p (1 - p) = (1 - h^2) / 4.
        amplifies: False only counts, for a baseline.
        scale: A multiple of alpha, > 0. Ours, not the paper's.
        mask: A function (codes, gradient) -> boolean (n, n_bits): where a flagged entry may be
            amplified. It gets h in [-1, 1] and the total gradient, both (n, n_bits). None:
            everywhere, as in the paper.

    Raises:
        ValueError: For another tau, activation, scale or mask.

    >>> logits = torch.tensor([[2.0, -2.0]], requires_grad=True)
    >>> GradientAmplifier(tau=0.9)(torch.tanh(logits)).sum().backward()
    >>> logits.grad / (1 - torch.tanh(logits) ** 2)  # alpha = 5.26 for the flagged bit
    tensor([[5.2632, 1.0000]], grad_fn=<DivBackward0>)
    >>> called = torch.tensor([[-1.0]])  # a side that labels call for: amplify what is not on it
    >>> aimed = GradientAmplifier(0.9, mask=lambda codes, gradient: codes * called < 0)
    >>> codes = torch.tensor([[0.95]], requires_grad=True)
    >>> aimed(codes).sum().backward()
    >>> codes.grad, aimed.counts()["amplified"]
    (tensor([[5.2632]]), tensor([1]))
    """

    def __init__(
        self,
        tau: float = 0.99,
        activation: str = "tanh",
        amplifies: bool = True,
        scale: float = 1.0,
        mask: Callable[[Tensor, Tensor], Tensor] | None = None,
    ) -> None:
        super().__init__()
        alpha(tau)
        _checked_scale(scale)
        if mask is not None and not callable(mask):
            raise ValueError(
                f"mask must be a function (codes, gradient) -> boolean (n, n_bits), got "
                f"{type(mask).__name__}."
            )
        if not isinstance(activation, str) or activation not in ("tanh", "sigmoid"):
            raise ValueError(f"activation must be one of tanh, sigmoid, got {activation!r}.")
        self.tau, self.activation, self.amplifies = tau, activation, amplifies
        self.scale, self.mask = scale, mask
        self._n_bits: int | None = None  # of the codes that are counted
        # (4, n_bits) from the first step on; in no state dict
        self._counts = torch.zeros(4, 1, dtype=torch.int64)

    def forward(self, codes: Tensor) -> Tensor:
        if torch.jit.is_scripting():  # a script has no hooks
            if self.training:
                raise RuntimeError(
                    "a scripted GradientAmplifier amplifies nothing: train the network itself or "
                    "torch.compile's, and script it in eval mode."
                )
            return codes
        else:  # a branch of its own, which is left out of a script
            return self._amplified(codes)

    def _amplified(self, codes: Tensor) -> Tensor:
        if not (self.training and codes.requires_grad and torch.is_grad_enabled()):
            return codes
        # What is exported does not train. torch 2.11's own is_exporting() is also true in compile.
        if torch.compiler._is_exporting_flag:
            return codes
        if codes.ndim != 2 or codes.shape[1] != (self._n_bits or codes.shape[1]):
            raise ValueError(
                f"one amplifier's codes must be (n, n_bits) of one n_bits, got "
                f"{tuple(codes.shape)}."
            )
        self._n_bits = codes.shape[1]
        judged, codes = codes.detach(), codes.clone()
        # a hook's gradient is the total: summed over everything that uses the codes
        codes.register_hook(lambda gradient: self._receive(gradient, judged))
        return codes

    def _receive(self, gradient: Tensor, codes: Tensor) -> Tensor:
        codes = codes if self.activation == "tanh" else 2 * widen(codes) - 1
        where = None
        if self.mask is not None:
            where = _checked_mask("mask's answer", self.mask(codes, gradient), codes)
        is_flagged = flagged(codes, gradient, self.tau)
        acts_on = is_flagged if where is None else is_flagged & where
        parts = (
            torch.ones_like(codes, dtype=torch.bool),
            saturated(codes, self.tau),
            is_flagged,
            acts_on if self.amplifies else torch.zeros_like(is_flagged),
        )
        self._counts = self._counts.to(codes.device) + torch.stack([part.sum(0) for part in parts])
        if not self.amplifies:
            return gradient
        return amplify(gradient, codes, self.tau, self.scale, where)

    def counts(self) -> dict[str, Tensor]:
        """Counts of the backward calls since the last reading, then starts again from 0.

        Waits for the device. To count by one loss alone, hand the codes to that loss through a
        second GradientAmplifier(amplifies=False).

        Returns:
            int64 (n_bits,) on the CPU, (1,) before any backward call, for each of: entries (codes
            seen), saturated (|h| >= tau), flagged (saturated, and the total gradient before
            amplification asks for a flip), amplified (flagged, and not masked out). "dead" is
            flagged too, its name until November 2026.
        """
        counts, self._counts, self._n_bits = self._counts.cpu(), self._counts.new_zeros(4, 1), None
        found = dict(zip(("entries", "saturated", "flagged", "amplified"), counts, strict=True))
        return found | {"dead": found["flagged"]}


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
    """`similarity` of multi-hot labels without checks, for every step of a training loop."""
    with outside_autocast(labels.device):
        # in place: (n, n_other) is the largest array of a step
        return (labels.float() @ other.float().T).gt_(0)


def selected_pairs(
    signs: Tensor, similarity: Tensor, diagonal: bool = False, others: Tensor | None = None
) -> Tensor:
    """c of Eq. 4's closed form: with how many items j bit k of item i has the right relation.

    Args:
        signs: In {-1, 0, +1}, (n, n_bits).
        similarity: In {0, 1}, (n, n) or (n, N), of the same dtype.
        diagonal: Whether j = i counts too.
        others: The signs of other items j, (N, n_bits). There is no diagonal then: pass
            diagonal=True.

    Returns:
        (n, n_bits).
    """
    sizes, others = signs.abs(), signs if others is None else others
    counted = (sizes if others is signs else others.abs()).sum(0) / 2
    # an item without a label has S_ii = 0
    counted = counted if diagonal else counted - similarity.diagonal().unsqueeze(1)
    # S s - sum(s) / 2 = P s / 2
    agreeing = torch.addmm(others.sum(0), similarity, others, beta=-0.5)
    return torch.addcmul(sizes * counted, signs, agreeing)


def error_aware_quantization(
    codes: Tensor, similarity: Tensor, normalization: str = "N1", stored_codes: Tensor | None = None
) -> Tensor:
    """Error-Aware Quantization Loss (Eq. 4). It pulls a bit to its sign as far as its pairs agree.

    A pair (i, j) selects bit k if S_ij = 1 and the signs agree, or if S_ij = 0 and they differ.
    Both members of a selected pair pay half of q = (h - sgn h)^2. Let c_i^k, a constant, be the
    number of items j that select (i, k). Then the sum over ordered pairs is sum c * q, exactly,
    with c = (|s| * sum_j |s_j| + s * (P s)) / 2 and P = 2 S - 1. One (n, n) x (n, n_bits) product
    replaces n^2 n_bits comparisons.

    Args:
        codes: h in [-1, 1], (n, n_bits). For a sigmoid's outputs p pass 2 p - 1.
        similarity: S in {0, 1}, symmetric (n, n), or (n, N) with stored_codes.
        normalization: What the sum is divided by.
            N1: mean over ordered pairs i != j and bits. It equals the plain mean quantization if
            every pair is right.
            N1d: as N1, with the pairs i = j. They always count (weight 1 / n).
            N2: mean over the selected entries.
            N3: half the mean over similar pairs and half that over dissimilar ones; 0 for no pair.
        stored_codes: The last codes of all N training items, constants, (N, n_bits). 0 before an
            item's first visit: such a bit is never selected. The batch member pays q whole, so its
            gradient is that of the whole batch in expectation. Its own row counts too: N1d is N1.

    Returns:
        A scalar >= 0, float32 (float64 for float64 codes). 0 without pairs or bits.

    Raises:
        ValueError: For wrong shapes, types, values and names.

    >>> codes = torch.tensor([[0.5], [0.5], [-0.5]])
    >>> error_aware_quantization(codes, similarity(torch.tensor([0, 1, 1])))
    tensor(0.0833)
    """
    if not isinstance(normalization, str) or normalization not in NORMALIZATIONS:
        raise ValueError(
            f"normalization must be one of {', '.join(NORMALIZATIONS)}, got {normalization!r}."
        )
    rule = "similarity must be 0 or 1; (P + 1) / 2 is, of P = 2 S - 1"
    _check_tensor(rule, similarity)
    _check_values(rule, similarity[:4])
    _check_tensor("codes must be real", codes)
    others = codes if stored_codes is None else stored_codes  # the items j
    _check_tensor("stored_codes must be those of all items, (N, n_bits)", others)
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
    """The weights w >= 0, (n, n_bits), of EAQL = sum w * q.

    They are constants, so the gradient is 2 w * (h - sgn h). Takes detached codes, checks nothing.
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

    One product with [s, |s|] serves both parts.
    """
    both = torch.cat([others, others.abs()], dim=1)
    similar, total = similarity @ both, both.sum(0)  # sums over the similar j, over all j
    n_similar, n_pairs = similarity.sum(), similarity.numel()
    if not diagonal:
        own = similarity.diagonal().unsqueeze(1)
        similar, total = similar - own * both, total - both
        n_similar, n_pairs = n_similar - own.sum(), n_pairs - len(signs)
    weights = torch.zeros_like(signs)
    for sign, sums, n in ((1, similar, n_similar), (-1, total - similar, n_pairs - n_similar)):
        by_sign, nonzero = sums.chunk(2, dim=1)
        # |s| * nonzero +- s * by_sign is twice c's pairs of the kind
        weights = weights + (signs.abs() * nonzero + sign * signs * by_sign) / n.clamp(min=1)
    return weights / max(4 * signs.shape[1], 1)
