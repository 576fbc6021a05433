"""The one command for a GPU, at toy size: every part gives numbers, and what fails is a note."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch

from rdh.bench import _agreement, _finetuning, gpu
from rdh.bench._inputs import random_inputs
from rdh.cli import main
from rdh.config.run_config import make_config
from rdh.datasets import cifar10
from rdh.errors import UserError
from rdh.training import loop

CPU = torch.device("cpu")
HEAD = {"backbone": "efficientnet_lite0", "finetune": False}


@pytest.fixture(autouse=True)
def threads() -> Iterator[None]:
    n_threads = torch.get_num_threads()
    yield
    torch.set_num_threads(n_threads)


@pytest.mark.slow  # a minute and a half; the other tests here call its parts
@pytest.mark.process
@pytest.mark.skipif(torch.cuda.is_available(), reason="a GPU has its own numbers")
def test_small_measures_every_part_on_a_cpu(tmp_path):
    """In a process of its own: torch's compiler leaves threads behind."""
    command = [sys.executable, "-m", "rdh", "bench", "gpu", "-o", str(tmp_path / "new" / "out")]
    environment = os.environ | {"RDH_DATA": str(tmp_path)}
    done = subprocess.run([*command, "--small"], capture_output=True, text=True, env=environment)
    assert done.returncode == 0, done.stderr
    found = json.loads((tmp_path / "new" / "out" / "gpu.json").read_text())
    assert found["small"] and found["images"].startswith("synthetic uint8 images of CIFAR-10's")
    rows = {(row["part"], row["row"]): row for row in found["rows"]}
    for (part, _), row in rows.items():
        if part == "torch.compile" and row["status"] == "failed":  # no C++ compiler here
            assert "compile must be off on this machine" in row["note"]
        else:
            assert row["status"] == "measured" and row["note"] == "", row
    assert {part for part, _ in rows} == {
        *("finetuning", "overhead", "bfloat16", "evaluation", "CPU = GPU", "torch.compile"),
    }
    largest = rows["finetuning", "efficientnet_lite0, largest batch"]["numbers"]
    assert largest["batch_size"] == 8 and largest["images_per_second"] > 0
    assert 0 <= largest["waiting_for_input"] <= 1 and "has 8 images" in largest["ended_by"]
    assert rows["evaluation", "torch's kernel"]["numbers"]["largest_difference_of_scores"] < 1e-9
    agreed = [row["numbers"]["within_tolerance"] for key, row in rows.items() if "CPU" in key[0]]
    assert len(agreed) > 8 and all(agreed)
    lines = (tmp_path / "new" / "out" / "gpu.md").read_text().splitlines()
    assert len([line for line in lines if line.startswith("| ")]) == len(rows) + 1


def a_part(seconds: float = 100.0, **rows: object) -> gpu.Part:
    return gpu.Part("a part", seconds, rows)


def fail() -> dict[str, object]:
    raise RuntimeError("no kernel image\nmany lines")


def out_of_memory() -> dict[str, object]:
    raise torch.OutOfMemoryError("CUDA out of memory")


def refuse() -> dict[str, object]:
    raise UserError("The backbone needs a package that is missing.")


def test_what_fails_or_has_no_time_left_is_a_sentence_and_the_rest_goes_on(tmp_path, monkeypatch):
    chosen = [
        a_part(bad=fail, missing=refuse, full=out_of_memory, good=lambda: {"step_ms": 1.5}),
        gpu.Part("late", -1.0, {"never": fail}),
        gpu.Part("last", 100.0, {"good": lambda: {"ratio": 1.0}}),
    ]
    monkeypatch.setattr(gpu, "parts", lambda *_: chosen)
    said: list[str] = []
    gpu.measure(tmp_path, data_root=tmp_path, small=True, say=said.append)
    rows = json.loads((tmp_path / "gpu.json").read_text())["rows"]
    assert [(row["status"], row["note"]) for row in rows] == [
        ("failed", "Failed: RuntimeError: no kernel image"),
        ("failed", "Failed: The backbone needs a package that is missing."),
        ("failed", "Failed: OutOfMemoryError: CUDA out of memory"),
        ("measured", ""),
        ("skipped", "Skipped: the time budget of late was used up."),
        ("measured", ""),
    ]
    assert said[3] == "a part: good: step ms 1.5"
    table = (tmp_path / "gpu.md").read_text()
    assert "| a part | good | step ms 1.5 |" in table and "| late | never | Skipped" in table


def test_rows_measured_before_an_interrupt_are_kept(tmp_path, monkeypatch):
    def interrupt() -> dict[str, object]:
        raise KeyboardInterrupt

    rows = {"first": lambda: {"ratio": 1.0}, "second": interrupt}
    monkeypatch.setattr(gpu, "parts", lambda *_: [a_part(**rows)])
    with pytest.raises(KeyboardInterrupt):
        gpu.measure(tmp_path, data_root=tmp_path, small=True, say=lambda _: None)
    assert [row["row"] for row in json.loads((tmp_path / "gpu.json").read_text())["rows"]] == [
        "first"
    ]


def test_the_full_size_fits_into_six_minutes_and_is_the_papers():
    images = _finetuning.Images(None, np.empty(0), "")
    budgets = [part.seconds * gpu.FULL.budget for part in gpu.parts(gpu.FULL, images, CPU)]
    assert sum(budgets) <= 300  # the last row of a part may begin just before its end
    assert gpu.FULL.batch_size == 128 and gpu.FULL.image_size == 224
    assert gpu.FULL.backbones == ("alexnet", "efficientnet_lite0")


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["gpu"], "bench gpu needs -o DIR, the folder for gpu.json and gpu.md."),
        (["gpu", "-o", ""], "bench gpu needs -o DIR"),
        (["gpu", "-o", "FILE", "--small"], "can't be written (File exists); name another folder."),
        (["gpu", "-o", "FILE/x", "--small"], "can't be written (Not a directory)"),
        (["step", "-o", "x"], "-o is for bench gpu only, got it with bench step: leave it out."),
        (["live", "--small"], "--small is for bench gpu only, got it with bench live"),
    ],
)
def test_bad_input_is_one_sentence_and_exit_2(tmp_path, monkeypatch, capsys, arguments, sentence):
    monkeypatch.chdir(tmp_path)
    Path("FILE").touch()
    assert main(["bench", *arguments]) == 2
    said = capsys.readouterr()
    assert sentence in said.err and said.err.count("\n") == 1 and said.out == ""


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU")
def test_without_a_gpu_the_way_out_is_named_and_nothing_is_written(tmp_path, capsys):
    assert main(["bench", "gpu", "-o", str(tmp_path / "out")]) == 2
    assert "torch sees none on this machine; --small runs" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


def test_images_of_cifar10_are_used_if_they_are_there_and_repeated_to_any_number(tmp_path):
    cifar10.example(tmp_path)
    images = _finetuning.cifar10_images(tmp_path, 1000)
    n = len(images.pixels)
    assert images.origin == f"CIFAR-10 from {tmp_path}" and 0 < n < 1000
    train = images.dataset.split(0).train
    assert len(train) == 1000 and set(train.tolist()) == set(range(n))
    assert images.dataset.labels.shape == (n, 10) and images.pixels.shape[1:] == (32, 32, 3)


def test_the_largest_batch_is_the_last_that_fits(tmp_path, monkeypatch):
    real = loop.train_step

    def short_of_memory(run, indices, own=None):
        if len(indices) > 8:
            raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate")
        real(run, indices, own)

    monkeypatch.setattr(loop, "train_step", short_of_memory)
    images = _finetuning.cifar10_images(tmp_path, 64)
    training = _finetuning.Finetuning(images, "mlp", 32, CPU)
    assert training.largest_batch(2) == (8, "16: out of memory")
    assert training.speed(8, 0.01)["batch_size"] == 8


def test_other_weights_and_other_states_are_outside_the_tolerance(monkeypatch):
    """The comparison can fail: the second device gets a larger rate."""
    config = make_config(method="dpsh", image_size=32, lr=0.001, **HEAD)
    assert _agreement.steps_agree(config, CPU, 2)["within_tolerance"]
    made = []

    def start(config, inputs):
        made.append(real(config, inputs))
        for group in made[-1].optimizer.param_groups:
            group["initial_lr"] = 10.0 ** len(made)
        return made[-1]

    real = loop.start
    monkeypatch.setattr(loop, "start", start)
    found = _agreement.steps_agree(config, CPU, 2)
    assert not found["within_tolerance"] and found["weights"] > 0.5


def test_random_inputs_give_every_device_the_same_network():
    config = make_config(backbone="mlp", image_size=32)
    first, second = (loop.start(config, random_inputs(config, CPU)).network for _ in range(2))
    for name, tensor in first.state_dict().items():
        assert torch.equal(tensor, second.state_dict()[name])
