"""DIHN-R, a reconstruction: golden numbers, and what the second part leaves as it was."""

import pytest
import torch

from rdh import catalog
from rdh.errors import UserError
from tests.methods.test_methods import build, live, random_batch
from tests.test_rescue import codes, one_hot

SAMPLE = torch.tensor([0, 3, 4])
V = [[1, 1, -1], [-1, 1, 1], [1, -1, 1], [-1, -1, 1], [1, 1, 1]]


def second_part(gamma: float = 200.0):
    """Items 3 and 4 are new, and all codes were learned."""
    method = build("dihn", one_hot([0, 1, 0, 2, 2]), n_old_classes=2, n_samples=3, gamma=gamma)
    method.is_frozen.fill_(True)
    method.is_learned.fill_(True)
    method.sample.copy_(SAMPLE)
    method.binary_codes.copy_(torch.tensor(V))
    method.stored_codes[SAMPLE] = codes()[[0, 1, 3]]
    method.summarize()
    return method


def terms(method) -> list[float]:
    """Similarity, pull to V, balance."""
    h, labels = codes()[[0, 1, 3]], method.labels[SAMPLE]
    both = [method.similarity_loss(h, labels, SAMPLE), method.code_regression_loss(h, SAMPLE)]
    mu, method.balance_weight = method.balance_weight, 0.0
    pull = method.code_regression_loss(h, SAMPLE)
    method.balance_weight = mu
    return [both[0].item(), pull.item(), (both[1] - pull).item()]


def test_terms_and_a_pass_over_the_new_codes_equal_the_golden_numbers():
    method = second_part()
    assert method.ratio.item() == pytest.approx(2 / 3)
    assert terms(method) == pytest.approx([2.19389889, 38.97817778, 0.32112222], abs=1e-8)
    better = method.gallery_codes()
    assert better.tolist() == [*V[:3], [-1, -1, 1], [-1, 1, -1]]
    method.binary_codes.copy_(better)
    method.summarize()
    assert sum(terms(method)[:2]) == pytest.approx(22.81720556, abs=1e-8)


def test_without_the_pull_new_codes_follow_the_pairs_alone():
    method = second_part(gamma=0.0)
    better = method.gallery_codes()
    assert better.tolist() == [*V[:3], [-1, 1, -1], [-1, 1, -1]]
    method.binary_codes.copy_(better)
    method.summarize()
    assert terms(method)[0] == pytest.approx(1.36069889, abs=1e-8)


def test_old_codes_never_change_once_new_classes_have_come():
    h, labels = random_batch(0, n=40, single=True)
    method = build("dihn", labels, 6, n_samples=12, passes=2, old_epochs=4)
    old = ~method.is_new
    assert old.any() and method.is_new.any()
    live(method, h, range(4))
    assert not method.is_frozen and old[method.sample].all()
    assert not method.is_learned[method.is_new].any(), "nothing pulls new items yet"
    assert "The new classes never came" in method.left_out(), "a training that ends here"
    live(method, h, range(4, 5))
    assert method.left_out() is None
    before = method.binary_codes.clone()
    assert method.is_frozen and method.is_new[method.sample].any()
    live(method, h, range(5, 9))
    after = method.binary_codes
    assert torch.equal(before[old], after[old])
    assert not torch.equal(before[~old], after[~old]) and method.is_learned.all()


def test_if_every_item_is_new_or_none_is_it_is_adsh_with_a_balance():
    h, labels = random_batch(1, single=True)
    all_new = torch.zeros(9, 4, dtype=torch.float64)
    all_new[:, 3] = 1
    assert not build("dihn", all_new, 6).is_new.any()
    assert build("dihn", all_new, 6).left_out() is None
    switches = {"n_samples": 9, "passes": 2}
    labels[:, 0] += labels[:, 3]  # no item of the last class, the new one
    labels[:, 3] = 0
    method = live(build("dihn", labels, 6, n_old_classes=3, balance_weight=0.0, **switches), h)
    adsh = live(build("adsh", labels, 6, **switches), h)
    for one in (method, adsh):
        one.loss = one.similarity_loss(h, labels, torch.arange(9)).item()
        one.pull = one.code_regression_loss(h, torch.arange(9)).item()
    assert (method.loss, method.pull) == pytest.approx((adsh.loss, adsh.pull))
    assert torch.equal(method.binary_codes, adsh.binary_codes)
    method.is_frozen.fill_(True)
    assert torch.equal(method.gallery_codes(), method.binary_codes), "there is nothing new to learn"


def test_as_many_old_classes_as_there_are_is_refused():
    with pytest.raises(UserError, match="n_old_classes must be below the number of classes, 4"):
        build("dihn", random_batch(1, single=True)[1], 6, n_old_classes=4)


def test_reconstructions_say_so_in_their_headlines_and_titles():
    cards = catalog.methods().values()
    marked = {card.name for card in cards if card.title.endswith("-R")}
    assert marked == {card.name for card in cards if "a reconstruction" in card.headline}
    assert marked == {"dagh", "daph", "dihn", "dmuh"}
