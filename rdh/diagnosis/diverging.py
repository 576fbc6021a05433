"""A loss that grows again, or is no longer a number."""

from rdh.config.presets import PRESETS, preset_config
from rdh.config.run_config import RunConfig
from rdh.diagnosis._tools.evidence import Evidence
from rdh.diagnosis._tools.finding import CannotRun, Finding, Place, Remedy, Severity, part_of
from rdh.diagnosis._tools.series import blocks

TITLE = "Diverging"
AFTER = ("collapsed",)
GROWTH = 1.5  # of the loss over its lowest tenth
LEAST_RECORDS = 20
NETWORK = ("dataset", "backbone", "finetune")  # the rate that such a network stands
STEPS = ("lr", "weight_decay", "hash_lr_scale")  # what makes steps longer
LR_OF_OTHERS = 1e-3  # of optimizers that are not the presets': the greatest that they want


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
        remedies=_remedies(evidence.config),
    )


def _remedies(config: RunConfig) -> tuple[Remedy, ...]:
    """Back to the usual values if one lies above them; only else shorter steps.

    Thirds of a rate that is far too high lead from one dead run to the next, and no rate helps
    against a weight decay that is.
    """
    expect = "The loss falls to its end, without jumps."
    name, usual = _usual(config)
    if usual:
        are = " and ".join(f"{one.replace('_', ' ')} {value:g}" for one, value in usual.items())
        which = "They" if len(usual) > 1 else "It"
        why = f"{name} has {are}. {which} stood higher here, which makes each step longer."
        return (Remedy(usual, why, expect),)
    return (
        Remedy({"lr": part_of(config.lr, 3)}, "Steps get shorter.", expect),
        Remedy({"hash_lr_scale": part_of(config.hash_lr_scale, 3)},
               "Steps of the hash layer alone get shorter: its logits grow.", expect),
    )  # fmt: skip


def _usual(config: RunConfig) -> tuple[str, dict[str, float]]:
    """The preset for such a network, or what is usual, and those of its values that are lower."""
    alike = [
        one
        for one in PRESETS
        if all(getattr(preset_config(one), name) == getattr(config, name) for name in NETWORK)
    ]
    usual = preset_config(alike[0] if alike else None).model_dump()
    name = f"The preset {PRESETS[alike[0]].title}" if alike else "A run with usual settings"
    if config.optimizer not in (None, usual["optimizer"]):
        name, usual["lr"] = f"A run with usual settings and {config.optimizer}", LR_OF_OTHERS
    higher = {one: getattr(config, one) for one in STEPS}
    return name, {
        one: usual[one] for one, value in higher.items() if value is not None and value > usual[one]
    }
