"""A training loop of one's own, watched: `python -m docs.watch`, then `python -m rdh dashboard`.

The loop knows nothing of this project but the lines that are marked. It hashes the digits of
scikit-learn into 32 bits, with the pair loss of most hashing papers. Ten seconds on a CPU.
"""

import torch
from sklearn.datasets import load_digits
from torch import nn

from rdh.recorder import Recorder

N_BITS, N_TRAIN, N_QUERY, EPOCHS, LR = 32, 1000, 200, 30, 0.5

digits = load_digits()
images = torch.tensor(digits.data / 16, dtype=torch.float32)
classes = torch.tensor(digits.target)
query, gallery, train = slice(0, N_QUERY), slice(N_QUERY, None), slice(N_QUERY, N_QUERY + N_TRAIN)


def pair_loss(codes: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
    """The negative log likelihood of the batch's similarities, of codes (n, n_bits)."""
    theta = codes @ codes.T / 2
    similar = (labels[:, None] == labels).float()
    return (nn.functional.softplus(theta) - similar * theta).mean()


torch.manual_seed(0)
network = nn.Sequential(nn.Linear(64, 64), nn.ReLU(), nn.Linear(64, N_BITS))
optimizer = torch.optim.SGD(network.parameters(), lr=LR, momentum=0.9)
recorder = Recorder(  # watched: 1
    "my-hashing",
    n_items=N_TRAIN,
    n_bits=N_BITS,
    labels=classes[train],  # without them, dead bits are not counted
    probe_every=8,
    settings={"lr": LR, "epochs": EPOCHS, "seed": 0, "dataset": "digits of scikit-learn"},
)
for _ in range(EPOCHS):
    for indices in torch.randperm(N_TRAIN).split(128):
        codes = torch.tanh(network(images[train][indices]))
        codes = recorder.watch(codes, indices)  # watched: 2
        loss = pair_loss(codes, classes[train][indices])
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        recorder.step(loss)  # watched: 3

with torch.no_grad():
    found = torch.tanh(network(images))
scores = recorder.evaluate(found[query], found[gallery], classes[query], classes[gallery])
recorder.close()
print(f"MAP {scores.map:.4f}; python -m rdh runs show {recorder.run_id}")
