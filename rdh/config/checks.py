"""Checks of a RunConfig that need a card or two settings, and its errors as one sentence."""

import difflib
import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from pydantic import ValidationError
from pydantic.fields import FieldInfo

from rdh.catalog import BackboneCard, MethodCard
from rdh.catalog.complaints import complaint, shown
from rdh.errors import UserError

if TYPE_CHECKING:
    from rdh.config.run_config import RunConfig


LIST = "`python -m rdh train --help`"  # the command that lists the settings of a run


def checked_weights(value: str) -> str:
    """pretrained, none, or the absolute path of a file.

    The file need not exist, because a config outlives files. The run looks for it when it starts.

    Raises:
        ValueError: the word is none of these.
    """
    if value in ("pretrained", "none"):
        return value
    if not value.isprintable() or not re.search(r"[/\\]|\.[A-Za-z0-9]+$", value):
        raise ValueError("must be pretrained, none or the path of a file such as weights.pth")
    try:
        return str(Path(value).expanduser().absolute())
    except RuntimeError:
        raise ValueError("must be a path below a home folder that there is") from None


def check_together(config: "RunConfig", method: MethodCard) -> None:
    """ValueError for the first settings that do not fit the method or each other."""
    refusal = method.refusal(config.amplifier, config.quantization)
    if refusal:
        raise ValueError(refusal)
    if not config.amplifier and config.amplifier_aim != "gradient":
        raise ValueError(
            f"amplifier_aim must be gradient if the amplifier is off, got "
            f"{config.amplifier_aim!r}; switch the amplifier on or leave the aim out"
        )
    if not config.amplifier and config.amplifier_scale != 1:
        raise ValueError(
            f"amplifier_scale must be 1 if the amplifier is off, got {config.amplifier_scale:g}; "
            f"switch the amplifier on or leave the scale out"
        )
    if config.eaq_pairs == "stored" and not method.stores_all_codes:
        raise ValueError(
            f"eaq_pairs must be in_batch for {method.name}, got 'stored': it stores no codes of "
            f"all training items; set eaq_pairs=in_batch"
        )
    check_devices(config, method)
    if config.finetune:
        return
    if config.augment:
        raise ValueError(
            "augment must be off when finetune is off: cached features see each image once"
        )
    if config.precision != "float32":
        raise ValueError(
            "precision must be float32 when finetune is off: cached features are "
            "computed once, in float32"
        )
    if config.compile:
        raise ValueError(
            "compile must be off when finetune is off: no backbone runs while the hash layer trains"
        )


def check_devices(config: "RunConfig", method: MethodCard) -> None:
    """ValueError if the run can't be shared among that many devices."""
    if config.devices == 1:
        return
    if reason := method.needs_one_device():
        raise ValueError(
            f"devices must be 1 for {method.name}, got {config.devices}: {reason}; set devices=1"
        )
    if config.device.startswith("cuda:"):
        raise ValueError(
            f"device must be auto, cuda or cpu for several devices, got {config.device}, which is "
            f"one; set device=auto, or devices=1"
        )
    if config.batch_size < 2 * config.devices:
        raise ValueError(
            f"batch_size must be at least {2 * config.devices} for {config.devices} devices, which "
            f"share it, got {config.batch_size}; raise it, or lower devices"
        )


def check_backbone(config: "RunConfig", backbone: BackboneCard) -> None:
    """ValueError for the first settings that do not fit the backbone."""
    least, only = backbone.min_image_size, backbone.only_image_size
    if config.image_size < least:
        raise ValueError(
            f"image_size must be at least {least} for the backbone {backbone.name}, got "
            f"{config.image_size}"
        )
    if only and config.image_size != only:
        raise ValueError(
            f"image_size must be {only} for the backbone {backbone.name}, got {config.image_size}"
        )
    if not backbone.trainable:
        if config.finetune:
            raise ValueError(
                f"finetune must be off for the backbone {backbone.name}: there is no "
                f"network to train"
            )
        if config.weights != "pretrained":
            raise ValueError(
                f"weights must be pretrained for the backbone {backbone.name}: there is "
                f"no network to fill"
            )
        return
    if config.finetune:
        return
    if config.weights == "none" or (config.weights == "pretrained" and not backbone.pretrained):
        why = "weights=none leaves it with" if config.weights == "none" else "it has"
        raise ValueError(
            f"finetune must be on for the backbone {backbone.name}: {why} no pretrained "
            f"weights to freeze"
        )


def near_word(name: str, known: Iterable[str]) -> str:
    """The end of a sentence about a setting that there is not: a near one, or where all are."""
    near = difflib.get_close_matches(name, known, 1)
    return f"did you mean {near[0]}?" if near else f"{LIST} lists them."


def sentence(error: ValidationError, fields: Mapping[str, FieldInfo]) -> str:
    """Pydantic's first error in words: field, rule, value got, and what the field means."""
    first = error.errors(include_url=False)[0]
    cause = first.get("ctx", {}).get("error")
    if isinstance(cause, UserError):  # of the catalog: a sentence already
        return str(cause)
    if not first["loc"]:
        return f"{cause}."
    name = str(first["loc"][0])
    if first["type"] == "extra_forbidden":
        return f"{shown(name)} is not a setting of a run; {near_word(name, fields)}"
    is_key = first["loc"][-1] == "[key]"
    rule = "must be switches by name" if is_key else complaint(first, fields[name])
    return f"{name} {rule}, got {shown(first['input'])} ({fields[name].description})."
