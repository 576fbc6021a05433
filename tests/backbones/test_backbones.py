"""Preprocessing against plain NumPy, the real EfficientNet-Lite0, and good and bad weights."""

import hashlib
import http.server
import io
import json
import os
import re
import socket
import threading
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn
from torchvision.models import get_model

from rdh import catalog
from rdh.backbones import Backbone, build, stacked
from rdh.backbones._tools import weights as _weights
from rdh.backbones._tools.safetensors import read_tensors
from rdh.backbones._tools.weights import download_into
from rdh.config.run_config import make_config
from rdh.errors import UserError
from rdh.inputs.load import load_inputs
from rdh.training import loop
from rdh.training.evaluate import encode
from rdh.training.record import record


def identity(channels: int, mean: float = 0.0, std: float = 1.0) -> Backbone:
    return Backbone(nn.Identity(), 1, channels, (mean,) * channels, (std,) * channels, "none")


def test_pixels_are_scaled_to_0_1_and_normalised():
    images = torch.randint(
        0, 256, (2, 3, 4, 4), dtype=torch.uint8, generator=torch.Generator().manual_seed(0)
    )
    prepared = identity(3, 0.4, 0.2).prepare(images, 4)
    np.testing.assert_allclose(
        prepared.numpy(), (images.numpy() / 255 - 0.4) / 0.2, rtol=1e-5, atol=1e-6
    )
    assert prepared.dtype == torch.float32


def test_grey_becomes_three_equal_channels_and_colour_becomes_its_mean():
    grey = torch.randint(
        0, 256, (2, 1, 3, 3), dtype=torch.uint8, generator=torch.Generator().manual_seed(0)
    )
    colour = torch.randint(
        0, 256, (2, 3, 3, 3), dtype=torch.uint8, generator=torch.Generator().manual_seed(1)
    )
    assert torch.equal(identity(3).prepare(grey, 3), (grey.float() / 255).repeat(1, 3, 1, 1))
    np.testing.assert_allclose(
        identity(1).prepare(colour, 3).numpy(),
        colour.numpy().mean(1, keepdims=True) / 255,
        rtol=1e-6,
    )


@pytest.mark.parametrize("image_size", [1, 3, 8, 20])
def test_images_are_resized_within_their_range(image_size):
    images = torch.randint(
        0, 256, (3, 3, 8, 6), dtype=torch.uint8, generator=torch.Generator().manual_seed(0)
    )
    prepared = identity(3).prepare(images, image_size)
    assert prepared.shape == (3, 3, image_size, image_size)
    assert prepared.min() >= 0 and prepared.max() <= 1


def test_halving_an_image_averages_its_pixels():
    """Antialiased: each new pixel of a shrunken constant-in-blocks image is close to its block."""
    blocks = (
        torch.tensor([[10, 200], [90, 30]], dtype=torch.uint8)
        .repeat_interleave(8, 0)
        .repeat_interleave(8, 1)
    )
    prepared = identity(1).prepare(blocks.view(1, 1, 16, 16), 4)[0, 0] * 255
    corners = prepared[[0, 0, -1, -1], [0, -1, 0, -1]]
    np.testing.assert_allclose(corners.numpy(), [10, 200, 90, 30], atol=6)


def test_images_of_unequal_shapes_are_stacked_as_squares():
    rng = np.random.default_rng(0)
    images = [rng.integers(0, 256, shape, np.uint8) for shape in ((5, 7, 3), (9, 4, 1), (6, 6, 3))]
    batch = stacked(images, 6)
    assert batch.shape == (3, 3, 6, 6) and batch.dtype == torch.uint8
    assert torch.equal(batch[2], torch.from_numpy(images[2]).permute(2, 0, 1))  # its size already
    assert torch.equal(batch[1, 0], batch[1, 1])


def test_images_of_one_shape_are_stacked_as_they_are():
    images = np.arange(2 * 3 * 4 * 3, dtype=np.uint8).reshape(2, 3, 4, 3)
    assert torch.equal(stacked(images, 99), torch.from_numpy(images).permute(0, 3, 1, 2))


def test_mlp_has_128_features_of_grey_pixels():
    small = build("mlp", 8)
    assert small.module(torch.rand(3, 1, 8, 8)).shape == (3, small.n_features) == (3, 128)


@pytest.fixture(scope="module")
def efficientnet() -> Backbone:
    return build("efficientnet_lite0", 64)


def test_efficientnet_has_1280_deterministic_features_in_eval_mode(efficientnet):
    images = torch.randint(
        0, 256, (4, 3, 32, 32), dtype=torch.uint8, generator=torch.Generator().manual_seed(0)
    )
    module = efficientnet.module.eval()
    with torch.inference_mode():
        first, second = (module(efficientnet.prepare(images, 64)) for _ in range(2))
        alone = module(efficientnet.prepare(images[:1], 64))
    assert first.shape == (4, efficientnet.n_features) == (4, 1280)
    assert torch.equal(first, second) and first.std() > 0
    torch.testing.assert_close(
        alone, first[:1], rtol=1e-3, atol=1e-3
    )  # an image's features don't depend on the batch


def test_efficientnet_weights_are_the_trained_ones(efficientnet):
    """A smooth picture differs from noise far more than noise from noise.

    With random weights it would not.
    """
    noise = torch.randint(
        0, 256, (2, 3, 32, 32), dtype=torch.uint8, generator=torch.Generator().manual_seed(0)
    )
    smooth = torch.arange(0, 256, 8, dtype=torch.uint8).expand(1, 3, 32, 32)
    with torch.inference_mode():
        features = efficientnet.module.eval()(efficientnet.prepare(torch.cat([noise, smooth]), 64))
    between_noises, to_smooth = (
        (features[0] - features[1]).norm(),
        (features[0] - features[2]).norm(),
    )
    assert to_smooth > 2 * between_noises
    assert efficientnet.weights.startswith("efficientnet") or efficientnet.weights.endswith(
        (".pth", ".pt")
    )


# Weights by download


class Small(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Linear(3, 2)


@pytest.fixture
def hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """torch hub's folder, empty."""
    monkeypatch.setattr(torch.hub, "get_dir", lambda: str(tmp_path / "hub"))
    return tmp_path / "hub" / "checkpoints"


@pytest.fixture
def server(tmp_path: Path) -> Iterator[tuple[str, Path]]:
    """(address, served folder) of a web server on this machine."""
    folder = tmp_path / "served"
    folder.mkdir()

    class Quiet(http.server.SimpleHTTPRequestHandler):
        def log_message(self, *parts: object) -> None:
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), partial(Quiet, directory=folder)) as web:
        thread = threading.Thread(target=web.serve_forever, args=(0.01,))
        thread.start()
        yield f"http://127.0.0.1:{web.server_port}", folder
        web.shutdown()
        thread.join()


def weight_file(module: nn.Module) -> tuple[str, bytes]:
    """(name that holds the start of its hash, as torchvision's do, content)."""
    buffer = io.BytesIO()
    torch.save(module.state_dict(), buffer)
    return f"small-{hashlib.sha256(buffer.getvalue()).hexdigest()[:8]}.pth", buffer.getvalue()


def test_weights_are_downloaded_once_and_checked(hub, server):
    address, folder = server
    trained, module = Small(), Small()
    name, content = weight_file(trained)
    (folder / name).write_bytes(content)
    download_into(module, f"{address}/{name}")
    assert torch.equal(module.layer.weight, trained.layer.weight)
    (folder / name).unlink()
    download_into(Small(), f"{address}/{name}")  # from torch hub's folder
    assert (hub / name).exists() and socket.getdefaulttimeout() is None


def closed_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def test_weights_that_can_not_be_downloaded_name_the_ways_out(hub, server):
    address, folder = server
    name, content = weight_file(Small())
    (folder / name).write_bytes(content[:-9])  # the connection broke: the hash says so
    for url in (
        f"http://127.0.0.1:{closed_port()}/{name}",
        f"{address}/{name}",
        f"{address}/missing-{'0' * 8}.pth",
    ):
        with pytest.raises(UserError, match="can't be downloaded") as caught:
            download_into(Small(), url)
        sentence = str(caught.value)
        assert (
            url in sentence
            and f"put that file into {hub}" in sentence
            and "efficientnet_lite0" in sentence
        )
        assert "\n" not in sentence


def test_a_server_that_says_nothing_is_given_up(hub, monkeypatch):
    monkeypatch.setattr(_weights, "DOWNLOAD_SILENCE", 0.2)
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        silent.listen()
        with pytest.raises(UserError, match=r"can't be downloaded .*timed out"):
            download_into(Small(), f"http://127.0.0.1:{silent.getsockname()[1]}/small-00000000.pth")


DAMAGED = {
    "empty": b"",
    "text": b"no weights",
    "bad": b"bad",
    "e": b"e",
    "h": b"hello",
    "cut": weight_file(Small())[1][:-300],
}


@pytest.mark.parametrize(
    "content", [*DAMAGED.values(), weight_file(nn.Linear(7, 7))[1]], ids=[*DAMAGED, "other"]
)
def test_a_damaged_weight_file_is_named(hub, content):
    hub.mkdir(parents=True)
    (hub / "small-00000000.pth").write_bytes(content)
    with pytest.raises(
        UserError, match=r"weights file .+small-00000000\.pth is damaged .+; delete it"
    ):
        download_into(Small(), "http://127.0.0.1:9/small-00000000.pth")


def test_a_pickle_in_a_weight_file_is_not_run(hub, tmp_path):
    class Trap:
        def __reduce__(self) -> tuple[object, ...]:
            return Path.touch, (tmp_path / "sprung",)

    hub.mkdir(parents=True)
    torch.save({"layer.weight": Trap()}, hub / "small-00000000.pth")
    with pytest.raises(UserError, match="is damaged"):
        download_into(Small(), "http://127.0.0.1:9/small-00000000.pth")
    assert not (tmp_path / "sprung").exists()


def test_alexnet_without_its_weights_is_one_sentence(hub, monkeypatch):
    from torchvision.models import AlexNet_Weights

    url = f"http://127.0.0.1:{closed_port()}/alexnet-owt-7be5be79.pth"
    monkeypatch.setattr(AlexNet_Weights.IMAGENET1K_V1.value, "url", url)
    with pytest.raises(UserError, match=r"alexnet-owt-7be5be79\.pth can't be downloaded"):
        build("alexnet", 64)


def test_alexnet_trains_end_to_end_up_to_its_second_fully_connected_layer(monkeypatch, tmp_path):
    from torchvision.models import alexnet

    state = alexnet().state_dict()
    monkeypatch.setattr(torch.hub, "load_state_dict_from_url", lambda *_, **__: state)
    config = make_config(
        backbone="alexnet",
        image_size=64,
        batch_size=10,
        lr=0.01,
        n_bits=16,
        probe_every=1,
        augment=True,
        device="cpu",
        amplifier=True,
        quantization="error_aware",
        dataset_options={"query_per_class": 1, "train_per_class": 2},
    )
    run = loop.start(config, load_inputs(config, data_root=tmp_path))
    assert run.inputs.n_features == 4096 and run.network.head.in_features == 4096
    for _ in loop.train_epoch(run):
        scalars = record(run).scalars
        assert np.isfinite(scalars["loss"]) and scalars["window_entries"] == 160
    assert run.step == 2
    assert not torch.equal(run.network.backbone.features[0].weight, state["features.0.weight"])
    names = [type(layer).__name__ for layer in run.network.backbone.classifier]
    assert names == ["Dropout", "Linear", "ReLU", "Dropout", "Linear", "ReLU", "Identity"]
    first, second = (encode(run, run.inputs.split.query) for _ in range(2))
    np.testing.assert_array_equal(first, second)


# torchvision's networks


def with_random_weights(name: str, monkeypatch: pytest.MonkeyPatch) -> nn.Module:
    """The whole network in eval mode; its weights are what a download gives."""
    torch.manual_seed(0)
    whole = get_model(
        name, weights=None, **({"init_weights": False} if name == "googlenet" else {})
    ).eval()
    state = whole.state_dict()
    if name.startswith("densenet"):  # as in torchvision's files
        state = {
            re.sub(r"(denselayer\d+\.(?:norm|conv))(\d\.)", r"\1.\2", key): value
            for key, value in state.items()
        }
    monkeypatch.setattr(torch.hub, "load_state_dict_from_url", lambda *_, **__: state)
    return whole


NETWORKS = {  # name: (image size, layer of the class scores)
    "alexnet": (64, "classifier.6"),
    "resnet18": (32, "fc"),
    "resnet50": (32, "fc"),
    "convnext_tiny": (32, "classifier.2"),
    "vit_b_16": (224, "heads.head"),
    "torchvision:mobilenet_v3_small": (32, "classifier.3"),
    "torchvision:squeezenet1_1": (32, "classifier.1"),
    "torchvision:densenet121": (32, "classifier"),
    "torchvision:googlenet": (32, "fc"),
    "torchvision:swin_t": (32, "head"),
}


@pytest.mark.parametrize("name", NETWORKS)
@pytest.mark.filterwarnings("ignore:The default weight initialization")
def test_features_are_what_goes_into_the_layer_of_the_class_scores(name, monkeypatch):
    size, layer = NETWORKS[name]
    whole = with_random_weights(name.removeprefix("torchvision:"), monkeypatch)
    got = {}
    whole.get_submodule(layer).register_forward_pre_hook(
        lambda module, inputs: got.update(features=inputs[0])
    )
    made = build(name, size)
    images = torch.rand(2, 3, size, size, generator=torch.Generator().manual_seed(1))
    with torch.inference_mode():
        features = made.module.eval()(images)
        if name == "torchvision:googlenet":  # its weights know another mean and std
            whole.transform_input = True
        whole(images)
    expected = got["features"]
    if expected.dim() == 4:  # SqueezeNet averages after its last layer, which is a convolution
        expected = expected.relu().mean((2, 3))
    assert features.shape == (2, made.n_features)
    torch.testing.assert_close(features, expected, rtol=1e-4, atol=1e-5)
    assert made.weights.endswith(".pth") and len(made.mean) == len(made.std) == made.channels == 3


@pytest.mark.filterwarnings("ignore:The default weight initialization")
def test_every_weight_of_an_inception_network_gets_a_gradient_in_training():
    module = build("torchvision:googlenet", 32, "none").module.train()
    module(torch.rand(2, 3, 32, 32)).sum().backward()
    assert all(parameter.grad is not None for parameter in module.parameters())


def test_a_network_that_torchvision_does_not_have_names_those_that_are_near():
    with pytest.raises(UserError, match=r"torchvision:resnet_18 is not in .+ it has .*resnet18"):
        build("torchvision:resnet_18", 64)
    with pytest.raises(UserError, match=r"torchvision:fcn_resnet50 is not in"):  # segmentation
        build("torchvision:fcn_resnet50", 64)
    with pytest.raises(UserError, match=r"backbone must be one of alexnet, .+, got 'vgg'"):
        build("vgg", 64)


def test_a_size_that_a_network_does_not_take_names_one_that_it_does():
    with pytest.raises(
        UserError,
        match=r"torchvision:vgg11 does not take images of image_size 8 .+; set image_size=224",
    ):
        build("torchvision:vgg11", 8, "none")


def test_weights_from_scratch_follow_the_seed():
    made = []
    for seed in (1, 1, 2):
        torch.manual_seed(seed)
        made.append(build("resnet18", 32, "none"))
    first, again, other = (one.module.conv1.weight for one in made)
    assert torch.equal(first, again) and not torch.equal(first, other)
    assert made[0].weights == "from scratch"


def test_the_efficientnet_can_start_from_scratch(efficientnet):
    scratch = build("efficientnet_lite0", 64, "none")
    assert not torch.equal(scratch.module._conv_stem.weight, efficientnet.module._conv_stem.weight)


# Weights from a file


def resnet_file(path: Path, content: Any = None) -> nn.Module:
    torch.manual_seed(3)
    trained = get_model("resnet18", weights=None, num_classes=7)
    torch.save(trained.state_dict() if content is None else content(trained), path)
    return trained


@pytest.mark.parametrize(
    "content",
    [
        None,
        lambda trained: {"state_dict": trained.state_dict(), "epoch": 3},
        lambda trained: {
            name: value
            for name, value in trained.state_dict().items()
            if not name.startswith("fc.")
        },
        lambda trained: nn.DataParallel(trained).state_dict(),
        lambda trained: {
            "state_dict": {
                f"module._orig_mod.{name}": one for name, one in trained.state_dict().items()
            }
        },
    ],
    ids=["state dict", "wrapped", "without its last layer", "DataParallel", "compiled too"],
)
def test_weights_of_a_file_are_taken_whatever_its_last_layer(tmp_path, content):
    trained = resnet_file(tmp_path / "mine.pth", content)
    made = build("resnet18", 32, str(tmp_path / "mine.pth"))
    assert torch.equal(made.module.conv1.weight, trained.conv1.weight)
    assert torch.equal(made.module.layer4[1].bn2.running_mean, trained.layer4[1].bn2.running_mean)


@pytest.mark.parametrize("key", ["model", "model_state_dict", "net", "state_dict"])
@pytest.mark.parametrize("prefix", ["", "module.", "_orig_mod.module.", "backbone.encoder."])
def test_the_wrapping_of_training_scripts_is_taken_off(tmp_path, key, prefix):
    trained = build("mlp", 4).module.state_dict()
    renamed = {f"{prefix}{name}": value for name, value in trained.items()}
    torch.save({key: renamed, "epoch": 3, "optimizer": {"lr": 0.1}}, tmp_path / "mine.pth")
    made = build("mlp", 4, str(tmp_path / "mine.pth")).module.state_dict()
    assert all(torch.equal(made[name], value) for name, value in trained.items())


def test_wrappings_may_lie_in_one_another(tmp_path):
    trained = build("mlp", 4).module.state_dict()
    torch.save({"model": {"state_dict": trained}}, tmp_path / "mine.pth")
    made = build("mlp", 4, str(tmp_path / "mine.pth")).module.state_dict()
    assert torch.equal(made["1.weight"], trained["1.weight"])


NUMBERS = {"F64": "<f8", "F32": "<f4", "F16": "<f2", "I64": "<i8", "U8": "<u1", "BOOL": "<?"}


def safetensors_file(tensors: dict[str, tuple[str, np.ndarray]], **changes: Any) -> bytes:
    """A file of the format, written by the book: name -> (its word for the type, numbers)."""
    header: dict[str, Any] = {"__metadata__": {"format": "pt"}}
    data = b""
    for name, (kind, values) in tensors.items():
        content = values.astype(NUMBERS[kind]).tobytes() if kind in NUMBERS else values.tobytes()
        place = [len(data), len(data) + len(content)]
        header[name] = {"dtype": kind, "shape": list(values.shape), "data_offsets": place} | changes
        data += content
    text = json.dumps(header).encode()
    return len(text).to_bytes(8, "little") + text + data


def test_safetensors_are_read_as_they_are_written():
    values = np.array([[1.5, -2.0, 0.0], [3.0, 4.0, 65504.0]])
    kinds = {kind: (kind, np.abs(values) if kind == "U8" else values) for kind in NUMBERS}
    read = read_tensors(safetensors_file(kinds | {"empty": ("F32", np.zeros((0, 3)))}))
    for kind, form in NUMBERS.items():
        np.testing.assert_array_equal(read[kind].numpy(), kinds[kind][1].astype(form))
    assert read["empty"].shape == (0, 3)
    half = torch.tensor([1.5, -3.0], dtype=torch.bfloat16)
    bits = half.view(torch.int16).numpy()
    assert torch.equal(read_tensors(safetensors_file({"b": ("BF16", bits)}))["b"], half)


def test_weights_may_be_a_safetensors_file(tmp_path):
    trained = build("mlp", 4).module.state_dict()
    tensors = {f"model.{name}": ("F32", value.numpy()) for name, value in trained.items()}
    path = tmp_path / "mine.safetensors"
    path.write_bytes(safetensors_file(tensors))
    made = build("mlp", 4, str(path))
    assert torch.equal(made.module.state_dict()["1.weight"], trained["1.weight"])
    assert made.weights.startswith("mine.safetensors-")


WHOLE = safetensors_file({"w": ("F32", np.ones((2, 2)))})


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (WHOLE[:20], "its header is cut short"),
        (WHOLE[:-1], "its entry 'w' is damaged"),
        (WHOLE.replace(b'"w"', b"w,w"), "its header is damaged"),
        (safetensors_file({"w": ("F32", np.ones(4))}, shape=[5]), "its entry 'w' is damaged"),
        (safetensors_file({"w": ("F32", np.ones(4))}, shape=[-4]), "its entry 'w' is damaged"),
        (
            safetensors_file({"w": ("F32", np.ones(4))}, data_offsets=[-16, 0]),
            "its entry 'w' is damaged",
        ),
        (safetensors_file({"w": ("F32", np.ones(4))}, shape=None), "its entry 'w' is damaged"),
        (safetensors_file({"w": ("C64", np.ones(4))}), "'w' in it is of the number format 'C64'"),
    ],
)
def test_a_damaged_safetensors_file_is_one_sentence(tmp_path, content, reason):
    (tmp_path / "mine.safetensors").write_bytes(content)
    with pytest.raises(UserError) as told:
        build("mlp", 4, str(tmp_path / "mine.safetensors"))
    assert f"({reason})" in str(told.value) and "\n" not in str(told.value)


def test_a_pipe_as_weights_is_refused_at_once(tmp_path):
    os.mkfifo(tmp_path / "mine.pth")
    with pytest.raises(UserError, match=r"mine\.pth can't be read \(not a regular file\)"):
        build("mlp", 4, str(tmp_path / "mine.pth"))


def test_a_weights_file_of_endless_length_is_refused(tmp_path, monkeypatch):
    torch.save(build("mlp", 4).module.state_dict(), tmp_path / "mine.pth")
    monkeypatch.setattr(_weights, "LARGEST", 100)
    with pytest.raises(UserError, match=r"mine\.pth must be at most 100 bytes long"):
        build("mlp", 4, str(tmp_path / "mine.pth"))


def test_other_content_of_the_weights_file_is_another_cache_key(tmp_path):
    torch.save(build("mlp", 4).module.state_dict(), tmp_path / "mine.pth")
    first, again = (build("mlp", 4, str(tmp_path / "mine.pth")).weights for _ in range(2))
    torch.save(build("mlp", 4).module.state_dict(), tmp_path / "mine.pth")
    assert first == again != build("mlp", 4, str(tmp_path / "mine.pth")).weights
    assert re.fullmatch(r"mine\.pth-[0-9a-f]{16}", first)


@pytest.mark.parametrize("content", DAMAGED.values(), ids=DAMAGED)
def test_a_weights_file_that_is_damaged_is_one_sentence(tmp_path, content):
    (tmp_path / "mine.pth").write_bytes(content)
    with pytest.raises(
        UserError, match=r"weights file .+mine\.pth is damaged or .+; write it by torch\.save"
    ) as caught:
        build("mlp", 4, str(tmp_path / "mine.pth"))
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("content", [[1, 2], {"a": 3}, {"state_dict": 4}, torch.zeros(3)], ids=str)
def test_a_weights_file_of_other_things_is_one_sentence(tmp_path, content):
    torch.save(content, tmp_path / "mine.pth")
    with pytest.raises(UserError, match=r"mine\.pth is damaged or holds more than tensors by name"):
        build("mlp", 4, str(tmp_path / "mine.pth"))


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        ([1, 2], "its content is of type list"),
        ({"a": 3}, "'a' in it is of type int, no tensor"),
        ({1: torch.zeros(2)}, "a name in it is of type int"),
        (nn.Linear(2, 2), "it holds a pickled torch.nn.modules.linear.Linear"),
    ],
)
def test_the_reason_why_a_weights_file_is_refused_is_for_people(tmp_path, content, reason):
    torch.save(content, tmp_path / "mine.pth")
    with pytest.raises(UserError) as told:
        build("mlp", 4, str(tmp_path / "mine.pth"))
    assert (
        f"({reason}); write it by torch.save" in str(told.value) and str(told.value).isprintable()
    )


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_weights_of_a_diverged_training_are_refused(tmp_path, value):
    def spoil(trained: nn.Module) -> dict[str, Any]:
        trained.layer1[0].conv1.weight.data[0, 0, 0, 0] = value
        return trained.state_dict()

    resnet_file(tmp_path / "mine.pth", spoil)
    with pytest.raises(
        UserError,
        match=r"mine\.pth holds NaN or infinite values, in layer1\.0\.conv1\.weight: its training",
    ):
        build("resnet18", 32, str(tmp_path / "mine.pth"))


def test_of_hundreds_of_names_that_do_not_fit_the_first_are_told(tmp_path):
    torch.save(get_model("squeezenet1_1", weights=None).state_dict(), tmp_path / "mine.pth")
    with pytest.raises(UserError) as told:
        build("resnet18", 32, str(tmp_path / "mine.pth"))
    assert (
        "it lacks conv1.weight, bn1.weight, bn1.bias and 117 more; it has besides "
        "features.0.weight, " in str(told.value)
    )
    torch.save(build("mlp", 5).module.state_dict(), tmp_path / "mine.pth")
    with pytest.raises(
        UserError,
        match=r"it has 1\.weight of shape \(128, 25\) instead of \(128, 16\)\. Set weights to",
    ):
        build("mlp", 4, str(tmp_path / "mine.pth"))


def test_weights_of_another_network_or_size_are_one_sentence(tmp_path):
    torch.save(build("mlp", 5).module.state_dict(), tmp_path / "mine.pth")
    for name, size in (("mlp", 4), ("resnet18", 32), ("efficientnet_lite0", 32)):
        with pytest.raises(
            UserError, match=r"mine\.pth is of another network than this backbone: it has 2 tensors"
        ) as caught:
            build(name, size, str(tmp_path / "mine.pth"))
        assert "\n" not in str(caught.value) and len(str(caught.value)) < 600


def test_a_weights_file_that_is_not_there_is_one_sentence(tmp_path):
    for path in (tmp_path / "none.pth", tmp_path):
        with pytest.raises(
            UserError,
            match=r"weights file .+ can't be read \(.+\); set weights to one that is there",
        ):
            build("mlp", 4, str(path))


def test_the_names_of_torchvision_are_read_without_importing_it():
    import torchvision

    assert catalog.torchvision_networks() == sorted(
        torchvision.models.list_models(module=torchvision.models)
    )
