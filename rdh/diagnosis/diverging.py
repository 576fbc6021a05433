"""A loss that grows again, or is no longer a number."""

from rdh.config.run_config import RunConfig, has_large_eta
from rdh.diagnosis._tools.evidence import Evidence
from rdh.diagnosis._tools.finding import CannotRun, Finding, Place, Remedy, Severity, part_of
from rdh.diagnosis._tools.series import blocks
from rdh.diagnosis._tools.usual import STEPS, above_usual, slower_hash_layer

TITLE = "Diverging"
AFTER = ("collapsed",)
GROWTH = 1.5  # of the loss over its lowest tenth
LEAST_RECORDS = 20
QUANTIZATION = "The quantization loss "  # how the message of such a failure begins


def check(evidence: Evidence) -> Finding | None:
    """Fires if the run failed by a loss or weight that is not finite, or if its loss grew."""
    if evidence.result.get("kind") == "diverged":
        return _finding(evidence, "fatal", str(evidence.result.get("message")))
    loss = evidence.column("loss", "loss")
    if len(loss) < LEAST_RECORDS:
        raise CannotRun(f"it needs {LEAST_RECORDS} records of the loss")
    parts = blocks(loss)
    lowest = int(parts.argmin())
    if lowest == len(parts) - 1 or parts[lowest] <= 0 or parts[-1] < GROWTH * parts[lowest]:
        return None
    steps = loss.index.to_numpy()
    where = int(steps[min(len(steps) - 1, lowest * len(steps) // len(parts))])
    sentence = (
        f"The loss grows: {parts[-1]:.3g} in the last tenth of the records, "
        f"{parts[-1] / parts[lowest]:.1f} times its lowest tenth (around step {where:,})."
    )
    return _finding(evidence, "costs MAP", sentence)


def _finding(evidence: Evidence, severity: Severity, sentence: str) -> Finding:
    return Finding(
        severity=severity,
        sentence=sentence,
        mechanism="A step is longer than the valley is wide, so that it ends higher on the other "
        "side, where the gradient is larger still. Where L curves by more than this, no rate that "
        "is larger can settle.",
        equation=r"\mathrm{lr} \cdot \lambda_{\max}(\nabla^2 L) > 2",
        places=(Place("pages/live.py", "The loss, term by term", anchor="loss"),),
        remedies=_remedies(
            evidence.config,
            by_weight=sentence.startswith(QUANTIZATION) or has_large_eta(evidence.config),
        ),
    )


def _remedies(config: RunConfig, *, by_weight: bool) -> tuple[Remedy, ...]:
    """Back to the usual values if one lies above them; only else shorter steps.

    Thirds of a rate that is far too high lead from one dead run to the next, and no rate helps
    against a weight decay that is. `by_weight`: the weight of quantization may be the cause.
    """
    expect = "The loss falls to its end, without jumps."
    usual, whose = above_usual(config, (*STEPS, "eta") if by_weight else STEPS)
    if usual:
        shorter = "Steps get shorter." if usual.keys() - {"eta"} else "Its gradients get smaller."
        return (Remedy(usual, f"{whose} {shorter}", expect),)
    return (
        Remedy({"lr": part_of(config.lr, 3)}, "Steps get shorter.", expect),
        *slower_hash_layer(
            config, "Steps of the hash layer alone get shorter: its logits grow.", expect
        ),
    )  # fmt: skip
