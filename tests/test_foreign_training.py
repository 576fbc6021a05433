"""The two plug-ins where people train: compiled, exported, accumulated, scaled and distributed."""

import pytest
import torch
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from rdh.rescue import GradientAmplifier, alpha, error_aware_quantization, similarity

TAU = 0.9
LABELS = torch.arange(8) % 3
N_BITS = 6


class Hashing(nn.Module):
    """A hash layer with the amplifier inside, as in a network that one compiles or exports."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.layer, self.amplifier = nn.Linear(5, N_BITS), GradientAmplifier(TAU)
        with torch.no_grad():
            self.layer.weight.mul_(6)  # some bits saturate

    def forward(self, images: Tensor) -> Tensor:
        return self.amplifier(torch.tanh(self.layer(images)))


def images() -> Tensor:
    return torch.randn(8, 5, generator=torch.Generator().manual_seed(1))


def loss_of(codes: Tensor, eta: float = 0.3) -> Tensor:
    similar = similarity(LABELS)
    theta = codes @ codes.T / 2
    pairs = (nn.functional.softplus(theta) - similar * theta).mean()
    return pairs + eta * error_aware_quantization(codes, similar)


def expected_gradient(loss=loss_of) -> Tensor:
    """dL/dW with Eq. 3 written down for each entry."""
    network = Hashing()
    logits = network.layer(images())
    codes = torch.tanh(logits).detach().requires_grad_()
    gradient = torch.autograd.grad(loss(codes), codes)[0].clone()  # a sum's lies in one place
    for i in range(len(gradient)):
        for k in range(N_BITS):
            h, g = codes[i, k].item(), gradient[i, k].item()
            if abs(h) >= TAU and h * g > 0:
                gradient[i, k] *= alpha(TAU)
    torch.tanh(logits).backward(gradient)
    return network.layer.weight.grad


def test_something_is_amplified():
    network = Hashing()
    loss_of(network(images())).backward()
    assert network.amplifier.counts()["amplified"].sum() > 0
    torch.testing.assert_close(network.layer.weight.grad, expected_gradient())


def test_a_compiled_step_is_amplified_as_a_plain_one():
    """By the backend without a C compiler. The gradient's hook runs outside of what is compiled."""
    network = Hashing()
    step = torch.compile(lambda batch: loss_of(network(batch)), backend="aot_eager")
    step(images()).backward()
    torch.testing.assert_close(network.layer.weight.grad, expected_gradient())
    counts = network.amplifier.counts()
    assert counts["entries"].tolist() == [8] * N_BITS and counts["amplified"].sum() > 0


@pytest.mark.parametrize("strict", [True, False])
@pytest.mark.parametrize("trains", [True, False])
def test_an_exported_network_has_the_same_codes(trains, strict):
    """Nothing trains in an exported program: the amplifier is the identity that it is forward."""
    network = Hashing().train(trains)
    program = torch.export.export(network, (images(),), strict=strict)
    torch.testing.assert_close(program.module()(images()), network(images()).detach())


@pytest.mark.filterwarnings("ignore:.torch.jit")
def test_a_scripted_network_has_the_same_codes_and_refuses_to_train():
    scripted = torch.jit.script(Hashing())
    with pytest.raises(torch.jit.Error, match="a scripted GradientAmplifier amplifies nothing"):
        scripted(images())
    scripted.eval()
    torch.testing.assert_close(scripted(images()), Hashing()(images()))


def test_accumulated_gradients_are_amplified_part_by_part():
    network, parts = Hashing(), images().split(4)
    for part, labels in zip(parts, LABELS.split(4), strict=True):
        codes = network(part)
        (error_aware_quantization(codes, similarity(labels)) / 2 + codes.sum() / 8).backward()
    plain = Hashing()
    for part, labels in zip(parts, LABELS.split(4), strict=True):
        logits = plain.layer(part)
        codes = torch.tanh(logits).detach().requires_grad_()
        loss = error_aware_quantization(codes, similarity(labels)) / 2 + codes.sum() / 8
        (gradient,) = torch.autograd.grad(loss, codes)
        is_flagged = (codes.abs() >= TAU) & (codes * gradient > 0)
        torch.tanh(logits).backward(torch.where(is_flagged, alpha(TAU) * gradient, gradient))
    torch.testing.assert_close(network.layer.weight.grad, plain.layer.weight.grad)
    assert network.amplifier.counts()["entries"].tolist() == [8] * N_BITS


@pytest.mark.parametrize("scale", [2.0**10, 2.0**16])
def test_a_scaled_loss_has_the_same_flags_and_a_scaled_gradient(scale):
    """A power of two, as GradScaler takes it, changes no sign and no digit."""
    network = Hashing()
    (loss_of(network(images())) * scale).backward()
    plain = Hashing()
    loss_of(plain(images())).backward()
    torch.testing.assert_close(network.layer.weight.grad / scale, plain.layer.weight.grad)
    counted, want = network.amplifier.counts(), plain.amplifier.counts()
    assert {name: count.tolist() for name, count in counted.items()} == {
        name: count.tolist() for name, count in want.items()
    }


def test_a_step_under_autocast_and_a_grad_scaler_is_the_plain_one():
    scaler = torch.amp.GradScaler("cpu", init_scale=2.0**16)
    gradients = []
    for scale in (scaler.scale, lambda loss: loss):
        network = Hashing()
        optimizer = torch.optim.SGD(network.parameters(), lr=0.1)
        with torch.autocast("cpu", dtype=torch.bfloat16):
            loss = loss_of(network(images()))
        scale(loss).backward()
        if not gradients:
            scaler.unscale_(optimizer)
        assert network.amplifier.counts()["amplified"].sum() > 0
        gradients.append(network.layer.weight.grad)
    assert torch.equal(*gradients)


def test_an_overflow_of_a_scaled_gradient_skips_its_step():
    """GradScaler looks for infinity: the amplifier must not hide it."""
    network, before = Hashing(), Hashing().layer.weight
    scaler = torch.amp.GradScaler("cpu", init_scale=2.0**16)
    scaler.scale(loss_of(network(images())) * 1e36).backward()
    assert not network.layer.weight.grad.isfinite().all()
    scaler.step(torch.optim.SGD(network.parameters(), lr=0.1))
    scaler.update()
    assert torch.equal(network.layer.weight, before) and scaler.get_scale() == 2.0**15


@pytest.mark.parametrize("reentrant", [True, False])
def test_a_checkpointed_network_is_amplified_and_counted_once(reentrant):
    network = Hashing()
    batch = images().requires_grad_()
    codes = checkpoint(network, batch, use_reentrant=reentrant)
    loss_of(codes).backward()
    torch.testing.assert_close(network.layer.weight.grad, expected_gradient())
    assert network.amplifier.counts()["entries"].tolist() == [8] * N_BITS


def test_a_distributed_network_is_amplified():
    """Each rank tests the gradient of its own items; what DDP averages is amplified already."""
    store = torch.distributed.HashStore()
    torch.distributed.init_process_group("gloo", store=store, rank=0, world_size=1)
    try:
        network = Hashing()
        loss_of(nn.parallel.DistributedDataParallel(network)(images())).backward()
        torch.testing.assert_close(network.layer.weight.grad, expected_gradient())
        network = Hashing()
        wrapped = nn.parallel.DistributedDataParallel(network)
        with wrapped.no_sync():
            loss_of(wrapped(images())).backward()
        loss_of(wrapped(images())).backward()
        torch.testing.assert_close(network.layer.weight.grad, 2 * expected_gradient())
    finally:
        torch.distributed.destroy_process_group()
