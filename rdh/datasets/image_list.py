"""Image lists: your own images, labels and split, in list files as deep hashing code shares them.

Place in DIR/image_list (or the sub-folder of DIR that the switch `folder` names): train.txt,
test.txt (or query.txt) and database.txt (or gallery.txt), and the images. Each line is a path
relative to that folder, then columns of 0 and 1, one a class, or one class number from 0; no blanks
in a path. Without a gallery file the training images are the gallery. classes.txt may name the
classes, one a line. The split is that of the files for every seed; MAP counts the switch
top_k's ranks, 0 = all. An image without a label is left out; a query is left out of the other
lists.
Source: the format of Cao et al., HashNet, ICCV 2017.
"""

from pathlib import Path
from typing import Annotated

from pydantic import Field

from rdh.catalog import PathBelow
from rdh.datasets._tools.examples import write_lists
from rdh.datasets._tools.lists import LAYOUT, MARK, load_lists
from rdh.datasets._tools.paths import folder_below
from rdh.datasets._tools.sources import FileDataset
from rdh.errors import UserError

is_multi_label = True


def load(
    root: Path | str,
    *,
    folder: Annotated[
        PathBelow, Field(description="the folder of the lists, below the data folder")
    ] = "image_list",
    top_k: Annotated[int, Field(ge=0, description="ranks that count in MAP; 0: all")] = 0,
    strip_prefix: Annotated[
        str, Field(description="a folder that the paths in the lists begin with, to be taken off")
    ] = "",
    follow_links: Annotated[
        bool, Field(description="follow links that lead out of the data folder")
    ] = False,
) -> FileDataset:
    """The lists below the data folder `root`.

    Raises:
        UserError: A file is missing, or a line is bad.
    """
    inside = None if follow_links else Path(root)
    place = folder_below(Path(root), folder, "folder", inside)
    if not (place / MARK).is_file():
        raise UserError(f"No lists in {place}: place there {LAYOUT}.")
    dataset = load_lists(
        "image_list", place, inside, top_k=top_k or None, strip_prefix=strip_prefix
    )
    dataset.warn_of_eta(is_multi_label)
    dataset.warn_of_one_class()
    return dataset


def example(root: Path) -> None:
    """30 images of 4 classes."""
    write_lists(root / "image_list")
