"""Trials of checks on runs drawn at random, whose numbers stand in docs/diagnosis.md.

python -m tests.diagnosis.trials labels RUNS 24     # digits with wrong labels, and with right ones
python -m tests.diagnosis.trials weight RUNS 70 5   # weights of quantization on digits; pairs
python -m tests.diagnosis.trials weight-cifar10 RUNS 30 6
python -m tests.diagnosis.trials weight-slow RUNS 40 31  # large weights at small rates; digits
python -m tests.diagnosis.trials dead RUNS 30       # many dead on CIFAR-10; pairs with RDH
python -m tests.diagnosis.trials collapsed RUNS 40 19  # high rates and weights; digits
python -m tests.diagnosis.trials collapsed-mosaic RUNS 20 23  # where no preset is for the network
python -m tests.diagnosis.trials causes RUNS 10      # collapsed by a rate or a weight, by design
python -m tests.diagnosis.trials designs RUNS 71    # each ill in a way that is known, or healthy
python -m tests.diagnosis.trials drawn RUNS 44 3    # settings at random

The last number is the seed of the draws. A line of JSON for each run, among what the runs say
(`| grep ^{`). Of a finding that is on trial, the first remedy is trained as a pair; in `drawn`,
of each that promises MAP. What is wrong with a design stands in its tags, so that
`rdh diagnose --all --markdown` counts how often each check is right. CIFAR-10 needs its images
(RDH_DATA).
"""

import json
import random
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from sklearn.datasets import load_digits

from rdh import worker
from rdh.analysis import dead_bits
from rdh.config.presets import preset_config
from rdh.config.run_config import RunConfig
from rdh.diagnosis import Evidence, diagnose, map_of, tried_config
from rdh.diagnosis.collapsed import first_shares
from rdh.store.notes import change_notes
from rdh.store.run_store import RunStore

RDH = {"amplifier": True, "quantization": "error_aware"}
IN_BATCH = {"method_options": {"pairs": "in_batch"}}
ON_TRIAL = {
    "labels": "few_images",
    "dead": "which_illness",
    "collapsed": "collapsed",
    "collapsed-mosaic": "collapsed",
    "causes": "collapsed",
}  # all others: quantization_wins
METHODS = ("hashnet", "dhn", "dpsh", "dsdh", "dch", "dpn", "csq", "dagh")
# What no design decides: these are facts of any run, or are judged by what comes next.
UNDECIDED = ("alike_bits", "beyond_reach", "dead_growing", "under_trained", "untrusted_map",
             "weak_opponent", "which_illness")  # fmt: skip


def digits(root: Path, n_wrong: int, classes: list[int], n_train: int, seed: int) -> np.ndarray:
    """Writes arrays.npz of some classes of digits, and says which rows have a wrong label."""
    data, rng = load_digits(), np.random.default_rng(seed)
    kept = np.isin(data.target, classes)
    labels = np.searchsorted(classes, data.target[kept])
    order = rng.permutation(len(labels))
    query, gallery = np.sort(order[: len(labels) // 6]), order[len(labels) // 6 :]
    train = gallery[:n_train]
    wrong = train[rng.choice(len(train), n_wrong, replace=False)]
    labels[wrong] = (labels[wrong] + rng.integers(1, len(classes), n_wrong)) % len(classes)
    parts = {"query": query, "gallery": np.sort(gallery), "train": np.sort(train)}
    root.mkdir(parents=True, exist_ok=True)
    np.savez(root / "arrays.npz", features=data.data[kept], labels=labels, **parts)
    return wrong


def labels(n: int, runs: Path) -> Iterator[tuple[RunConfig, Path | None, np.ndarray]]:
    """Linear layers on 3 to 6 classes of digits: each with 6 to 12 wrong labels, and with none."""
    rng = random.Random(7)
    for place in range(n):
        n_classes = rng.choice([3, 4, 5, 6])
        classes, n_wrong = sorted(rng.sample(range(10), n_classes)), rng.choice([6, 9, 12])
        settings = [("dch", 0.1, 1.0), ("dch", 0.3, 0.3), ("dhn", 0.3, 1.0), ("hashnet", 0.3, None),
                    ("dpsh", 0.1, 0.1), ("dsdh", 0.3, 0.1), ("csq", 0.3, 0.1)]  # fmt: skip
        method, lr, eta = rng.choice(settings)
        fields: dict[str, Any] = {
            "method": method,
            "lr": lr,
            "n_bits": rng.choice([24, 32, 48, 64]),
        }
        fields |= {"quantization": "none"} if eta is None else {"eta": eta}
        fields |= {"dataset": "arrays", "backbone": "none", "finetune": False, "batch_size": 64}
        fields |= {"epochs": 30, "probe_every": 8, "seed": 100 + place}
        for n_now in (n_wrong, 0):
            root = runs / "data" / f"{place}-{n_now}"
            wrong = digits(root, n_now, classes, min(600, 100 * n_classes), 100 + place)
            yield preset_config(None, **fields), root, wrong


def weight(n: int, preset: str, seed: int) -> Iterator[RunConfig]:
    """Weights from .3 to 30, half of them 10 and more, at any rate."""
    is_digits, rng = preset == "digits", random.Random(seed)
    methods: list[tuple[str, dict[str, Any]]] = [("dch", {}), ("dch", {})]
    if is_digits:
        methods += [("dhn", {}), ("dpsh", IN_BATCH)]
        methods += [(name, {}) for name in ("csq", "dsdh", "dtsh", "hashnet", "dpn", "dihn", "dsh")]
        methods += [(name, RDH) for name in ("dch", "dhn", "hashnet")]
    else:
        methods += [("dch", {}), ("dhn", {}), ("dpsh", IN_BATCH), ("dpsh", {}), ("csq", {})]
        methods += [("dch", RDH), ("dhn", RDH)]
    for _ in range(n):
        method, switches = rng.choice(methods)
        eta = rng.choice([0.3, 1.0, 3.0, 10.0, 10.0, 30.0])
        lr = rng.choice([0.003, 0.01, 0.03, 0.1] + [0.3] * is_digits)
        bits = rng.choice([12, 16, 24, 32, 48] if is_digits else [16, 24, 32, 48])
        fields = {"method": method, "eta": eta, "lr": lr, "n_bits": bits, **switches}
        fields |= {"epochs": rng.choice([12, 24, 40])} if is_digits else {}
        fields["seed"] = rng.randrange(50, 1000)
        if method == "hashnet" and not switches:
            del fields["eta"]
        yield preset_config(preset, **fields)


def slow(n: int, seed: int) -> Iterator[RunConfig]:
    """Weights from 1 to 30 at rates that are small for digits."""
    rng = random.Random(seed)
    methods: list[tuple[str, dict[str, Any]]] = [("dch", {}), ("dch", RDH)] * 2
    methods += [("dhn", {}), ("dhn", RDH), ("dpsh", IN_BATCH), ("csq", {}), ("hashnet", RDH)]
    methods += [("dtsh", {}), ("dsh", {})]
    for _ in range(n):
        method, switches = rng.choice(methods)
        fields: dict[str, Any] = {
            "method": method,
            "eta": rng.choice([1.0, 3.0, 10.0, 10.0, 30.0]),
            "lr": rng.choice([0.003, 0.01]),
            "n_bits": rng.choice([12, 16, 24, 32, 48]),
            "epochs": rng.choice([12, 24]),
            "seed": rng.randrange(1000, 2000),
        }
        yield preset_config("digits", **fields | switches)


def dead(n: int) -> Iterator[RunConfig]:
    """Settings on CIFAR-10 with many dead, none drawn: all lengths at .1, then single ones."""
    settings: list[tuple[str, float, float | None, int]] = []
    for bits in (16, 32, 64):
        settings += [("hashnet", 0.1, None, bits), ("dhn", 0.1, 1.0, bits)]
        settings += [("dch", 0.1, 1.0, bits), ("dpsh", 0.03, 1.0, bits)]
    settings += [("dpsh", 0.1, 0.3, 32), ("dpsh", 0.1, 1.0, 48), ("dhn", 0.3, 1.0, 24)]
    settings += [("dhn", 0.3, 0.1, 32), ("hashnet", 0.3, None, 24), ("hashnet", 0.3, None, 48)]
    settings += [("dch", 0.3, 0.1, 32), ("dch", 0.3, 1.0, 24), ("csq", 0.3, 1.0, 32)]
    settings += [("csq", 1.0, 0.1, 16), ("dsdh", 0.3, 1.0, 32), ("dsdh", 0.1, 1.0, 16)]
    settings += [("dagh", 0.3, 1.0, 24), ("dtsh", 0.1, 1.0, 32), ("dtsh", 0.3, 1.0, 16)]
    settings += [("dihn", 0.1, 1.0, 32), ("dsh", 0.1, 1.0, 32), ("dch", 0.03, 1.0, 16)]
    for method, lr, eta, bits in settings[:n]:
        fields = {"method": method, "lr": lr, "n_bits": bits, "seed": 21}
        yield preset_config("offline", **fields | ({} if eta is None else {"eta": eta}))


def collapsed(n: int, seed: int, dataset: str = "digits") -> Iterator[RunConfig]:
    """Rates and weights of which some make all codes alike; the preset of the demo."""
    rng = random.Random(seed)
    for _ in range(n):
        fields: dict[str, Any] = {
            "method": rng.choice([*METHODS[:5], "csq"]),
            "lr": rng.choice([0.03, 0.3, 1.0, 3.0, 10.0]),
            "n_bits": rng.choice([16, 32]),
            "epochs": 20,
            "seed": rng.randrange(1000, 2000),
            "dataset": dataset,
        }
        eta = rng.choice([0.1, 1.0, 3.0, 10.0])
        yield preset_config(
            "demo", **fields | ({} if fields["method"] == "hashnet" else {"eta": eta})
        )


def causes(n: int) -> Iterator[RunConfig]:
    """Runs that collapse by their rate, their weight or their memory; the preset of the demo."""
    settings = [("dch", 3.0, 1.0), ("dch", 1.0, 1.0), ("dch", 3.0, 0.1), ("csq", 10.0, 1.0),
                ("hashnet", 10.0, None), ("dhn", 3.0, 1.0), ("dhn", 0.3, 10.0), ("dhn", 3.0, 0.1),
                ("dpsh", 0.03, 1.0), ("dpsh", 0.3, 1.0)]  # fmt: skip
    for method, lr, eta in settings[:n]:
        weight = {} if eta is None else {"eta": eta}
        yield preset_config("demo", method=method, lr=lr, n_bits=16, epochs=20, **weight)


def alone(store: RunStore, run_id: str, config: RunConfig) -> dict[str, Any]:
    """The first record, and MAP after a tenth of the rate alone and after η .1 alone."""
    term, flat = first_shares(Evidence(store, run_id))
    found: dict[str, Any] = {"first_term": term, "first_saturated": flat}
    for said, changes in (("lr / 10", {"lr": config.lr / 10}), ("eta .1", {"eta": 0.1})):
        if "eta" not in changes or (config.eta is not None and config.eta > 0.1):
            pair = train(store, tried_config(config, changes))
            found[said] = None if pair is None else map_of(store, pair)
    return found


def designs(n: int, runs: Path) -> Iterator[tuple[RunConfig, Path | None, np.ndarray, str]]:
    """Runs and what is wrong with each, as it was written down before any of them was trained."""
    digits_24: dict[str, Any] = {"n_bits": 24, "epochs": 24}
    none, found = np.empty(0, int), list[tuple[str, str, dict[str, Any]]]()

    def add(ill: str, methods: str, preset: str = "digits", **fields: Any) -> None:
        for method in methods.split():
            more = IN_BATCH if method == "dpsh" and not fields.pop("memory", False) else {}
            found.append((ill, preset, {"method": method} | more | fields))

    for seed in (11, 12):
        base = digits_24 | {"seed": seed}
        add("nothing", "dhn hashnet csq dsdh dagh dch dpn dpsh", **base)
        add("nothing", "hashnet", **base | RDH | {"n_bits": 40})
        add("collapsed stale_memory", "dpsh", **base, lr=0.3, eta=1.0, memory=True)
        add("stale_memory", "dsdh", **base, lr=0.3)
        add("quantization_wins", "dhn dpsh dch", **base, eta=10.0)
        add("saturated_early", "dch", **base | {"n_bits": 40}, lr=0.3)
        add("theta_scale", "dhn", **base, method_options={"theta_scale": 2.0})
        theta = {"method_options": {"theta_scale": 1.0} | IN_BATCH["method_options"]}
        add("theta_scale", "dpsh", **base | {"n_bits": 40} | theta)
        add("under_trained", "hashnet", **base | {"epochs": 5})
    base = digits_24 | {"seed": 13}
    add("not_learning", "hashnet dhn dch csq", **base, lr=1e-6)
    add("diverging", "hashnet dhn csq", **base, lr=100.0, weight_decay=1.0)
    add("mixed_classes", "hashnet dhn csq", **base | {"n_bits": 3})
    add("few_images", "hashnet dch", "wrong labels", **base | {"n_bits": 40}, lr=0.1)
    for epochs, lr in ((24, 0.1), (36, 0.1), (24, 0.3), (36, 0.3)):
        add("open", "dch hashnet", **base | {"epochs": epochs}, lr=lr, schedule="constant")
    mosaic = base | {"dataset": "mosaic", "n_bits": 16}
    add("nothing", "hashnet dhn dch", **mosaic)
    add("quantization_wins", "dhn", **mosaic, eta=10.0)
    add("not_learning", "hashnet", **mosaic, lr=1e-6)
    cifar = {"seed": 21, "n_bits": 16}
    add("nothing", "hashnet csq dhn dagh", "offline", **cifar)
    add("nothing", "hashnet", "offline", **cifar | {"n_bits": 40})
    add("quantization_wins", "dhn dch", "offline", **cifar, eta=10.0)
    theta = {"method_options": {"theta_scale": 1.0}}
    add("theta_scale", "dhn", "offline", **cifar | {"n_bits": 40}, **theta)
    add("not_learning", "hashnet", "offline", **cifar, lr=1e-6)
    add("mixed_classes", "hashnet", "offline", **cifar | {"n_bits": 3})
    for place, (ill, preset, fields) in enumerate(found[:n]):
        if preset == "wrong labels":
            root = runs / "data" / str(place)
            wrong = digits(root, 8, list(range(10)), 1000, place)
            own = {"dataset": "arrays", "backbone": "none", "finetune": False, "eval_every": 5}
            yield (
                preset_config(None, **own, batch_size=64, probe_every=8, **fields),
                root,
                wrong,
                ill,
            )
        else:
            yield preset_config(preset, **fields), None, none, ill


def drawn(n: int, seed: int) -> Iterator[RunConfig]:
    """Any method, rate, weight and length; most on digits, a quarter with RDH."""
    rng = random.Random(seed)
    for _ in range(n):
        place = rng.choice(["digits"] * 7 + ["mosaic", "cifar10", "cifar10"])
        fields: dict[str, Any] = {
            "method": rng.choice(METHODS),
            "lr": rng.choice([0.003, 0.01, 0.03, 0.1, 0.3]),
            "eta": rng.choice([0.03, 0.1, 0.3, 1.0, 3.0]),
            "n_bits": rng.choice([12, 20, 36, 56]),
            "epochs": rng.choice([6, 20]),
            "seed": rng.randrange(50, 1000),
        }
        has_rdh = rng.random() < 0.25 and fields["method"] != "dpn"  # nothing saturates there
        fields |= RDH if has_rdh else {}
        fields |= {"dataset": "mosaic"} if place == "mosaic" else {}
        fields |= {"eval_every": 5} if place == "cifar10" else {}
        if fields["method"] == "hashnet" and "quantization" not in fields:
            del fields["eta"]
        yield preset_config("offline" if place == "cifar10" else "digits", **fields)


def pairs(store: RunStore, run_id: str, config: RunConfig) -> dict[str, float | None]:
    """Trains the first remedy of each finding that promises MAP: check -> what MAP gained."""
    gains: dict[str, float | None] = {}
    for finding in diagnose(Evidence(store, run_id)).findings:
        if finding.remedies and "MAP" in finding.remedies[0].expect:
            pair = train(store, tried_config(config, finding.remedies[0].changes))
            maps = [None if one is None else map_of(store, one) for one in (run_id, pair)]
            gains[finding.check] = None if None in maps else maps[1] - maps[0]  # type: ignore
    return gains


def train(store: RunStore, config: RunConfig, root: Path | None = None) -> str | None:
    """A run to its end; None if it failed."""
    run_id = store.create(config, data_root=root)
    return None if worker.main([str(store.run_dir(run_id))]) else run_id


def dead_share(store: RunStore, run_id: str) -> float | None:
    """Of all entries at the end."""
    counts = dead_bits(store.reader(run_id))
    return None if counts is None else counts.share("dead")


def main(name: str, folder: str, n: str, seed: str = "5") -> None:
    """Trains the runs of one trial, and prints what came of each."""
    runs, on_trial = Path(folder), ON_TRIAL.get(name, "quantization_wins")
    store = RunStore(runs)
    none = np.empty(0, int)
    if name in ("designs", "drawn"):
        known = ((config, None, none, "") for config in drawn(int(n), int(seed)))
        _all_checks(store, designs(int(n), runs) if name == "designs" else known)
        return
    draws = {
        "weight": weight(int(n), "digits", int(seed)),
        "weight-cifar10": weight(int(n), "offline", int(seed)),
        "weight-slow": slow(int(n), int(seed)),
        "dead": dead(int(n)),
        "collapsed": collapsed(int(n), int(seed)),
        "collapsed-mosaic": collapsed(int(n), int(seed), "mosaic"),
        "causes": causes(int(n)),
    }
    others = labels(int(n), runs) if name == "labels" else None
    asked = others or ((config, None, none) for config in draws[name])
    for config, root, wrong in asked:
        run_id = train(store, config, root)
        if run_id is None:
            continue
        found = {one.check: one for one in diagnose(Evidence(store, run_id)).findings}
        line = {"run": run_id, "map": map_of(store, run_id), "dead": dead_share(store, run_id)}
        line |= {"found": list(found), "wrong": sorted(wrong.tolist())}
        if on_trial in found:
            line["said"] = found[on_trial].sentence
            if found[on_trial].remedies:
                changes = found[on_trial].remedies[0].changes
                pair = train(store, tried_config(config, changes))
                line |= {"changes": dict(changes), "pair": pair}
                line |= {} if pair is None else {"pair_map": map_of(store, pair)}
                line |= {} if pair is None else {"pair_dead": dead_share(store, pair)}
        if name == "causes":
            line |= alone(store, run_id, config)
        print(json.dumps(line), flush=True)


def _all_checks(
    store: RunStore, asked: Iterator[tuple[RunConfig, Path | None, np.ndarray, str]]
) -> None:
    """Trains runs and the remedies that they are told; of designs, no remedy."""
    for config, root, _, ill in asked:
        run_id = store.create(config, data_root=root)
        worker.main([str(store.run_dir(run_id))])  # one that diverges fails: so it should
        line: dict[str, Any] = {"run": run_id, "ill": ill, "map": map_of(store, run_id)}
        if ill:
            tags = [f"ill: {one}" for one in ill.split()]
            change_notes(store, run_id, add=[*tags, *(f"open: {one}" for one in UNDECIDED)])
            line["found"] = [one.check for one in diagnose(Evidence(store, run_id)).findings]
        elif line["map"] is not None:
            line["gains"] = pairs(store, run_id, config)
        print(json.dumps(line), flush=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
