"""The demo pair that ships with the package, so that pages have a picture before anything has run.

`python -m rdh demo --record` makes it (`rdh.commands._record`). It is read by the same readers as
any run. It is not among the runs of the reader, and nothing writes into it.
"""

import json
from dataclasses import asdict, dataclass
from pathlib import Path

from rdh.errors import UserError
from rdh.store.run_store import RunStore

FOLDER = Path(__file__).resolve().parents[1] / "recorded"
SEEDS = "seeds.json"
PER_ARM = ("map", "dead", "n_distinct_codes")  # in seeds.json
N_SEEDS = 5  # the pair that is kept whole is the first


@dataclass(frozen=True)
class SeedPair:
    """How the demo pair of one seed ended.

    Attributes:
        seed: of weights and order.
        map: without RDH, with RDH.
        dead: share of the entries that are dead at the end, without and with RDH.
        n_distinct_codes: of the gallery, without and with RDH.
    """

    seed: int
    map: tuple[float, float]
    dead: tuple[float, float]
    n_distinct_codes: tuple[float, float]

    @property
    def gain(self) -> float:
        """MAP with RDH minus MAP without."""
        return self.map[1] - self.map[0]


@dataclass(frozen=True)
class Recording:
    """The recorded pair.

    Attributes:
        runs: a store that can only be read.
        pair: run ids, without RDH and with it.
        seeds: how the pairs of all recorded seeds ended; the first is `pair`.
    """

    runs: RunStore
    pair: tuple[str, str]
    seeds: tuple[SeedPair, ...]


def read_recording(folder: Path = FOLDER) -> Recording:
    """The recording.

    Args:
        folder: where it lies.

    Raises:
        UserError: It is missing or damaged.
    """
    runs = RunStore(folder, read_only=True)
    try:
        rows = json.loads((folder / SEEDS).read_text(encoding="utf-8"))
        seeds = tuple(
            SeedPair(row["seed"], *(tuple(row[name]) for name in PER_ARM)) for row in rows
        )
        without, with_rdh = runs.run_ids()  # in the order in which they were trained
        if not seeds:
            raise ValueError
    except (OSError, ValueError, KeyError, TypeError):
        raise UserError(
            f"The recorded pair in {folder} can't be read; `python -m rdh demo --record` makes it "
            f"anew in a checkout, and installing rdh again brings it back."
        ) from None
    return Recording(runs, (without, with_rdh), seeds)


def write_seeds(folder: Path, seeds: list[SeedPair]) -> None:
    """Writes seeds.json: a line for each seed."""
    lines = ",\n ".join(json.dumps(asdict(one)) for one in seeds)
    (folder / SEEDS).write_text(f"[{lines}]\n", encoding="utf-8")
