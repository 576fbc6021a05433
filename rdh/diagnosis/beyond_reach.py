"""Dead entries so far in the flat end that the amplifier can't move them."""

from rdh.analysis.amplifier import COUNTS, N_RECORDS
from rdh.diagnosis._tools.evidence import Evidence
from rdh.diagnosis._tools.finding import CannotRun, Finding, Place, Remedy, part_of
from rdh.store.levels import TAU_LEVELS

TITLE = "Beyond the amplifier"
BEYOND = 0.5  # of the dead entries that it acts on
LEAST = 50  # of them: of fewer, one entry more moves the share too far
LEAST_DEAD = 0.001  # of the entries


def check(evidence: Evidence) -> Finding | None:
    """Fires if alpha (1 - h^2) is below a tenth for half of the dead that it would act on."""
    counts, config = evidence.counts, evidence.config
    reach = evidence.series.amplifier()
    if reach is None or config.tau not in TAU_LEVELS:
        raise CannotRun("the amplifier's reach was not counted at the run's tau")
    place = TAU_LEVELS.index(config.tau)
    acted, beyond = int(reach.amplified_dead[place]), int(reach.beyond[place])
    if acted < LEAST or counts.share("dead") < LEAST_DEAD or beyond < BEYOND * acted:
        return None
    hard = counts.dead_hard / max(counts.dead, 1)
    n = min(N_RECORDS, len(evidence.array(COUNTS[0], "counts of the amplifier")[0]))
    expect = "Dead entries stand nearer to τ, and the share beyond reach falls below a half."
    return Finding(
        severity="costs MAP" if config.amplifier else "note",
        sentence=f"{beyond / acted:.0%} of the dead entries that it "
        f"{'acts' if config.amplifier else 'would act'} on keep less than a tenth of their "
        f"gradient even so, over {acted:,} visits of mini-batches in the "
        f"{f'last {n} records' if n > 1 else 'only record'}. "
        f"{hard:.0%} of the {counts.dead:,.0f} that are dead {evidence.when} have 1 − h² = 0 in "
        "float32.",
        mechanism="The amplifier undoes the damping of tanh at |h| = τ only; further out 1 − h² "
        "falls like 4 exp(−2|F|), and α (1 − h²) with it. A smaller τ will not help: it makes α "
        "smaller still.",
        equation=r"\alpha\,(1 - h^2) = \frac{1 - h^2}{1 - \tau^2} < 0.1",
        places=(Place("pages/live.py", "What the amplifier reaches", anchor="live-amplifier"),
                Place("pages/live.py", "Where the entries stand", anchor="distribution")),
        remedies=(
            Remedy({"lr": part_of(config.lr, 3)}, "Shorter steps keep |F| smaller.", expect),
            Remedy({"weight_decay": more_decay(config.weight_decay)},
                   "Weight decay pulls the hash layer, and with it |F|, back.", expect),
        ),
    )  # fmt: skip


def more_decay(weight_decay: float | None) -> float | str:
    """Ten times as much, and 0.001 at least; in words if a watched run did not tell how much."""
    return part_of(None, 0.1) if weight_decay is None else min(1.0, max(10 * weight_decay, 1e-3))
