"""RunConfig: everything that decides a run's result, checked once.

Defaults are the paper's hyper-parameters (section 6.3).
"""

import hashlib
import json
import re
from typing import Any, Literal

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    ValidationError,
    ValidationInfo,
    field_validator,
    model_validator,
)

from rdh import catalog
from rdh.config.checks import (
    check_backbone,
    check_together,
    checked_options,
    checked_weights,
    sentence,
)
from rdh.errors import UserError

PLUG_INS = (
    "amplifier",
    "quantization",
    "eta",
    "tau",
    "eaq_normalization",
    "eaq_pairs",
)  # what the two runs of a pair may differ in


# Dead and saturated bits are counted at these levels of tau too, whatever a run's own tau is.
TAU_LEVELS = (0.9, 0.95, 0.99, 0.995, 0.999)


class RunConfig(BaseModel):
    """One training run. Frozen; unknown keys are errors.

    `make_config` gives the same checks with one sentence an error.
    """

    # strict: "32" is no code length and 3.0 no number of epochs; a whole number does for a real one
    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, allow_inf_nan=False)

    method: str = Field("hashnet", description="hashing method: a file of rdh/methods")
    n_bits: int = Field(32, ge=1, le=1024, description="code length K")
    method_options: dict[str, Any] = Field(
        default_factory=dict, description="the method's own switches"
    )
    amplifier: bool = Field(False, description="Gradient Amplifier, Eq. 3")
    quantization: Literal["none", "plain", "error_aware"] = Field(
        "plain", description="plain: the method's own term; error_aware: Eq. 4"
    )
    eta: float | None = Field(
        None,
        ge=0,
        le=1000,
        description="weight of the quantization term in either form; empty: 1 (multi-label "
        "0.1) error-aware, the method's own plain",
    )
    tau: float = Field(
        0.99,
        ge=0,
        lt=1,
        description="saturation threshold of amplifier and dead-bit counts; the paper uses 0.99",
    )
    eaq_normalization: Literal["N1", "N2", "N3", "N1d"] = Field(
        "N1", description="how Eq. 4's sum over pairs becomes a mean"
    )
    eaq_pairs: Literal["in_batch", "stored"] = Field(
        "in_batch",
        description="whose signs Eq. 4 compares a batch with: its own, or those that DPSH and "
        "DSDH store of all training items",
    )
    dataset: str = Field("digits", description="data set: a file of rdh/datasets")
    dataset_options: dict[str, Any] = Field(
        default_factory=dict, description="the data set's own switches"
    )
    split_seed: int = Field(
        0, ge=0, lt=2**32, description="draws query, gallery and training items; apart from seed"
    )
    bad_images: Literal["stop", "skip"] = Field(
        "stop", description="what to do with an image that can't be decoded"
    )
    backbone: str = Field(
        "mlp", description="network below the hash layer; torchvision:NAME for one without a card"
    )
    weights: str = Field(
        "pretrained",
        description="of the backbone: pretrained (where there are some), none (from scratch) "
        "or a file's path",
    )
    finetune: bool = Field(
        True, description="train the backbone too; off: its features are extracted once and cached"
    )
    image_size: int = Field(8, ge=1, le=1024, description="pixels a side that the backbone sees")
    augment: bool = Field(
        False, description="random resized crops and flips of training images (needs finetune)"
    )
    precision: Literal["float32", "bfloat16"] = Field(
        "float32",
        description="of the backbone's layers; hash layer, losses and amplifier are always float32",
    )
    compile: bool = Field(
        False,
        description="torch.compile for the backbone (needs finetune): slow to start, then faster",
    )
    epochs: int = Field(150, ge=1, le=100_000, description="passes over the training items")
    batch_size: int = Field(128, ge=2, le=65_536, description="items a step; pairs need at least 2")
    optimizer: Literal["sgd", "rmsprop"] = Field(
        "sgd", description="rmsprop (with lr 1e-5) for what does not train with the paper's SGD"
    )
    lr: float = Field(0.01, gt=0, le=100, description="initial learning rate")
    momentum: float = Field(
        0.9, ge=0, lt=1, description="momentum of SGD; the paper does not state it"
    )
    weight_decay: float = Field(1e-5, ge=0, le=1, description="weight decay")
    schedule: Literal["cosine", "constant", "step"] = Field(
        "cosine", description="by epoch; cosine: to zero; step: a tenth after each third"
    )
    hash_lr_scale: float = Field(
        1.0, gt=0, le=1000, description="learning rate of the hash layer relative to the backbone's"
    )
    seed: int = Field(
        0, ge=0, lt=2**32, description="initial weights, order of items, augmentation"
    )
    device: str = Field("auto", description="auto: the GPU where there is one")
    probe_every: int = Field(
        20, ge=0, le=100_000, description="steps between two records of the probes; 0: no probes"
    )
    eval_every: int = Field(
        0, ge=0, le=100_000, description="epochs between two evaluations; 0: at the end only"
    )
    checkpoint_every: int = Field(
        10, ge=1, le=100_000, description="epochs between two checkpoints"
    )

    @field_validator("method", "dataset", "backbone")
    @classmethod
    def _known_name(cls, value: str, info: ValidationInfo) -> str:
        cards = {
            "method": catalog.methods,
            "dataset": catalog.datasets,
            "backbone": catalog.backbones,
        }
        choices, more = cards[info.field_name](), ""
        if info.field_name == "backbone":
            if re.fullmatch(rf"{catalog.TORCHVISION}[a-z0-9_]{{1,60}}", value):
                return value
            more = f" or {catalog.TORCHVISION}NAME"
        if value not in choices:
            raise ValueError(f"must be one of {', '.join(choices)}{more}")
        return value

    @field_validator("weights")
    @classmethod
    def _whole_path(cls, value: str) -> str:
        return checked_weights(value)

    @field_validator("device")
    @classmethod
    def _known_device(cls, value: str) -> str:
        if not re.fullmatch(r"auto|cpu|cuda(:[0-9]{1,3})?", value):
            raise ValueError("must be auto, cpu, cuda or cuda:N")
        return value

    @model_validator(mode="after")
    def _whole(self) -> "RunConfig":
        method, data = catalog.methods()[self.method], catalog.datasets()[self.dataset]
        for field, card in (("method_options", method), ("dataset_options", data)):
            self.__dict__[field] = checked_options(field, getattr(self, field), card)
        check_together(self, method)
        check_backbone(self, catalog.backbone(self.backbone))
        return self

    @property
    def hash(self) -> str:
        """16 hex digits over all fields: equal configs, equal hash."""
        return digest(self.model_dump())

    @property
    def pair_hash(self) -> str:
        """The same for the two runs of a pair: configs equal except for the plug-ins."""
        return digest(
            {key: value for key, value in self.model_dump().items() if key not in PLUG_INS}
        )

    @property
    def weighs_quantization(self) -> bool:
        """Whether there is a quantization term for eta to weigh: the error-aware one, or a plain
        one with a weight of its own.
        """
        has_weight = any(
            switch.name == "quantization_weight"
            for switch in catalog.methods()[self.method].switches
        )
        return self.quantization == "error_aware" or (self.quantization == "plain" and has_weight)

    @property
    def has_rdh(self) -> bool:
        """Both plug-ins on."""
        return self.amplifier and self.quantization == "error_aware"

    @property
    def arm(self) -> str:
        """What the plug-ins are, in a word: "" (baseline), "rdh", "ga", "eaq", "noq" or "ga-noq"."""
        if self.has_rdh:
            return "rdh"
        parts = (["ga"] if self.amplifier else []) + {
            "error_aware": ["eaq"],
            "none": ["noq"],
            "plain": [],
        }[self.quantization]
        return "-".join(parts)

    @property
    def label(self) -> str:
        """For tables and legends: "HashNet", "HashNet + RDH", "HashNet + amplifier", ..."""
        names = {
            "": "",
            "rdh": " + RDH",
            "ga": " + amplifier",
            "eaq": " + EAQL",
            "noq": " without quantization",
        }
        return catalog.methods()[self.method].title + names.get(
            self.arm, " + amplifier, without quantization"
        )


def make_config(**fields: Any) -> RunConfig:
    """RunConfig with eta resolved: None where nothing is weighed, 1 or (multi-label) 0.1 for EAQL
    unless given.

    UserError with one sentence for the first bad field.
    """
    try:
        config = RunConfig(**fields)
    except ValidationError as error:
        raise UserError(sentence(error, RunConfig.model_fields)) from None
    if config.quantization == "error_aware" and config.eta is None:
        is_multi_label = catalog.datasets()[config.dataset].facts.get("is_multi_label", False)
        config = config.model_copy(update={"eta": 0.1 if is_multi_label else 1.0})
    if config.eta is not None and not config.weighs_quantization:
        config = config.model_copy(
            update={"eta": None}
        )  # it plays no part: runs with any eta are the same run
    return config


def arms_of(method: str) -> tuple[bool, ...]:
    """What `with_plug_ins` can make of a method: (False, True), or (False,) where there is no
    activation to die in.
    """
    return (False, True) if catalog.methods()[method].facts.get("activation") else (False,)


def plug_in_fields(*, rdh: bool) -> dict[str, Any]:
    """The fields that make a run "+RDH", or a baseline."""
    return {"amplifier": rdh, "quantization": "error_aware" if rdh else "plain"}


def with_plug_ins(config: RunConfig, *, rdh: bool) -> RunConfig:
    """The arm of the pair that has both plug-ins, or none. What the config kept of eta, tau and the
    normalisation stays.

    An eta that was asked for is lost where the config has nothing to weigh: then build both arms by
    `plug_in_fields`.
    """
    return make_config(**(config.model_dump() | plug_in_fields(rdh=rdh)))


def digest(fields: dict[str, Any]) -> str:
    """16 hex digits over plain values; equal values, equal digits, whatever the order of the keys."""
    return hashlib.sha256(json.dumps(fields, sort_keys=True).encode()).hexdigest()[:16]
