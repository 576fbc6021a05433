"""What runs are placed on, from recorded `nvidia-smi -L` output."""

import pytest

from rdh.errors import UserError
from rdh.execution.engine.devices import (
    check_settings,
    count_cores,
    find_devices,
    gpu_loads,
    in_words,
    most_for_one_run,
    parse_cards,
    slots_taken,
)

TWO_CARDS = """\
GPU 0: NVIDIA H200 (UUID: GPU-11111111-aaaa-bbbb-cccc-000000000001)
GPU 1: NVIDIA RTX A6000 (UUID: GPU-22222222-aaaa-bbbb-cccc-000000000002)
"""
SLICED = """\
GPU 0: NVIDIA A100-SXM4-40GB (UUID: GPU-11111111-aaaa-bbbb-cccc-000000000001)
  MIG 3g.20gb     Device  0: (UUID: MIG-33333333-aaaa-bbbb-cccc-000000000003)
  MIG 1g.5gb      Device  1: (UUID: MIG-44444444-aaaa-bbbb-cccc-000000000004)
GPU 1: NVIDIA A100-SXM4-40GB (UUID: GPU-22222222-aaaa-bbbb-cccc-000000000002)
"""


def find(env: dict[str, str], cards: str = TWO_CARDS, n_cores: int = 8) -> list:
    return find_devices(env, lambda: cards, n_cores)


def test_each_gpu_is_a_device_of_one_slot_and_its_share_of_the_cores():
    first, second = find({})
    assert (first.uuid, first.label) == (
        "GPU-11111111-aaaa-bbbb-cccc-000000000001",
        "GPU 0 (NVIDIA H200)",
    )
    assert (second.slots, second.threads) == (1, 4)


@pytest.mark.parametrize(
    ("n_cores", "slots", "threads"), [(1, 1, 1), (2, 2, 1), (3, 2, 1), (8, 2, 4)]
)
def test_without_a_gpu_two_runs_share_the_cores(n_cores: int, slots: int, threads: int):
    (device,) = find({}, cards="", n_cores=n_cores)
    assert (device.uuid, device.slots, device.threads) == ("cpu", slots, threads)


def test_slots_a_device_can_be_set():
    assert [(device.slots, device.threads) for device in find({"RDH_SLOTS": "2"})] == [
        (2, 2),
        (2, 2),
    ]
    assert find({"RDH_SLOTS": "4"}, cards="", n_cores=2)[0].threads == 1


@pytest.mark.parametrize(
    ("setting", "labels"),
    [
        ("1", ["GPU 1 (NVIDIA RTX A6000)"]),
        ("1,0", ["GPU 1 (NVIDIA RTX A6000)", "GPU 0 (NVIDIA H200)"]),
        ("GPU-2222", ["GPU 1 (NVIDIA RTX A6000)"]),
        ("0,7,1", ["GPU 0 (NVIDIA H200)"]),
        ("", ["cpu"]),
        ("-1", ["cpu"]),
    ],
)
def test_cards_that_cuda_may_not_see_are_left_alone(setting: str, labels: list[str]):
    assert [device.label for device in find({"CUDA_VISIBLE_DEVICES": setting})] == labels


def test_a_card_that_is_cut_up_gives_its_slices():
    assert [label for _, _, label in parse_cards(SLICED)] == [
        "GPU 0, slice 3g.20gb",
        "GPU 0, slice 1g.5gb",
        "GPU 1 (NVIDIA A100-SXM4-40GB)",
    ]


@pytest.mark.parametrize("value", ["0", "-1", "two", "1.5"])
def test_a_bad_number_of_slots_is_refused_by_name(value: str):
    with pytest.raises(UserError, match=f"RDH_SLOTS must be a whole number .* got '{value}'"):
        check_settings({"RDH_SLOTS": value})


def test_a_run_can_have_each_gpu_once_and_the_cpu_as_often_as_it_has_slots():
    assert most_for_one_run(find({"RDH_SLOTS": "3"})) == 2
    assert most_for_one_run(find({"RDH_SLOTS": "3"}, "")) == 3


def test_the_devices_of_a_run_in_words_say_how_many_slots_of_each_it_takes():
    cards = [device.label for device in find({})]
    for labels, words in [
        (["cpu"], "cpu"),
        (["cpu", "cpu"], "cpu × 2"),
        (cards, "GPU 0 (NVIDIA H200), GPU 1 (NVIDIA RTX A6000)"),
    ]:
        assert in_words(labels) == words
        for label in ("cpu", *cards):
            assert slots_taken(words, label) == labels.count(label)
    assert slots_taken("", "cpu") == 0


def test_there_is_at_least_one_core():
    assert count_cores() >= 1


def test_the_load_of_each_gpu_is_told_and_one_that_does_not_tell_is_left_out():
    lines = "0, 54, 2048, 143771\n1, [N/A], [N/A], 143771\n\n12, 0, 0, 1024\n"
    assert gpu_loads(lambda: lines) == {
        "GPU 0": "54% busy, 2.0 of 140.4 GiB in use",
        "GPU 12": "0% busy, 0.0 of 1.0 GiB in use",
    }
    assert gpu_loads(lambda: "") == {}
