"""GreedyHash and OrthoHash, in which nothing saturates, and what a method learns beside a network.

Golden numbers are on outputs beyond 1.
"""

import pytest
import torch

from rdh.training import loop
from tests import naive_methods
from tests.methods.test_methods import build, random_batch
from tests.test_rescue import one_hot
from tests.training.test_loop import Log, config, digits, one_thread

__all__ = ["digits", "one_thread"]  # the fixtures
Z = torch.tensor(
    [[1.4, -0.5, 0.2], [-2, -0.9, 0.3], [0.8, 1.1, -0.6], [-0.3, 0.7, -0.7]], dtype=torch.float64
)
MULTI = torch.tensor([[1, 1, 0], [1, 0, 0], [0, 1, 1], [0, 0, 1]]).double()
CLASSIFIER = torch.tensor(
    [[0.5, -0.2, 0.1], [-0.4, 0.3, 0.2], [0.1, 0.6, -0.5]], dtype=torch.float64
)
TARGETS = torch.tensor([[1.0, 1, -1], [1, -1, 1], [-1, 1, 1]]).double()
EXACT = {"abs": 5e-9}


def greedy(labels: torch.Tensor, **switches):
    method = build("greedyhash", labels, **switches)
    method.classifier.weight.data = CLASSIFIER.T[: labels.shape[1]].clone()
    return method


def ortho(labels: torch.Tensor):
    method = build("orthohash", labels)
    method.targets = TARGETS[: labels.shape[1]]
    return method


def loss_and_gradient(method, labels: torch.Tensor, z: torch.Tensor = Z):
    leaf = z.clone().requires_grad_()
    loss = method.similarity_loss(leaf, labels, torch.arange(len(z)))
    loss.backward()
    return loss.item(), leaf.grad


def test_greedyhash_equals_the_golden_numbers_and_its_gradient_ignores_the_sign():
    labels = one_hot([0, 0, 1, 1])[:, :2]
    method = greedy(labels, quantization_weight=1.0)
    loss, gradient = loss_and_gradient(method, labels)
    assert loss == pytest.approx(0.65761543, **EXACT)
    assert gradient[0].tolist() == pytest.approx([-0.05058384, 0.05058384, 0.03613131], **EXACT)
    assert gradient[1].tolist() == pytest.approx([-0.10893038, 0.10893038, 0.07780742], **EXACT)
    assert method.quantization_loss(Z).item() == pytest.approx(0.20958333, **EXACT)
    assert loss_and_gradient(greedy(MULTI), MULTI)[0] == pytest.approx(0.94479859, **EXACT)


def test_orthohash_equals_the_golden_numbers():
    labels = one_hot([0, 0, 1, 1])[:, :2]
    loss, gradient = loss_and_gradient(ortho(labels), labels)
    assert loss == pytest.approx(9.69718941, abs=1e-7)
    assert gradient[0].tolist() == pytest.approx([-0.66876942, -1.29659377, 1.4399015], abs=1e-7)
    assert loss_and_gradient(ortho(MULTI), MULTI)[0] == pytest.approx(7.44661578, abs=1e-7)
    normed = torch.nn.BatchNorm1d(3, affine=False).double()(Z)
    assert loss_and_gradient(ortho(labels), labels, normed)[0] == pytest.approx(
        12.45666266, abs=1e-7
    )


@pytest.mark.parametrize("name", ["greedyhash", "orthohash"])
def test_losses_equal_the_slow_loops_and_an_item_without_labels_adds_nothing(name):
    h, labels = random_batch(4)
    labels[2] = 0
    method = build(name, labels, 6)
    loss, gradient = loss_and_gradient(method, labels, 2 * h)
    rows, y = (2 * h).tolist(), labels.tolist()
    if name == "greedyhash":
        expected = naive_methods.sign_classification(rows, y, method.classifier.weight.tolist())
    else:
        expected = naive_methods.margin_classification(rows, y, method.targets.tolist(), 8, 0.2)
    assert loss == pytest.approx(expected, rel=1e-6)
    assert not gradient[2].any() and gradient[3].any()


def test_the_margin_on_the_angle_equals_the_slow_loop_and_is_off_by_default():
    h, labels = random_batch(4)
    plain, arc = (build("orthohash", labels, 6, **how) for how in ({}, {"margin_on": "angle"}))
    rows, y, targets = h.tolist(), labels.tolist(), arc.targets.tolist()
    assert plain.margin_on == "cosine"
    expected = naive_methods.margin_classification(rows, y, targets, 8, 0.2, arc=True)
    assert loss_and_gradient(arc, labels, h)[0] == pytest.approx(expected, rel=1e-6)
    reached = arc.targets[labels.argmax(1)].double()  # the angle is 0, where acos has no slope
    loss, gradient = loss_and_gradient(arc, labels, reached)
    assert loss > 0 and torch.isfinite(gradient).all()


def test_the_start_of_the_hash_layer_is_that_of_other_methods(digits):
    both = [config(method=name) for name in ("greedyhash", "dhn")]
    runs = [loop.start(one, digits(one)) for one in both]
    assert torch.equal(runs[0].network.head.weight, runs[1].network.head.weight)
    assert "learned.weight" in runs[0].network.state_dict()
    assert not [name for name in runs[1].network.state_dict() if name.startswith("learned")]


def test_what_a_method_learns_moves_at_the_rate_of_the_hash_layer(digits):
    settings = config(method="greedyhash", hash_lr_scale=3.0, lr=0.1)
    run = loop.start(settings, digits(settings))
    learned = run.network.learned.weight
    before, indices = learned.detach().clone(), torch.arange(16)
    z = run.network(run.inputs.batch(indices)).detach()
    loss = run.method.similarity_loss(z, run.inputs.train_labels[indices], indices)
    (gradient,) = torch.autograd.grad(loss, learned)
    loop.train_step(run, indices)
    torch.testing.assert_close(before - learned, 0.3 * (gradient + 1e-5 * before))


def test_a_last_batch_of_one_uses_running_averages(digits):
    settings = config(method="orthohash", batch_size=59, epochs=1)
    log = Log()
    outcome = log.fit(loop.start(settings, digits(settings)))
    assert outcome.step == 2 and outcome.evaluation.map > 0.15
