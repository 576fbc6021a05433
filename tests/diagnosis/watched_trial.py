"""Loops of nobody's, watched with their quantization term told apart; docs/diagnosis.md has them.

python -m tests.diagnosis.watched_trial RUNS 50 3       # draws, and their seed
python -m tests.diagnosis.watched_trial RUNS 24 5 far   # at rates of which all are too high

A line of JSON for each draw. Of "quantization wins" and "collapsed codes", the first remedy is
trained as a pair. With "far", the remedy of collapsed codes is tried until they do not collapse,
and a tenth of rate and η in its place.
"""

import json
import random
import sys
from typing import Any

import torch
from sklearn.datasets import load_digits
from torch import Tensor, nn

from rdh.diagnosis import Diagnosis, Evidence, diagnose
from rdh.recorder import Recorder
from rdh.store.run_store import RunStore

MOST_TRIES = 7
ON_TRIAL = ("quantization_wins", "collapsed")
DIGITS = load_digits()
IMAGES, CLASSES = torch.tensor(DIGITS.data / 16, dtype=torch.float32), torch.tensor(DIGITS.target)
QUERY, GALLERY, TRAIN = slice(0, 200), slice(200, None), slice(200, 1200)


def pair_loss(kind: str, h: Tensor, similar: Tensor) -> Tensor:
    """The likelihood of Eq. 1, squared cosines, or a Cauchy likelihood; of codes (n, n_bits)."""
    if kind == "likelihood":
        theta = h @ h.T / 2
        return (nn.functional.softplus(theta) - similar * theta).mean()
    unit = nn.functional.normalize(h)
    cosine = unit @ unit.T
    if kind == "cosine":
        return ((cosine - (2 * similar - 1)) ** 2 * (4 * similar + 1)).mean()
    near = (1 / (1 + 4 * (1 - cosine))).clamp(1e-6)
    far = (1 - 1 / (1 + 4 * (1 - cosine))).clamp(1e-6)
    return -(5 * similar * near.log() + (1 - similar) * far.log()).mean()


def held_by(form: str, h: Tensor) -> Tensor:
    """Three forms of the quantization term."""
    if form == "sgn":
        return (h - h.detach().sign()).square().mean()
    distance = h.abs() - 1
    return distance.abs().mean() if form == "abs" else distance.cosh().log().mean()


def train(runs: str, asked: dict[str, Any]) -> tuple[float, Diagnosis]:
    """One loop to its end: MAP, and what is said of it."""
    torch.manual_seed(asked["seed"])
    bits, lr, epochs = (asked[name] for name in ("bits", "lr", "epochs"))
    network: nn.Module = nn.Sequential(nn.Linear(64, 64), nn.ReLU(), nn.Linear(64, bits))
    if asked.get("network") == "linear":
        network = nn.Linear(64, bits)
    if asked.get("optimizer") == "adam":
        optimizer: torch.optim.Optimizer = torch.optim.Adam(network.parameters(), lr=lr)
    else:
        optimizer = torch.optim.SGD(network.parameters(), lr=lr, momentum=0.9)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, epochs)
    told: dict[str, Any] = {"settings": {"lr": lr, "epochs": epochs}, "eta": asked["eta"]}
    told |= {
        "n_items": 1000,
        "n_bits": bits,
        "labels": CLASSES[TRAIN],
        "probe_every": asked.get("every", 8),
    }
    recorder, found = Recorder("theirs", runs=runs, **told), 0.0
    for epoch in range(epochs):
        for indices in torch.randperm(1000).split(64):
            h = recorder.watch(torch.tanh(network(IMAGES[TRAIN][indices])), indices)
            classes = CLASSES[TRAIN][indices]
            similar = (classes[:, None] == classes).float()
            term = asked["eta"] * held_by(asked["form"], recorder.quantized(h))
            loss = pair_loss(asked["pairs"], h, similar) + term
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            recorder.step(loss, schedule.get_last_lr()[0], quantization=term)
        schedule.step()
        if epoch % 4 == 3:
            with torch.no_grad():
                codes = torch.tanh(network(IMAGES))
            sides = codes[QUERY], codes[GALLERY], CLASSES[QUERY], CLASSES[GALLERY]
            scores = recorder.evaluate(*sides)
            found = float(scores.map) if scores and scores.map else 0.0
    recorder.close()
    return found, diagnose(Evidence(RunStore(runs), str(recorder.run_id)))


def tries(runs: str, asked: dict[str, Any], is_blind: bool) -> tuple[list[float], float]:
    """The rates until codes do not collapse, and MAP at the last one."""
    rates, asked = [asked["lr"]], dict(asked)
    while True:
        found, said = train(runs, asked)
        ill = [one for one in said.findings if one.check == "collapsed"]
        if not ill or len(rates) > MOST_TRIES:
            return rates, found
        tenth = {name: asked[name] / 10 for name in ("lr", "eta")}
        asked |= tenth if is_blind else ill[0].remedies[0].changes
        rates.append(float(f"{asked['lr']:.2g}"))


def far(runs: str, rng: random.Random) -> dict[str, Any]:
    """One draw of a rate that is too high, and how many tries it takes."""
    optimizer = rng.choice(["sgd", "sgd", "adam"])
    highest = 5 if optimizer == "sgd" else 2
    asked: dict[str, Any] = {
        "seed": rng.randrange(1000),
        "network": rng.choice(["linear", "two layers"]),
        "optimizer": optimizer,
        "bits": rng.choice([16, 32, 48]),
        "lr": float(f"{10 ** rng.uniform(0.3, highest):.2g}"),
        "eta": rng.choice([0.01, 0.1]),
        "epochs": 8,
        "every": rng.choice([8, 20]),
        "pairs": rng.choice(["likelihood", "cosine", "cauchy"]),
        "form": "sgn",
    }
    return asked | {"tenths": tries(runs, asked, True), "remedy": tries(runs, asked, False)}


def main(runs: str, n: str, seed: str, what: str = "") -> None:
    """Draws and trains."""
    rng = random.Random(int(seed))
    if what == "far":
        for _ in range(int(n)):
            print(json.dumps(far(runs, rng)), flush=True)
        return
    for _ in range(int(n)):
        asked: dict[str, Any] = {
            "seed": rng.randrange(1000),
            "bits": rng.choice([16, 24, 32, 48]),
            "lr": rng.choice([0.01, 0.03, 0.1, 0.3]),
            "eta": rng.choice([1.0, 3.0, 10.0]),
            "epochs": rng.choice([12, 24]),
            "pairs": rng.choice(["likelihood", "cosine", "cauchy"]),
            "form": rng.choice(["sgn", "abs", "cosh"]),
        }
        before, said = train(runs, asked)
        line = asked | {"map": before, "found": [one.check for one in said.findings]}
        for one in said.findings:
            if one.check in ON_TRIAL:
                changes = dict(one.remedies[0].changes)
                line |= {"changes": changes, "gain": train(runs, asked | changes)[0] - before}
        print(json.dumps(line), flush=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
