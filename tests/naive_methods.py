"""The objectives of the hashing methods as slow loops: references for `rdh.methods`."""

import itertools
import math

from tests.naive_rescue import dot, pair_likelihood, share_a_label

Rows = list[list[float]]


def mean(values: list[float]) -> float:
    """0 for nothing: a set without pairs adds nothing."""
    return sum(values) / len(values) if values else 0.0


def squared_distance(a: list[float], b: list[float]) -> float:
    return sum((x - y) ** 2 for x, y in zip(a, b, strict=True))


def mean_squared_difference(codes: Rows, targets: Rows) -> float:
    return mean([squared_distance(h, b) / len(h) for h, b in zip(codes, targets, strict=True)])


def every_code(n_bits: int) -> list[list[float]]:
    return [list(code) for code in itertools.product([-1.0, 1.0], repeat=n_bits)]


# HashNet


def graded_pair_loss(codes: Rows, labels: Rows, scale: float) -> float:
    """HashNet with c_ij = common labels / labels of either on similar pairs."""
    similar, dissimilar = [], []
    for h, y in zip(codes, labels, strict=True):
        for u, v in zip(codes, labels, strict=True):
            common = sum(a and b for a, b in zip(y, v, strict=True))
            either = sum(bool(a or b) for a, b in zip(y, v, strict=True))
            loss = pair_likelihood(scale * dot(h, u), share_a_label(y, v))
            if common:
                similar.append(common / either * loss)
            else:
                dissimilar.append(loss)
    return mean(similar) + mean(dissimilar)


# DCH


def cauchy_distance(a: list[float], b: list[float]) -> float:
    return len(a) / 2 * (1 - dot(a, b) / math.sqrt(dot(a, a) * dot(b, b)))


def cauchy_loss(codes: Rows, labels: Rows, gamma: float) -> float:
    """-log of the Cauchy likelihood over pairs i != j, as the paper writes it.

    It is s log(d / gamma) + log(1 + gamma / d).
    """
    parts = {0.0: [], 1.0: []}
    for i, j in itertools.permutations(range(len(codes)), 2):
        similar, distance = share_a_label(labels[i], labels[j]), cauchy_distance(codes[i], codes[j])
        parts[similar].append(similar * math.log(distance / gamma) + math.log(1 + gamma / distance))
    return mean(parts[1.0]) + mean(parts[0.0])


def cauchy_quantization(codes: Rows, gamma: float) -> float:
    ones = [1.0] * len(codes[0])
    return mean(
        [math.log(1 + cauchy_distance([abs(h) for h in row], ones) / gamma) for row in codes]
    )


# CSQ and DPN


def majority_centre(label_row: list[float], centres: Rows, tie_break: list[float]) -> list[float]:
    votes = [
        sum(y * centre[k] for y, centre in zip(label_row, centres, strict=True))
        for k in range(len(tie_break))
    ]
    return [
        float((vote > 0) - (vote < 0)) or tie for vote, tie in zip(votes, tie_break, strict=True)
    ]


def central_loss(codes: Rows, labels: Rows, centres: Rows, tie_break: list[float]) -> float:
    """Mean binary cross-entropy of (h + 1) / 2 and (c + 1) / 2. An item without labels adds 0."""
    losses = []
    for row, label_row in zip(codes, labels, strict=True):
        for h, c in zip(row, majority_centre(label_row, centres, tie_break), strict=True):
            p, t = (h + 1) / 2, (c + 1) / 2
            losses.append(-(t * math.log(p) + (1 - t) * math.log(1 - p)) if any(label_row) else 0.0)
    return mean(losses)


def polarization_loss(codes: Rows, labels: Rows, targets: Rows, margin: float) -> float:
    """Hinge of every bit to the target of each of the item's classes, mean over items and bits."""
    total = 0.0
    for row, label_row in zip(codes, labels, strict=True):
        for y, target in zip(label_row, targets, strict=True):
            total += (
                sum(max(margin - v * t, 0.0) for v, t in zip(row, target, strict=True))
                if y
                else 0.0
            )
    return total / (len(codes) * len(codes[0]))


# DAPH-R


def dependence(codes: Rows) -> float:
    """Mean over pairs of bits of (U^T U / n - I)^2."""
    columns = [list(column) for column in zip(*codes, strict=True)]
    return mean(
        [
            (dot(a, b) / len(codes) - float(k == m)) ** 2
            for k, a in enumerate(columns)
            for m, b in enumerate(columns)
        ]
    )


def imbalance(codes: Rows) -> float:
    """Mean over bits of the squared mean over items."""
    return mean([mean(list(column)) ** 2 for column in zip(*codes, strict=True)])


def agreed_codes(u: Rows, z: Rows, c: Rows, share: float) -> tuple[Rows, Rows]:
    """(B = sgn(U + share C), C = sgn(Z + share B)), with sgn(0) = +1."""

    def outvoted(own: Rows, other: Rows) -> Rows:
        return [
            [1.0 if x + share * y >= 0 else -1.0 for x, y in zip(row, row_of_other, strict=True)]
            for row, row_of_other in zip(own, other, strict=True)
        ]

    b = outvoted(u, c)
    return b, outvoted(z, b)


# DSDH, SDH and the coordinate descent that they share with ADSH


def quadratic(code: list[float], gram: Rows, pull: list[float]) -> float:
    """b G b - 2 b p for one item."""
    return sum(b * dot(row, code) for b, row in zip(code, gram, strict=True)) - 2 * dot(code, pull)


def coordinate_descent(code: list[float], gram: Rows, pull: list[float]) -> list[float]:
    """One pass over the bits of an item. Each gets the better value, or stays if both are equal."""
    code = list(code)
    for k in range(len(code)):
        flipped = [*code[:k], -code[k], *code[k + 1 :]]
        if quadratic(flipped, gram, pull) < quadratic(code, gram, pull):
            code = flipped
    return code


def classification_objective(
    codes: Rows, stored: Rows, labels: Rows, classifier: Rows, penalty: float, weight: float
) -> float:
    """||Y - B W||^2 + penalty ||W||^2 + weight ||B - U||^2, classifier (n_bits, n_classes)."""
    total = penalty * sum(w * w for row in classifier for w in row)
    for b, u, y in zip(codes, stored, labels, strict=True):
        scores = [dot(b, [row[c] for row in classifier]) for c in range(len(y))]
        total += squared_distance(y, scores) + weight * squared_distance(b, u)
    return total


# DAGH-R and ADSH


def anchor_graph(labels: Rows, anchors: list[int]) -> Rows:
    """Z: items x anchors. Rows sum to 1, or to 0 if no anchor shares a label."""
    graph = [[share_a_label(y, labels[k]) for k in anchors] for y in labels]
    return [[entry / (sum(row) or 1.0) for entry in row] for row in graph]


def anchor_targets(labels: Rows, anchors: list[int], codes: Rows) -> Rows:
    """c_k = sum_i Z_ik b_i / sum_i Z_ik, a row an anchor; 0 for an anchor without labels."""
    graph = anchor_graph(labels, anchors)
    targets = []
    for k in range(len(anchors)):
        weight = sum(row[k] for row in graph) or 1.0
        targets.append(
            [
                sum(row[k] * b[bit] for row, b in zip(graph, codes, strict=True)) / weight
                for bit in range(len(codes[0]))
            ]
        )
    return targets


def similar_ratio(labels: Rows, sample: list[int]) -> float:
    pairs = [share_a_label(labels[i], y) for i in sample for y in labels]
    n_dissimilar = len(pairs) - sum(pairs)
    return sum(pairs) / n_dissimilar if n_dissimilar else 0.0


def asymmetric_loss(
    codes: Rows, labels: Rows, gallery_codes: Rows, gallery_labels: Rows, ratio: float
) -> float:
    """Sum over (row of codes, gallery item) of (h . v - K S~)^2."""
    return sum(
        (dot(h, v) - len(h) * (1.0 if share_a_label(y, w) else -ratio)) ** 2
        for h, y in zip(codes, labels, strict=True)
        for v, w in zip(gallery_codes, gallery_labels, strict=True)
    )


# GreedyHash, OrthoHash, MDSH


def log_softmax(scores: list[float]) -> list[float]:
    most = max(scores)
    total = math.log(sum(math.exp(score - most) for score in scores))
    return [score - most - total for score in scores]


def classification(scores: Rows, labels: Rows) -> float:
    """Cross-entropy; each of several labels has its share. An item without labels adds 0."""
    total = 0.0
    for row, label_row in zip(scores, labels, strict=True):
        shares = [y / (sum(label_row) or 1.0) for y in label_row]
        total -= dot(shares, log_softmax(row))
    return total / len(scores)


def sign_classification(codes: Rows, labels: Rows, classifier: Rows) -> float:
    """GreedyHash. classifier (n_classes, n_bits)."""
    signs = [[1.0 if z >= 0 else -1.0 for z in row] for row in codes]
    return classification([[dot(row, a) for a in classifier] for row in signs], labels)


def cosine(a: list[float], b: list[float]) -> float:
    return dot(a, b) / math.sqrt(dot(a, a) * dot(b, b))


def margin_classification(
    codes: Rows, labels: Rows, targets: Rows, scale: float, margin: float, arc: bool = False
) -> float:
    """OrthoHash; OrthoArc with the margin on the angle."""

    def score(h: list[float], c: list[float], y: float) -> float:
        if arc:
            return math.cos(math.acos(cosine(h, c)) + margin * y)
        return cosine(h, c) - margin * y

    scores = [
        [scale * score(h, c, y) for c, y in zip(targets, label_row, strict=True)]
        for h, label_row in zip(codes, labels, strict=True)
    ]
    return classification(scores, labels)


def centre_classification(codes: Rows, labels: Rows, centres: Rows) -> float:
    """MDSH: binary cross-entropy of each class. An item without labels adds 0."""
    total = 0.0
    for h, label_row in zip(codes, labels, strict=True):
        for log_p, y in zip(
            log_softmax([math.sqrt(len(h)) * cosine(h, c) for c in centres]), label_row, strict=True
        ):
            own = y * log_p + (1 - y) * math.log(1 - math.exp(log_p))
            total -= own if any(label_row) else 0.0
    return total / (len(codes) * len(labels[0]))


# HSWD


def half_and_half(column: list[float]) -> list[float]:
    """-1 for the lower half of a bit's values, +1 for the upper one."""
    order = sorted(range(len(column)), key=lambda item: column[item])
    targets = [0.0] * len(column)
    for rank, item in enumerate(order):
        targets[item] = -1.0 if rank < len(column) // 2 else 1.0
    return targets


# CNNH


def similarity_errors(codes: Rows, labels: Rows) -> float:
    """||P - Z Z^T / K||^2 over all pairs of items."""
    return sum(
        ((1.0 if share_a_label(y, w) else -1.0) - dot(z, v) / len(z)) ** 2
        for z, y in zip(codes, labels, strict=True)
        for v, w in zip(codes, labels, strict=True)
    )


# DMUH-R


def uncertain_pair_loss(codes: Rows, labels: Rows, uncertainty: Rows, attention: float) -> float:
    """Pair likelihoods weighted by the items' uncertainty."""
    weights = [1 + attention * mean(row) for row in uncertainty]
    total = sum(
        w * pair_likelihood(dot(h, u) / 2, share_a_label(y, v))
        for w, h, y in zip(weights, codes, labels, strict=True)
        for u, v in zip(codes, labels, strict=True)
    )
    return total / (len(codes) * sum(weights))
