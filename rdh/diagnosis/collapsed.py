"""Far fewer codes than classes, so that items of different classes can't be told apart."""

import math

import numpy as np

from rdh.analysis import quantization_weight
from rdh.diagnosis._tools.evidence import Evidence
from rdh.diagnosis._tools.finding import CannotRun, Finding, Place, Remedy, part_of
from rdh.diagnosis._tools.forms import whose_formula
from rdh.diagnosis._tools.usual import STEPS, above_usual
from rdh.errors import UserError
from rdh.retrieval.codes import code_counts, effective_number
from rdh.retrieval.evaluation import few_items_said

TITLE = "Too few codes"
ONE = 1.0005  # exp(entropy) is 1 only of a single code
LEAST_SHARE = 0.5  # of the classes, or of the codes there can be, as equally frequent codes
EARLY = 0.1  # of the training: before, codes are those of a network that knows nothing yet
SMALL_ETA = 0.1
AT_ONCE = 0.5  # of the entries are saturated at the first record
MOST_OUT, ALL_OUT = 0.95, 0.9995  # of the saturated entries have the largest |F| that is counted
LITTLE, MUCH = 0.1, 0.4  # of the loss is the quantization term, at the first record


def check(evidence: Evidence) -> Finding | None:
    """Fires below half as many effective codes as classes; of several labels: below two codes.

    Codes of few bits are asked for half of the codes that there can be.
    """
    if evidence.result.get("kind") == "diverged":
        raise CannotRun("the run failed, and its weights are not finite")
    n_codes, n_distinct, where = number_of_codes(evidence)
    n_classes = evidence.split["labels"].shape[1]
    if n_codes >= least_codes(evidence) or (not evidence.has_ended and evidence.progress < EARLY):
        return None
    return Finding(
        severity="fatal",
        sentence=f"Training {'' if n_distinct == 1 else 'nearly '}collapsed: the items {where} "
        f"have {_codes(n_codes, n_distinct)} for {n_classes} classes. "
        f"{few_items_said(len(evidence.split['gallery']))}".rstrip(),
        mechanism="Items with one code are tied at every query, so MAP is near the share of "
        "relevant items, whatever the network knows. If the codes that a batch is compared with "
        "are all alike, the sum over them points the same way for every item, and all go there. "
        + cause_of(evidence)
        + part_of_plug_ins(evidence)
        + whose_formula(evidence.config),
        equation=r"\frac{\partial L}{\partial h_i} \propto "
        r"\sum_j [\sigma(\Theta_{ij}) - S_{ij}]\, h_j",
        places=(
            Place(
                "pages/live.py", "Which bits saturate, and when", {"map": "saturated"}, "live-map"
            ),
            Place("pages/bits.py", "The sides of each bit"),
        ),
        remedies=remedies(evidence),
    )


def least_codes(evidence: Evidence) -> float:
    """The border: half as many as classes, or as codes of so few bits; of several labels, two.

    Of two classes, or of one bit, that is one code: a single one is a collapse all the same.
    """
    n_classes = evidence.split["labels"].shape[1]
    n_possible = min(n_classes, 2 ** min(evidence.config.n_bits, 10))
    return max(LEAST_SHARE * n_possible, ONE) if is_single_label(evidence) else 2.0


def part_of_plug_ins(evidence: Evidence) -> str:
    """A sentence if the other run of the pair learned; "" if it collapsed too, or there is none."""
    try:
        other = evidence.partner
        is_pair = other.config.pair_hash == evidence.config.pair_hash
        if not (is_pair and other.has_ended) or number_of_codes(other)[0] < least_codes(other):
            return ""
    except (CannotRun, UserError):  # it can't be read, or kept no codes
        return ""
    if evidence.config.has_rdh and not other.config.has_rdh:
        return " The same run without the plug-ins learned, so they have part in it."
    if other.config.has_rdh and not evidence.config.has_rdh:
        return " The same run with the plug-ins learned, so they kept it from collapsing."
    return ""


def number_of_codes(evidence: Evidence) -> tuple[float, int, str]:
    """exp(entropy) of the codes' frequencies, how many differ, and of which items.

    Only a single code is a collapse to pages and studies (`has_collapsed`). A border by
    exp(entropy) would take in healthy runs of two classes, and move what studies leave out.
    """
    if "n_effective_codes" in evidence.last:
        n = evidence.last["n_effective_codes"]
        distinct = evidence.last.get("n_distinct_codes", 1 if n < 1.0005 else 2)
        return n, int(distinct), "of the gallery"
    counts = code_counts(evidence.look["bits"])
    return effective_number(counts), len(counts), "looked at during training"


def is_single_label(evidence: Evidence) -> bool:
    """Whether no item has two labels."""
    return bool((evidence.split["labels"].sum(1) <= 1).all())


def cause_of(evidence: Evidence) -> str:
    """In words: the rate, if it has saturated codes at once; the weight, if its term is large then.

    Only the first record shows it. Once all items have one code, no pair pulls any more, and the
    quantization term may be 0.
    """
    eta = quantization_weight(evidence.config)
    pull, flat = first_shares(evidence)
    if flat >= AT_ONCE and not pull >= LITTLE:
        return (
            f"The rate is too high: at the first record {flat:.0%} of the entries were at the flat "
            "ends of the activation, where they stay."
        )
    if eta > SMALL_ETA and pull >= MUCH and not flat >= AT_ONCE:
        return (
            f"At η = {eta:g} the quantization term was {pull:.0%} of the loss at the first record. "
            "It pulls every code into the corner where it happens to be, before the pairs have "
            "parted the classes."
        )
    if not eta > SMALL_ETA:
        return "The weight of quantization is small or 0, so it is not the cause."
    return "The records do not tell whether the rate or the quantization term is the cause."


def first_shares(evidence: Evidence) -> tuple[float, float]:
    """Of the first record: quantization term / whole loss, and saturated entries / all seen.

    NaN for what was not recorded.
    """
    frame = evidence.series.scalars()

    def ratio(part: str, whole: str) -> float:
        if part not in frame or whole not in frame:
            return math.nan
        first = frame[[part, whole]].dropna().head(1)
        return float(first[part].iloc[0] / first[whole].iloc[0]) if len(first) else math.nan

    return ratio("quantization_loss", "loss"), ratio("saturated", "entries")


def how_far_off(evidence: Evidence) -> tuple[int, str]:
    """By what to divide the rate of a run of which nobody knows a usual one; and why, in words.

    Too large a rate carries saturated entries far into the flat end by the first record; where all
    of them are there already, a tenth of it does the same.
    """
    names = ("histogram", "histogram_window")  # of all items; of those that passed, without a name
    found = (evidence.series.series(name)[1] for name in names)
    histograms = next((one for one in found if len(one)), None)
    edges = np.array(evidence.series.meta().get("logit_edges", ()))
    if histograms is None or not len(edges):
        return 10, ""
    counts = histograms[0].reshape(-1, histograms.shape[-1]).sum(0)
    is_flat = np.abs(edges[:-1] + edges[1:]) / 2 > math.atanh(evidence.config.tau)
    n_flat = int(counts[is_flat].sum())
    if not n_flat or n_flat < AT_ONCE * counts.sum():
        return 10, ""
    out = int(counts[0] + counts[-1]) / n_flat
    if out < MOST_OUT:
        return 10, ""
    return (
        1000 if out >= ALL_OUT else 100,
        f"The rate is far too high: at the first record {out:.1%} of the saturated entries were "
        f"at |F| ≥ {edges[-2]:.1f}, so that a tenth of the rate would saturate them as well.",
    )


def _codes(n: float, n_distinct: int) -> str:
    """Codes in words. exp(entropy) is 1 only if there is a single one."""
    if n_distinct == 1:
        return "1 code"
    few = f"{n:.1f} codes" if n >= 1.05 else "hardly more than 1 code"
    return f"{few}, counted as equally frequent ones,"


def remedies(evidence: Evidence) -> tuple[Remedy, ...]:
    """Back to the usual rate and weight together; stored codes give way to those of the batch.

    One step of one setting mostly does not reach a rate at which the method learns.
    """
    config = evidence.config
    if config.method_card.is_shallow:
        return ()
    seen = "The number of distinct codes and MAP rise within the first epochs."
    usual, whose = above_usual(config, (*STEPS, "eta"))
    if config.is_watched:  # what is usual, only its own loop knows
        divisor, whose = how_far_off(evidence)
        seen += " If the codes collapse again, divide the rate by ten again."
        usual = {"lr": part_of(config.lr, divisor)}
        usual |= {"eta": part_of(config.eta, 10)} if config.eta else {}
    spread = "Smaller steps let the codes spread before they saturate."
    leave = "A smaller weight lets codes leave the side on which they began."
    parts = (whose, spread if usual.keys() - {"eta"} else "", leave if "eta" in usual else "")
    why = " ".join(filter(None, parts))
    back = (Remedy(usual, why, seen),) if usual else ()
    switches = {switch.name for switch in config.method_card.switches}
    if "pairs" in switches and config.method_options.get("pairs", "stored") == "stored":
        fresh = "Codes of the same batch are never old, so that no code chases its own past."
        why = f"{why} {fresh}" if usual else fresh
        return (Remedy({"method_options.pairs": "in_batch"} | usual, why, seen), *back)
    return back or (Remedy({"lr": part_of(config.lr, 10)}, spread, seen),)
