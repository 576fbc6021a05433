"""The report of the study as Markdown: the same runs give the same text."""

from collections.abc import Iterator, Mapping, Sequence

import pandas as pd

from rdh.analysis.dead_bit_study import aims, counts, predictors
from rdh.analysis.dead_bit_study.intervals import DRAWS
from rdh.analysis.dead_bit_study.markdown import number_of
from rdh.analysis.dead_bit_study.measures import LEAST
from rdh.analysis.dead_bit_study.plan import Study

WORDS = """
An entry is one bit of one item.

| word | meaning |
|---|---|
| saturated | \\|h\\| >= tau |
| flagged | saturated, and the similarity gradient asks it to leave: the test of Eq. 3 |
| wrong | on the other side than its labels call for |
| undecided | saturated, and the labels call for no side: its class is split |
| **dead** | saturated and wrong |
| cost | MAP with the dead entries on their right side minus MAP |
"""
MEASURED = f"""
Shares are of all entries of the training set, in evaluation mode, after the last epoch. Flags of
the last batch are those of random batches of that pass. MAP inside the training set has up to 1000
random training items as queries against the others, with the expectation over ties; flips are made
on the gallery's side only. The costs in gallery and queries are those of the real queries against
the real gallery. Flipping by labels is a counterfactual, never a result of a method.

Another choice of these 1000 items moves such differences by more than .003 where they are large:
over 20 choices on CIFAR-10 (DPSH, 32 bits, seed 0), *flagged flipped* has the mean -.2173, the
standard deviation .0035 and the range -.2227 to -.2110; *random* -.2489, .0035, -.2552 to -.2429;
*dead* +.0356, .0010, +.0342 to +.0381. With RDH they are -.0209, .0007, -.0223 to -.0198; -.0264,
.0007, -.0275 to -.0249; +.0021, .0001, +.0019 to +.0023. These are `training_costs` of
`rdh/training/costs.py` with the seeds 0 to 19.

`±` and brackets are Student's 95 % interval over seeds; a change is paired by seed. No correction
is made for the number of rows. One seed has no interval. An interval of a share is cut at 0 and at
100 %; it then stands in brackets.

`-`: not measured, or a share of fewer than {LEAST} entries in one of its runs. One entry more would
move such a share by over a point. *Of the dead, flagged* counts the entries that were asked for
flags, above and below the line. Runs that ask only some items (ADSH and DAGH-R draw a sample; no
run asks more than 10 000) and are from before November 28, 2026 did not count the dead among these
items, and have `-`.
"""
TIME = """
After the epoch, with the network as it then is: all training items in evaluation mode. Shares are
of all entries. `--set eval_every=1` counts them after every epoch.
"""
CORRELATED = f"""
Spearman's rank correlation, with the 95 % percentile interval of {DRAWS} bootstrap draws: settings
within each method, then seeds within each setting. *Within a method*: values are ranked among the
runs of their own method. The gain of RDH is that of a pair, and its counts are those of the
baseline. Peaks are over the probes' records, each item at its last visit.
"""
AIMED = """
All runs but the baseline have error-aware quantization. *gradient* amplifies every flagged entry,
as the paper does. *all_pairs* only those that all training pairs confirm. *labels* only those that
are wrong, so it only frees dead bits. *not_labels* only the others: the control. The aims but
*gradient* are ours.
"""


def report(
    study: Study,
    frames: Mapping[str, pd.DataFrame],
    commands: Mapping[str, str],
    notes: Sequence[str],
) -> str:
    """The whole report.

    Args:
        study: What was asked for.
        frames: Part -> `measured`, of its runs alone.
        commands: Part -> the command that repeats it.
        notes: Sentences about what is left out.
    """
    lines = ["# Dead bits: how many, what they cost, what brings them back", ""]
    lines += [_what(study, frames), *WORDS.splitlines()]
    if notes:
        lines += ["", "Left out:", "", *(f"* {note}" for note in notes)]
    makers = {"counts": _counts, "predictors": _predictors, "aims": _aims}
    for part, frame in frames.items():
        if frame.empty:
            lines += ["", f"No run of the part {part} has counted its dead bits."]
        else:
            lines += ["", *makers[part](study, frame, commands[part])]
    return "\n".join(lines).replace("\n\n\n", "\n\n").rstrip("\n") + "\n"


def _what(study: Study, frames: Mapping[str, pd.DataFrame]) -> str:
    ids = {run_id for frame in frames.values() if len(frame) for run_id in frame["run_id"]}
    seeds = ", ".join(map(str, study.seeds))
    start = f"preset {study.preset}" if study.preset else "default settings"
    fields = "".join(f", {name} {value}" for name, value in study.fields.items())
    return f"{number_of(len(ids), 'run')}: {start}{fields}, seeds {seeds}."


def _counts(study: Study, frame: pd.DataFrame, command: str) -> Iterator[str]:
    rows = counts.rows_of(frame)
    yield from ("## Flagged, dead, and what they cost", *MEASURED.splitlines(), "")
    yield from (*_answer(counts.answers(rows)), "", *counts.table_of_counts(rows))
    yield from (*_repeat(command), "", "## Dead bits over time", *TIME.splitlines(), "")
    yield from (*_answer(counts.answers_over_time(rows)), "", *counts.table_over_time(rows))
    yield from _repeat(command)


def _predictors(study: Study, frame: pd.DataFrame, command: str) -> Iterator[str]:
    yield from ("## Which count predicts MAP?", *CORRELATED.splitlines(), "")
    yield from (*_answer(predictors.answers(frame)), "")
    yield from (*predictors.table_of_correlations(frame), "", *_repeat(command))


def _aims(study: Study, frame: pd.DataFrame, command: str) -> Iterator[str]:
    yield from ("## Where does the gain of RDH come from?", *AIMED.splitlines(), "")
    yield from (f"{study.one_length} bits.", "", *_answer(aims.answers(frame)), "")
    yield from (*aims.table_of_aims(frame), "")
    yield from ("### Run by run", "", "Differences of MAP.", "")
    yield from (*aims.table_of_parts(frame), "", *_repeat(command))


def _answer(sentences: Iterator[str]) -> Iterator[str]:
    yield from (f"* {sentence}" for sentence in sentences)


def _repeat(command: str) -> tuple[str, ...]:
    return "```bash", command, "```"
