"""split.npz: a run's queries, gallery and training items, and all labels.

A run can't be resumed on other data than those in its split.npz.
"""

from pathlib import Path
from typing import Any

import numpy as np

from rdh.errors import UserError
from rdh.files import read_arrays, write_arrays
from rdh.store.log import say


def keep_split(run_dir: Path, arrays: dict[str, Any]) -> None:
    """Writes `Inputs.split_arrays`, or compares them with those that the run has written before.

    If only the times of the image files differ, the log notes it, because copying a data folder may
    change them.

    Raises:
        UserError: The run's checkpoint was trained on other items, labels or images.
    """
    path = run_dir / "split.npz"
    if path.exists() and any((run_dir / "checkpoints").glob("[0-9]*.pt")):
        before = read_arrays(path)
        changed = [
            name
            for name in before
            if name in arrays and not np.array_equal(before[name], arrays[name])
        ]
        if set(changed) - {"stamp"}:
            raise UserError(
                f"The data have changed since this run's checkpoint was saved "
                f"({', '.join(changed)}); put them back to "
                "resume it, or launch a new run."
            )
        if changed:
            say(
                "image files have other times than when the run began: if their "
                "contents changed, so may its result"
            )
    write_arrays(path, arrays)
