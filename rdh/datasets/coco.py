"""MS-COCO: photographs of everyday scenes with 80 kinds of objects, several labels an image.

Protocol: the images of the official train and val parts that have an annotation are one pool of
122 218. The 2017 parts hold the same images as those of 2014. 5000 queries, a gallery of the other
117 218 and 10 000 training items from it are drawn by the split seed; MAP@5000. n_query and n_train
take other numbers. In a smaller pool, 0 stands for at most a tenth as queries and half of the
gallery for training. Its results are not comparable with published ones.

Source, in DIR/coco or in DIR itself: annotations/instances_train2014.json and
instances_val2014.json with the image folders train2014 and val2014, or the same of 2017. One of
train and val is enough, and 2014 is taken if both years are there. `data prepare coco` fetches the
20 GB of 2014 from images.cocodataset.org.
Source: Lin et al., Microsoft COCO: Common Objects in Context, ECCV 2014; protocol of HashNet (Cao
et al., ICCV 2017).
"""

import json
from pathlib import Path
from typing import Annotated

import numpy as np
from pydantic import Field

from rdh.datasets._tools.archives import Archive, fetch_and_unpack
from rdh.datasets._tools.base import Progress
from rdh.datasets._tools.coco_json import read_instances
from rdh.datasets._tools.examples import multi_hot, write_image
from rdh.datasets._tools.index import indexed
from rdh.datasets._tools.paths import first_folder
from rdh.datasets._tools.sources import FileDataset
from rdh.datasets._tools.splits import Drawn, sizes
from rdh.errors import UserError

N_OFFICIAL = 122_218
N_QUERY, N_TRAIN = 5000, 10_000
YEARS, PARTS = (2014, 2017), ("train", "val")
# its https has another host's certificate: the checksums vouch for the files
SITE = "http://images.cocodataset.org"
ARCHIVES = {  # sub-folder that an archive brings -> the archive
    "annotations": Archive(
        f"{SITE}/annotations/annotations_trainval2014.zip",
        252_872_794,
        "0a379cfc70b0e71301e0f377548639bd",
    ),
    "train2014": Archive(
        f"{SITE}/zips/train2014.zip", 13_510_573_713, "0da8c0bd3d6becc4dcb32757491aca88"
    ),
    "val2014": Archive(
        f"{SITE}/zips/val2014.zip", 6_645_013_297, "a3d79f5ed8d289b7a7554ce06a5782b3"
    ),
}

is_multi_label = True
top_k = 5000


def load(
    root: Path | str,
    *,
    n_query: Annotated[int, Field(ge=0, description="queries to draw; 0: as the card says")] = 0,
    n_train: Annotated[
        int, Field(ge=0, description="training items to draw; 0: as the card says")
    ] = 0,
    follow_links: Annotated[
        bool, Field(description="follow links that lead out of the data folder")
    ] = False,
) -> FileDataset:
    """COCO from the data folder `root`.

    Reading the official annotations takes seconds the first time. What is needed of them is kept in
    the cache folder.

    Raises:
        UserError: Files are missing or damaged; it says what to do.
    """
    inside = None if follow_links else Path(root)
    place, year = _find(Path(root), inside)
    if place is None:
        raise UserError(
            f"No COCO in {root}: run `python -m rdh data prepare coco --data-root "
            f"{root}` to fetch it (20 GB), or place "
            f"annotations/instances_train2014.json, annotations/instances_val2014.json "
            f"and the image folders train2014 "
            f"and val2014 (or those of 2017) in {Path(root) / 'coco'}."
        )
    files = {f"{part}{year}": place / _annotations(part, year) for part in PARTS}
    files = {part: path for part, path in files.items() if path.is_file()}
    arrays = indexed(list(files.values()), lambda: read_instances(files))
    numbers = sizes(
        len(arrays["labels"]), ("n_query", n_query, N_QUERY), ("n_train", n_train, N_TRAIN)
    )
    dataset = FileDataset(
        "coco",
        place,
        arrays["paths"].tolist(),
        arrays["labels"],
        arrays["class_names"].tolist(),
        Drawn(*numbers),
        inside=inside,
        top_k=top_k,
    )
    if len(dataset) != N_OFFICIAL:
        dataset.warnings.append(
            f"This COCO holds {len(dataset)} annotated images instead of {N_OFFICIAL}: "
            f"scores are not comparable with "
            "published ones."
        )
    return dataset


def example(root: Path) -> None:
    """25 images in train2014 and 15 in val2014, with labels of 4 classes."""
    labels, names = multi_hot(40, 4), ("person", "bicycle", "car", "cat")
    for part, rows in (("train2014", labels[:25]), ("val2014", labels[25:])):
        files = [f"{number:012}.jpg" for number in range(1, len(rows) + 1)]
        for number, name in enumerate(files):
            write_image(root / "coco" / part / name, (number, 0, 0))
        content = {
            "images": [{"id": place, "file_name": name} for place, name in enumerate(files)],
            "annotations": [
                {"image_id": int(place), "category_id": int(k)} for place, k in np.argwhere(rows)
            ],
            "categories": [{"id": k, "name": name} for k, name in enumerate(names)],
        }
        path = root / "coco" / "annotations" / f"instances_{part}.json"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(content))


def download(root: Path | str, progress: Progress | None = None) -> None:
    """Fetches COCO 2014 into root / coco unless COCO is there.

    An interrupted download is resumed. Archives are checked and unpacked.

    Args:
        root: The data folder.
        progress: Called with (bytes, bytes in all).

    Raises:
        UserError: A download fails, an archive is damaged, or the disk is full.
    """
    root = Path(root)
    place, year = _find(root, None)
    if place is None or year == YEARS[0]:
        fetch_and_unpack(ARCHIVES, place or root / "coco", progress)


def _find(root: Path, inside: Path | None) -> tuple[Path | None, int]:
    """(folder, year) of the first layout that is there.

    Raises UserError for a link that leads out of root.
    """
    for year in YEARS:
        place = first_folder(root, "coco", [_annotations(part, year) for part in PARTS], inside)
        if place:
            return place, year
    return None, YEARS[0]


def _annotations(part: str, year: int) -> str:
    return f"annotations/instances_{part}{year}.json"
