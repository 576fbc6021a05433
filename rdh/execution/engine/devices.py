"""Finds the devices that runs can be placed on.

It does without torch, because a CUDA context in the supervisor would hold GPU memory for as long
as the supervisor lives. `find_devices(os.environ)` lists the GPUs of `nvidia-smi -L` that
CUDA_VISIBLE_DEVICES leaves visible. A card that is divided with MIG is replaced by its slices.
Without a GPU the only device is "cpu".

RDH_SLOTS is the number of runs at a time on each device. RDH_WARM=0 starts every run cold.
"""

import math
import os
import re
import subprocess
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from rdh.errors import UserError

CARD = re.compile(r"^GPU (\d+): (.+?) \(UUID: (GPU-[^)]+)\)")
SLICE = re.compile(r"^\s+MIG (\S+)\s+Device\s+\d+: \(UUID: (MIG-[^)]+)\)")
CPU = "cpu"  # the device of a machine without a GPU
SECONDS_FOR_NVIDIA_SMI = 10


@dataclass(frozen=True)
class Device:
    """Something that runs can be placed on.

    Args:
        uuid: A value for CUDA_VISIBLE_DEVICES, or "cpu".
        label: The name for people.
        slots: How many runs it takes at a time.
        threads: CPU threads of each run.
    """

    uuid: str
    label: str
    slots: int
    threads: int


def find_devices(
    env: Mapping[str, str], list_cards: Callable[[], str] | None = None, n_cores: int | None = None
) -> list[Device]:
    """The devices of this machine, at least one.

    Args:
        env: The environment with CUDA_VISIBLE_DEVICES and RDH_SLOTS.
        list_cards: Gives the text of `nvidia-smi -L`. None calls the program.
        n_cores: CPU cores. None counts those that this process may use.

    Raises:
        UserError: RDH_SLOTS is not a whole number of at least 1.
    """
    n_cores = count_cores() if n_cores is None else n_cores
    text = (list_cards or run_nvidia_smi)()
    cards = visible_cards(parse_cards(text), env.get("CUDA_VISIBLE_DEVICES"))
    # On the CPU two runs share the cores, so that both runs of a pair advance together. A GPU takes
    # one run at a time.
    slots = _whole_number(env, "RDH_SLOTS", least=1) or (1 if cards or n_cores < 2 else 2)
    threads = max(1, n_cores // (slots * max(1, len(cards))))
    return [Device(uuid, label, slots, threads) for uuid, label in cards or [(CPU, CPU)]]


def most_for_one_run(devices: Sequence[Device]) -> int:
    """How many devices one run can have: a GPU each, or on the CPU a slot each."""
    return devices[0].slots if [one.uuid for one in devices] == [CPU] else len(devices)


def too_few(asked: int, there: int) -> str:
    """The sentence about a run that is to have more devices than there are."""
    way_out = f"set devices to {there} at most" if there > 1 else "set devices=1"
    more = "" if there > 1 else ", or give the CPU more slots by RDH_SLOTS"
    return f"devices must be at most {there} here, got {asked}; {way_out}{more}."


def in_words(labels: Sequence[str]) -> str:
    """The devices of a run for people: "cpu × 2", or "GPU 0 (NVIDIA H200), GPU 1 (...)"."""
    counts = Counter(labels)
    return ", ".join(label if n == 1 else f"{label} × {n}" for label, n in counts.items())


def slots_taken(words: str, label: str) -> int:
    """How many slots of a device a run takes that has these devices, `in_words`."""
    if words.startswith(f"{label} × "):
        return int(words.rpartition(" ")[2])
    return int(f", {label}, " in f", {words}, ")


def check_settings(env: Mapping[str, str]) -> None:
    """Checks what `find_devices` and `wants_warm` would refuse, without looking for devices.

    Raises:
        UserError: RDH_SLOTS is not a whole number of at least 1, or RDH_WARM is neither 0 nor 1.
    """
    _whole_number(env, "RDH_SLOTS", least=1)
    wants_warm(env)


def wants_warm(env: Mapping[str, str]) -> bool:
    """Whether runs on the CPU are forked from a warm parent: unless RDH_WARM is 0.

    Raises:
        UserError: RDH_WARM is neither 0 nor 1.
    """
    return is_on(env, "RDH_WARM")


def is_on(env: Mapping[str, str], name: str) -> bool:
    """Whether a switch of the environment is on: unless it is 0.

    Raises:
        UserError: It is neither 0 nor 1.
    """
    value = env.get(name) or "1"
    if value not in ("0", "1"):
        raise UserError(f"{name} must be 0 or 1, got {value!r}; correct it or unset it.")
    return value == "1"


def run_nvidia_smi() -> str:
    """The output of `nvidia-smi -L`. Empty if there is no driver or no answer."""
    return _ask_nvidia_smi("-L")


def _ask_nvidia_smi(*options: str) -> str:
    try:
        done = subprocess.run(
            ["nvidia-smi", *options],
            capture_output=True,
            text=True,
            timeout=SECONDS_FOR_NVIDIA_SMI,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return done.stdout if done.returncode == 0 else ""


def gpu_loads(ask: Callable[[], str] | None = None) -> dict[str, str]:
    """How busy each GPU is: "GPU 0" -> "54% busy, 3.1 of 139.8 GiB in use".

    Args:
        ask: Gives the lines "index, percent, MiB used, MiB in all". None calls `nvidia-smi`.

    Returns:
        Nothing if there is no GPU, or none that tells.
    """
    loads = {}
    for line in (ask or _query_nvidia_smi)().splitlines():
        try:
            index, busy, used, total = (part.strip() for part in line.split(","))
            memory = f"{int(used) / 1024:.1f} of {int(total) / 1024:.1f} GiB in use"
            loads[f"GPU {int(index)}"] = f"{int(busy)}% busy, {memory}"
        except ValueError:  # "[N/A]": a slice of a card does not tell
            continue
    return loads


def _query_nvidia_smi() -> str:
    asked = "--query-gpu=index,utilization.gpu,memory.used,memory.total"
    return _ask_nvidia_smi(asked, "--format=csv,noheader,nounits")


def parse_cards(text: str) -> list[tuple[str, str, str]]:
    """(index, uuid, label) of every card in the output of `nvidia-smi -L`.

    A card that is divided with MIG gives its slices instead.
    """
    cards: list[tuple[str, str, str]] = []
    for line in text.splitlines():
        if found := CARD.match(line):
            index, name, uuid = found.groups()
            cards.append((index, uuid, f"GPU {index} ({name})"))
        elif (found := SLICE.match(line)) and cards:
            index = cards[-1][0]
            if cards[-1][1].startswith("GPU-"):
                cards.pop()  # CUDA can't use the whole card while it is divided
            cards.append((index, found[2], f"GPU {index}, slice {found[1]}"))
    return cards


def visible_cards(cards: list[tuple[str, str, str]], setting: str | None) -> list[tuple[str, str]]:
    """(uuid, label) of the cards that CUDA_VISIBLE_DEVICES allows, in its order.

    As in CUDA, the first unknown entry ends the list.

    Args:
        cards: From `parse_cards`.
        setting: The value of CUDA_VISIBLE_DEVICES. None if it is not set.
    """
    if setting is None:
        return [(uuid, label) for _, uuid, label in cards]
    chosen = []
    for entry in (part.strip() for part in setting.split(",")):
        is_uuid = entry.startswith(("GPU-", "MIG-"))
        found = [
            card[1:]
            for card in cards
            if (card[1].startswith(entry) if is_uuid else card[0] == entry)
        ]
        if not found:
            break
        chosen += found
    return chosen


def count_cores() -> int:
    """The CPU cores that this process may use.

    Heeds the affinity mask and the quota of a container (cgroup v1 and v2).
    """
    cores = float(len(os.sched_getaffinity(0)))
    for quota in (
        _quota("/sys/fs/cgroup/cpu.max"),
        _quota("/sys/fs/cgroup/cpu/cpu.cfs_quota_us", "/sys/fs/cgroup/cpu/cpu.cfs_period_us"),
    ):
        cores = min(cores, quota)
    return max(1, math.floor(cores))


def _quota(*paths: str) -> float:
    """Cores of a cgroup quota: QUOTA / PERIOD, from one file or two, both in microseconds.

    Infinite if there is no limit.
    """
    try:
        quota, period = " ".join(Path(path).read_text(encoding="utf-8") for path in paths).split()[
            :2
        ]
        return int(quota) / int(period) if int(quota) > 0 else math.inf
    except (OSError, ValueError):
        return math.inf


def _whole_number(env: Mapping[str, str], name: str, *, least: int) -> int:
    value = env.get(name, "")
    if not value:
        return 0
    if not value.isdecimal() or int(value) < least:
        raise UserError(
            f"{name} must be a whole number of at least {least}, got {value!r}; correct "
            f"it or unset it."
        )
    return int(value)
