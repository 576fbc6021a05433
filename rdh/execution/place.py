"""The disk that the runs lie on: how much room it has, and whether it is on a network.

RDH_FREE_MB is the room, in MB, without which no run starts: 200 unless it is set, 0 for none.
Running runs are paused below half of that, so that they can still save their last steps.
"""

import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from rdh.errors import UserError
from rdh.store.mounts import is_on_network
from rdh.store.run_store import RunStore

FREE_MB = 200


def free_bytes(root: Path) -> int | None:
    """Bytes that this user can still write. None if that is not known."""
    try:
        disk = os.statvfs(root)
    except OSError:
        return None
    return disk.f_bavail * disk.f_frsize


def least_free(env: Mapping[str, str]) -> int:
    """Bytes that must be free for a run to start.

    Raises:
        UserError: RDH_FREE_MB is not a whole number.
    """
    value = env.get("RDH_FREE_MB") or str(FREE_MB)
    if not value.isdecimal():
        raise UserError(
            f"RDH_FREE_MB must be a whole number of MB, got {value!r}; correct it or unset it."
        )
    return int(value) * 10**6


@dataclass(frozen=True)
class Room:
    """Looks at the room that is left.

    Args:
        root: The runs folder.
        least: Bytes without which no run starts. 0: any room will do.
        ask: Gives the free bytes of a folder.
    """

    root: Path
    least: int = 0
    ask: Callable[[Path], int | None] = free_bytes

    @property
    def allows_starts(self) -> bool:
        return self._has(self.least)

    @property
    def allows_training(self) -> bool:
        return self._has(self.least // 2)

    def _has(self, n_bytes: int) -> bool:
        left = self.ask(self.root) if n_bytes else None
        return left is None or left >= n_bytes

    def sentence(self) -> str | None:
        """What is wrong, for people. None if there is room."""
        if self.allows_starts:
            return None
        left = self.ask(self.root) or 0
        paused = "" if self.allows_training else " Running ones are paused and go on by themselves."
        return (
            f"Only {left / 1e6:,.0f} MB are free on the disk of {self.root}, so no run starts "
            f"until {self.least / 1e6:,.0f} MB are.{paused} Free some space, for example by "
            f"`python -m rdh runs prune`, or set RDH_FREE_MB."
        )


def notices(store: RunStore) -> list[str]:
    """Sentences about the disk of the runs that a person should know; usually none."""
    try:
        said = [Room(store.root, least_free(os.environ)).sentence()]
    except UserError as error:  # a launch refuses it; a list can still be shown
        said = [str(error)]
    if _is_on_network(store.root):
        said.append(
            f"{store.root} lies on a network file system, whose locks can't be relied on between "
            f"machines: use it from one machine at a time, or name a local folder by --runs or "
            f"RDH_RUNS."
        )
    return [sentence for sentence in said if sentence]


@lru_cache(maxsize=64)
def _is_on_network(root: Path) -> bool:
    return is_on_network(root)
