"""Codes outside a run: encode, index and query, with real runs, real files and the CLI."""

import dataclasses
import json
import os
import re
import shutil
import zipfile
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from sklearn.datasets import load_digits
from torchvision.models import resnet18

from rdh import cli
from rdh.codes import export, faiss_index
from rdh.codes.encoder import Encoder
from rdh.codes.files import CodeFile, nearest, read_codes, write_codes
from rdh.errors import UserError
from rdh.files import read_arrays
from rdh.retrieval import pack_codes
from rdh.store.run_store import RunStore

QUICK = ("--here", "--preset", "quick", "--set", "epochs=2", "--set", "device=cpu")


def trained(root: Path, *arguments: str) -> str:
    """Trains in this process; returns the run's id."""
    before = set(RunStore(root).run_ids())
    assert cli.main(["train", *QUICK, *arguments, "--runs", str(root)]) == 0
    (run_id,) = set(RunStore(root).run_ids()) - before
    return run_id


@pytest.fixture(scope="module")
def root(tmp_path_factory) -> Path:
    return tmp_path_factory.mktemp("runs")


@pytest.fixture(scope="module")
def hashnet(root) -> str:
    return trained(root, "--rdh", "--bits", "20")


@pytest.fixture(scope="module")
def photos(tmp_path_factory) -> Path:
    """Five digits as PNG files, one of them in a folder below."""
    folder = tmp_path_factory.mktemp("photos")
    (folder / "more").mkdir()
    for place, image in zip(
        ["a.png", "b.png", "c.png", "d.png", "more/e.png"], load_digits().images, strict=False
    ):
        Image.fromarray(np.uint8(image / 16 * 255)).save(folder / place)
    return folder


def write_photos(folder: Path) -> None:
    """Two classes of eight noisy JPEG files, of unequal sizes."""
    rng = np.random.default_rng(0)
    for name in ("cat", "dog"):
        (folder / name).mkdir(parents=True)
        for number in range(8):
            Image.fromarray(rng.integers(0, 256, (40 + number, 36, 3), dtype=np.uint8)).save(
                folder / name / f"{number}.jpg"
            )


def run_cli(root: Path, *arguments: object) -> int:
    return cli.main([*map(str, arguments), "--runs", str(root)])


def refused(capsys, root: Path, *arguments: object) -> str:
    """The one sentence on stderr of a call that must end with exit code 2."""
    capsys.readouterr()
    assert run_cli(root, *arguments) == 2
    return capsys.readouterr().err.strip()


# The encoder gives what the run itself gave


@pytest.mark.parametrize("method", ["hashnet", "dagh", "csq", "itq", "sdh"])
def test_encoding_the_gallery_again_gives_the_runs_own_codes(root, tmp_path, method):
    run_id = trained(root, "--method", method, "--bits", "12")
    assert run_cli(root, "encode", run_id, "digits", "-o", tmp_path / "codes.npz") == 0
    codes, final = (
        read_codes(tmp_path / "codes.npz"),
        read_arrays(RunStore(root).run_dir(run_id) / "codes" / "final.npz"),
    )
    np.testing.assert_array_equal(codes.codes[final["gallery_ids"]], final["gallery"])
    assert codes.ids[3] == "item 3 of digits" and codes.maker["network"] == str(final["network"])


@pytest.mark.parametrize("finetune", [True, False], ids=["finetuned", "frozen"])
def test_images_from_a_folder_go_the_way_of_the_training_images(
    root, tmp_path, monkeypatch, finetune
):
    write_photos(tmp_path / "data" / "image_folder")
    monkeypatch.setenv("RDH_DATA", str(tmp_path / "data"))
    monkeypatch.setenv("RDH_CACHE", str(tmp_path / "cache"))
    settings = {
        "backbone": "efficientnet_lite0",
        "image_size": 32,
        "finetune": finetune,
        "batch_size": 4,
    }
    pairs = [part for key, value in settings.items() for part in ("--set", f"{key}={value}")]
    run_id = trained(root, "--dataset", "image_folder", "--bits", "16", *pairs)
    assert (
        run_cli(
            root, "encode", run_id, tmp_path / "data" / "image_folder", "-o", tmp_path / "codes.npz"
        )
        == 0
    )
    codes, final = (
        read_codes(tmp_path / "codes.npz"),
        read_arrays(RunStore(root).run_dir(run_id) / "codes" / "final.npz"),
    )
    assert len(codes.ids) == 16 and list(codes.ids) == sorted(codes.ids)
    np.testing.assert_array_equal(codes.codes[final["gallery_ids"]], final["gallery"])


def test_features_of_ones_own_are_encoded_by_their_rows(root, tmp_path, monkeypatch):
    digits = load_digits()
    np.savez(tmp_path / "arrays.npz", features=digits.data.astype(np.float32), labels=digits.target)
    monkeypatch.setenv("RDH_DATA", str(tmp_path))
    run_id = trained(
        root, "--dataset", "arrays", "--set", "backbone=none", "--set", "finetune=false"
    )
    assert run_cli(root, "encode", run_id, "arrays", "-o", tmp_path / "codes.npz") == 0
    final = read_arrays(RunStore(root).run_dir(run_id) / "codes" / "final.npz")
    np.testing.assert_array_equal(
        read_codes(tmp_path / "codes.npz").codes[final["gallery_ids"]], final["gallery"]
    )


def test_a_method_with_two_sides_encodes_each(root, photos, tmp_path, capsys):
    run_id = trained(root, "--method", "daph", "--bits", "12")
    final = read_arrays(RunStore(root).run_dir(run_id) / "codes" / "final.npz")
    made = {}
    for side in ("query", "gallery"):
        path = tmp_path / f"{side}.npz"
        assert run_cli(root, "encode", run_id, "digits", "-o", path, "--side", side) == 0
        made[side] = read_codes(path).codes
        np.testing.assert_array_equal(made[side][final[f"{side}_ids"]], final[side])
    assert (made["query"] != made["gallery"]).any()
    image = photos / "a.png"
    assert run_cli(root, "encode", run_id, image, "-o", tmp_path / "a.npz", "--side", "query") == 0
    (code,) = read_codes(tmp_path / "a.npz").codes
    capsys.readouterr()
    assert run_cli(root, "query", run_id, image, "--top", "3", "--json") == 0
    found = [one["distance"] for one in json.loads(capsys.readouterr().out)["nearest"]]
    gallery = CodeFile(final["gallery"], np.arange(len(final["gallery"])).astype(str), 12, {})
    assert found == nearest(code, gallery, 3)[0].tolist(), "the query's own side is searched with"


def test_sides_are_exported_one_at_a_time(root, tmp_path, capsys):
    run_id, path = trained(root, "--method", "daph", "--bits", "12"), tmp_path / "net.pt2"
    images = [np.uint8(image)[..., None] * 15 for image in load_digits().images[:40]]
    for side in ("gallery", "query"):
        assert run_cli(root, "export", run_id, "-o", path, "--side", side) == 0
        encoder = Encoder(RunStore(root), run_id, side=side)
        assert_same_codes(path, encoder.encode(images), images)
    said = refused(capsys, root, "export", run_id, "--to", "csv", "--side", "query")
    assert "--side belongs to --to network, got --to csv" in said


def test_an_image_does_not_change_the_codes_of_its_batch(root, hashnet):
    encoder, images = (
        Encoder(RunStore(root), hashnet),
        [np.uint8(image)[..., None] * 15 for image in load_digits().images[:9]],
    )
    together = encoder.encode(images)
    assert together.dtype == np.uint8 and together.shape == (9, 3)
    np.testing.assert_array_equal(
        together, np.concatenate([encoder.encode([image]) for image in images])
    )


# Export


@pytest.mark.parametrize("settings", [{}, {"precision": "bfloat16"}], ids=["float32", "bfloat16"])
@pytest.mark.parametrize("method", ["hashnet", "csq", "itq", "sdh", "lsh"])
def test_an_exported_network_gives_the_codes_of_the_encoder(root, tmp_path, method, settings):
    if settings and method != "hashnet":
        return
    pairs = [part for key, value in settings.items() for part in ("--set", f"{key}={value}")]
    run_id, path = trained(root, "--method", method, "--bits", "12", *pairs), tmp_path / "net.pt2"
    for _ in range(2):  # our own file may be written again
        assert run_cli(root, "export", run_id, "-o", path) == 0
    images = [np.uint8(image)[..., None] * 15 for image in load_digits().images[:40]]
    assert_same_codes(path, Encoder(RunStore(root), run_id).encode(images), images)


def assert_same_codes(path, expected, images):
    network = torch.export.load(path).module()
    batch = torch.from_numpy(np.stack(images)).permute(0, 3, 1, 2)
    for size in (len(batch), 1, 7):  # a batch of any size
        codes, logits = network(batch[:size])
        np.testing.assert_array_equal(codes.numpy(), expected[:size])
        np.testing.assert_array_equal(codes.numpy(), pack_codes(logits.float()))


@pytest.mark.parametrize("finetune", [True, False], ids=["finetuned", "frozen"])
def test_an_exported_backbone_brings_its_preprocessing(root, tmp_path, monkeypatch, finetune):
    write_photos(tmp_path / "data" / "image_folder")
    monkeypatch.setenv("RDH_DATA", str(tmp_path / "data"))
    monkeypatch.setenv("RDH_CACHE", str(tmp_path / "cache"))
    torch.save(resnet18().state_dict(), tmp_path / "net.pth")
    network = ("backbone=resnet18", f"weights={tmp_path / 'net.pth'}", f"finetune={finetune}")
    settings = (*network, "image_size=32", "lr=0.0001")  # random weights diverge at the usual rate
    pairs = [part for one in (*settings, "batch_size=4") for part in ("--set", one)]
    run_id = trained(root, "--dataset", "image_folder", "--bits", "16", *pairs)
    assert run_cli(root, "export", run_id, "-o", tmp_path / "net.pt2") == 0
    encoder = Encoder(RunStore(root), run_id)
    side = encoder.example().shape[-1]
    images = list(np.random.default_rng(0).integers(0, 256, (9, side, side, 3), dtype=np.uint8))
    assert_same_codes(tmp_path / "net.pt2", encoder.encode(images), images)


def test_an_export_of_another_kind_is_one_sentence(root, hashnet, tmp_path, monkeypatch, capsys):
    for named in ([], ["--to", "network"]):
        said = refused(capsys, root, "export", hashnet, "-o", tmp_path / "net.pth", *named)
        assert "-o must end in " in said and ".pt2" in said and ".onnx" in said
    (tmp_path / "mine.pt2").write_text("mine")
    said = refused(capsys, root, "export", hashnet, "-o", tmp_path / "mine.pt2")
    assert "would overwrite" in said and (tmp_path / "mine.pt2").read_text() == "mine"
    monkeypatch.setattr(export, "find_spec", lambda name: None)
    said = refused(capsys, root, "export", hashnet, "-o", tmp_path / "net.onnx")
    assert "ONNX needs onnx and onnxscript, not installed here: pip install onnx onnxscript" in said


def test_onnx_gives_the_same_codes(root, hashnet, tmp_path):
    pytest.importorskip("onnxscript")
    runtime = pytest.importorskip("onnxruntime")
    assert run_cli(root, "export", hashnet, "-o", tmp_path / "net.onnx") == 0
    images = [np.uint8(image)[..., None] * 15 for image in load_digits().images[:40]]
    session = runtime.InferenceSession(str(tmp_path / "net.onnx"))
    batch = np.stack(images).transpose(0, 3, 1, 2)
    codes, _ = session.run(None, {session.get_inputs()[0].name: batch})
    np.testing.assert_array_equal(codes, Encoder(RunStore(root), hashnet).encode(images))


# Searching


def test_the_nearest_items_are_those_of_a_sorted_list_of_distances():
    rng = np.random.default_rng(0)
    signs = rng.choice([-1, 1], (50, 13))
    codes = CodeFile(pack_codes(signs), np.arange(50).astype(str), 13, {})
    distances, positions = nearest(codes.codes[7], codes, 20)
    expected = sorted((int((row != signs[7]).sum()), place) for place, row in enumerate(signs))[:20]
    assert list(zip(distances.tolist(), positions.tolist(), strict=True)) == expected
    assert len(nearest(codes.codes[7], codes, 1000)[0]) == 50


def test_a_query_finds_its_own_image_first(root, hashnet, photos, tmp_path, capsys):
    assert run_cli(root, "encode", hashnet, photos, "-o", tmp_path / "codes.npz") == 0
    assert (
        run_cli(
            root,
            "query",
            hashnet,
            photos / "c.png",
            "--codes",
            tmp_path / "codes.npz",
            "--top",
            "2",
            "--json",
        )
        == 0
    )
    found = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert (
        found["nearest"][0] == {"rank": 1, "distance": 0, "item": "c.png"}
        and found["searched"] == 5
    )
    assert "more/e.png" in read_codes(tmp_path / "codes.npz").ids


def test_a_query_without_a_file_searches_the_runs_gallery(root, hashnet, photos, capsys):
    assert run_cli(root, "query", hashnet, photos / "a.png", "--json") == 0
    found = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert found["searched"] == 1697 and len(found["nearest"]) == 10
    assert run_cli(root, "query", hashnet, photos / "a.png", "--top", "3") == 0
    assert capsys.readouterr().out.splitlines()[0].split() == ["rank", "distance", "item"]


def test_an_index_gives_the_distances_of_our_own_search(root, hashnet, photos, tmp_path, capsys):
    pytest.importorskip("faiss")
    path = tmp_path / "gallery.faiss"
    assert run_cli(root, "index", hashnet, "-o", path) == 0
    answers = []
    for where in ((), ("--index", path)):
        assert (
            run_cli(root, "query", hashnet, photos / "b.png", *where, "--top", "50", "--json") == 0
        )
        answers.append(json.loads(capsys.readouterr().out.splitlines()[-1])["nearest"])
    ours, theirs = ([row["distance"] for row in answer] for answer in answers)
    assert ours == theirs
    farthest = max(ours)
    inside = [{row["item"] for row in answer if row["distance"] < farthest} for answer in answers]
    assert inside[0] == inside[1]


def test_an_index_and_its_names_must_belong_together(root, hashnet, photos, tmp_path, capsys):
    pytest.importorskip("faiss")
    for name, images in (("a", photos), ("b", "digits")):
        assert run_cli(root, "encode", hashnet, images, "-o", tmp_path / f"{name}.npz") == 0
        assert (
            run_cli(
                root,
                "index",
                hashnet,
                "--codes",
                tmp_path / f"{name}.npz",
                "-o",
                tmp_path / f"{name}.faiss",
            )
            == 0
        )
    (tmp_path / "a.faiss.npz").replace(tmp_path / "b.faiss.npz")
    said = refused(
        capsys, root, "query", hashnet, photos / "a.png", "--index", tmp_path / "b.faiss"
    )
    assert "they do not belong together" in said
    (tmp_path / "b.faiss").write_bytes((tmp_path / "b.faiss").read_bytes()[:40])
    for damage in (lambda: None, lambda: (tmp_path / "b.faiss").write_text("no index")):
        damage()
        said = refused(
            capsys, root, "query", hashnet, photos / "a.png", "--index", tmp_path / "b.faiss"
        )
        assert (
            "can't be read as a FAISS index" in said
            and "::" not in said
            and ".cpp" not in said
            and "\n" not in said
        )
    for name in ("a.faiss.npz", "b.faiss"):  # the one went to b, above
        (tmp_path / "b.faiss").unlink(missing_ok=True)
        said = refused(
            capsys,
            root,
            "query",
            hashnet,
            photos / "a.png",
            "--index",
            tmp_path / name.removesuffix(".npz"),
        )
        assert (
            f"{tmp_path / name} is not there: an index is two files" in said
            and "rdh index RUN -o FILE" in said
        )


def test_an_index_of_as_many_other_codes_is_refused(tmp_path):
    pytest.importorskip("faiss")
    n = faiss_index.BLOCK + 3  # more than one block
    rng = np.random.default_rng(0)
    codes = CodeFile(
        rng.integers(0, 256, (n, 2), dtype=np.uint8),
        np.arange(n).astype(str),
        16,
        {"run_id": "r", "network": "n"},
    )
    path = tmp_path / "all.faiss"
    faiss_index.write_index(path, codes)
    assert sorted(one.name for one in tmp_path.iterdir()) == ["all.faiss", "all.faiss.npz"]
    assert faiss_index.Index(path).nearest(codes.codes[5], 1)[0].tolist() == [0]
    other = codes.codes.copy()
    other[-1, -1] ^= 1
    write_codes(faiss_index.names_file(path), dataclasses.replace(codes, codes=other))
    with pytest.raises(
        UserError, match=r"holds other codes than all.faiss.npz: they do not belong together"
    ):
        faiss_index.Index(path)


# Files


def code_file(n_bits: int = 12, n: int = 4) -> CodeFile:
    codes = pack_codes(np.random.default_rng(1).choice([-1, 1], (n, n_bits)))
    return CodeFile(
        codes,
        np.array([f"Zürich {i}.jpg" for i in range(n)], dtype=str),
        n_bits,
        {"run_id": "r", "network": "n"},
    )


def test_a_code_file_comes_back_as_it_was(tmp_path):
    codes = code_file()
    write_codes(tmp_path / "codes.npz", codes)
    again = read_codes(tmp_path / "codes.npz")
    np.testing.assert_array_equal(again.codes, codes.codes)
    assert again.ids.tolist() == codes.ids.tolist() and (again.n_bits, again.maker) == (
        12,
        codes.maker,
    )


@pytest.mark.parametrize(
    "damage",
    ["missing", "pipe", "cut", "flipped", "text", "other arrays", "pickle", "bits", "format"],
)
def test_a_damaged_code_file_is_one_sentence(tmp_path, damage):
    path = tmp_path / "codes.npz"
    write_codes(path, code_file())
    whole = path.read_bytes()
    arrays = code_file().arrays()
    about = json.loads(str(arrays["about"]))
    if damage in ("missing", "pipe"):
        path.unlink()
        if damage == "pipe":
            os.mkfifo(path)
    elif damage == "cut":
        path.write_bytes(whole[: len(whole) // 2])
    elif damage == "flipped":
        path.write_bytes(whole[:60] + bytes([whole[60] ^ 255]) + whole[61:])
    elif damage == "text":
        path.write_text("no codes")
    elif damage == "other arrays":
        np.savez(path, labels=np.zeros(3))
    elif damage == "pickle":
        np.savez(path, **arrays | {"ids": np.array([{}, None, 1, 2], dtype=object)})
    else:
        changed = about | ({"n_bits": 64} if damage == "bits" else {"format": 99})
        np.savez(path, **arrays | {"about": np.array(json.dumps(changed))})
    with pytest.raises(UserError, match="encode") as caught:
        read_codes(path)
    assert "\n" not in str(caught.value) and str(path) in str(caught.value)


def test_a_file_that_was_changed_says_so_and_one_of_an_earlier_version_is_read(tmp_path):
    path, arrays = tmp_path / "codes.npz", code_file().arrays()
    about = json.loads(str(arrays["about"]))

    def with_about(**changes):
        return {"about": np.array(json.dumps(about | changes))}

    for change in (
        {"codes": arrays["codes"][::-1]},
        {"ids": arrays["ids"][::-1]},
        with_about(n_bits=11),
        with_about(maker=about["maker"] | {"run_id": "another"}),
        with_about(maker=about["maker"] | {"config": {"lr": 1}}),
    ):
        np.savez(path, **arrays | change)
        with pytest.raises(UserError, match=r"does not fit its digest|set beyond bit 10"):
            read_codes(path)
    del about["digest"]
    np.savez(path, **arrays | with_about())
    assert read_codes(path).ids.tolist() == arrays["ids"].tolist()


def test_a_file_without_codes_is_one_sentence(root, hashnet, photos, tmp_path, capsys):
    path = tmp_path / "codes.npz"
    write_codes(path, code_file(n=0))
    for arguments in (
        ("query", hashnet, photos / "a.png", "--codes", path),
        ("index", hashnet, "--codes", path, "-o", tmp_path / "a.faiss"),
    ):
        assert "can't be read as codes (it holds no codes)" in refused(capsys, root, *arguments)


ENDLESS = "x" * 300


@pytest.mark.parametrize(
    "arguments",
    [
        ("encode", "RUN", ENDLESS, "-o", "x.npz"),
        ("encode", "RUN", "digits", "-o", f"{ENDLESS}.npz"),
        ("encode", "RUN", "digits", "-o", f"{ENDLESS}/x.npz"),
        ("encode", "RUN", "digits", "-o", "x.npz", "--data-root", ENDLESS),
        ("query", "RUN", ENDLESS),
        ("query", "RUN", f"{ENDLESS}/a.png"),
        ("query", "RUN", "PHOTO", "--codes", ENDLESS),
        ("query", "RUN", "PHOTO", "--index", ENDLESS),
        ("index", "RUN", "-o", ENDLESS),
        ("index", "RUN", "-o", ENDLESS[:253]),  # the names' file has a longer one
        ("index", "RUN", "-o", "x.faiss", "--codes", ENDLESS),
        ("export", "RUN", "-o", f"{ENDLESS}.pt2"),
    ],
)
def test_names_that_no_file_can_have_are_one_sentence(
    root, hashnet, photos, tmp_path, monkeypatch, capsys, arguments
):
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("RDH_DATA", raising=False)
    places = {"RUN": hashnet, "PHOTO": photos / "a.png"}
    arguments = [places.get(part, part) for part in arguments]
    said = refused(capsys, root, *arguments)
    assert "\n" not in said and len(said) < 900 and not list(tmp_path.iterdir())


@pytest.fixture
def close(monkeypatch):
    """Closes a folder as `chmod 000` does for everybody but the superuser."""

    def closed(folder):
        def guarded(real, is_inside):
            def call(path=".", *rest, **named):
                if isinstance(path, str | Path) and is_inside(Path(path)):
                    raise PermissionError(13, "Permission denied", str(path))
                return real(path, *rest, **named)

            return call

        inside = lambda path: folder in path.parents  # noqa: E731
        monkeypatch.setattr(os, "stat", guarded(os.stat, inside))
        monkeypatch.setattr(os, "lstat", guarded(os.lstat, inside))
        listed = guarded(os.scandir, lambda path: path == folder or inside(path))
        monkeypatch.setattr(os, "scandir", listed)

    return closed


def test_closed_folders_are_one_sentence(root, hashnet, photos, tmp_path, capsys, close):
    pytest.importorskip("faiss")
    folder, output = tmp_path / "closed", tmp_path / "x.npz"
    folder.mkdir()
    (folder / "a.png").write_bytes((photos / "a.png").read_bytes())
    close(folder)
    photo = photos / "a.png"
    for arguments in (
        ("encode", hashnet, folder, "-o", output),
        ("encode", hashnet, folder / "a.png", "-o", output),
        ("encode", hashnet, photo, "-o", folder / "x.npz"),
        ("query", hashnet, folder / "a.png"),
        ("query", hashnet, photo, "--codes", folder / "x.npz"),
        ("query", hashnet, photo, "--index", folder / "x.faiss"),
        ("index", hashnet, "-o", folder / "x.faiss"),
        ("index", hashnet, "--codes", folder / "x.npz", "-o", tmp_path / "x.faiss"),
        ("export", hashnet, "-o", folder / "x.pt2"),
    ):
        said = refused(capsys, root, *arguments)
        assert f"{folder}" in said and "(permission denied)" in said and "\n" not in said
    assert not output.exists()


def test_a_file_that_cannot_be_written_leaves_nothing_behind(tmp_path):
    with pytest.raises(UserError, match="name another file by -o"):
        write_codes(tmp_path / "no folder" / "codes.npz", code_file())
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    "change",
    [
        {"maker": None},
        {"maker": "hashnet"},
        {"maker": {"run_id": 3, "network": "n"}},
        {"maker": {"run_id": "r"}},
        {"n_bits": "12"},
        {"n_bits": None},
        {"n_bits": 12.0},
        {"format": None},
        None,
        [1],
    ],
)
def test_an_edited_description_is_one_sentence(tmp_path, change):
    arrays = code_file().arrays()
    about = change if not isinstance(change, dict) else json.loads(str(arrays["about"])) | change
    np.savez(tmp_path / "codes.npz", **arrays | {"about": np.array(json.dumps(about))})
    with pytest.raises(UserError, match="can't be read as codes") as caught:
        read_codes(tmp_path / "codes.npz")
    assert "\n" not in str(caught.value)


def test_a_file_of_another_kind_is_no_code_file(root, hashnet, photos, tmp_path, capsys):
    (tmp_path / "g.faiss").write_bytes(b"IBxF" + bytes(60))
    np.save(tmp_path / "array.npy", np.zeros(3))
    with zipfile.ZipFile(tmp_path / "text.npz", "w") as archive:
        for name in ("codes", "ids", "about"):
            archive.writestr(name, "text")
    for name in ("g.faiss", "array.npy", "text.npz"):
        said = refused(capsys, root, "query", hashnet, photos / "a.png", "--codes", tmp_path / name)
        assert "can't be read as codes" in said and "pickle" not in said and "\n" not in said


def test_no_file_but_our_own_is_overwritten(root, hashnet, photos, tmp_path, capsys):
    pytest.importorskip("faiss")
    (tmp_path / "cat.png").write_bytes((photos / "a.png").read_bytes())
    np.savez(tmp_path / "labels.npz", labels=np.zeros(3))
    (tmp_path / "notes.npz").write_text("mine")
    (tmp_path / "g.faiss.npz").write_text("mine")
    before = {path: path.read_bytes() for path in tmp_path.iterdir()}
    cat = tmp_path / "cat.png"
    assert "must end in .npz" in refused(capsys, root, "encode", hashnet, cat, "-o", cat)
    assert "must end in .npz" in refused(capsys, root, "encode", hashnet, tmp_path, "-o", cat)
    for name in ("labels.npz", "notes.npz"):
        assert "would overwrite" in refused(
            capsys, root, "encode", hashnet, cat, "-o", tmp_path / name
        )
    for name in ("cat.png", "labels.npz", "g.faiss"):
        assert "would overwrite" in refused(capsys, root, "index", hashnet, "-o", tmp_path / name)
    assert {path: path.read_bytes() for path in tmp_path.iterdir()} == before
    codes = tmp_path / "codes.npz"
    for _ in range(2):  # our own files may be written again
        assert run_cli(root, "encode", hashnet, photos, "-o", codes) == 0
        assert run_cli(root, "index", hashnet, "--codes", codes, "-o", tmp_path / "a.faiss") == 0
    for output in (codes, tmp_path / "a.faiss"):
        source = codes if output == codes else tmp_path / "a.faiss.npz"
        said = refused(capsys, root, "index", hashnet, "--codes", source, "-o", output)
        assert "would overwrite" in said and "the codes to index" in said


def test_the_output_is_looked_at_before_anything_is_encoded(
    root, hashnet, tmp_path, monkeypatch, capsys
):
    def never(*arguments):
        raise AssertionError("encoded for nothing")

    monkeypatch.setattr(Encoder, "__init__", never)
    (tmp_path / "folder.npz").mkdir()
    for name in ("folder.npz", "no/x.npz"):
        assert "-o" in refused(capsys, root, "encode", hashnet, "digits", "-o", tmp_path / name)
    assert [path.name for path in tmp_path.iterdir()] == ["folder.npz"]
    (tmp_path / "gallery").mkdir()
    refused(capsys, root, "index", hashnet, "-o", tmp_path / "gallery")
    assert {path.name for path in tmp_path.iterdir()} == {"folder.npz", "gallery"}


def test_of_an_index_and_its_names_both_are_written_or_none(tmp_path, monkeypatch):
    pytest.importorskip("faiss")

    def full(path, arrays):
        raise OSError(28, "No space left on device", str(path))

    monkeypatch.setattr(faiss_index, "write_arrays", full)
    with pytest.raises(UserError, match=r"a.faiss can't be written \(no space left on device\)"):
        faiss_index.write_index(tmp_path / "a.faiss", code_file())
    assert list(tmp_path.iterdir()) == []


def test_images_of_kinds_that_are_not_read_are_counted(root, hashnet, photos, tmp_path, capsys):
    for name in ("a.png", "b.png"):
        (tmp_path / name).write_bytes((photos / name).read_bytes())
    (tmp_path / "below").mkdir()
    for name in ("c.heic", "d.GIF", "below/e.heic", "notes.txt", ".hidden.heic"):
        (tmp_path / name).write_bytes(b"")
    arguments = ("encode", hashnet, tmp_path, "-o", tmp_path / "codes.npz")
    assert run_cli(root, *arguments) == 0
    assert (
        "2 codes" in (said := capsys.readouterr().out)
        and "passed over: .gif files (1), .heic files (2), files of other kinds (1)" in said
    )
    assert run_cli(root, *arguments, "--json") == 0
    assert json.loads(capsys.readouterr().out)["passed_over"] == {
        ".gif files": 1,
        ".heic files": 2,
        "files of other kinds": 2,
        "hidden files": 1,
    }
    said = refused(
        capsys, root, "encode", hashnet, tmp_path / "below", "-o", tmp_path / "codes.npz"
    )
    assert "has no image to encode" in said and "passed over: .heic files (1)" in said


def test_control_characters_in_a_name_do_not_reach_the_terminal(
    root, hashnet, photos, tmp_path, capsys
):
    name = "a\n\x1b[31mZürich.png"
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / name).write_bytes((photos / "a.png").read_bytes())
    assert run_cli(root, "encode", hashnet, tmp_path / "in", "-o", tmp_path / "codes.npz") == 0
    arguments = ("query", hashnet, photos / "a.png", "--codes", tmp_path / "codes.npz")
    capsys.readouterr()
    assert run_cli(root, *arguments) == 0
    said = capsys.readouterr().out
    assert "\x1b" not in said and len(said.splitlines()) == 2 and r"a\n\x1b[31mZürich.png" in said
    assert run_cli(root, *arguments, "--json") == 0
    assert json.loads(capsys.readouterr().out)["nearest"][0]["item"] == name


# Refusals


def test_codes_of_another_network_are_refused(root, hashnet, photos, tmp_path, capsys):
    other = trained(root, "--rdh", "--bits", "20", "--seed", "1")
    assert run_cli(root, "encode", other, photos, "-o", tmp_path / "codes.npz") == 0
    said = refused(
        capsys, root, "query", hashnet, photos / "a.png", "--codes", tmp_path / "codes.npz"
    )
    assert (
        f"20-bit codes of the run {other}" in said
        and "encode again, or name the run that made them" in said
    )
    assert said == refused(
        capsys,
        root,
        "index",
        hashnet,
        "--codes",
        tmp_path / "codes.npz",
        "-o",
        tmp_path / "x.faiss",
    )
    said = refused(
        capsys,
        root,
        "index",
        "no-such-run-1",
        "--codes",
        tmp_path / "codes.npz",
        "-o",
        tmp_path / "x.faiss",
    )
    assert "There is no run no-such-run-1" in said and not list(tmp_path.glob("x.faiss*"))


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("encode", "no-such-run-1", "digits", "-o", "x.npz"), "There is no run no-such-run-1"),
        (("encode", "../../etc", "digits", "-o", "x.npz"), "run must be an id like"),
        (
            ("encode", "RUN", "nowhere", "-o", "x.npz"),
            "IMAGES must be an image file, a folder, or a data set",
        ),
        (
            ("encode", "RUN", "", "-o", "x.npz"),
            "IMAGES must be an image file, a folder, or a data set",
        ),
        (("encode", "RUN", "EMPTY", "-o", "x.npz"), "has no image to encode"),
        (
            ("encode", "RUN", "digits", "-o", "x.npz", "--device", "cuda:99"),
            "device cuda:99 is not there",
        ),
        (("query", "RUN", "nowhere.png"), "nowhere.png has no image to encode"),
        (("query", "RUN", "PHOTO", "--top", "0"), "--top must be at least 1, got 0"),
        (("query", "RUN", "PHOTO", "--codes", "a", "--index", "b"), "name one of them"),
        (("query", "RUN", "PHOTO", "--codes", "missing.npz"), "can't be read as codes"),
        (("query", "RUN", "EMPTY"), "IMAGE must be one image file, empty is a folder"),
        (("query", "RUN", "PHOTO", "--codes", "EMPTY"), "can't be read as codes (it is a folder)"),
        (("encode", "RUN", "digits", "-o", "EMPTY"), "-o must end in .npz"),
        (("encode", "RUN", "digits", "-o", "no/x.npz"), "there is no folder "),
        (("index", "RUN", "-o", "EMPTY"), "-o must name a file, empty is a folder"),
        (("index", "RUN", "-o", "no/x.faiss"), "there is no folder "),
    ],
)
def test_bad_input_is_one_sentence(
    root, hashnet, photos, tmp_path, monkeypatch, capsys, arguments, words
):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "empty").mkdir()
    places = {"RUN": hashnet, "EMPTY": "empty", "PHOTO": photos / "a.png"}
    said = refused(capsys, root, *(places.get(part, part) for part in arguments))
    assert words in said and "\n" not in said and not (tmp_path / "x.npz").exists()


def test_damaged_images_stop_the_work_or_are_left_out(root, hashnet, photos, tmp_path, capsys):
    for name in ("a.png", "b.png"):
        (tmp_path / name).write_bytes((photos / name).read_bytes())
    (tmp_path / "broken.png").write_bytes(b"")
    arguments = ("encode", hashnet, tmp_path, "-o", tmp_path / "codes.npz")
    said = refused(capsys, root, *arguments)
    assert "broken.png cannot be decoded" in said and said.endswith(
        "or say --bad-images skip to leave it out."
    )
    said = refused(capsys, root, "query", hashnet, tmp_path / "broken.png")
    assert (
        "broken.png cannot be decoded" in said
        and said.endswith("Replace it.")
        and "skip" not in said
    )
    assert not (tmp_path / "codes.npz").exists()
    assert run_cli(root, *arguments, "--bad-images", "skip") == 0
    assert "1 image can't be decoded and is left out" in capsys.readouterr().out
    assert read_codes(tmp_path / "codes.npz").ids.tolist() == ["a.png", "b.png"]


def test_a_pipe_blocks_nobody(root, hashnet, tmp_path, capsys):
    folder, pipe = tmp_path / "in", tmp_path / "in" / "pipe.png"
    folder.mkdir()
    os.mkfifo(pipe)
    said = refused(capsys, root, "encode", hashnet, folder, "-o", tmp_path / "x.npz")
    assert "has no image to encode" in said and "neither files nor folders (1)" in said
    said = refused(capsys, root, "query", hashnet, pipe)
    assert "pipe.png cannot be decoded (it is not a file)" in said


def test_links_out_of_the_folder_are_refused(root, hashnet, photos, tmp_path, capsys):
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "link.png").symlink_to(photos / "a.png")
    arguments = ("encode", hashnet, tmp_path / "in", "-o", tmp_path / "codes.npz")
    assert "leads out of" in refused(capsys, root, *arguments)
    assert run_cli(root, *arguments, "--follow-links") == 0


def test_a_run_that_has_not_trained_says_so(root, photos, tmp_path, capsys):
    store = RunStore(tmp_path)
    run_id = store.create(RunStore(root).config(trained(root)))
    assert "has no checkpoint to encode with" in refused(
        capsys, tmp_path, "query", run_id, photos / "a.png"
    )
    assert "has no gallery codes" in refused(
        capsys, tmp_path, "index", run_id, "-o", tmp_path / "x.faiss"
    )


def test_a_checkpoint_of_another_network_is_refused(root, hashnet, photos, tmp_path, capsys):
    store = RunStore(tmp_path)
    run_id = store.create(RunStore(root).config(hashnet).model_copy(update={"n_bits": 24}))
    for part in ("checkpoints", "split.npz"):
        source, target = RunStore(root).run_dir(hashnet) / part, store.run_dir(run_id) / part
        shutil.copytree(source, target, dirs_exist_ok=True) if source.is_dir() else shutil.copy(
            source, target
        )
    assert "does not fit its config" in refused(capsys, tmp_path, "query", run_id, photos / "a.png")


def test_the_files_hold_no_pickle(tmp_path):
    write_codes(tmp_path / "codes.npz", code_file())
    with zipfile.ZipFile(tmp_path / "codes.npz") as archive:
        for name in archive.namelist():
            header = archive.read(name)[:128]
            assert b"'|O'" not in header


def test_a_query_names_no_items_of_data_that_have_changed(
    root, photos, tmp_path, monkeypatch, capsys
):
    write_photos(tmp_path / "image_folder")
    monkeypatch.setenv("RDH_DATA", str(tmp_path))
    run_id = trained(root, "--dataset", "image_folder", "--set", "image_size=8", "--bits", "8")
    first = tmp_path / "image_folder" / "cat" / "0.jpg"
    for expected in (r"cat/|dog/", r"item \d+ of image_folder"):
        capsys.readouterr()
        assert run_cli(root, "query", run_id, first, "--top", "3", "--json") == 0
        said = capsys.readouterr()
        found = json.loads(said.out.splitlines()[-1])["nearest"]
        assert all(re.search(expected, row["item"]) for row in found)
        assert ("have changed since the run" in said.err) == expected.startswith("item")
        (first.parent / "000.jpg").write_bytes(first.read_bytes())
