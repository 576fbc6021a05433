"""COCO's own annotation files: which image shows which kinds of objects."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from rdh.datasets._tools.index import Arrays
from rdh.datasets._tools.paths import relative_path
from rdh.errors import UserError

KEPT = {"images", "annotations", "categories", "id", "file_name", "name", "image_id", "category_id"}


def read_instances(files: Mapping[str, Path]) -> Arrays:
    """Reads annotations.

    Args:
        files: Image folder -> its instances_*.json.

    Returns:
        paths, sorted, of images with an annotation; labels uint8 (n, n_classes); class_names in the
        order of the official category numbers.

    Raises:
        UserError: A file is not such JSON, its parts don't fit, or it names an image twice.
    """
    class_names: dict[int, str] = {}
    rows: dict[str, set[int]] = {}
    for folder, path in files.items():
        content = _parse(path)
        try:
            names = {_whole(one["id"]): str(one["name"]) for one in content["categories"]}
            images = {_whole(one["id"]): _text(one["file_name"]) for one in content["images"]}
            shown = [
                (images[_whole(one["image_id"])], _whole(one["category_id"]))
                for one in content["annotations"]
            ]
            if not {number for _, number in shown} <= set(names):
                raise KeyError("category_id")
            if len(names) < len(content["categories"]):
                raise ValueError("two categories with one id")
        except (KeyError, TypeError, ValueError) as error:
            raise UserError(
                f"{path} does not have COCO's instances format (at {error}): place the "
                f"official file there."
            ) from error
        if class_names and names != class_names:
            raise UserError(
                f"{path} has other categories than {next(iter(files.values()))}: place "
                f"files of one kind."
            )
        if len(set(images.values())) < len(content["images"]):
            raise UserError(f"{path} names an image twice: place the official file there.")
        class_names = names
        for file_name, category in shown:
            rows.setdefault(f"{folder}/{relative_path(file_name, str(path))}", set()).add(category)
    if not rows:
        raise UserError(
            f"{' and '.join(map(str, files.values()))} annotate no image: place the "
            f"official files there."
        )
    return _arrays(rows, class_names)


def _arrays(rows: dict[str, set[int]], class_names: dict[int, str]) -> Arrays:
    column = {number: place for place, number in enumerate(sorted(class_names))}
    labels = np.zeros((len(rows), len(column)), dtype=np.uint8)
    paths = sorted(rows)
    for row, path in enumerate(paths):
        labels[row, [column[number] for number in rows[path]]] = 1
    names = np.array([class_names[number] for number in sorted(class_names)])
    return {"paths": np.array(paths), "labels": labels, "class_names": names}


def _parse(path: Path) -> dict[str, Any]:
    try:
        with path.open(encoding="utf-8") as file:
            content = json.load(file, object_pairs_hook=_slim)
    except (OSError, ValueError, RecursionError) as error:
        raise UserError(
            f"{path} cannot be read as JSON ({error}): place the official file there."
        ) from error
    if not isinstance(content, dict):
        raise UserError(
            f"{path} does not have COCO's instances format: place the official file there."
        )
    return content


def _whole(value: object) -> int:
    """An id as an int. ValueError if it is not a whole number. 3.0 counts as one."""
    if isinstance(value, float) and value.is_integer():
        return int(value)
    if isinstance(value, bool) or not isinstance(value, int):
        raise ValueError(f"the id {str(value)[:40]!r}, which is not a whole number")
    return value


def _text(value: object) -> str:
    if not isinstance(value, str):
        raise ValueError(f"the file_name {str(value)[:40]!r}, which is not text")
    return value


def _slim(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """An object without what isn't needed: the outlines of all objects would take gigabytes."""
    return {key: value for key, value in pairs if key in KEPT}
