"""WatchedConfig: what is known of a run that was watched, trained by a loop that is not ours.

`rdh.recorder` writes it. A field that nobody told is None, and pages show "–" for it.
"""

import math
import re
from collections.abc import Mapping
from typing import Any, Literal

import numpy as np
from pydantic import Field, PrivateAttr, ValidationError, field_validator, model_validator

from rdh.catalog import DatasetCard, MethodCard
from rdh.config.checks import sentence
from rdh.config.run_config import ARM_LABELS, RunConfig
from rdh.errors import UserError, encodable

WATCHED = "watched"  # the kind of such a run, in config.json
LONGEST_NAME = 80
LONGEST_STEM = 50  # of the name in a run's id
LONGEST_TEXT = 2000  # of a setting
# Settings that a person may tell under the names that our own runs have.
TEXTS = ("dataset", "backbone", "optimizer", "schedule", "precision", "device")
NUMBERS = ("lr", "epochs", "batch_size", "seed", "momentum", "weight_decay", "image_size", "eta")
PLUG_INS = ("amplifier", "quantization")


class WatchedConfig(RunConfig):
    """A watched run. `make_watched` makes the same checks and says one sentence if one fails."""

    name: str = Field(
        min_length=1, max_length=LONGEST_NAME, description="what the run is called on the pages"
    )
    method: str = Field("watched", min_length=1, description="the method, in any words")
    quantization: Literal["none", "plain", "error_aware"] = Field(
        "plain", description="the quantization term of the loop, if it was told"
    )
    settings: dict[str, Any] = Field(default_factory=dict, description="the loop's own settings")
    n_items: int = Field(ge=1, description="training items")
    dataset: Any = None
    backbone: Any = None
    weights: Any = None
    finetune: Any = None
    image_size: Any = None
    augment: Any = None
    precision: Any = None
    compile: Any = None
    epochs: Any = None
    batch_size: Any = None
    optimizer: Any = None
    lr: Any = None
    momentum: Any = None
    weight_decay: Any = None
    schedule: Any = None
    hash_lr_scale: Any = None
    split_seed: Any = None
    seed: Any = None
    device: Any = None
    devices: Any = None
    bad_images: Any = None
    eaq_normalization: Any = None
    eaq_pairs: Any = None
    eval_every: Any = None
    checkpoint_every: Any = None

    _method_card: MethodCard = PrivateAttr()
    _dataset_card: DatasetCard = PrivateAttr()

    @field_validator("weights")
    @classmethod
    def _whole_path(cls, value: Any) -> Any:
        return value

    @field_validator("device")
    @classmethod
    def _known_device(cls, value: Any) -> Any:
        return value

    @model_validator(mode="after")
    def _whole(self) -> "WatchedConfig":
        text = "A method that was watched in a loop of its own."
        self._method_card = MethodCard(name=self.method, title=self.method, text=text, file="")
        title = self.dataset or "–"
        self._dataset_card = DatasetCard(name=title, title=title, text="Not loaded.", file="")
        return self

    @property
    def is_watched(self) -> bool:
        return True

    @property
    def weighs_quantization(self) -> bool:
        """Whether the loop told a weight of a quantization term."""
        return self.eta is not None and self.quantization != "none"

    @property
    def label(self) -> str:
        """For tables and legends: the name, and the plug-ins if they were told."""
        return self.name + ARM_LABELS[self.arm or "baseline"]

    @property
    def stem(self) -> str:
        """How the run's id begins."""
        name = re.sub(r"[^a-z0-9]+", "-", self.name.lower()).strip("-")[:LONGEST_STEM]
        return f"{name or WATCHED}-{self.n_bits}"

    def recorded(self) -> dict[str, Any]:
        """All fields that are known."""
        return {name: value for name, value in super().recorded().items() if value is not None}


def make_watched(**fields: Any) -> WatchedConfig:
    """A checked WatchedConfig.

    Raises:
        UserError: One sentence for the first bad field.
    """
    try:
        return WatchedConfig(**fields)
    except ValidationError as error:
        raise UserError(sentence(error, WatchedConfig.model_fields)) from None


def told(settings: Mapping[str, Any]) -> dict[str, Any]:
    """A loop's own settings as fields of a WatchedConfig.

    Those with a name and a type of ours become fields, all others lie in `settings`. A value that
    JSON does not have is kept as its text, so any dict of settings will do. `no_numbers` are left
    out.

    Args:
        settings: Name -> value, as the person gave them.

    Raises:
        UserError: It is no dict with texts as names.
    """
    if not isinstance(settings, Mapping) or not all(isinstance(name, str) for name in settings):
        raise UserError(f"settings must be a dict of name: value, got {str(settings)[:80]!r}.")
    fields: dict[str, Any] = {}
    others: dict[str, Any] = {}
    bad = no_numbers(settings)
    for name, given in settings.items():
        if name in bad:
            continue
        value = given.item() if isinstance(given, np.generic) else given
        is_plain = value is None or _is_number(value)
        kept = value if is_plain else encodable(str(value))[:LONGEST_TEXT]
        is_text = name in TEXTS and isinstance(value, str)
        is_ours = is_text or (name in NUMBERS and _is_number(value)) or name in PLUG_INS
        (fields if is_ours else others)[encodable(name)] = kept
    return fields | ({"settings": others} if others else {})


def no_numbers(settings: Mapping[str, Any]) -> list[str]:
    """Names of settings that pages compute with, but whose values are no finite numbers.

    An image size may be a text too: "224 × 224".
    """
    return [
        name
        for name, given in settings.items()
        if name in NUMBERS and name != "image_size" and given is not None
        and not _is_number(given.item() if isinstance(given, np.generic) else given)
    ]  # fmt: skip


def _is_number(value: object) -> bool:
    return isinstance(value, bool | int) or (isinstance(value, float) and math.isfinite(value))
