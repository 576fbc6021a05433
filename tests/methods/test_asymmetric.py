"""DAPH-R, in which queries and gallery items have codes of their own, and the seam for two streams.

Golden numbers are on the codes of `rdh.rescue`'s tests as u and Z below.
"""

import numpy as np
import pytest
import torch

from rdh.methods._tools.dcc import random_signs
from rdh.retrieval import evaluate, pack_codes
from rdh.training import checkpoints, loop
from rdh.training.evaluate import encode
from rdh.training.loop import error_aware
from tests import naive_methods, naive_rescue
from tests.methods.test_methods import batch_of, build, live, random_batch
from tests.naive_rescue import mean_pair_loss, sgn
from tests.test_rescue import codes, one_hot
from tests.training.test_loop import ARMS, Log, assert_equal, config, digits, one_thread, weights

__all__ = ["digits", "one_thread"]  # the fixtures
Z = torch.tensor([[0.9, -0.4, 0.1], [-0.7, -0.6, 0.5], [0.6, 0.8, -0.9], [-0.2, 0.7, -0.5]])
B = torch.tensor([[1.0, -1, 1], [1, -1, 1], [-1, 1, -1], [-1, 1, -1]])
EXACT = {"abs": 5e-9}
DAPH = {"method": "daph", "n_bits": 6, "tau": 0.6}


def both(u: torch.Tensor, z: torch.Tensor) -> torch.Tensor:
    return torch.cat([u, z.to(u.dtype)], 1)


def test_daph_equals_the_golden_numbers():
    h, indices = both(codes().double(), Z), torch.arange(4)
    labels = one_hot([0, 0, 1, 1]).double()
    method = build("daph", labels, quantization_weight=10.0)
    method.remember(h, indices)
    assert method.similarity_loss(h, labels, indices).item() == pytest.approx(
        2 * 0.53498224, abs=1e-8
    ), "each side's likelihood is this"
    dependence = naive_methods.dependence(codes().tolist())
    assert 0.01 * dependence == pytest.approx(0.00132826, **EXACT)
    sides = method.query_side(h), method.gallery_side(h)
    expected = sum(
        0.01 * (naive_methods.dependence(rows.tolist()) + naive_methods.imbalance(rows.tolist()))
        for rows in sides
    )
    assert method.code_regression_loss(h, indices).item() == pytest.approx(expected, abs=1e-8)
    method.binary_codes.copy_(both(B, Z.sign()))
    method.similarity_loss(h, labels, indices)
    pulls = 7.78174917 + 10 * (Z - Z.sign()).square().mean().item()
    assert method.quantization_loss(h).item() == pytest.approx(pulls, abs=1e-6)


def test_daph_equals_the_slow_loops():
    h, labels = batch_of("daph", 1)
    more, more_labels = random_batch(11, 20, 12)
    method = build("daph", more_labels, 6)
    method.remember(more, torch.arange(20))
    u, z = h[:, :6].tolist(), h[:, 6:].tolist()
    stored_u, stored_z = more[:, :6].tolist(), more[:, 6:].tolist()
    y, w = labels.tolist(), more_labels.tolist()
    expected = mean_pair_loss(u, y, stored_z, w, 0.5) + mean_pair_loss(z, y, stored_u, w, 0.5)
    found = method.similarity_loss(h, labels, torch.arange(9))
    assert found.item() == pytest.approx(expected, rel=1e-6)
    signs = [[float(sgn(x)) for x in row] for row in h.tolist()]
    plain = 2 * naive_methods.mean_squared_difference(h.tolist(), signs)
    assert method.quantization_loss(h).item() == pytest.approx(0.1 * plain), "there is no B yet"
    method.on_epoch_start(1)
    start = [[1.0 if x >= 0 else -1.0 for x in row] for row in stored_z]
    b, c = naive_methods.agreed_codes(stored_u, stored_z, start, 0.5)
    for epoch in (2, 3):
        found = method.binary_codes
        assert method.query_side(found).tolist() == b and method.gallery_side(found).tolist() == c
        method.on_epoch_start(epoch)
        b, c = naive_methods.agreed_codes(stored_u, stored_z, c, 0.5)


def test_a_share_of_one_would_keep_the_random_start_for_ever():
    """Why the switch has to be below 1: |tanh| < 1 never outvotes the other side's code."""
    h, labels = batch_of("daph", 2)
    method = build("daph", labels, 6, share=1.0)
    start = random_signs(9, 12, 0, method.binary_codes)
    method.binary_codes.copy_(start)
    live(method, h, range(1, 4))
    c = method.gallery_side(start)
    assert torch.equal(method.binary_codes, both(c, c).to(method.binary_codes.dtype))


def test_eaql_compares_each_side_with_the_other_one():
    h, labels = batch_of("daph", 3)
    settings = config(method="daph", **ARMS[True])
    found, pull = error_aware(settings, build("daph", labels, 6), h, labels)
    similar = (labels @ labels.T > 0).double().tolist()
    u, z = h[:, :6].tolist(), h[:, 6:].tolist()
    expected = sum(
        naive_rescue.stored_error_aware_quantization(own, other, similar, "N1")
        for own, other in ((u, z), (z, u))
    )
    assert found.item() == pytest.approx(settings.eta * expected)
    assert pull.shape == (9, 12)


def test_queries_are_encoded_by_one_side_and_the_gallery_by_the_other(digits):
    settings = config(**DAPH, epochs=2, probe_every=2, lr=0.01, **ARMS[True])
    log, run = Log(), loop.start(settings, digits(settings))
    outcome = log.fit(run)
    split, labels = run.inputs.split, run.inputs.labels
    query, gallery = encode(run, split.query)[:, :6], encode(run, split.gallery)[:, 6:]
    assert (pack_codes(query) == log.codes["final"]["query"]).all()
    assert (pack_codes(gallery) == log.codes["final"]["gallery"]).all()
    expected = evaluate(
        pack_codes(query), pack_codes(gallery), labels[split.query], labels[split.gallery], n_bits=6
    )
    assert outcome.evaluation.map == expected.map
    probe = log.codes[f"probe-{run.step}"]
    shown = encode(run, probe["ids"])[:, 6:]
    assert (pack_codes(shown) == probe["bits"]).all() and probe["logits"].shape == shown.shape
    assert probe["dead_counts"].shape == (6,)


def test_probes_count_the_side_of_the_gallery(digits):
    settings = config(**DAPH, epochs=1, probe_every=1, **ARMS[True])
    log, run = Log(), loop.start(settings, digits(settings))
    with torch.no_grad():
        run.network.head.weight[:6] *= 100  # the queries' side alone is saturated
        run.network.head.bias[:6] *= 100
    log.fit(run)
    h = np.tanh(encode(run, run.inputs.split.train))
    assert (np.abs(h[:, :6]) >= 0.6).mean() > 0.9
    last = log.probed[run.step]
    assert last["saturated"].shape == (2, 6)
    assert last["saturated"].sum() < 0.5 * h[:, 6:].size


@pytest.mark.parametrize("aim", ["labels", "not_labels", "all_pairs"])
def test_a_run_goes_on_with_the_same_bits_where_it_stopped(digits, tmp_path, aim):
    settings = config(
        **DAPH, epochs=3, probe_every=2, lr=0.5, amplifier_aim=aim, eaq_pairs="stored", **ARMS[True]
    )
    whole, parts = Log(), Log(tmp_path, stop_at=6)
    first = loop.start(settings, digits(settings))
    whole.fit(first)
    with pytest.raises(loop.Stopped):
        parts.fit(loop.start(settings, digits(settings)))
    second = loop.start(settings, digits(settings))
    parts.stop_at = None
    parts.fit(second, checkpoints.load(tmp_path))
    assert_equal(weights(first), weights(second))
    for key, tensor in first.method.state_dict().items():
        assert torch.equal(tensor, second.method.state_dict()[key]), key
