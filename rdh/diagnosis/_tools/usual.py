"""Settings that are usual for a run, and which of its own lie above them."""

from typing import Any

from rdh.config.presets import PRESETS, preset_config
from rdh.config.run_config import RunConfig, usual_eta
from rdh.diagnosis._tools.finding import Remedy, part_of

NETWORK = ("dataset", "backbone", "finetune")  # the rate that such a network stands
STEPS = ("lr", "weight_decay", "hash_lr_scale")  # what makes steps longer
LR_OF_OTHERS = 1e-3  # of optimizers that are not the presets': the greatest that they want
WORDS = {"eta": "η"}


def above_usual(config: RunConfig, names: tuple[str, ...]) -> tuple[dict[str, Any], str]:
    """The usual values of those settings that stand higher in a run.

    Of several presets for such a network, the one with the lowest rate counts: what learns there
    learns with every method. η is the preset's; if it names none, what the method itself gives its
    plain term; else that of the paper.

    Args:
        config: of the run.
        names: the settings to look at: those of `STEPS`, and "eta".

    Returns:
        setting -> usual value; and a sentence on who has these. Empty if nothing stands higher.
    """
    alike = [
        name
        for name in PRESETS
        if all(getattr(preset_config(name), one) == getattr(config, one) for one in NETWORK)
    ]
    preset = min(alike, key=lambda name: preset_config(name).lr, default=None)
    usual = preset_config(preset).model_dump()
    who = f"The preset “{PRESETS[preset].title}”" if preset else "A run with usual settings"
    if config.optimizer and config.optimizer.lower() != usual["optimizer"]:
        who, usual["lr"] = f"A run with usual settings and {config.optimizer}", LR_OF_OTHERS
    own = config.method_card.plain_default
    paper = usual_eta(config.dataset_card)
    named = PRESETS[preset].fields.get("eta") if preset else None
    usual["eta"] = next(one for one in (named, own, paper) if one is not None)
    higher = {
        name: usual[name]
        for name in names
        if getattr(config, name) is not None and getattr(config, name) > usual[name]
    }
    if not higher:
        return {}, ""
    said = [f"{WORDS.get(name, name.replace('_', ' '))} {higher[name]:g}" for name in higher]
    if "eta" in higher and named is None:
        whose = f"{config.method_card.title} itself" if own is not None else "the paper"
        said[-1] += f" (that of {whose})"
    which = "They" if len(said) > 1 else "It"
    return higher, f"{who} has {' and '.join(said)}. {which} stood higher here."


def slower_hash_layer(config: RunConfig, why: str, expect: str) -> tuple[Remedy, ...]:
    """A third of the hash layer's own rate, beside a third of lr.

    Args:
        config: of the run.
        why: what the change does.
        expect: what is seen if it helps.

    Returns:
        Empty if the backbone is frozen: lr then is the rate of the hash layer alone, so that both
        would be the same run.
    """
    if config.finetune is False:
        return ()
    return (Remedy({"hash_lr_scale": part_of(config.hash_lr_scale, 3)}, why, expect),)
