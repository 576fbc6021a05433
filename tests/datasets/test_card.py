"""The card of a data set against slow loops, and the command line that prints it."""

import dataclasses
import json

import numpy as np
import pytest

from rdh import cli, datasets
from rdh.datasets import data_card
from rdh.datasets._tools import card as _card
from rdh.datasets._tools.card import relevant_share, similar_share
from rdh.datasets._tools.splits import PerClass
from tests.toy_archives import make_lists, multi_hot, write_both


def shares_label(first, second):
    return any(a and b for a, b in zip(first, second, strict=True))


@pytest.mark.parametrize(
    "labels", [multi_hot(40, 5), np.eye(3, dtype=np.uint8)[np.arange(40) % 3], multi_hot(40, 90)]
)
def test_the_share_of_similar_pairs_is_that_of_a_loop(labels):
    pairs = [(i, j) for i in range(40) for j in range(40) if i != j]
    expected = np.mean([shares_label(labels[i], labels[j]) for i, j in pairs])
    assert similar_share(labels) == pytest.approx(expected)
    expected = np.mean([shares_label(a, b) for a in labels[:9] for b in labels[9:]])
    assert relevant_share(labels[:9], labels[9:]) == pytest.approx(expected)


def test_an_item_without_label_is_similar_to_none_not_even_to_itself():
    assert similar_share(
        np.array([[0, 0], [0, 0], [1, 0], [1, 1]], dtype=np.uint8)
    ) == pytest.approx(2 / 12)
    assert similar_share(np.ones((1, 2), dtype=np.uint8)) == 0
    assert similar_share(np.zeros((0, 2), dtype=np.uint8)) == 0


def test_of_too_many_distinct_rows_a_sample_is_compared(monkeypatch):
    labels = multi_hot(3000, 40)
    exact = similar_share(labels)
    monkeypatch.setattr(_card, "MOST_ROWS", 500)
    assert similar_share(labels) == pytest.approx(exact, abs=0.03)
    assert similar_share(labels) == similar_share(labels)


def test_single_label_sets_of_ten_classes_have_a_floor_of_a_tenth():
    card = data_card(datasets.load("digits", "unused"))
    assert card.map_floor == pytest.approx(0.1, abs=0.002) and card.similar_share == pytest.approx(
        99 / 999
    )
    assert (card.n_query, card.n_gallery, card.n_train, card.n_items) == (100, 1697, 1000, 1797)
    assert card.items_by_n_labels == [0, 1797] and sum(card.items_per_label.values()) == 1797


def test_a_gallery_of_a_handful_of_items_is_a_warning():
    labels = np.eye(2, dtype=np.uint8)[np.arange(8) % 2]
    data = datasets.Dataset("tiny", labels, ("a", "b"), "", PerClass(2, 2))
    (warning,) = data_card(data).warnings
    assert warning.startswith("The gallery has only 4 items, and chance can give any MAP there")


@pytest.mark.parametrize("name", datasets.names())
def test_every_data_set_has_a_card_of_plain_values(tmp_path, name):
    data = datasets.load(name, tmp_path, **datasets.example(name, tmp_path))
    card = data_card(data, split_seed=2)
    assert json.loads(json.dumps(dataclasses.asdict(card)))["name"] == name
    split = data.split(2)
    assert np.isin(card.sample_ids, split.train).all() and len(card.sample_ids) == min(
        12, len(split.train)
    )
    assert len(set(card.sample_ids)) == len(card.sample_ids)
    assert card.labels_per_item == pytest.approx(data.labels.sum() / len(data))
    assert list(card.items_per_label) == list(data.class_names)


def rdh(capsys, *argv):
    code = cli.main(list(argv))
    said = capsys.readouterr()
    return code, said.out, said.err


def test_data_show_prints_the_card(tmp_path, capsys):
    write_both(tmp_path / "coco")
    code, out, _ = rdh(
        capsys, "data", "show", "coco", "--root", str(tmp_path), "--set", "n_query=10"
    )
    assert code == 0 and out.startswith("MS-COCO: photographs of everyday scenes")
    assert "40 items, 4 classes: 10 queries, 30 gallery, 15 training; " in out
    assert (
        "MAP@5000" in out
        and "items a label: person" in out
        and "--set dataset_options.n_train=0" in out
    )
    assert "note: This COCO holds 40 annotated images instead of 122218" in out
    code, out, _ = rdh(capsys, "data", "show", "coco", "--root", str(tmp_path), "--json")
    card = json.loads(out)
    assert (
        card["n_items"] == 40
        and card["items_per_label"]["person"] > 0
        and card["text"].startswith("MS-COCO")
    )


def test_data_show_says_where_files_belong_before_they_are_there(tmp_path, capsys):
    code, out, err = rdh(capsys, "data", "show", "arrays", "--data-root", str(tmp_path))
    assert code == 0 and err.startswith(
        f"not ready: No arrays in {tmp_path}/arrays.npz: write them there"
    )
    assert "labels: (n,) or (n, 1) class numbers" in out and f"DIR is {tmp_path}" in out
    assert "--set dataset_options.n_query=0" in out
    code, out, _ = rdh(capsys, "data", "show", "nus_wide", "--data-root", str(tmp_path), "--json")
    told = json.loads(out)
    assert code == 0 and not told["ready"] and told["status"].startswith("not ready: No NUS-WIDE")
    assert told["switches"][0]["choices"] == [21, 81] and "Groundtruth/AllLabels" in told["text"]
    write_both(tmp_path / "coco")
    assert json.loads(
        rdh(capsys, "data", "show", "coco", "--data-root", str(tmp_path), "--json")[1]
    )["ready"]


def test_data_show_takes_a_switch_by_its_own_name_and_as_a_run_names_it(tmp_path, capsys):
    make_lists(tmp_path / "lists")
    shown = [
        rdh(capsys, "data", "show", "image_list", "--root", str(tmp_path), "--set", f"{key}=lists")
        for key in ("folder", "dataset_options.folder")
    ]
    assert (
        shown[0] == shown[1]
        and shown[0][0] == 0
        and "30 images, 4 classes" in shown[0][1].replace("items", "images")
    )


def test_control_characters_of_labels_and_paths_do_not_reach_the_terminal(tmp_path, capsys):
    make_lists(tmp_path / "image_list")
    (tmp_path / "image_list" / "classes.txt").write_text(
        "a\nb\x1b[31m\nc\u202e\nd\n", encoding="utf-8"
    )
    code, out, _ = rdh(capsys, "data", "show", "image_list", "--root", str(tmp_path))
    assert (
        code == 0
        and r"b\x1b[31m" in out
        and r"c\u202e" in out
        and "\x1b" not in out
        and "\u202e" not in out
    )
    _, _, err = rdh(
        capsys,
        "data",
        "show",
        "image_list",
        "--root",
        str(tmp_path),
        "--set",
        "folder=a\x1b[31m/..",
    )
    assert r"\x1b[31m" in err and "\x1b" not in err


def test_sentences_name_the_option_that_help_names(tmp_path, capsys):
    for name in ("coco", "cifar10"):
        _, _, err = rdh(capsys, "data", "show", name, "--data-root", str(tmp_path))
        assert f"data prepare {name} --data-root {tmp_path}" in err and " --root" not in err


def test_data_show_of_many_labels_names_the_frequent_ones(tmp_path, capsys):
    make_lists(tmp_path / "image_list", n_classes=25)
    _, out, _ = rdh(capsys, "data", "show", "image_list", "--root", str(tmp_path))
    assert "and 5 rarer labels, down to class" in out


def test_data_list_has_a_line_of_the_card_for_what_is_ready(tmp_path, capsys):
    make_lists(tmp_path / "image_list")
    (tmp_path / "arrays.npz").write_bytes(b"no")
    code, out, _ = rdh(capsys, "data", "list", "--root", str(tmp_path))
    assert code == 0
    assert (
        "image_list   ready: 30 images, 4 classes\n             5 queries, 25 gallery, "
        "10 training; " in out
    )
    assert "arrays       not ready: " in out and "arrays.npz cannot be read" in out
    _, out, _ = rdh(capsys, "data", "list", "--root", str(tmp_path), "--json")
    rows = {row["name"]: row for row in json.loads(out)["datasets"]}
    assert rows["image_list"]["card"]["n_train"] == 10 and rows["nus_wide"]["card"] is None
    assert set(rows) == set(datasets.names())


@pytest.mark.parametrize(
    ("argv", "message"),
    [
        ("show frob", "dataset must be one of arrays, cifar10, coco"),
        ("show mosaic --set grid=4", "dataset_options grid must be one of 2, 3, got 4"),
        (
            "show mosaic --set grids=2",
            "dataset_options of mosaic must be among source, grid, n_items, top_k, got 'grids'",
        ),
        (
            "prepare nus_wide",
            "nobody may pass it on: place there Groundtruth/AllLabels/Labels_<concept>.txt",
        ),
        (
            "prepare imagenet100",
            "only its makers may pass it on (image-net.org): place there the class folders",
        ),
        ("prepare image_list", "place there train.txt, test.txt (or query.txt)"),
    ],
)
def test_what_is_not_there_is_one_sentence_with_the_way_out(tmp_path, capsys, argv, message):
    code, _, err = rdh(capsys, "data", *argv.split(), "--root", str(tmp_path))
    assert code == 2 and message in err and "Traceback" not in err


def test_prepare_fetches_what_may_be_fetched_and_shows_its_progress(tmp_path, capsys, monkeypatch):
    from rdh.datasets import coco

    def fetch(archives, folder, progress):
        assert set(archives) == {"annotations", "train2014", "val2014"}
        progress(5_000_000, 20_000_000)
        write_both(folder)

    monkeypatch.setattr(coco, "fetch_and_unpack", fetch)
    code, out, err = rdh(capsys, "data", "prepare", "coco", "--root", str(tmp_path))
    assert code == 0 and out == "coco: ready: 40 images, 4 classes\n" and "coco: 5/20" in err
    assert "(MB)" in err
