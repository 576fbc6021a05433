"""Real runs, cut to what the checks read: kept, and made again.

They train too long for a test, or end a little differently on other processors and versions of
torch, so that a check may say another thing there.

python -m tests.diagnosis.stored keep RUNS RUN_ID NAME  # in tests/diagnosis/runs/NAME
python -m tests.diagnosis.stored digits RUNS            # trains all of `DIGITS` anew, keeps them
"""

import json
import sys
from pathlib import Path

import numpy as np

from rdh import worker
from rdh.config.presets import preset_config
from rdh.config.run_config import make_config
from rdh.diagnosis import Evidence
from rdh.files import read_arrays, write_arrays
from rdh.store.kept_codes import probe_steps
from rdh.store.metrics_writer import MetricsWriter, Record
from rdh.store.run_store import RunStore
from tests.diagnosis.trials import digits

KEPT = Path(__file__).parent / "runs"
MOST_QUERIES, MOST_GALLERY = 400, 1500
ARRAYS = ("saturated", "flagged", "dead", "gradient_sum", "gradient_count", "amplified_levels",
          "amplified_dead_levels", "dead_window_levels", "beyond_reach_levels")  # fmt: skip

BASE = {"n_bits": 16, "eval_every": 2, "lr": 0.03, "probe_every": 4}
RDH = {"amplifier": True, "quantization": "error_aware"}
LINEAR = {  # 400 digits of four classes that a linear layer tells apart
    "dataset": "arrays", "backbone": "none", "finetune": False, "method": "dch", "n_bits": 48,
    "lr": 0.1, "eta": 1.0, "epochs": 30, "probe_every": 8,
}  # fmt: skip
FOUR = [0, 1, 6, 7], 400, 0  # classes, training items, seed
WRONG = {"right_labels": 0, "wrong_labels": 6}  # how many of the labels are wrong
DIGITS = {
    "healthy": {"method": "csq", "lr": 1.0, "eta": 0.1, "epochs": 6, "schedule": "constant"},
    "dead": {"method": "dch", "lr": 0.3, "epochs": 8},
    "rescued": {"method": "dch", "lr": 0.3, "epochs": 8} | RDH,
    "too_short": {"method": "hashnet", "lr": 0.1, "epochs": 4, "eval_every": 1},
    "few_codes": {"method": "hashnet", "n_bits": 3, "epochs": 8},
    "12_bits": {"method": "dsdh", "n_bits": 12, "lr": 0.3, "epochs": 6},
    "48_bits": {"method": "dsdh", "n_bits": 48, "lr": 0.3, "epochs": 6},
    **dict.fromkeys(WRONG, LINEAR),
}


def keep_digits(store: RunStore) -> None:
    """Trains the runs of `DIGITS` and keeps them."""
    for name, fields in DIGITS.items():
        root = None
        if name in WRONG:
            root = store.root.parent / name
            digits(root, WRONG[name], *FOUR)
        config = preset_config("quick", **((BASE if root is None else {}) | fields))
        run_id = store.create(config, data_root=root)
        worker.main([str(store.run_dir(run_id))])
        keep(store, run_id, name)


def keep(store: RunStore, run_id: str, name: str) -> None:
    """Every scalar, the last arrays, the last look at training items, a part of the codes."""
    folder, reader = store.run_dir(run_id), store.reader(run_id)
    said = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    frame = Evidence(store, run_id).frame
    scalars = {f"scalar/{one}": frame[one].to_numpy(np.float32) for one in frame}
    split, codes = read_arrays(folder / "split.npz"), read_arrays(folder / "codes/final.npz")
    look = read_arrays(folder / f"codes/probe-{max(probe_steps(store, run_id))}.npz")
    parts = (("query", MOST_QUERIES), ("gallery", MOST_GALLERY))
    picked = {side: slice(None, None, -(-len(codes[side]) // most)) for side, most in parts}
    ids = [codes[f"{side}_ids"][part] for side, part in picked.items()]
    of_all, place = np.unique(np.concatenate([*ids, look["ids"]]), return_inverse=True)
    query, gallery, looked = np.split(place, np.cumsum([len(one) for one in ids]))
    arrays = {f"array/{one}": reader.arrays(one)[2][-10:] for one in ARRAYS}
    about = {"config": said["config"], "meta": reader.meta(), "result": store.result(run_id)}
    KEPT.mkdir(exist_ok=True)
    np.savez_compressed(
        KEPT / f"{name}.npz",
        about=json.dumps(about),
        steps=frame.index.to_numpy(),
        labels=split["labels"][of_all],
        class_names=split["class_names"],
        **scalars,
        **arrays,
        **{f"final/{side}": codes[side][part] for side, part in picked.items()},
        **{"final/query_ids": query, "final/gallery_ids": gallery, "look/ids": looked},
        **{f"look/{one}": look[one] for one in ("bits", "logits", "slope", "right")},
    )


def restore(store: RunStore, name: str) -> Evidence:
    """The run as a folder of a store, under an id of its own."""
    kept = read_arrays(KEPT / f"{name}.npz")
    about = json.loads(str(kept["about"]))
    run_id = store.create(make_config(**about["config"]))
    folder, steps = store.run_dir(run_id), kept["steps"]
    writer = MetricsWriter(folder / "metrics.db", attempt=1)
    writer.put_meta(**about["meta"])
    for place, step in enumerate(steps):
        values = {one: kept[f"scalar/{one}"][place] for one in _under(kept, "scalar/")}
        now = {one: float(value) for one, value in values.items() if np.isfinite(value)}
        back = place - len(steps)
        arrays = {
            one: kept[f"array/{one}"][back]
            for one in _under(kept, "array/")
            if -back <= len(kept[f"array/{one}"])
        }
        writer.log(Record(int(step), place, now, arrays))
    writer.close()
    store.write_json(run_id, "result.json", about["result"])
    final = {one: kept[f"final/{one}"] for one in _under(kept, "final/")}
    look = {one: kept[f"look/{one}"] for one in _under(kept, "look/")}
    split = {"query": final["query_ids"], "gallery": final["gallery_ids"], "train": look["ids"]}
    split |= {one: kept[one] for one in ("labels", "class_names")}
    write_arrays(folder / "split.npz", split)
    write_arrays(folder / "codes" / "final.npz", final)
    write_arrays(folder / "codes" / f"probe-{steps[-1]}.npz", look)
    return Evidence(store, run_id)


def _under(kept: dict[str, np.ndarray], prefix: str) -> list[str]:
    return [name.removeprefix(prefix) for name in kept if name.startswith(prefix)]


if __name__ == "__main__":
    what, runs, *rest = sys.argv[1:]
    {"keep": keep, "digits": keep_digits}[what](RunStore(runs), *rest)
