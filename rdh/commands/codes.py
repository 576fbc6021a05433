"""encode RUN IMAGES | index RUN | query RUN IMAGE: a trained run, used outside."""

import argparse
import os
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np

from rdh import catalog, datasets
from rdh.codes.faiss_index import Index, check_index_output, write_index
from rdh.codes.files import CodeFile, check_maker, is_code_file, nearest, read_codes, write_codes
from rdh.commands._common import add_side, add_verb, open_store, print_json, print_table
from rdh.commands._progress import Pace, ProgressLine
from rdh.config.run_config import RunConfig
from rdh.datasets import BadImage, Dataset
from rdh.errors import UserError, count, counted, printable, reading, short_path
from rdh.files import check_output, read_arrays
from rdh.folders import data_root
from rdh.store.run_store import RunStore

BATCH = 256
ENCODE = """Packed codes of images by a trained run.
IMAGES: an image file, a folder of images, or the name of a data set, with the run's switches."""
INDEX = """A FAISS index of a run's gallery, or of the codes in the file that --codes names.

The names of the items lie beside it.
Needs pip install faiss-cpu."""
QUERY = """The nearest items to an image, by Hamming distance.
Searched are the run's own gallery, a file that encode wrote, or an index."""


def add(verbs: Any, common: argparse.ArgumentParser) -> None:
    """encode, index and query."""
    encode = add_verb(
        verbs, common, "encode", ENCODE, ["RUN photos/ -o codes.npz", "RUN cifar10 -o all.npz"]
    )
    index = add_verb(
        verbs, common, "index", INDEX, ["RUN -o gallery.faiss", "RUN --codes codes.npz -o a.faiss"]
    )
    query = add_verb(
        verbs, common, "query", QUERY, ["RUN cat.jpg", "RUN cat.jpg --codes codes.npz --top 20"]
    )
    calls = ((encode, run_encode), (index, run_index), (query, run_query))
    for verb, call in calls:
        verb.set_defaults(call=call)
        verb.add_argument("run", metavar="RUN")
    encode.add_argument("images", metavar="IMAGES")
    encode.add_argument(
        "--follow-links", action="store_true", help="also follow links that lead out of the folder"
    )
    encode.add_argument(
        "--bad-images", choices=("stop", "skip"), default="stop", help="what can't be decoded"
    )
    query.add_argument("image", metavar="IMAGE", type=Path)
    query.add_argument("--top", type=int, default=10, metavar="N", help="how many; default: 10")
    query.add_argument("--index", type=Path, metavar="FILE", help="search this index")
    for verb in (index, query):
        verb.add_argument(
            "--codes",
            type=Path,
            metavar="FILE",
            help="what encode wrote, in the place of the gallery",
        )
    for verb in (encode, index):
        verb.add_argument("-o", "--output", type=Path, required=True, metavar="FILE")
    add_side(encode)
    for verb in (encode, query):
        verb.add_argument("--device", default="auto", help="auto, cpu, cuda or cuda:N")


def run_encode(arguments: argparse.Namespace) -> int:
    """Writes the codes of all images, or no file at all."""
    from rdh.codes.encoder import Encoder  # torch: not for the verbs that do without

    if arguments.output.suffix.lower() != ".npz":
        raise UserError(
            f"-o must end in .npz, the kind of file that codes are written to, got "
            f"{arguments.output}."
        )
    check_output(arguments.output, is_ours=is_code_file)
    encoder = Encoder(open_store(arguments), arguments.run, arguments.device, arguments.side)
    dataset = _images(arguments, encoder.config)
    progress, pace, codes, ids = ProgressLine(), Pace(), [], []
    for start in range(0, len(dataset), BATCH):
        items = np.arange(start, min(start + BATCH, len(dataset)))
        if dataset.features is not None:
            codes.append(encoder.encode_features(dataset.features[items]))
        else:
            images, items = _decoded(dataset, items, arguments.bad_images)
            codes += [encoder.encode(images)] if len(items) else []
        ids += [dataset.image_name(int(item)) for item in items]
        progress.show(f"encoded {pace.words(len(ids), len(dataset), time.monotonic())}")
    progress.clear()
    if not ids:
        raise UserError(f"No image of {arguments.images} can be decoded; look at its files.")
    found = CodeFile(np.concatenate(codes), np.array(ids), encoder.config.n_bits, encoder.maker)
    write_codes(arguments.output, found)
    left_out, passed_over = len(dataset) - len(ids), dict(dataset.passed_over)
    text = f"{count(len(ids))} codes of {counted(found.n_bits, 'bit')} in {arguments.output}"
    if left_out:
        are = "is" if left_out == 1 else "are"
        text += f", {counted(left_out, 'image')} can't be decoded and {are} left out"
    text += f"; {dataset.passed_over_words}" if passed_over else ""
    _say(arguments, text, codes=len(ids), left_out=left_out, passed_over=passed_over)
    return 0


def run_index(arguments: argparse.Namespace) -> int:
    """Writes the index and, beside it, the names."""
    check_index_output(arguments.output, arguments.codes)
    store = open_store(arguments)
    codes = _codes(arguments, store)
    if arguments.codes:
        check_maker(codes, _maker(store, arguments.run), str(arguments.codes))
    names = write_index(arguments.output, codes)
    _say(
        arguments,
        f"{count(len(codes.ids))} codes of {counted(codes.n_bits, 'bit')} in {arguments.output}, "
        f"their names in {names}",
    )
    return 0


def run_query(arguments: argparse.Namespace) -> int:
    """Prints rank, distance and name of the nearest items."""
    if arguments.top < 1:
        raise UserError(f"--top must be at least 1, got {arguments.top}.")
    if arguments.index and arguments.codes:
        raise UserError("--index and --codes are two places to search; name one of them.")
    with reading(arguments.image, "name another image"):
        is_folder = arguments.image.is_dir()
    if is_folder:
        raise UserError(
            f"IMAGE must be one image file, {arguments.image} is a folder: name a file "
            f"in it, or encode it all by encode."
        )
    from rdh.codes.encoder import Encoder

    store = open_store(arguments)
    encoder = Encoder(store, arguments.run, arguments.device, side="query")
    index = Index(arguments.index) if arguments.index else None
    codes = index.codes if index else _codes(arguments, store)
    if arguments.index or arguments.codes:
        check_maker(codes, encoder.maker, str(arguments.index or arguments.codes))
    (query,) = encoder.encode([_query_image(arguments.image)])
    distances, positions = (
        index.nearest(query, arguments.top) if index else nearest(query, codes, arguments.top)
    )
    found = [
        {"rank": rank, "distance": int(distance), "item": str(codes.ids[position])}
        for rank, (distance, position) in enumerate(zip(distances, positions, strict=True), start=1)
    ]
    if arguments.json:
        print_json({"n_bits": codes.n_bits, "searched": len(codes.ids), "nearest": found})
    else:
        print_table([{key: printable(str(value)) for key, value in row.items()} for row in found])
    return 0


def _decoded(dataset: Dataset, items: np.ndarray, bad_images: str) -> tuple[Any, np.ndarray]:
    """As `Dataset.images`, but its error names the option of this verb instead of a setting."""
    try:
        with reading("An image", "mend its permissions, or leave it out"):
            return dataset.images(items, bad_images=bad_images)
    except BadImage as error:
        raise UserError(
            f"{error.__cause__ or error} Replace it, or say --bad-images skip to leave it out."
        ) from None


def _query_image(path: Path) -> np.ndarray:
    try:
        with reading(path, "name another image"):
            return datasets.loose_images(path).image(0)
    except BadImage as error:
        raise UserError(f"{error} Replace it.") from None


def _images(arguments: argparse.Namespace, config: RunConfig) -> Dataset:
    """What IMAGES names: a path that is there, else a data set. UserError for neither."""
    path = Path(arguments.images)
    with reading(path, "mend its permissions, or name another"):
        if arguments.images and path.exists():  # "" would be the folder that one happens to be in
            if path.is_dir():
                os.scandir(path).close()  # raises for a folder that can't be listed
            return datasets.loose_images(path, follow_links=arguments.follow_links)
    if arguments.images not in catalog.datasets():
        raise UserError(
            "IMAGES must be an image file, a folder, or a data set "
            f"({', '.join(catalog.datasets())}), got {short_path(arguments.images)!r}."
        )
    options = config.dataset_options if arguments.images == config.dataset else {}
    return datasets.load(arguments.images, data_root(arguments.data_root), **options)


def _codes(arguments: argparse.Namespace, store: RunStore) -> CodeFile:
    """The codes to search: a file's, or the gallery's of the finished run.

    UserError where there are none.
    """
    if arguments.codes:
        return read_codes(arguments.codes)
    maker = _maker(store, arguments.run)
    path = store.run_dir(arguments.run) / "codes" / "final.npz"
    arrays = read_arrays(path, needs=("gallery", "gallery_ids"))
    if arrays["gallery_ids"].shape != arrays["gallery"].shape[:1]:
        raise UserError(
            f"final.npz of run {arguments.run} must have an id for each code of the gallery, got "
            f"{arrays['gallery_ids'].shape} for {arrays['gallery'].shape}; launch the run again."
        )
    names = _names(store, arguments.run, arrays["gallery_ids"])
    return CodeFile(arrays["gallery"], names, maker["config"]["n_bits"], maker)


def _maker(store: RunStore, run_id: str) -> dict[str, Any]:
    """Who made a finished run's codes, as code files say it.

    UserError for a run that there is not, or that has not finished.
    """
    config, path = store.config(run_id), store.run_dir(run_id) / "codes" / "final.npz"
    if not path.exists():
        why = "it has not finished; resume it, or choose another"
        if config.is_watched:
            why = "its loop has not called recorder.evaluate(); choose another"
        raise UserError(f"The run {run_id} has no gallery codes: {why}.")
    return {
        "run_id": run_id,
        "config": config.model_dump(),
        "network": str(read_arrays(path, only=["network"]).get("network")),
    }


def _names(store: RunStore, run_id: str, item_ids: np.ndarray) -> np.ndarray:
    """What the data set calls these items; their numbers, and why, where it is not here or not the
    one that the run saw.
    """
    config, split = store.config(run_id), read_arrays(store.run_dir(run_id) / "split.npz")
    try:
        root = data_root(store.submission(run_id).get("data_root"))
        dataset = datasets.load(config.dataset, root, **config.dataset_options)
        if str(split.get("fingerprint", dataset.fingerprint)) != dataset.fingerprint:
            raise UserError(
                f"The data of {config.dataset} have changed since the run {run_id} saw them."
            )
        return np.array([dataset.image_name(item) for item in item_ids])
    except UserError as error:
        print(f"Items have numbers instead of names: {error}", file=sys.stderr)
        return np.array([f"item {item} of {config.dataset}" for item in item_ids])


def _say(arguments: argparse.Namespace, text: str, **more: Any) -> None:
    print_json(
        {"output": str(arguments.output), "text": text, **more}
    ) if arguments.json else print(text)
