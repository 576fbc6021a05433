"""A remedy as a run: its config, and what became of it."""

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, NamedTuple

from rdh.analysis import dead_bits, map_points, percent, quantization_weight, shown_change
from rdh.config.run_config import RunConfig, changed
from rdh.diagnosis._tools.finding import Finding, Remedy
from rdh.errors import UserError
from rdh.store.run_store import RunStore

OPTIONS = "method_options."
DIED = ("failed", "lost", "cancelled")  # states of result.json without a MAP at the end
MOST_FIELDS = 4  # in which a run and its remedy differ: what more differs is no remedy's try
# A store and hashes of configs -> the runs of each, oldest first.
EqualRuns = Callable[[RunStore, Sequence[str]], Mapping[str, Sequence[str]]]


def tried_config(config: RunConfig, changes: Mapping[str, Any]) -> RunConfig:
    """The config of a run that differs from another in these settings.

    Args:
        config: of the run.
        changes: field -> value; "method_options.NAME" for a switch of the method.

    Raises:
        UserError: one sentence for the first setting that is not valid.
    """
    fields: dict[str, Any] = {k: v for k, v in changes.items() if not k.startswith(OPTIONS)}
    own = {k.removeprefix(OPTIONS): v for k, v in changes.items() if k.startswith(OPTIONS)}
    if own:
        fields["method_options"] = config.method_options | own
    return changed(config.model_dump(), fields)


def tried_hashes(config: RunConfig, changes: Mapping[str, Any]) -> list[str]:
    """Hashes of the configs that try these changes.

    A run from before November 2026 may leave the weight of its plain quantization to the method;
    the launch form writes it out, and the command line does not.
    """
    weight = quantization_weight(config)
    ways = [config]
    if config.eta is None and not math.isnan(weight):
        ways.append(config.model_copy(update={"eta": weight}))
    return list(dict.fromkeys(tried_config(one, changes).hash for one in ways))


class Outcome(NamedTuple):
    """What a remedy did.

    Attributes:
        run_id: the other run: the one that tried it, or the one that it was tried for.
        sentence: MAP and dead share before and after; of a run that died, that the other did not.
    """

    run_id: str
    sentence: str


def outcome(store: RunStore, run_id: str, remedy: Remedy, find: EqualRuns) -> Outcome | None:
    """What became of a remedy that was tried.

    Args:
        store: where the runs lie.
        run_id: the run with the finding.
        remedy: what was tried.
        find: `rdh.execution.equal_runs`, which stands in a row above.

    Returns:
        Of the newest that has finished; None if none has, or the run itself goes on.

    Raises:
        UserError: a run is not there, or its records are damaged.
    """
    newest = tried_run(store, run_id, remedy, find)
    state = store.result(run_id).get("state")
    if newest is None or state not in ("finished", *DIED):
        return None
    if state in DIED:
        end = f"it finished{_with_map(store, newest)}; this one {_death(store, run_id)}"
        return Outcome(newest, f"Tried with {remedy.words}: {end}.")
    both = run_id, newest
    before, after = (map_of(store, one) for one in both)
    parts = []
    if before is not None and after is not None:
        gain = map_points(shown_change(before, after))
        parts.append(f"MAP went from {before:.4f} to {after:.4f} ({gain})")
    counts = [dead_bits(store.reader(one)) for one in both]
    if all(one is not None and one.is_counted for one in counts):
        shares = [percent(one.share("dead")) for one in counts if one is not None]
        parts.append(f"the dead from {shares[0]} to {shares[1]}")
    said = ", ".join(parts) or "it has no numbers to compare"
    return Outcome(both[1], f"Tried with {remedy.words}: {said}. One pair, one seed.")


def tried_run(store: RunStore, run_id: str, remedy: Remedy, find: EqualRuns) -> str | None:
    """The newest run that tried a remedy and has finished; as in `outcome`."""
    hashes = tried_hashes(store.config(run_id), remedy.changes)
    found = find(store, hashes)
    tried = [one for name in hashes for one in found.get(name, [])]
    finished = [one for one in tried if store.result(one).get("state") == "finished"]
    return finished[-1] if finished else None


def tried_for(
    store: RunStore,
    run_id: str,
    find: Callable[[RunStore], Iterable[str]],
    findings: Callable[[str], Sequence[Finding]],
) -> Outcome | None:
    """Which failed run's remedy a run has tried, and that it came to its end.

    Args:
        store: where the runs lie.
        run_id: the run; unless it has finished, there is nothing to say.
        find: `rdh.execution.failed_runs`, which stands in a row above. The first one whose remedy
            it is counts.
        findings: of one of these.

    Raises:
        UserError: the run is not there, or its config can't be read.
    """
    if store.result(run_id).get("state") != "finished":
        return None
    config = store.config(run_id)
    if config.is_watched:
        return None
    mine = config.model_dump()
    for one in find(store):
        try:
            other = store.config(one)
            theirs = other.model_dump()
            n_changed = sum(value != mine.get(name) for name, value in theirs.items())
            if not 0 < n_changed <= MOST_FIELDS:
                continue
            for remedy in (remedy for finding in findings(one) for remedy in finding.remedies):
                if config.hash in tried_hashes(other, remedy.changes):
                    end = f"it finished{_with_map(store, run_id)}; that one {_death(store, one)}"
                    return Outcome(one, f"This run is {one} with {remedy.words}: {end}.")
        except UserError:  # of a run that can't be read
            continue
    return None


def _with_map(store: RunStore, run_id: str) -> str:
    found = map_of(store, run_id)
    return "" if found is None else f" with MAP {found:.4f}"


def _death(store: RunStore, run_id: str) -> str:
    """How a run ended before its end: "failed at step 20"."""
    result = store.result(run_id)
    said = result["state"] if result["state"] == "failed" else f"was {result['state']}"
    step = result.get("step")
    if step is None:
        return said
    return f"{said} at step {max(step, store.reader(run_id).last_step()):,}"


def map_of(store: RunStore, run_id: str) -> float | None:
    """MAP at the end of a run; None if it has none."""
    return store.result(run_id).get("metrics", {}).get("map")
