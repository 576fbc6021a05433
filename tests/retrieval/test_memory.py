"""Methods that keep state for every item stay linear: 60 000 items train within 4 GB.

The memory is that of a real process.
"""

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

N_ITEMS, N_FEATURES, N_CLASSES = 60_000, 64, 10
MOST_BYTES = 4e9
MEASURED = """
import json, resource, sys
from rdh.cli import main
code = main(sys.argv[1:])
n_bytes = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
print(json.dumps({"code": code, "bytes": n_bytes}))
"""


@pytest.fixture(scope="module")
def many_items(tmp_path_factory) -> Path:
    """arrays.npz with features around the centres of classes.

    200 items are queries. All others are gallery and training items.
    """
    folder = tmp_path_factory.mktemp("data")
    rng = np.random.default_rng(0)
    classes = rng.integers(N_CLASSES, size=N_ITEMS + 200)
    features = rng.standard_normal((N_CLASSES, N_FEATURES))[classes] + rng.standard_normal(
        (len(classes), N_FEATURES)
    )
    others = np.arange(200, len(classes))
    np.savez(
        folder / "arrays.npz",
        features=features.astype(np.float32),
        labels=classes,
        query=np.arange(200),
        gallery=others,
        train=others,
    )
    return folder


SLOW = [
    pytest.param(name, marks=pytest.mark.slow) for name in ("dpsh", "dsdh")
]  # a minute an epoch: every pair is looked at


@pytest.mark.parametrize("method", ["adsh", *SLOW])
def test_sixty_thousand_items_train_within_4_gb(many_items, tmp_path, method):
    """An N x N matrix of them would take 14 GB in float32.

    Two epochs: DSDH and ADSH solve for their codes between them.
    """
    arguments = [
        "train",
        "--here",
        "--method",
        method,
        "--rdh",
        "--dataset",
        "arrays",
        "--bits",
        "64",
    ]
    settings = {
        "backbone": "none",
        "finetune": "false",
        "epochs": 2,
        "batch_size": 256,
        "probe_every": 20,
    }
    settings |= {"method_options.passes": 1} if method == "adsh" else {}
    pairs = [part for name, value in settings.items() for part in ("--set", f"{name}={value}")]
    command = [sys.executable, "-c", MEASURED, *arguments, *pairs]
    roots = {
        "RDH_RUNS": str(tmp_path),
        "RDH_DATA": str(many_items),
        "RDH_CACHE": str(tmp_path / "cache"),
    }
    done = subprocess.run(
        command, env=os.environ | roots, capture_output=True, text=True, timeout=600
    )
    assert done.returncode == 0, done.stderr
    measured = json.loads(done.stdout.splitlines()[-1])
    assert measured["code"] == 0, done.stdout + done.stderr
    assert measured["bytes"] < MOST_BYTES
    print(f"{method}: peak {measured['bytes'] / 1e9:.2f} GB")
    metrics = json.loads(next(tmp_path.glob("*/result.json")).read_text())["metrics"]
    assert metrics["map"] > 0.5
