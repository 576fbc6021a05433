"""The network: float32 around the hash layer in every precision, batches of one, torch.compile."""

from typing import Any

import pytest
import torch
from torch import Tensor, nn

from rdh.backbones._tools.frozen import check_compiler
from rdh.config.run_config import make_config
from rdh.errors import UserError
from rdh.inputs.load import load_inputs
from rdh.methods import method_class
from rdh.rescue import amplify
from rdh.training import loop
from rdh.training.network import ALL_THREADS, Network, batch_of_one, choose_threads


def convolutions() -> nn.Sequential:
    torch.manual_seed(0)
    return nn.Sequential(
        nn.Conv2d(3, 8, 3), nn.BatchNorm2d(8), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten()
    )


def hashing(body: nn.Module, **options: Any) -> Network:
    torch.manual_seed(1)
    return Network(method_class("hashnet")(16, torch.eye(4), 0), 8, body, **options)


def pictures(n: int = 4) -> Tensor:
    return torch.rand(n, 3, 12, 12, generator=torch.Generator().manual_seed(n))


def test_in_bfloat16_the_backbone_is_narrow_and_the_hash_layer_wide():
    seen: dict[str, torch.dtype] = {}
    made = hashing(convolutions(), precision="bfloat16")
    made.backbone[0].register_forward_hook(lambda layer, got, out: seen.update(backbone=out.dtype))
    made.head.register_forward_hook(
        lambda layer, got, out: seen.update(head_in=got[0].dtype, head_out=out.dtype)
    )
    logits = made(pictures())
    assert seen == {"backbone": torch.bfloat16, "head_in": torch.float32, "head_out": torch.float32}
    logits.sum().backward()
    assert {parameter.grad.dtype for parameter in made.parameters()} == {torch.float32}
    exact = hashing(convolutions())(pictures())
    torch.testing.assert_close(logits, exact, rtol=0.05, atol=0.02)
    assert not torch.equal(logits, exact)


@pytest.mark.parametrize("amplifier", [True, False])
def test_losses_and_amplifier_see_float32_in_a_bfloat16_run(tmp_path, monkeypatch, amplifier):
    seen: set[torch.dtype] = set()

    def spy(gradient: Tensor, codes: Tensor, *others: Any) -> Tensor:
        seen.update((gradient.dtype, codes.dtype))
        return amplify(gradient, codes, *others)

    monkeypatch.setattr(loop, "amplify", spy)
    config = make_config(
        precision="bfloat16",
        amplifier=amplifier,
        quantization="error_aware",
        epochs=1,
        probe_every=1,
        device="cpu",
        dataset_options={"query_per_class": 1, "train_per_class": 4},
        batch_size=20,
    )
    run = loop.start(config, load_inputs(config, data_root=tmp_path))
    outer = []
    run.network.backbone[1].register_forward_hook(lambda layer, got, out: outer.append(out.dtype))
    for _ in loop.train_epoch(run):
        loop.record(run)
    assert outer == [torch.bfloat16] * 2
    assert seen == ({torch.float32} if amplifier else set())
    assert {parameter.dtype for parameter in run.network.parameters()} == {torch.float32}
    assert run.losses.dtype == torch.float32


def test_a_batch_of_one_uses_the_running_averages_and_leaves_them():
    body = convolutions()
    made = hashing(body).train()
    made(pictures())  # averages that differ from 0 and 1
    before = body[1].running_mean.clone()
    alone = made(pictures(1))
    assert torch.equal(body[1].running_mean, before) and body[1].training
    made.eval()
    torch.testing.assert_close(alone, made(pictures(1)))


def test_batches_of_more_are_normed_as_ever_and_other_layers_stay_in_training():
    body = nn.Sequential(nn.Linear(4, 4), nn.BatchNorm1d(4), nn.Dropout()).train()
    with batch_of_one(body, 2):
        assert all(layer.training for layer in body)
    with batch_of_one(body, 1):
        assert [layer.training for layer in body] == [True, False, True]
    assert all(layer.training for layer in body)
    with batch_of_one(body.eval(), 1):
        pass
    assert not any(layer.training for layer in body)


def test_an_efficientnet_whose_last_batch_is_one_small_image_trains_to_the_end_of_its_epoch(
    tmp_path,
):
    """At 32 pixels its last maps are 1 x 1, so a batch of one has no variance."""
    config = make_config(
        backbone="efficientnet_lite0",
        image_size=32,
        batch_size=3,
        device="cpu",
        probe_every=1,
        n_bits=8,
        lr=0.001,
        dataset_options={"query_per_class": 1, "train_per_class": 1},
    )
    run = loop.start(config, load_inputs(config, data_root=tmp_path))
    assert len(run.inputs.train_labels) % 3 == 1
    for _ in loop.train_epoch(run):
        loop.record(run)
    assert run.step == 4


def test_images_reach_the_backbone_in_channels_last_order():
    seen = []
    body = convolutions()
    body.register_forward_pre_hook(
        lambda layer, got: seen.append(got[0].is_contiguous(memory_format=torch.channels_last))
    )
    made = hashing(body)
    made(pictures())
    assert seen == [True] and body[0].weight.is_contiguous(memory_format=torch.channels_last)
    plain = made.head(convolutions()(pictures()))
    torch.testing.assert_close(made(pictures()), plain, rtol=1e-5, atol=1e-5)


def test_compiling_is_tried_out_before_anything_else(monkeypatch, tmp_path):
    def broken(function: Any) -> Any:
        raise RuntimeError("no C++ compiler\nmany lines")

    monkeypatch.setattr(torch, "compile", broken)
    with pytest.raises(
        UserError, match=r"compile must be off on this machine: .+ on cpu \(no C\+\+ compiler\)\.$"
    ):
        check_compiler(torch.device("cpu"))
    with pytest.raises(UserError, match="compile must be off"):
        load_inputs(make_config(compile=True, device="cpu"), data_root=tmp_path)


def test_a_compiled_backbone_gives_what_it_gave_and_keeps_its_names(monkeypatch):
    compiled = []
    monkeypatch.setattr(
        nn.Module, "compile", lambda module, **options: compiled.append((module, options))
    )
    body = convolutions()
    made = hashing(body, is_compiled=True)
    assert compiled == [(body, {"dynamic": False})]
    assert set(made.state_dict()) == set(hashing(convolutions()).state_dict())


@pytest.mark.parametrize(
    ("fields", "n"),
    [
        ({}, 1),
        ({"backbone": "efficientnet_lite0", "finetune": False}, 1),
        ({"backbone": "alexnet"}, ALL_THREADS),
    ],
)
def test_small_steps_have_one_thread_and_the_others_all(fields, n):
    try:
        choose_threads(**{"finetune": True, "backbone": "mlp"} | fields)
        assert torch.get_num_threads() == n
    finally:
        torch.set_num_threads(ALL_THREADS)
