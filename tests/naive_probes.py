"""What the probes measure, entry by entry: the reference for `rdh.training.probes`."""

import math
from typing import Any

import numpy as np

LEVELS = (0.9, 0.95, 0.99, 0.995, 0.999)


def sgn(x: float) -> int:
    return (x > 0) - (x < 0)


def float32(x: float) -> float:
    return float(np.float32(x))


class NaiveProbes:
    """The state of every (item, bit) at its last visit: is it dead, on which side, ever rescued?"""

    def __init__(self, n_items: int, n_bits: int, tau: float, edges: list[float]) -> None:
        self.n_bits, self.tau, self.edges = n_bits, tau, edges
        self.dead = {(i, k): False for i in range(n_items) for k in range(n_bits)}
        self.side = dict.fromkeys(self.dead, -1)
        self.rescued = dict.fromkeys(self.dead, False)

    def bin(self, logit: float) -> int:
        """The last edge at or below the logit; the outer bins are open."""
        return min(max(sum(edge <= logit for edge in self.edges) - 1, 0), 63)

    def record(self, steps: list[tuple[Any, ...]], amplifier: bool) -> dict[str, np.ndarray]:
        """steps: tensors (logits, codes, similarity gradient, gradient, item positions) a step."""
        b = self.n_bits
        shapes = {
            **dict.fromkeys(("saturated", "dead_window", "dead_total", "dead_all"), (2, b)),
            **dict.fromkeys(("dead_hard", "deaths", "rescues", "releases", "relapses"), (b,)),
            **dict.fromkeys(("mean_code", "mean_logit", "std_logit", "leaving"), (b,)),
            **dict.fromkeys(("mean_gradient", "mean_gradient_amplified"), (b,)),
            **{
                "dead_levels": (5, 2, b),
                "saturated_levels": (5, b),
                "histogram": (b, 64),
                "dead_histogram": (64,),
            },
            **{"gradient_sum": (2, 64), "gradient_count": (64,)},
        }
        out = {name: np.zeros(shape) for name, shape in shapes.items()}
        logits_of: list[list[float]] = [[] for _ in range(b)]
        for step in steps:
            for *columns, item in zip(*(part.tolist() for part in step), strict=True):
                for bit, entry in enumerate(zip(*columns, strict=True)):
                    logits_of[bit].append(entry[0])
                    self.add(out, item, bit, *entry, amplifier)
        n = len(logits_of[0])
        for name in ("mean_code", "leaving", "mean_gradient", "mean_gradient_amplified"):
            out[name] /= n
        for bit, logits in enumerate(logits_of):
            mean = sum(logits) / n
            out["mean_logit"][bit] = mean
            out["std_logit"][bit] = math.sqrt(sum((z - mean) ** 2 for z in logits) / n)
        for (item, bit), is_dead in self.dead.items():
            out["dead_all"][int(self.side[item, bit] > 0), bit] += is_dead
        return out

    def add(
        self,
        out: dict[str, np.ndarray],
        item: int,
        bit: int,
        logit: float,
        code: float,
        wanted: float,
        total: float,
        amplifier: bool,
    ) -> None:
        side, row = sgn(code), int(code > 0)
        leaving = sgn(code) == sgn(wanted) != 0
        leaving_total = sgn(code) == sgn(total) != 0
        is_saturated = abs(code) >= float32(self.tau)
        is_dead = is_saturated and leaving
        out["saturated"][row, bit] += is_saturated
        out["dead_window"][row, bit] += is_dead
        out["dead_total"][row, bit] += is_saturated and leaving_total
        out["dead_hard"][bit] += is_dead and float32(1 - float32(code * code)) == 0
        for number, level in enumerate(LEVELS):
            out["saturated_levels"][number, bit] += abs(code) >= float32(level)
            out["dead_levels"][number, row, bit] += abs(code) >= float32(level) and leaving
        out["mean_code"][bit] += code
        out["leaving"][bit] += leaving
        before = total * (1 - code * code)
        after = (
            before / (1 - self.tau**2) if amplifier and is_saturated and leaving_total else before
        )
        out["mean_gradient"][bit] += abs(before)
        out["mean_gradient_amplified"][bit] += abs(after)
        where = self.bin(logit)
        out["histogram"][bit, where] += 1
        out["dead_histogram"][where] += is_dead
        if wanted != 0:  # in Figure 3's orientation the similarity loss asks for +1
            mirrored = where if wanted < 0 else 63 - where
            out["gradient_count"][mirrored] += 1
            out["gradient_sum"][:, mirrored] += np.array([before, after]) * -sgn(wanted)
        self.visit(out, item, bit, is_dead, is_saturated, side)

    def visit(
        self,
        out: dict[str, np.ndarray],
        item: int,
        bit: int,
        is_dead: bool,
        is_saturated: bool,
        side: int,
    ) -> None:
        key = (item, bit)
        stayed = side == self.side[key]
        if self.dead[key] and not (is_saturated and stayed):
            out["rescues"][bit] += 1
            self.rescued[key] = True
        elif self.dead[key] and not is_dead:
            out["releases"][bit] += 1
        if is_dead and not (self.dead[key] and stayed):
            out["deaths"][bit] += 1
            out["relapses"][bit] += self.rescued[key]
        self.dead[key], self.side[key] = is_dead, side
