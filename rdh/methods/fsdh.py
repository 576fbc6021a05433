"""FSDH: Fast Supervised Discrete Hashing (Gui, Liu, Sun, Tao, Tan; TPAMI 40(2), 2018).

Objective: ||B - Y W||^2 + lambda ||W||^2 + nu ||B - F||^2 over binary codes B, W and the hash
function F = phi(x) P with SDH's kernels phi. SDH predicts labels from codes; here labels predict
codes, so that B = sgn(Y W + nu F) in closed form. In turn: B, W by ridge regression, P by least
squares.
What it comes to: with one label for each item and nu -> 0, B is the sign of the class's mean of the
start. So it is random class codes and a kernel regression to them, done after two rounds, and fast
because there is nothing to optimise. Classes share a code often if codes are short: of 10 random
codes two are equal in 98 % of all draws at 4 bits, 14 % at 8 bits, .2 % at 16.
State: the anchors, gamma, P.
Decisions of ours: lambda = 1, nu = 1e-5, 5 rounds and 1000 anchors, as for SDH. The start is random
signs for each item. The switch class_codes = "spread" starts from codes that lie far from each
other, CSQ's centres, and then classes have different codes.
With RDH: nothing to rescue. It learns from labels, but by closed forms without an activation.
"""

from typing import Annotated, Literal

from pydantic import Field
from torch import Tensor

from rdh.methods._tools.centres import class_centres
from rdh.methods._tools.dcc import random_signs, ridge, signs_or
from rdh.methods.sdh import SDH


class FSDH(SDH):
    """A kernel hash function, codes predicted from labels, and binary codes, solved in turn."""

    title = "FSDH"
    color = "#664466"
    kind = "shallow"
    activation = None

    def __init__(
        self,
        n_bits: int,
        labels: Tensor,
        seed: int,
        *,
        n_anchors: Annotated[int, Field(ge=1, description="kernels m")] = 1000,
        gamma_scale: Annotated[
            float,
            Field(ge=1e-6, description="1: the kernel is 1 / e for an item at the mean distance"),
        ] = 1.0,
        label_penalty: Annotated[float, Field(ge=1e-6, description="lambda")] = 1.0,
        function_weight: Annotated[float, Field(ge=0, description="nu")] = 1e-5,
        rounds: Annotated[int, Field(ge=1, description="updates of B, W and P")] = 5,
        class_codes: Annotated[
            Literal["random", "spread"],
            Field(description="the start: random signs for each item, or CSQ's centres"),
        ] = "random",
    ) -> None:
        super().__init__(
            n_bits,
            labels,
            seed,
            n_anchors=n_anchors,
            gamma_scale=gamma_scale,
            function_weight=function_weight,
            rounds=rounds,
        )
        self.label_penalty = label_penalty
        self.class_codes = class_codes

    def first_codes(self, labels: Tensor) -> Tensor:
        """B before the first round, -1 / +1 (N, n_bits). labels (N, n_classes)."""
        random = random_signs(len(labels), self.n_bits, self.seed, labels)
        if self.class_codes == "random":
            return random
        centres = class_centres(labels.shape[1], self.n_bits, self.generator).to(labels)
        return signs_or(labels @ centres, random)

    def regression(self, codes: Tensor, labels: Tensor) -> Tensor:
        """W (n_classes, n_bits), the best one for these codes."""
        return ridge(labels, codes, self.label_penalty)

    def label_objective(self, codes: Tensor, weights: Tensor, labels: Tensor) -> Tensor:
        errors = (codes - labels @ weights).square().sum()
        return errors + self.label_penalty * weights.square().sum()

    def next_codes(
        self, codes: Tensor, weights: Tensor, function: Tensor, labels: Tensor
    ) -> Tensor:
        """The best codes B (N, n_bits) for this W and F; a bit without a pull stays."""
        return signs_or(labels @ weights + self.function_weight * function, codes)
