"""Measures everything that needs a GPU, in at most six minutes: `python -m rdh bench gpu -o DIR`.

* Finetuning AlexNet and EfficientNet-Lite0 on CIFAR-10 images, at the paper's batch size and at the
  largest that fits.
* The overhead of RDH and of the probes, and the gain of bfloat16 and torch.compile.
* torch's kernel of the evaluation beside the CPU's.
* Whether the GPU computes what the CPU computes.

Every part has its own time budget. If a row has no time left or fails, it gets a note and the next
one follows. gpu.json is written anew after every row, so that an interrupted benchmark keeps its
rows.
"""

import gc
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import torch

from rdh import catalog
from rdh.backbones import check_compiler
from rdh.bench._agreement import TOLERANCES, evaluations, steps_agree
from rdh.bench._finetuning import (
    Finetuning,
    Images,
    cifar10_images,
    initial_weights,
    release,
)
from rdh.bench._machine import machine
from rdh.bench.step import HEAD_ONLY, compared
from rdh.config.run_config import RunConfig, make_config, with_plug_ins
from rdh.errors import UserError
from rdh.files import atomic, write_json
from rdh.methods import method_class

Numbers = dict[str, Any]
Rows = dict[str, Callable[[], Numbers]]


class Size(NamedTuple):
    """How much is measured."""

    backbones: tuple[str, ...]
    image_size: int  # pixels a side that the backbones see
    batch_size: int
    most: int  # images in the training set, the largest batch that is tried
    seconds: float  # of one measurement, about
    rounds: int
    steps: int  # of an arm in a round
    evaluation: tuple[int, int, int]  # queries, gallery items, bits
    n_compiled: int  # of the backbones: each takes up to a minute
    budget: float  # what the seconds of a part are multiplied with


FULL = Size(
    backbones=("alexnet", "efficientnet_lite0"),
    image_size=224,
    batch_size=128,
    most=61_440,
    seconds=5.0,
    rounds=15,
    steps=10,
    evaluation=(1000, 59_000, 64),
    n_compiled=2,
    budget=1.0,
)
SMALL = Size(  # for a CPU: another network in AlexNet's place, whose step takes a second there
    backbones=("mlp", "efficientnet_lite0"),
    image_size=32,
    batch_size=4,
    most=8,
    seconds=0.1,
    rounds=1,
    steps=1,
    evaluation=(20, 500, 32),
    n_compiled=1,
    budget=100.0,
)


class Part(NamedTuple):
    """Rows that share a time budget in seconds; a row that is due when it is used up is skipped."""

    name: str
    seconds: float
    rows: Rows


def measure(
    folder: Path, *, data_root: Path, small: bool = False, say: Callable[[str], None] = print
) -> Numbers:
    """Measures everything and writes gpu.json and gpu.md into the folder.

    Args:
        folder: Made if it is not there.
        data_root: Where CIFAR-10 may lie; without it, synthetic images of the same shape are used.
        small: The same code at toy size, on the CPU if there is no GPU.
        say: Gets a line after every row.

    Returns:
        What gpu.json holds.

    Raises:
        UserError: There is no GPU and `small` is off, or the folder can't be written.
    """
    if not (small or torch.cuda.is_available()):
        raise UserError(
            "bench gpu needs a GPU, and torch sees none on this machine; --small runs the same "
            "code at toy size on the CPU."
        )
    size, device = (
        SMALL if small else FULL,
        torch.device("cuda" if torch.cuda.is_available() else "cpu"),
    )
    result: Numbers = {
        "what": "gpu",
        **machine(),
        "small": small,
        "float32": "torch's defaults: TF32 in convolutions, not in matrix products",
        "tolerances": TOLERANCES,
        "rows": [],
    }
    write(folder, result)
    began = time.monotonic()
    images = cifar10_images(data_root, size.most)
    result |= {"images": images.origin, "weights": weights_in_words()}
    for part in parts(size, images, device):
        until = time.monotonic() + part.seconds * size.budget
        for name, call in part.rows.items():
            row = measured(part, name, call, until, device)
            result["rows"].append(row)
            result["seconds"] = round(time.monotonic() - began, 1)
            write(folder, result)
            say(f"{part.name}: {name}: {row['note'] or in_words(row['numbers'])}")
    return result


def measured(
    part: Part, name: str, call: Callable[[], Numbers], until: float, device: torch.device
) -> Numbers:
    """One row: its numbers, or a note that says why there are none."""
    began = time.monotonic()
    row: Numbers = {"part": part.name, "row": name, "status": "measured", "note": "", "numbers": {}}
    if began > until:
        note = f"Skipped: the time budget of {part.name} was used up."
        return row | {"status": "skipped", "note": note}
    try:
        row["numbers"] = call()
    except Exception as error:  # the other rows go on after any error
        first_line = (str(error).strip() or "no message").splitlines()[0]
        note = (
            str(error) if isinstance(error, UserError) else f"{type(error).__name__}: {first_line}"
        )
        row |= {"status": "failed", "note": f"Failed: {note}"}
    gc.collect()
    release(device)
    return row | {"seconds": round(time.monotonic() - began, 1)}


def parts(size: Size, images: Images, device: torch.device) -> list[Part]:
    """What is measured, in this order; torch.compile last: nobody can say how long it takes."""
    speeds: Rows = {}
    widths: Rows = {}
    compilations: Rows = {}
    for backbone in size.backbones:
        for which, is_largest in (("batch of the paper", False), ("largest batch", True)):
            call = partial(finetuned, backbone, is_largest, size, images, device)
            speeds[f"{backbone}, {which}"] = call
        widths[backbone] = partial(arms, size, narrow(finetune(backbone, size)))
    for backbone in size.backbones[: size.n_compiled]:
        compilations[backbone] = partial(compiled, backbone, size, device)
    evaluation = partial(evaluations, *size.evaluation, device, size.rounds)
    return [
        Part("finetuning", 100, speeds),
        Part("overhead", 50, overheads(size)),
        Part("bfloat16", 30, widths),
        Part("evaluation", 25, {"torch's kernel": evaluation}),
        Part("CPU = GPU", 35, agreements(size, device)),
        Part("torch.compile", 60, compilations),
    ]


def finetuned(
    backbone: str, is_largest: bool, size: Size, images: Images, device: torch.device
) -> Numbers:
    """Speed of finetuning at one batch size."""
    training = Finetuning(images, backbone, size.image_size, device)
    if not is_largest:
        return training.speed(size.batch_size, size.seconds)
    batch_size, reason = training.largest_batch(size.batch_size)
    return training.speed(batch_size, size.seconds) | {"ended_by": reason}


def finetune(backbone: str, size: Size) -> Numbers:
    """Fields of a config that finetunes from random weights."""
    fields = {"dataset": "cifar10", "backbone": backbone, "finetune": True, "weights": "none"}
    sizes = {"image_size": size.image_size, "batch_size": size.batch_size, "epochs": 1000}
    return fields | sizes


def overheads(size: Size) -> Rows:
    """RDH over its baseline without probes, and probes over none with RDH."""
    rows: Rows = {}
    backbone = size.backbones[0]
    for where, common in ((backbone, finetune(backbone, size)), ("head only", HEAD_ONLY)):
        bare = make_config(method="hashnet", probe_every=0, **common)
        probed = make_config(method="hashnet", probe_every=20, **common)
        rdh = with_plug_ins(bare, rdh=True)
        probes = {"without": rdh, "probes": with_plug_ins(probed, rdh=True)}
        rows[f"RDH, {where}"] = partial(arms, size, {"baseline": bare, "rdh": rdh})
        rows[f"probes, {where}"] = partial(arms, size, probes)
    return rows


def narrow(common: Numbers) -> dict[str, RunConfig]:
    """float32 and bfloat16."""
    kinds = ("float32", "bfloat16")
    return {kind: make_config(probe_every=0, precision=kind, **common) for kind in kinds}


def arms(size: Size, configs: dict[str, RunConfig]) -> Numbers:
    """Two arms side by side."""
    steps = size.steps if any(one.finetune for one in configs.values()) else 4 * size.steps
    return compared(configs, size.rounds, steps, seconds=2 * size.seconds)


def compiled(backbone: str, size: Size, device: torch.device) -> Numbers:
    """A step of the compiled backbone beside the plain one; both are warmed up before."""
    check_compiler(device)
    plain = make_config(probe_every=0, **finetune(backbone, size))
    return arms(size, {"eager": plain, "compiled": plain.model_copy(update={"compile": True})})


def agreements(size: Size, device: torch.device) -> Rows:
    """The same steps on both devices: HashNet through a backbone, every deep method on features."""
    backbone = size.backbones[0]
    images = make_config(method="hashnet", lr=0.001, **finetune(backbone, size))
    network = partial(steps_agree, with_plug_ins(images, rdh=True), device, 3)
    rows: Rows = {f"hashnet, {backbone}": network}
    for method in catalog.methods():
        made = method_class(method)
        if made.kind == "deep":
            config = make_config(method=method, lr=0.001, **HEAD_ONLY)
            config = with_plug_ins(config, rdh=True) if made.activation else config
            rows[f"{method}, head only"] = partial(steps_agree, config, device, size.steps)
    return rows


def weights_in_words() -> str:
    """Which initial weights the backbones have."""
    is_random = initial_weights("alexnet") == "none"
    return (
        "AlexNet random (its pretrained file is not on this machine; the speed is the same)"
        if is_random
        else "pretrained in the part finetuning, random elsewhere (the speed is the same)"
    )


def write(folder: Path, result: Numbers) -> None:
    """gpu.json and gpu.md. UserError if the folder can't be made or written."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        write_json(folder / "gpu.json", result)
        with atomic(folder / "gpu.md") as draft:
            draft.write_text(table(result), encoding="utf-8")
    except OSError as error:
        raise UserError(
            f"-o {folder} can't be written ({error.strerror}); name another folder."
        ) from None


def table(result: Numbers) -> str:
    """The rows as one Markdown table, below the facts that they share."""
    facts = [f"{result['device']}, torch {result['torch']}, {result['threads']} CPU threads"]
    facts += [
        f"{name}: {result[name]}" for name in ("images", "weights", "float32") if name in result
    ]
    lines = [*(f"* {fact}" for fact in facts), "", "| part | row | measured |", "|---|---|---|"]
    lines += [
        f"| {row['part']} | {row['row']} | {row['note'] or in_words(row['numbers'])} |"
        for row in result["rows"]
    ]
    return "\n".join(lines) + "\n"


def in_words(numbers: Numbers) -> str:
    """ "batch size 128, step ms 51.2, ..."."""
    return (
        ", ".join(
            f"{name.replace('_', ' ')} {f'{value:.4g}' if isinstance(value, float) else value}"
            for name, value in numbers.items()
        )
        .replace("|", "/")
        .replace("\n", " ")
    )
