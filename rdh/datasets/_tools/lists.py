"""Reads list files in the format of HashNet, with one image a line.

A line holds a path and then either C columns of 0 and 1 or one class number, counted from 0. Blanks
separate the fields, so a path can't contain any. There is no header, and empty lines are skipped.
"""

import re
from pathlib import Path
from typing import NamedTuple

import numpy as np

from rdh.datasets._tools.index import Arrays, indexed
from rdh.datasets._tools.paths import check_inside, read_text, relative_path
from rdh.datasets._tools.sources import FileDataset
from rdh.datasets._tools.splits import Listed, Split
from rdh.errors import UserError, counted

PARTS = {
    "query": ("test", "query"),
    "gallery": ("database", "gallery"),
    "train": ("train",),
}  # file names, .txt
MARK = "train.txt"  # a folder that holds it holds lists
LAYOUT = (
    "train.txt, test.txt (or query.txt) and database.txt (or gallery.txt; without it the gallery "
    "is train.txt), each line a path relative to that folder and its labels: columns of 0 and 1, "
    "or one class number"
)


class Listing(NamedTuple):
    """The content of one list file.

    Args:
        paths: The paths, each once.
        labels: uint8 (n, columns), or class numbers int64 (n, 1).
    """

    paths: list[str]
    labels: np.ndarray


def load_lists(
    name: str, folder: Path, inside: Path | None, *, top_k: int | None, strip_prefix: str = ""
) -> FileDataset:
    """The data set whose split is given by the lists in a folder.

    An image without any label is left out. A query that is also in another list is left out of the
    other list. classes.txt names the columns, one name a line.

    Args:
        name: The name of the data set.
        folder: The folder with the lists. Their paths are relative to it.
        inside: Links must stay in this folder. None means that they may lead anywhere.
        top_k: The ranks that count in MAP.
        strip_prefix: A folder that is taken off the beginning of the paths.

    Raises:
        UserError: A list is missing, or a line is bad; it names file and line.
    """
    files = {part: _find(folder, part) for part in PARTS}
    sources = [path for path in files.values() if path]
    for path in (*sources, folder / "classes.txt"):
        check_inside(path, inside)
    arrays = indexed(sources, lambda: _joined(files, strip_prefix), strip_prefix)
    has_label = np.asarray(arrays["labels"].any(axis=1))
    if not has_label.any():
        raise UserError(
            f"No image of {name} has a label: the lists in {folder} hold only 0; mark "
            f"each label by a 1."
        )
    labels = arrays["labels"][has_label]
    class_names = _class_names(folder, labels.shape[1])
    parts, n_leaks = _parts(arrays, has_label, files)
    dataset = FileDataset(
        name,
        folder,
        arrays["paths"][has_label].tolist(),
        labels,
        class_names,
        Listed(parts),
        inside=inside,
        top_k=top_k,
    )
    if not has_label.all():
        dataset.warnings.append(
            f"{(~has_label).sum()} images of {name} have no label and are left out."
        )
    if n_leaks:
        are = "is" if n_leaks == 1 else "are"
        dataset.warnings.append(
            f"{counted(n_leaks, 'query')} of {name} {are} in another list too and {are} left out "
            "there."
        )
    return dataset


def read_list(path: Path, strip_prefix: str = "") -> Listing:
    """One list file.

    Args:
        path: The file.
        strip_prefix: A folder that is taken off the beginning of the paths.

    Raises:
        UserError: A line has another width than the first one, a bad label or a bad path, or names
            an image again. Or no path begins with `strip_prefix`.
    """
    rows = [
        (number, line.split())
        for number, line in enumerate(read_text(path).splitlines(), 1)
        if line.strip()
    ]
    if not rows:
        raise UserError(f"{path} is empty: each line must name an image and its labels.")
    n_columns = len(rows[0][1]) - 1
    first_line: dict[str, int] = {}
    for number, fields in rows:
        place = f"{path} line {number}"
        if len(fields) == 1:
            raise UserError(
                f"{place} must have a path and then its labels, separated by blanks, got "
                f"{fields[0][:80]!r}: no label follows the path."
            )
        if len(fields) - 1 != n_columns:
            raise UserError(
                f"{place} has {len(fields) - 1} label columns, but line {rows[0][0]} has "
                f"{n_columns}: all lines must have the same number, and a path must not contain "
                "blanks."
            )
    labels = _labels(path, rows)  # before the paths: blanks in a path show as bad labels
    _strip(path, rows, strip_prefix)
    for number, fields in rows:
        place = f"{path} line {number}"
        try:
            fields[0] = relative_path(fields[0], place)
        except UserError as error:
            raise UserError(
                f"{str(error)[:-1]}; the switch strip_prefix takes a folder off their beginning."
            ) from None
        if first_line.setdefault(fields[0], number) != number:
            raise UserError(
                f"{place} names {fields[0]!r} again (line {first_line[fields[0]]} did): "
                f"remove one of them."
            )
    return Listing(list(first_line), labels)


def _strip(path: Path, rows: list[tuple[int, list[str]]], prefix: str) -> None:
    """Takes the prefix off the paths that begin with it."""
    folder = prefix.replace("\\", "/").rstrip("/") + "/"
    if not prefix:
        return
    begins = [fields[0].replace("\\", "/").startswith(folder) for _, fields in rows]
    if not any(begins):
        raise UserError(
            f"strip_prefix must be a folder that paths in {path} begin with, got {prefix[:80]!r}; "
            f"the first path is {rows[0][1][0][:80]!r}."
        )
    for (_, fields), is_stripped in zip(rows, begins, strict=True):
        fields[0] = fields[0][len(folder) :] if is_stripped else fields[0]


def _labels(path: Path, rows: list[tuple[int, list[str]]]) -> np.ndarray:
    is_number = len(rows[0][1]) == 2
    if is_number:
        _check_one_reading(path, [fields[1] for _, fields in rows])
    for number, fields in rows:
        allowed = (
            re.fullmatch(r"0|[1-9][0-9]{0,3}", fields[1])
            if is_number
            else set(fields[1:]) <= {"0", "1"}
        )
        if not allowed:
            rule = (
                "a class number from 0 to 9999, without zeros before it,"
                if is_number
                else "columns of 0 and 1"
            )
            raise UserError(
                f"{path} line {number} must have {rule} after its path, which must not contain "
                f"blanks, got {' '.join(fields[1:])[:80]!r} after {fields[0][:80]!r}."
            )
    if is_number:
        return np.array([[int(fields[1])] for _, fields in rows])
    return (np.array([fields[1:] for _, fields in rows]) == "1").astype(np.uint8)


def _check_one_reading(path: Path, texts: list[str]) -> None:
    """Refuses labels that may be class numbers or columns without blanks, such as 0110."""
    widths = {len(text) for text in texts}
    if widths != {1} and len(widths) == 1 and set("".join(texts)) <= {"0", "1"}:
        raise UserError(
            f"The labels in {path}, such as {texts[0][:80]!r}, can be class numbers or columns of "
            f"0 and 1: put a blank between columns, and write numbers without zeros before them."
        )


def _find(folder: Path, part: str) -> Path | None:
    for stem in PARTS[part]:
        if (folder / f"{stem}.txt").is_file():
            return folder / f"{stem}.txt"
    if part == "gallery":
        return None
    raise UserError(f"{folder / PARTS[part][0]}.txt is missing: place {LAYOUT}.")


def _joined(files: dict[str, Path | None], strip_prefix: str) -> Arrays:
    """All lists as one set of images, queries first.

    Returns:
        The paths, the labels, and for each part the rows that it names.
    """
    lists = {part: read_list(path, strip_prefix) for part, path in files.items() if path}
    widths = {path.name: lists[part].labels.shape[1] for part, path in files.items() if path}
    if len(set(widths.values())) > 1:
        folder = next(path for path in files.values() if path).parent
        told = ", ".join(f"{name} {width}" for name, width in widths.items())
        raise UserError(f"The lists in {folder} must have equally many label columns, got {told}.")
    row_of: dict[str, int] = {}
    labels: list[np.ndarray] = []
    arrays: Arrays = {}
    for part, one in lists.items():
        for path, row in zip(one.paths, one.labels, strict=True):
            known = row_of.setdefault(path, len(labels))
            if known == len(labels):
                labels.append(row)
            elif not np.array_equal(labels[known], row):
                raise UserError(
                    f"{files[part]} gives {path!r} other labels than another list does: "
                    f"correct one."
                )
        arrays[part] = np.array([row_of[path] for path in one.paths], dtype=np.int64)
    stacked = np.stack(labels)
    if stacked.shape[1] == 1:  # class numbers
        stacked = (stacked == np.arange(stacked.max() + 1)).astype(np.uint8)
    return arrays | {"paths": np.array(list(row_of)), "labels": stacked}


def _parts(
    arrays: Arrays, has_label: np.ndarray, files: dict[str, Path | None]
) -> tuple[Split, int]:
    """The split, and how many queries are in another list too.

    The ids of the split count only the images that have a label.

    Raises:
        UserError: All images of another list are queries.
    """
    new_number = np.cumsum(has_label) - 1
    rows = {
        part: np.unique(new_number[ids[has_label[ids]]])
        for part, ids in arrays.items()
        if part in PARTS
    }
    gallery = rows.get("gallery", rows["train"])
    leaks = np.intersect1d(rows["query"], np.concatenate([gallery, rows["train"]]))
    for part, ids in (("train", rows["train"]), ("gallery", gallery)):
        if len(ids) and np.isin(ids, leaks).all():
            file, query = files[part] or files["train"], files["query"]
            assert query is not None, "a folder without that list was refused"
            raise UserError(
                f"All {len(ids)} images of {file} are queries too, in {query.name}, and a query "
                "is left out of the other lists: name other images in one of the two."
            )
    return Split(
        rows["query"], *(np.setdiff1d(ids, leaks) for ids in (gallery, rows["train"]))
    ), len(leaks)


def _class_names(folder: Path, n_classes: int) -> list[str]:
    path = folder / "classes.txt"
    if not path.is_file():
        return [f"class {number}" for number in range(n_classes)]
    names = [line.strip() for line in read_text(path).splitlines() if line.strip()]
    if len(names) != n_classes:
        raise UserError(
            f"{path} must name the {n_classes} label columns, one a line, got {len(names)} names."
        )
    return names
