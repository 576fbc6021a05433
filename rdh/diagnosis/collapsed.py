"""Far fewer codes than classes, so that items of different classes can't be told apart."""

from rdh.analysis import quantization_weight
from rdh.diagnosis._tools.evidence import Evidence
from rdh.diagnosis._tools.finding import CannotRun, Finding, Place, Remedy, part_of
from rdh.retrieval.codes import code_counts, effective_number

TITLE = "Collapsed codes"
LEAST_SHARE = 0.5  # of the classes, or of the codes there can be, as equally frequent codes
EARLY = 0.1  # of the training: before, codes are those of a network that knows nothing yet
SMALL_ETA = 0.1


def check(evidence: Evidence) -> Finding | None:
    """Fires below half as many effective codes as classes; of several labels: below two codes.

    Codes of few bits are asked for half of the codes that there can be.
    """
    if evidence.result.get("kind") == "diverged":
        raise CannotRun("the run failed, and its weights are not finite")
    n_codes, where = number_of_codes(evidence)
    n_classes = evidence.split["labels"].shape[1]
    n_possible = min(n_classes, 2 ** min(evidence.config.n_bits, 10))
    least = LEAST_SHARE * n_possible if is_single_label(evidence) else 2.0
    if n_codes >= least or (not evidence.has_ended and evidence.progress < EARLY):
        return None
    return Finding(
        severity="fatal",
        sentence=f"Training collapsed: the items {where} have {n_codes:.1f} codes, counted as "
        f"equally frequent ones, for {n_classes} classes.",
        mechanism="Items with one code are tied at every query, so MAP is near the share of "
        "relevant items, whatever the network knows. If the codes u_j that a batch is compared "
        "with are all alike, the sum points the same way for every item, and all go there."
        + by_quantization(evidence),
        equation=r"\frac{\partial L}{\partial h_i} \propto "
        r"\sum_j [\sigma(\Theta_{ij}) - S_{ij}]\, u_j",
        places=(
            Place("pages/live.py", "Which bits saturate, and when", {"map": "saturated"}),
            Place("pages/bits.py", "The sides of each bit"),
        ),
        remedies=remedies(evidence),
    )


def number_of_codes(evidence: Evidence) -> tuple[float, str]:
    """exp(entropy) of the codes' frequencies, and of which items."""
    if "n_effective_codes" in evidence.last:
        return evidence.last["n_effective_codes"], "of the gallery"
    packed = evidence.look["bits"]
    return effective_number(code_counts(packed)), "looked at during training"


def is_single_label(evidence: Evidence) -> bool:
    """Whether no item has two labels."""
    return bool((evidence.split["labels"].sum(1) <= 1).all())


def by_quantization(evidence: Evidence) -> str:
    """What a large eta adds to the mechanism; "" for a small one."""
    eta = quantization_weight(evidence.config)
    if not eta > SMALL_ETA:
        return ""
    return (
        f" At η = {eta:g} the quantization term pulls every code into the corner where it happens "
        "to be, before the pairs have parted the classes."
    )


def remedies(evidence: Evidence) -> tuple[Remedy, ...]:
    """Pairs whose codes are never old, less quantization, or a lower rate."""
    config = evidence.config
    if config.method_card.is_shallow:
        return ()
    seen = "The number of distinct codes and MAP rise within the first epochs."
    switches = {switch.name for switch in config.method_card.switches}
    is_large = quantization_weight(config) > SMALL_ETA
    if "pairs" in switches and config.method_options.get("pairs", "stored") == "stored":
        why = "Codes of the same batch are never old, so that no code chases its own past."
        changes: dict[str, str | float] = {"method_options.pairs": "in_batch"}
        if not is_large:
            return (Remedy(changes, why, seen),)
        less = "Smaller steps, and less that holds a code on the side that it happens to be on."
        return (
            Remedy(changes | {"eta": SMALL_ETA}, f"{why} And less quantization.", seen),
            Remedy({"lr": part_of(config.lr, 10), "eta": SMALL_ETA}, less, seen),
        )
    if is_large:
        why = "Less that holds a code on the side that it happens to be on."
        return (Remedy({"eta": SMALL_ETA}, why, seen),)
    return (Remedy({"lr": part_of(config.lr, 3)}, "Smaller steps let the codes spread first.",
                   seen),)  # fmt: skip
