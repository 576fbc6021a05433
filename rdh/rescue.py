"""The paper's two plug-ins for anybody's PyTorch training: Gradient Amplifier (Eq. 3) and Error-Aware Quantization Loss (Eq. 4).

Zhao, Wu, Zhou, Li, Wang: "Rescuing Deep Hashing from Dead Bits Problem", IJCAI 2021. This file imports torch alone and can be
copied out as it is. In a foreign loop, between the tanh and the losses (one backward call on the summed loss):

    codes = amplifier(torch.tanh(logits))                               # amplifier = GradientAmplifier(tau=0.99)
    loss = your_similarity_loss(codes, labels) + eta * error_aware_quantization(codes, similarity(labels))
    loss.backward()

Letters: h = codes in [-1, 1], shape (n, n_bits); g = dL/dh; s = sgn(h) with sgn(0) = 0, so that an exact zero is never selected;
S in {0, 1} the similarity of two training items. All arithmetic is float32 or wider, also inside autocast: bfloat16 has only
the values .98828, .99219, .99609 and 1 around the usual threshold.
"""

import torch
from torch import Tensor, nn

NORMALIZATIONS = ("N1", "N2", "N3", "N1d")


def alpha(tau: float) -> float:
    """Amplification factor 1 / (1 - tau^2) of Eq. 3: undoes tanh's damping at |h| = tau. ValueError unless 0 <= tau < 1."""
    if not 0 <= tau < 1:
        raise ValueError(f"tau must be in [0, 1), got {tau}. The paper uses 0.99.")
    return 1 / (1 - tau**2)


def widen(tensor: Tensor) -> Tensor:
    """The tensor in float32, or as it is where it is float64."""
    return tensor if tensor.dtype == torch.float64 else tensor.float()


def saturated(codes: Tensor, tau: float) -> Tensor:
    """Boolean (n, n_bits): |h| >= tau."""
    return widen(codes).abs() >= tau


def dead(codes: Tensor, gradient: Tensor, tau: float) -> Tensor:
    """Boolean (n, n_bits): the test of Eq. 3, |h| >= tau and sgn(h) = sgn(g).

    Descent moves h against g, so equal signs say: this bit is asked to leave the side on which it is saturated.
    Which gradient is passed decides what is counted: the total's (what the amplifier acts on) or the similarity loss's
    (comparable with and without RDH; a plain quantization gradient points away from the bit and hides dead bits).
    """
    return saturated(codes, tau) & (widen(codes) * widen(gradient) > 0)


def amplify(gradient: Tensor, codes: Tensor, tau: float) -> Tensor:
    """Eq. 3: alpha * g where a bit is dead by the gradient given, g elsewhere. Returns a new tensor, (n, n_bits).

    gradient is dL/dh of the TOTAL loss at tanh's output (Algorithm 1, steps 7-9). The case that Eq. 3 leaves out,
    |h| >= tau with unequal signs, stays as it is: that bit already moves towards its own side.
    """
    factor = alpha(tau)
    return torch.where(dead(codes, gradient, tau), gradient * factor, gradient)


class _Amplify(torch.autograd.Function):
    """Identity forward. autograd sums the gradients of all consumers before it calls backward: the sign test sees the total."""

    @staticmethod
    def forward(ctx, codes: Tensor, tau: float) -> Tensor:
        ctx.save_for_backward(codes)
        ctx.tau = tau
        return codes.view_as(codes)

    @staticmethod
    def backward(ctx, gradient: Tensor) -> tuple[Tensor, None]:
        (codes,) = ctx.saved_tensors
        return amplify(gradient, codes, ctx.tau), None


class GradientAmplifier(nn.Module):
    """Eq. 3 as a module: put it between tanh and every loss term. Nothing happens in eval mode or without gradients.

    codes (n, n_bits) in [-1, 1] go through unchanged; only the gradient that comes back is amplified. No parameters, no
    buffers. One backward call on the summed loss: two calls would test two partial gradients. ValueError unless 0 <= tau < 1.
    """

    def __init__(self, tau: float = 0.99) -> None:
        super().__init__()
        alpha(tau)
        self.tau = tau

    def forward(self, codes: Tensor) -> Tensor:
        return _Amplify.apply(codes, self.tau) if self.training and codes.requires_grad else codes

    def extra_repr(self) -> str:
        return f"tau={self.tau}"


def similarity(labels: Tensor, other: Tensor | None = None) -> Tensor:
    """S_ij = 1 where two items share a label, else 0. labels (n, n_classes) multi-hot; returns float32 (n, n) or (n, n_other)."""
    labels = labels.float()
    with torch.autocast(labels.device.type, enabled=False):
        n_shared = labels @ (labels if other is None else other.float()).T
        return n_shared.gt_(0)  # in place: (n, n_other) is the largest array of a step


def selected_pairs(signs: Tensor, similarity: Tensor, diagonal: bool = False) -> Tensor:
    """c of Eq. 4's closed form: for every (i, k), with how many items j bit k of i has the right relation. Shape (n, n_bits).

    signs (n, n_bits) in {-1, 0, +1}; similarity (n, n) in {0, 1} of the same dtype. diagonal: count j = i too.
    """
    nonzero = signs.abs()
    counted = nonzero.sum(0) / 2
    if not diagonal:
        counted = counted - similarity.diagonal().unsqueeze(1)  # an item without labels has S_ii = 0
    agreeing = torch.addmm(signs.sum(0), similarity, signs, beta=-0.5)  # S s - sum(s) / 2 = P s / 2
    return torch.addcmul(nonzero * counted, signs, agreeing)


def error_aware_quantization(codes: Tensor, similarity: Tensor, normalization: str = "N1") -> Tensor:
    """Error-Aware Quantization Loss (Eq. 4): pulls a bit to its own sign only as far as its pairs call that sign right.

    A pair (i, j) selects bit k iff S_ij = 1 and the signs agree, or S_ij = 0 and they differ; selected, both members pay
    q = (h - sgn h)^2, half each. With c_i^k = how many j select (i, k), the sum over ordered pairs is sum c * q, and

        c = ( |s| * sum_j |s_j| + s * (P s) ) / 2,   P = 2 S - 1

    so that one (n, n) x (n, n_bits) product replaces n^2 n_bits comparisons, exactly. c carries no gradient.

    codes (n, n_bits) in [-1, 1]; similarity (n, n) in {0, 1}, symmetric. normalization:
      N1   mean over ordered pairs i != j and bits: equals the plain mean quantization when every pair is right
      N1d  the same with the pairs i = j kept (their weight 1 / n is unconditional plain quantization)
      N2   mean over the selected entries only
      N3   half the mean over similar pairs + half the mean over dissimilar pairs; an empty set counts 0
    Returns a scalar >= 0, float32 (float64 for float64 codes); 0 for a batch without pairs. ValueError on wrong shapes or names.
    """
    if normalization not in NORMALIZATIONS:
        raise ValueError(f"normalization must be one of {', '.join(NORMALIZATIONS)}, got {normalization!r}.")
    if codes.ndim != 2 or similarity.shape != (len(codes), len(codes)):
        shapes = f"{tuple(codes.shape)} and {tuple(similarity.shape)}"
        raise ValueError(f"codes must be (n, n_bits) and similarity (n, n), got {shapes}.")
    n, n_bits = codes.shape
    with torch.autocast(codes.device.type, enabled=False):
        codes = widen(codes)
        signs = codes.detach().sign()
        q = nn.functional.mse_loss(codes, signs, reduction="none")  # (codes - signs)^2
        similarity = similarity.to(codes.dtype)
        if normalization == "N3":
            return _class_balanced(q, signs, similarity, n_bits)
        selected = selected_pairs(signs, similarity, diagonal=normalization == "N1d")
        if normalization == "N1d":
            return (selected * q).sum() / (n * n * n_bits)
        if normalization == "N2":
            return (selected * q).sum() / selected.sum().clamp(min=1)
        return (selected * q).sum() / max(n * (n - 1) * n_bits, 1)


def _class_balanced(q: Tensor, signs: Tensor, similarity: Tensor, n_bits: int) -> Tensor:
    """N3: c split by S_ij, each part divided by its own number of pairs. One product on [s, |s|] serves both parts."""
    off_diagonal = similarity - torch.diag(similarity.diagonal())
    n_similar = off_diagonal.sum()
    n_dissimilar = len(q) * (len(q) - 1) - n_similar
    both = torch.cat([signs, signs.abs()], dim=1)
    similar_signs, similar_nonzero = (off_diagonal @ both).split(n_bits, dim=1)
    other_signs, other_nonzero = (both.sum(0) - both).split(n_bits, dim=1)  # sums over all j != i
    agree = (signs.abs() * similar_nonzero + signs * similar_signs) / 2
    differ = (signs.abs() * (other_nonzero - similar_nonzero) - signs * (other_signs - similar_signs)) / 2
    parts = (agree * q).sum() / n_similar.clamp(min=1) + (differ * q).sum() / n_dissimilar.clamp(min=1)
    return parts / (2 * n_bits)
