"""RunConfig: everything that decides a run's result, checked once.

Defaults are the paper's hyper-parameters (section 6.3).
"""

import hashlib
import json
import re
from collections.abc import Mapping, Sequence
from typing import Any, Literal

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    PrivateAttr,
    ValidationError,
    field_validator,
    model_validator,
)

from rdh import catalog
from rdh.catalog import DatasetCard, MethodCard
from rdh.config.checks import check_backbone, check_together, checked_weights, sentence
from rdh.errors import UserError

PLUG_INS = (
    "amplifier",
    "amplifier_aim",
    "amplifier_scale",
    "quantization",
    "eta",
    "tau",
    "eaq_normalization",
    "eaq_pairs",
)  # what the two runs of a pair may differ in
# What a run's plug-ins are, by the words that people type. The first is the baseline.
ARMS: dict[str, dict[str, Any]] = {
    "baseline": {"amplifier": False, "quantization": "plain"},
    "noq": {"amplifier": False, "quantization": "none"},
    "ga": {"amplifier": True, "quantization": "plain"},
    "ga-noq": {"amplifier": True, "quantization": "none"},
    "eaq": {"amplifier": False, "quantization": "error_aware"},
    "rdh": {"amplifier": True, "quantization": "error_aware"},
}
ARM_LABELS = {  # after the title of the method
    "baseline": "",
    "noq": " without quantization",
    "ga": " + amplifier",
    "ga-noq": " + amplifier, without quantization",
    "eaq": " + EAQL",
    "rdh": " + RDH",
}
FAR_ABOVE = 10  # times the usual eta: so large a weight may break the numbers of a run by itself
DEVICE, DEVICE_RULE = r"auto|cpu|cuda(:[0-9]{1,9})?", "must be auto, cpu, cuda or cuda:N"
# Every saturated entry that the whole loss asks to leave gets alpha, as in the paper.
AIM_OFF: dict[str, Any] = {"amplifier_aim": "gradient", "amplifier_scale": 1.0}
AIMS = {
    "gradient": "",
    "all_pairs": ", aimed by all pairs",
    "labels": ", aimed by labels",
    "not_labels": ", aimed against labels",
}
# Fields that came later, at the value that all runs before them have. Files and hashes leave them
# out at this value, so that the hashes of old runs stay the same.
LATER: dict[str, Any] = AIM_OFF | {"queries": "test", "devices": 1}
# method_options that were renamed in November 2026: switch -> {old word: new word}. Old words are
# still taken, and hashes use them, so that the hashes of old runs stay the same.
RENAMED = {"pairs": {"batch": "in_batch"}}


class RunConfig(BaseModel):
    """One training run. Frozen; unknown keys are errors.

    `make_config` makes the same checks and says one sentence if one fails.
    """

    # strict: "32" is not a code length, 3.0 not a number of epochs; an int is taken for a float
    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, allow_inf_nan=False)

    method: str = Field("hashnet", description="hashing method: a file of rdh/methods")
    n_bits: int = Field(32, ge=1, le=1024, description="bits of a code")
    method_options: dict[str, Any] = Field(
        default_factory=dict, description="the method's own switches"
    )
    amplifier: bool = Field(False, description="Gradient Amplifier, Eq. 3")
    amplifier_aim: Literal["gradient", "all_pairs", "labels", "not_labels"] = Field(
        "gradient",
        description="of the saturated bits that the whole loss asks to leave, which are amplified: "
        "all (the paper); or, ours: only those that all pairs, or the labels, call wrong too; "
        "not_labels, the control: only right ones",
    )
    amplifier_scale: float = Field(
        1.0, gt=0, le=1000, description="multiple of the paper's alpha; ours, the paper has 1"
    )
    quantization: Literal["none", "plain", "error_aware"] = Field(
        "plain", description="plain: the method's own term; error_aware: Eq. 4"
    )
    eta: float | None = Field(
        None,
        ge=0,
        le=1000,
        description="weight of the quantization term, plain or error-aware; if left out it is 1, "
        "and 0.1 for multi-label data",
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
        description="whose signs Eq. 4 compares a batch with: its own, or those that DPSH, DSDH "
        "and DAPH-R store of all training items",
    )
    dataset: str = Field("digits", description="data set: a file of rdh/datasets")
    dataset_options: dict[str, Any] = Field(
        default_factory=dict, description="the data set's own switches"
    )
    split_seed: int = Field(
        0, ge=0, lt=2**32, description="draws query, gallery and training items; apart from seed"
    )
    queries: Literal["test", "validation"] = Field(
        "test",
        description="validation: as many other queries, held out of the gallery, for choosing "
        "settings without a look at the test queries",
    )
    bad_images: Literal["stop", "skip"] = Field(
        "stop", description="what to do with an image that can't be decoded"
    )
    backbone: str = Field(
        "mlp", description="network below the hash layer; torchvision:NAME for one without a card"
    )
    weights: str = Field(
        "pretrained",
        description="of the backbone: pretrained (if there are some), none (from scratch) "
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
    optimizer: Literal["sgd", "rmsprop", "adam", "adamw"] = Field(
        "sgd",
        description="of torch.optim; the paper has sgd, the others want an lr of 1e-5 to 1e-3",
    )
    lr: float = Field(0.01, gt=0, le=100, description="initial learning rate")
    momentum: float = Field(
        0.9, ge=0, lt=1, description="momentum of sgd (the others have none); not stated"
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
    device: str = Field("auto", description="auto: the GPU if there is one")
    devices: int = Field(
        1,
        ge=1,
        le=64,
        description="GPUs of this run, or processes on the CPU: they share each batch of "
        "batch_size items, and the result stays the same",
    )
    probe_every: int = Field(
        20, ge=0, le=100_000, description="steps between two records of the probes; 0: no probes"
    )
    eval_every: int = Field(
        0, ge=0, le=100_000, description="epochs between two evaluations; 0: at the end only"
    )
    checkpoint_every: int = Field(
        10, ge=1, le=100_000, description="epochs between two checkpoints"
    )

    # the cards at the time of the check, since their files may change while a run lasts
    _method_card: MethodCard = PrivateAttr()
    _dataset_card: DatasetCard = PrivateAttr()

    @field_validator("method_options")
    @classmethod
    def _new_words(cls, value: dict[str, Any]) -> dict[str, Any]:
        return _renamed(value, RENAMED)

    @field_validator("weights")
    @classmethod
    def _whole_path(cls, value: str) -> str:
        return checked_weights(value)

    @field_validator("device")
    @classmethod
    def _known_device(cls, value: str) -> str:
        if not re.fullmatch(DEVICE, value):
            raise ValueError(DEVICE_RULE)
        return value

    @model_validator(mode="after")
    def _whole(self) -> "RunConfig":
        self._method_card = catalog.method(self.method)
        self._dataset_card = catalog.dataset(self.dataset)
        backbone = catalog.backbone(self.backbone)
        self.__dict__["method_options"] = self._method_card.checked(
            self.method_options, "method_options"
        )
        self.__dict__["dataset_options"] = self._dataset_card.checked(
            self.dataset_options, "dataset_options"
        )
        check_together(self, self._method_card)
        check_backbone(self, backbone)
        return self

    @property
    def method_card(self) -> MethodCard:
        """The method's card."""
        return self._method_card

    @property
    def dataset_card(self) -> DatasetCard:
        """The data set's card."""
        return self._dataset_card

    @property
    def is_watched(self) -> bool:
        """Whether a loop that is not ours trains it (`rdh.config.watched`)."""
        return False

    @property
    def stem(self) -> str:
        """How the run's id begins: method[-arm]-bits-sSEED."""
        parts = [self.method, self.arm, str(self.n_bits), f"s{self.seed}"]
        return "-".join(filter(None, parts))

    @property
    def hash(self) -> str:
        """16 hex digits over all fields. Equal configs have equal hashes."""
        return digest(self.recorded())

    @property
    def pair_hash(self) -> str:
        """16 hex digits over all fields except the plug-ins. The runs of a pair share it."""
        return digest({key: value for key, value in self.recorded().items() if key not in PLUG_INS})

    def recorded(self) -> dict[str, Any]:
        """All fields as run folders keep them and hashes count them, in the oldest words.

        Old and new runs of equal configs have equal records. `make_config` takes them.
        """
        fields = self.model_dump()
        old = {
            switch: {new: word for word, new in words.items()} for switch, words in RENAMED.items()
        }
        kept = {name: fields[name] for name in fields if LATER.get(name, ...) != fields[name]}
        return kept | {"method_options": _renamed(fields["method_options"], old)}

    @property
    def weighs_quantization(self) -> bool:
        """Whether the loss has a quantization term, error-aware or plain, that eta weighs."""
        has_plain = self.quantization == "plain" and self._method_card.has_plain_term
        return self.quantization == "error_aware" or has_plain

    @property
    def has_rdh(self) -> bool:
        """Whether both plug-ins are on."""
        return self.amplifier and self.quantization == "error_aware"

    @property
    def arm(self) -> str:
        """The plug-ins in a word: "" (baseline), "rdh", "ga", "eaq", "noq" or "ga-noq"."""
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
        """For tables and legends: "HashNet", "HashNet + RDH, aimed by labels, 2 × alpha", ..."""
        plug_ins = ARM_LABELS[self.arm or "baseline"]
        scale = "" if self.amplifier_scale == 1 else f", {self.amplifier_scale:g} × alpha"
        return self._method_card.title + plug_ins + AIMS[self.amplifier_aim] + scale


def make_config(**fields: Any) -> RunConfig:
    """A checked RunConfig with eta resolved.

    With EAQL, eta is 1, and 0.1 for multi-label data, unless it is given. With plain quantization,
    None stays: it weighs as the method does, and runs of old folders rely on it. New runs get their
    eta by `with_usual_eta`. Without a quantization
    term, eta is None, also if one is given: runs with any eta are the same run then, so they have
    one hash, and both runs of a pair can be made of the same fields. The command line and the
    pages refuse such an eta if a person typed it, by `check_eta_counts`.

    Raises:
        UserError: one sentence for the first bad field.
    """
    try:
        config = RunConfig(**fields)
    except ValidationError as error:
        cause = error.errors(include_url=False)[0].get("ctx", {}).get("error")
        if isinstance(cause, catalog.UnusableFile):
            raise cause from None
        raise UserError(sentence(error, RunConfig.model_fields)) from None
    if config.quantization == "error_aware" and config.eta is None:
        config = config.model_copy(update={"eta": usual_eta(config.dataset_card)})
    if config.eta is not None and not config.weighs_quantization:
        config = config.model_copy(update={"eta": None})
    return config


def changed(old: Mapping[str, Any], changes: Mapping[str, Any]) -> RunConfig:
    """A config with some settings changed, as a clone has it.

    With another method or data set, the switches of the old one are dropped. With another data set,
    or from a run without quantization, eta goes back to its default unless the changes name it. So
    do the aim and the scale of the amplifier without it.

    Args:
        old: fields of a RunConfig.
        changes: fields that differ.

    Raises:
        UserError: one sentence for the first bad field, and for an eta that nothing would use.
    """
    fields = dict(old)
    for name, options in (("method", "method_options"), ("dataset", "dataset_options")):
        if changes.get(name, old[name]) != old[name]:
            fields[options] = {}
    is_new_method = changes.get("method", old["method"]) != old["method"]
    if changes.get("dataset", old["dataset"]) != old["dataset"] or (
        is_new_method and old.get("eta") is None
    ):
        fields.pop("eta", None)
    if not changes.get("amplifier", old["amplifier"]):
        fields |= AIM_OFF
    config = make_config(**with_usual_eta(fields | dict(changes)))
    check_eta_counts(changes.get("eta"), [config])
    return config


def check_eta_counts(eta: float | None, configs: Sequence[RunConfig]) -> None:
    """Refuses an eta that was asked for but that no run uses, and a weight that eta overrules.

    Args:
        eta: as the person gave it; None: not given.
        configs: the runs to start.

    Raises:
        UserError: none of them has a quantization term; or the method's own switch of the plain
            term's weight is named beside an eta, the preset's too.
    """
    if eta is not None and configs and not any(one.weighs_quantization for one in configs):
        names = ", ".join(dict.fromkeys(config.label for config in configs))
        raise UserError(
            f"eta must be left out for {names}: there is no quantization term to weigh, "
            f"got {eta!r}; ask for RDH or for another method."
        )
    for one in configs:
        weight = one.method_card.plain_weight
        own = one.method_options.get(weight) if weight else None
        if own is not None and one.quantization == "plain" and one.eta is not None:
            raise UserError(
                f"method_options {weight} must be left out if eta is given, got {own!r} and eta "
                f"{one.eta!r}: both weigh the plain quantization of {one.label}; leave out one."
            )


def plug_in_fields(*, rdh: bool) -> dict[str, Any]:
    """The fields that make a run "+RDH", or a baseline."""
    return dict(ARMS["rdh" if rdh else "baseline"])


def arm_fields(method: str, arm: str) -> dict[str, Any]:
    """The fields of an arm.

    Args:
        method: name of the method that is to run in it.
        arm: a key of `ARMS`.

    Raises:
        UserError: there is no such method or arm, or the method can't be run in it, or the arm
            would be the method's baseline.
    """
    card = catalog.method(method)
    if arm not in ARMS:
        raise UserError(f"arms must be among {', '.join(ARMS)}, got {arm!r}.")
    fields = ARMS[arm]
    refusal = card.refusal(fields["amplifier"], fields["quantization"])
    if refusal is None and fields["quantization"] == "none" and not card.has_plain_term:
        same = "ga" if fields["amplifier"] else "baseline"
        refusal = f"{method} has no plain quantization to leave out, so it would be the arm {same}"
    if refusal:
        raise UserError(
            f"{method} can't be run in the arm {arm}: {refusal}; leave out one of the two."
        )
    return dict(fields)


def with_usual_eta(fields: Mapping[str, Any]) -> dict[str, Any]:
    """Fields of a new run with eta filled in, so that all arms of a pair weigh alike.

    eta stays as it is if it is named, None too: None weighs plain quantization as the method does.
    It also stays away if the method's own switch of that weight is named.

    Args:
        fields: some settings of a run, not checked yet.
    """
    names = [
        str(fields.get(name, RunConfig.model_fields[name].default))
        for name in ("method", "dataset")
    ]
    method, dataset = catalog.methods().get(names[0]), catalog.datasets().get(names[1])
    options = fields.get("method_options")
    is_weighed = "eta" in fields or (
        method is not None and isinstance(options, dict) and method.plain_weight in options
    )
    if is_weighed or dataset is None:  # an unknown name is refused when the config is made
        return dict(fields)
    return {**fields, "eta": usual_eta(dataset)}


def usual_eta(dataset: DatasetCard) -> float:
    """The weight of the quantization term if nobody gives one, as in section 6.3 of the paper."""
    return 0.1 if dataset.is_multi_label else 1.0


def has_large_eta(config: RunConfig) -> bool:
    """Whether eta is far above `usual_eta`."""
    return config.eta is not None and config.eta > FAR_ABOVE * usual_eta(config.dataset_card)


def with_plug_ins(config: RunConfig, *, rdh: bool) -> RunConfig:
    """The same run with both plug-ins, or with none; eta, tau and the rest stay.

    A baseline without a quantization term has no eta, so its pair gets the default. To keep an eta
    that was asked for, build both arms with `plug_in_fields`. The baseline has no aim either.
    """
    aim = {} if rdh else AIM_OFF
    return make_config(**(config.model_dump() | plug_in_fields(rdh=rdh) | aim))


def arms_together(arms: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Plug-in fields of runs that share all other fields, an aim of the amplifier among them.

    The aim is meant for those with the amplifier, so the others get the defaults. If none has it,
    the aim stays and is refused.
    """
    is_used = any(arm.get("amplifier") for arm in arms)
    return [dict(arm) | ({} if arm.get("amplifier") or not is_used else AIM_OFF) for arm in arms]


def _renamed(options: dict[str, Any], words: dict[str, dict[str, str]]) -> dict[str, Any]:
    return {
        name: words[name][value]
        if name in words and isinstance(value, str) and value in words[name]
        else value
        for name, value in options.items()
    }


def digest(fields: Mapping[str, Any]) -> str:
    """16 hex digits over the fields of a config. The order of keys does not matter.

    Fields of AIM_OFF are left out at their defaults, so that runs from before them keep theirs.
    """
    kept = {
        name: value
        for name, value in fields.items()
        if name not in AIM_OFF or value != AIM_OFF[name]
    }
    return hashlib.sha256(json.dumps(kept, sort_keys=True).encode()).hexdigest()[:16]
