"""What the probes measure, entry by entry: the reference for `rdh.training.probes` and `sides`."""

import math
from typing import Any

import numpy as np

LEVELS = (0.9, 0.95, 0.99, 0.995, 0.999)
EVENTS = {
    "flagged": ("flags_raised", "flags_answered", "flags_dropped", "flags_raised_again"),
    "dead": ("deaths", "rescues", "releases", "relapses"),
}


def sgn(x: float) -> int:
    return (x > 0) - (x < 0)


def side_of(code: float) -> int:
    """0 counts as +1."""
    return 1 if code >= 0 else -1


def float32(x: float) -> float:
    return float(np.float32(x))


def called_side(
    wanted: list[int], signs: list[list[int]], labels: list[list[int]], bit: int
) -> int:
    """The side that labels call for, from the signs of all items (0: not visited)."""
    if not any(wanted):
        return 0
    is_multi_label = any(sum(row) > 1 for row in labels)
    vote = voters = 0
    for own, row in zip(signs, labels, strict=True):
        similar = any(a and b for a, b in zip(wanted, row, strict=True))
        if own[bit] and (is_multi_label or similar):
            vote += own[bit] if similar else -own[bit]
            voters += 1
    return sgn(vote) if voters > 1 and abs(vote) > 0.5 * math.sqrt(voters) else 0


class NaiveProbes:
    """What every (item, bit) was at its last visit; None before the first one."""

    def __init__(self, labels: Any, n_bits: int, tau: float, edges: list[float]) -> None:
        self.labels, self.n_bits, self.tau, self.edges = labels.int().tolist(), n_bits, tau, edges
        self.is_multi_label = any(sum(row) > 1 for row in self.labels)
        n = len(self.labels)
        self.signs = [[0] * n_bits for _ in range(n)]
        self.called = [[0] * n_bits for _ in range(n)]
        self.last: dict[tuple[int, int], dict[str, Any] | None] = {
            (i, k): None for i in range(n) for k in range(n_bits)
        }
        self.had_left = {kind: dict.fromkeys(self.last, False) for kind in EVENTS}

    def bin(self, logit: float) -> int:
        """The last edge at or below the logit; the outer bins are open."""
        return min(max(sum(edge <= logit for edge in self.edges) - 1, 0), 63)

    def judge(self, steps: list[tuple[Any, ...]], ends_epoch: bool) -> None:
        """Takes the window's signs in, then asks the labels for the sides."""
        is_first = not any(any(row) for row in self.signs)
        for step in steps:
            for codes, item in zip(step[1].tolist(), step[4].tolist(), strict=True):
                self.signs[item] = [side_of(code) for code in codes]
        if is_first or ends_epoch or not self.is_multi_label:
            self.called = [
                [called_side(row, self.signs, self.labels, k) for k in range(self.n_bits)]
                for row in self.labels
            ]

    def record(
        self, steps: list[tuple[Any, ...]], amplifier: bool, ends_epoch: bool = False
    ) -> dict[str, np.ndarray]:
        """steps: tensors (logits, codes, similarity gradient, gradient, item positions) a step."""
        self.judge(steps, ends_epoch)
        out = self.empty()
        logits_of: list[list[float]] = [[] for _ in range(self.n_bits)]
        for step in steps:
            for *columns, item in zip(*(part.tolist() for part in step), strict=True):
                for bit, entry in enumerate(zip(*columns, strict=True)):
                    logits_of[bit].append(entry[0])
                    self.add(out, item, bit, *entry, amplifier)
        n = len(logits_of[0])
        means = ("mean_code", "leaving", "mean_gradient", "mean_gradient_amplified")
        for name in (*means, "quadrant_pull", "leaving_pull_amplified"):
            out[name] /= n
        for bit, logits in enumerate(logits_of):
            mean = sum(logits) / n
            out["mean_logit"][bit] = mean
            out["std_logit"][bit] = math.sqrt(sum((z - mean) ** 2 for z in logits) / n)
        for (_, bit), entry in self.last.items():
            if entry:
                self.count(out, bit, entry)
        return out

    def norms(self, steps: list[tuple[Any, ...]], amplifier: bool) -> dict[str, float]:
        """The norm of dL/dz before and after the amplifier, as root mean square of the steps."""
        squares = {"gradient_norm": 0.0, "gradient_norm_amplified": 0.0}
        for _, codes, _, total, _ in steps:
            flat = zip(codes.flatten().tolist(), total.flatten().tolist(), strict=True)
            for code, gradient in flat:
                before = after = gradient * (1 - code * code)
                is_saturated = abs(code) >= float32(self.tau)
                if amplifier and is_saturated and sgn(code) == sgn(gradient) != 0:
                    after /= 1 - self.tau**2
                squares["gradient_norm"] += before**2
                squares["gradient_norm_amplified"] += after**2
        return {name: math.sqrt(sum_ / len(steps)) for name, sum_ in squares.items()}

    def empty(self) -> dict[str, np.ndarray]:
        b = self.n_bits
        shapes: dict[str, tuple[int, ...]] = {
            **dict.fromkeys(("saturated", "flagged", "dead", "amplified"), (2, b)),
            **dict.fromkeys(("wrong", "undecided", "flagged_hard", "dead_hard"), (b,)),
            **dict.fromkeys(("flagged_dead", *EVENTS["flagged"], *EVENTS["dead"]), (b,)),
            **dict.fromkeys(("mean_code", "mean_logit", "std_logit", "leaving"), (b,)),
            **dict.fromkeys(("asked_back", "held", "visited_again", "changed_sides"), (b,)),
            **dict.fromkeys(("mean_gradient", "mean_gradient_amplified"), (b,)),
            **dict.fromkeys(("flagged_levels", "dead_levels"), (5, 2, b)),
            **dict.fromkeys(("quadrants", "quadrant_pull"), (2, 2, b)),
            "leaving_pull_amplified": (2, b),
            **dict.fromkeys(("amplified_levels", "amplified_dead_levels"), (5,)),
            **dict.fromkeys(("dead_window_levels", "beyond_reach_levels"), (5,)),
            **dict.fromkeys(("flagged_histogram", "dead_histogram", "gradient_count"), (64,)),
            **{"saturated_levels": (5, b), "histogram": (b, 64), "gradient_sum": (2, 64)},
        }
        return {name: np.zeros(shape) for name, shape in shapes.items()}

    def count(self, out: dict[str, np.ndarray], bit: int, entry: dict[str, Any]) -> None:
        """Adds one entry, as it was at its last visit, to the running totals."""
        row, code = int(entry["side"] > 0), entry["code"]
        is_hard = float32(1 - float32(code * code)) == 0
        for name in ("saturated", "flagged", "dead"):
            out[name][row, bit] += entry[name]
        out["wrong"][bit] += entry["wrong"]
        out["undecided"][bit] += entry["saturated"] and entry["undecided"]
        out["flagged_hard"][bit] += entry["flagged"] and is_hard
        out["dead_hard"][bit] += entry["dead"] and is_hard
        out["flagged_dead"][bit] += entry["flagged"] and entry["dead"]
        for number, level in enumerate(LEVELS):
            reached = abs(code) >= float32(level)
            out["saturated_levels"][number, bit] += reached
            out["flagged_levels"][number, row, bit] += reached and entry["leaving"]
            out["dead_levels"][number, row, bit] += reached and entry["wrong"]
        out["histogram"][bit, entry["bin"]] += 1
        out["flagged_histogram"][entry["bin"]] += entry["flagged"]
        out["dead_histogram"][entry["bin"]] += entry["dead"]

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
        side, called = side_of(code), self.called[item][bit]
        leaving = sgn(code) == sgn(wanted) != 0
        leaving_total = sgn(code) == sgn(total) != 0
        is_saturated, is_wrong = abs(code) >= float32(self.tau), called == -side
        out["amplified"][int(side > 0), bit] += is_saturated and leaving_total
        slope = float32(1 - float32(code * code))
        for number, level in enumerate(LEVELS):
            reached = abs(code) >= float32(level)
            out["amplified_levels"][number] += reached and leaving_total
            out["amplified_dead_levels"][number] += reached and leaving_total and is_wrong
            out["dead_window_levels"][number] += reached and is_wrong
            is_beyond = slope / (1 - level**2) < 0.1
            out["beyond_reach_levels"][number] += (
                reached and leaving_total and is_wrong and is_beyond
            )
        out["mean_code"][bit] += code
        out["leaving"][bit] += leaving
        out["asked_back"][bit] += is_wrong and leaving
        out["held"][bit] += is_wrong and leaving and not leaving_total
        last = self.last[item, bit]
        out["visited_again"][bit] += last is not None
        out["changed_sides"][bit] += last is not None and last["side"] != side
        before = total * (1 - code * code)
        is_amplified = amplifier and is_saturated and leaving_total
        after = before / (1 - self.tau**2) if is_amplified else before
        out["mean_gradient"][bit] += abs(before)
        out["mean_gradient_amplified"][bit] += abs(after)
        quadrant = int(leaving_total), int(side > 0), bit
        out["quadrants"][quadrant] += 1
        out["quadrant_pull"][quadrant] += abs(before)
        if leaving_total:
            out["leaving_pull_amplified"][int(side > 0), bit] += abs(after)
        where = self.bin(logit)
        if wanted != 0:  # in Figure 3's orientation the similarity loss asks for +1
            mirrored = where if wanted < 0 else 63 - where
            out["gradient_count"][mirrored] += 1
            out["gradient_sum"][:, mirrored] += np.array([before, after]) * -sgn(wanted)
        entry = {
            **{"side": side, "code": code, "bin": where, "saturated": is_saturated},
            **{"leaving": leaving, "wrong": is_wrong, "undecided": called == 0},
            **{"flagged": is_saturated and leaving, "dead": is_saturated and is_wrong},
        }
        for kind in EVENTS:
            self.follow(out, (item, bit), entry, kind)
        self.last[item, bit] = entry

    def follow(
        self, out: dict[str, np.ndarray], key: tuple[int, int], entry: dict[str, Any], kind: str
    ) -> None:
        """What happened to an entry as a flagged, or dead, one since its last visit."""
        begun, left, dropped, again = EVENTS[kind]
        last, bit = self.last[key], key[1]
        was_on = last is not None and last[kind]
        stayed = last is not None and entry["saturated"] and entry["side"] == last["side"]
        if was_on and not stayed:
            out[left][bit] += 1
            self.had_left[kind][key] = True
        elif was_on and not entry[kind]:
            out[dropped][bit] += 1
        if entry[kind] and not (was_on and stayed):
            out[begun][bit] += 1
            out[again][bit] += self.had_left[kind][key]
