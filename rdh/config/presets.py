"""Named starting points of a run, and the demo pair."""

from dataclasses import dataclass, field
from typing import Any

from rdh.config.run_config import RunConfig, make_config, with_plug_ins, with_usual_eta
from rdh.errors import UserError


@dataclass(frozen=True)
class Preset:
    """A starting point of a run.

    Attributes:
        title: for the launch form.
        text: for the launch form.
        fields: what differs from the defaults of RunConfig.
        first: what the launch form fills in beside them, until the reader chooses: a method, and
            perhaps a code length and a weight. HashNet has no quantization term, so a form that
            begins with it leaves eta to the preset.
    """

    title: str
    text: str
    fields: dict[str, Any]
    first: dict[str, Any] = field(default_factory=lambda: {"method": "hashnet"})


DEMO = {"method": "dch", "n_bits": 16, "eta": 1.0}
PRESETS = {
    "demo": Preset(
        "Demo",
        "8x8 digits, a small network from scratch: the pair of the start page. Its rate of .3 "
        "shows the dead bits of DCH, and DPSH collapses at it.",
        {
            "lr": 0.3,
            "batch_size": 64,
            "epochs": 60,
            "probe_every": 8,
            "eval_every": 5,
            "checkpoint_every": 20,
        },
        DEMO,
    ),
    "digits": Preset(
        "Digits, every method",
        "The demo's digits at a rate (.03) and eta (.1) at which every method learns: to compare "
        "methods.",
        {
            "lr": 0.03,
            "eta": 0.1,
            "batch_size": 64,
            "epochs": 60,
            "probe_every": 8,
            "eval_every": 5,
            "checkpoint_every": 20,
        },
    ),
    "quick": Preset(
        "Quick check",
        "Five epochs of any method on the digits: does everything work? Too short and fast a "
        "training to judge a method by.",
        {
            "lr": 0.3,
            "batch_size": 64,
            "epochs": 5,
            "probe_every": 4,
            "eval_every": 1,
            "checkpoint_every": 5,
        },
    ),
    "offline": Preset(
        "CIFAR-10, frozen backbone",
        "EfficientNet-Lite0 features at 128 px, extracted once and cached; only the "
        "hash layer trains, seconds a run. Needs the images.",
        {
            "dataset": "cifar10",
            "backbone": "efficientnet_lite0",
            "finetune": False,
            "image_size": 128,
            "lr": 0.03,  # the baselines' best of .003, .01, .03, .1
            "epochs": 30,
            "probe_every": 20,
            "checkpoint_every": 10,
        },
    ),
    "paper": Preset(
        "The paper's recipe",
        "CIFAR-10, AlexNet finetuned end to end with SGD .01 and cosine, batch 128, "
        "150 epochs: hours on a GPU.",
        {
            "dataset": "cifar10",
            "backbone": "alexnet",
            "finetune": True,
            "image_size": 224,
            "augment": True,
            "epochs": 150,
            "probe_every": 40,
            "eval_every": 30,
            "checkpoint_every": 5,
        },
    ),
}


def preset_config(name: str | None, /, **fields: Any) -> RunConfig:
    """A preset's config with the given fields on top, and eta as `with_usual_eta` fills it in.

    Args:
        name: of the preset; None: RunConfig's defaults.
        fields: settings of a run.

    Raises:
        UserError: there is no such preset, or a field is bad.
    """
    if name is not None and name not in PRESETS:
        raise UserError(f"preset must be one of {', '.join(PRESETS)}, got {name!r}.")
    return make_config(**with_usual_eta((PRESETS[name].fields if name else {}) | fields))


def demo_pair() -> list[RunConfig]:
    """DCH on digits without and with RDH: what `rdh demo` and the start page show.

    It was chosen by looking at baselines alone: of all methods at 16 and 32 bits and rates of .01
    to .3, it has the most dead bits that cost MAP (docs/dead-bits.md). Both arms weigh their
    quantization alike.
    """
    base = preset_config("demo", **DEMO)
    return [with_plug_ins(base, rdh=False), with_plug_ins(base, rdh=True)]


def recorded_pair(seed: int = 0) -> list[RunConfig]:
    """The demo pair as it ships with the package: the same training with fewer records.

    Args:
        seed: of weights and order.
    """
    thinned = {"probe_every": 16, "eval_every": 10, "seed": seed}
    return [make_config(**(config.model_dump() | thinned)) for config in demo_pair()]
