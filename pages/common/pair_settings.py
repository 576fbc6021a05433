"""All finished pairs, one setting at a time: does RDH help there, and how surely?

A setting is everything but seed and split. Means and intervals are over the fair pairs of one.
"""

import math
import re
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress

import pandas as pd
import streamlit as st

from pages.common.address import took
from pages.common.live_plot import live_plotly
from pages.common.run_picker import read_config
from pages.common.text import as_text
from pages.common.words import legend, percent
from rdh import analysis, catalog, studies
from rdh.charts.comparison import paired_maps
from rdh.charts.effects import JUDGED, forest
from rdh.config.run_config import RunConfig
from rdh.errors import UserError, counted
from rdh.retrieval.evaluation import REMEDY
from rdh.store.run_store import RunStore
from rdh.studies import Effect, verdict_of, within_ties

KEY = "setting"  # of the choice, in the URL
WATCHED = "Watched runs are in none: nobody knows all of their settings."
POINT = "A point is 0.01."
VARYING = (
    "method",
    "bits",
    "data",
    "lr",
    "epochs",
    "eta",
)  # columns that are left out if all rows agree
IN_LABEL = re.compile("(dataset|epochs|eta) (?!options )")  # what `setting_label` says by itself


def draw_settings(runs: RunStore, run_ids: Iterable[str], pair: Sequence[str]) -> None:
    """The pairs of one setting with their interval, and a table of all settings.

    Args:
        runs: the run store.
        run_ids: oldest first.
        pair: the runs that the page shows, the one without RDH first, or one run alone; a setting
            like theirs is the default.
    """
    st.subheader("All pairs that have finished", anchor=False)
    with st.spinner("Reading every finished run, once", show_time=True):
        table = analysis.run_table(runs, run_ids)
        paired = analysis.pairs(table)
    alike = None
    with suppress(UserError):  # a run that can't be read is a card above
        alike = read_config(runs, pair[-1])
    if paired.empty:
        st.info(
            f"No pair that was launched here has finished yet. {WATCHED}"
            if alike and alike.is_watched
            else "No pair has finished yet: launch the same run with and without RDH."
        )
        return
    fair = paired.loc[paired["differs"] == ""].sort_values(
        ["method", "dataset", "n_bits", "lr", "epochs", "eta", "setting", "seed", "split_seed"]
    )
    draw_left_out(paired["differs"])
    if fair.empty:
        return
    settings = {str(group): rows for group, rows in fair.groupby("group", sort=False)}
    own = analysis.group_of(table, *pair) if len(pair) == 2 else None
    draw_collapsed(fair["collapsed"])
    effects = judge(settings)
    chosen = pick_setting(settings, own, alike, is_pair=len(pair) == 2)
    if len(pair) == 1 and not (alike and alike.is_watched):
        st.caption("No pair is chosen above, so this may be another setting.")
    draw_setting(settings[chosen], effects[chosen], len(settings))
    draw_table(settings, effects)


def draw_left_out(differs: pd.Series) -> None:
    """How many pairs are not fair, and why."""
    counts = differs[differs != ""].value_counts()
    if counts.empty:
        return
    why = ", ".join(f"{word} in {n}" for word, n in counts.items())
    total = int(counts.sum())
    st.caption(
        f"{total} of {len(differs)} pairs {'is' if total == 1 else 'are'} left out below: {why}. "
        "A fair pair weighs its quantization term alike (eta), and counts its dead entries by one "
        "threshold (tau)."
    )


def draw_collapsed(collapsed: pd.Series) -> None:
    """How many fair pairs are in no mean below, because a run of them has one code for all."""
    if said := analysis.collapses_in_words(collapsed):
        st.caption(
            f"{said[0].upper()}{said[1:]}: MAP is that of chance there, and a difference from it "
            "says nothing of RDH. The settings below count them."
        )


def judge(settings: dict[str, pd.DataFrame]) -> dict[str, Effect]:
    """The effect of RDH in each setting; verdicts after Holm's correction over all of them."""
    effects = [studies.effect_of(*analysis.paired_arrays(rows)) for rows in settings.values()]
    return dict(zip(settings, studies.judged(effects), strict=True))


def pick_setting(
    settings: dict[str, pd.DataFrame], own: str | None, alike: RunConfig | None, *, is_pair: bool
) -> str:
    """Lets the reader choose a setting.

    Args:
        settings: `group` -> its pairs.
        own: that of the pair that the page shows, the default; None: it has not finished.
        alike: of a run that the page shows: if own is no setting, one like it is the default.
        is_pair: whether it shows two runs.
    """
    default = own if own in settings else _nearest(settings, alike)
    wanted = st.query_params.get(KEY)
    chosen = st.session_state[KEY] = wanted if wanted in settings else default
    took(KEY, wanted if wanted in settings else setting_label(settings[chosen]))
    st.selectbox(
        "Setting",
        list(settings),
        key=KEY,
        format_func=lambda group: setting_label(settings[group]),
        on_change=_write_url,
        help="Pairs that differ in seed and split only. Nothing is averaged over settings.",
    )
    if alike and alike.is_watched:
        st.caption(f"This is another setting. {WATCHED}")
    elif own is None and is_pair:
        st.caption("The two runs above are no finished pair, so this is another setting.")
    elif own is not None and own not in settings:
        st.caption("The two runs above are no fair pair, so this is another setting.")
    elif own is not None and chosen != own:
        st.caption("The two runs above are of another setting.")
    return chosen


def _nearest(settings: dict[str, pd.DataFrame], config: RunConfig | None) -> str:
    """The first setting of the method and code length of a run, or else the first of all."""
    wanted = (config.method, config.n_bits) if config else None
    firsts = {group: rows.iloc[0] for group, rows in settings.items()}
    same = [group for group, one in firsts.items() if (one["method"], one["n_bits"]) == wanted]
    return [*same, *settings][0]


def _write_url() -> None:
    st.query_params[KEY] = st.session_state[KEY]


def _more_settings(said: str) -> list[str]:
    """The parts of a setting in words that `setting_label` does not say by itself."""
    return [part for part in said.split(", ") if part and not IN_LABEL.match(part)]


def setting_label(rows: pd.DataFrame) -> str:
    """A setting in words: "DPSH · 32 bits · cifar10 · lr 0.03 · 30 epochs · eta 1 · 5 pairs"."""
    first, n = rows.iloc[0], len(rows)
    more = _more_settings(first["setting"])
    parts = [
        *(method_title(first["method"]), counted(first["n_bits"], "bit"), first["dataset"]),
        *(f"lr {first['lr']:g}", counted(first["epochs"], "epoch"), f"eta {first['eta']:g}"),
        *(*more, f"{n} pair{'s' * (n != 1)}"),
    ]
    return " · ".join(parts)


def draw_setting(rows: pd.DataFrame, effect: Effect, n_settings: int) -> None:
    """The pairs of one setting, their mean change with its interval, and the verdict in words."""
    first, ends, kept = rows.iloc[0], effect.interval, analysis.comparable(rows)
    what = f"{method_title(first['method'])}, {counted(first['n_bits'], 'bit')}"
    said = verdict_of(rows, effect)
    if kept.empty:
        st.markdown(f"**{as_text(what)}: with RDH, MAP is {said}.** {REMEDY}")
        return
    cell = {"label": what, "method": first["method"], "verdict": effect.verdict}
    cell |= {"difference": effect.difference, "low": ends.low, "high": ends.high}
    mean = f"Mean change {mean_change(rows)}, {interval_of(effect)}"
    with st.container(key="charts-setting"):
        left, right = st.columns(2)
        with left:
            live_plotly(paired_maps(kept, title=f"{what}: MAP is {said}"), key="compare-pairs")
        with right:
            chart = forest(pd.DataFrame([cell]), [kept["map_gain"].to_numpy()], title=mean)
            live_plotly(chart, key="compare-effect")
    full = as_text(in_full(effect, mean_change(rows)))
    st.markdown(f"**{as_text(what)}: with RDH, MAP is {said}.** {full}")
    if not math.isnan(ends.low) and (remark := analysis.ties_of_pairs(within_ties(rows))):
        st.caption(remark)
    if alone(effect) != effect.verdict:
        st.caption(
            f"Of {n_settings} settings some exclude 0 by chance: after Holm's correction over all "
            "of them, this one does not."
        )


def mean_change(rows: pd.DataFrame) -> str:
    """The mean change of MAP over the pairs of a setting, as it adds up beside both means."""
    kept = analysis.comparable(rows)
    before, after = (float(kept[f"map_{arm}"].mean()) for arm in ("baseline", "rdh"))
    return analysis.map_points(analysis.shown_change(before, after))


def alone(effect: Effect) -> str:
    """The verdict of a setting by itself, without the correction over all settings."""
    return studies.judged([effect])[0].verdict


def interval_of(effect: Effect) -> str:
    """ "95% interval +0.0080 to +0.0210", or "no interval" with its reason."""
    if math.isnan(effect.interval.low):
        return f"no interval: {effect.interval.why}"
    ends = (effect.interval.low, effect.interval.high)
    return f"95% interval {' to '.join(map(analysis.map_points, ends))}"


def in_full(effect: Effect, change: str) -> str:
    """Mean change and interval in a sentence, and whether it excludes 0, or why there is none."""
    text, n = f"Mean change {change}", effect.n
    if not math.isnan(effect.interval.low):
        how = {"t": f"Student's t over {n} pairs", "bootstrap": "a bootstrap over seeds and splits"}
        is_open = alone(effect) == "open"
        shows = "it contains 0, so these pairs show no effect" if is_open else "it excludes 0"
        return f"{text}, {interval_of(effect)} by {how[effect.interval.method]}: {shows}. {POINT}"
    return f"{text}, {interval_of(effect)}. {POINT}"


def draw_table(settings: dict[str, pd.DataFrame], effects: dict[str, Effect]) -> None:
    """A row for each setting; no mean over settings. Columns that say nothing are left out."""
    rows = [row_of(rows, effects[group]) for group, rows in settings.items()]
    shown = pd.DataFrame(rows)
    same = [name for name in VARYING if shown[name].nunique() == 1 and len(shown) > 1]
    empty = [name for name in shown if shown[name].isin(("", "–")).all()]
    if "dead" not in empty:
        empty.append("flagged")
    shown = shown.drop(columns={*same, *empty})
    if len(shown) == 1:  # sixteen numbers are read one below the other
        st.table(shown.T.set_axis(["this setting"], axis=1))
    else:
        first = rows[0]
        of = [first["method"]] * ("method" in same) + [f"{first['bits']} bits"] * ("bits" in same)
        all_of = f" of {as_text(', '.join(of))}" if of else ""
        st.markdown(f"**All settings**{all_of} ({len(shown)}), each by itself")
        st.dataframe(shown, hide_index=True)
    st.caption(
        "Means over the pairs, without → with RDH. Gain and loss: the interval excludes 0 after "
        "Holm's correction over all settings; open: it does not. Pairs of which a run has "
        "collapsed are counted in their own column, and in nothing else."
    )
    legend("dead", "cost", "map", "interval", "holm", "open", "collapse")


def row_of(rows: pd.DataFrame, effect: Effect) -> dict[str, str]:
    """A setting as a row of the table: means over its pairs, without → with RDH."""
    first = rows.iloc[0]
    more = _more_settings(first["setting"])
    ends = effect.interval.low, effect.interval.high
    has_ends, kept = not math.isnan(ends[0]), analysis.comparable(rows)
    n_collapsed = len(rows) - len(kept)
    return {
        "method": method_title(first["method"]),
        "bits": str(first["n_bits"]),
        "data": first["dataset"],
        "lr": f"{first['lr']:g}",
        "epochs": str(first["epochs"]),
        "eta": f"{first['eta']:g}",
        "what else": ", ".join(more),
        "pairs": str(effect.n),
        "collapsed": f"{n_collapsed} of {len(rows)}" if n_collapsed else "",
        "MAP": both(kept, "map", lambda value: f"{value:.4f}"),
        "change": mean_change(rows),
        "95% interval": ", ".join(map(analysis.map_points, ends))
        if has_ends
        else effect.interval.why
        if effect.n
        else "–",
        "says": JUDGED[effect.verdict] if effect.n else "collapsed",
        "dead": both(kept, "dead_at_end", percent),
        "flagged": both(kept, "flagged_at_end", percent),
        "cost": both(kept, "cost", analysis.map_points),
    }


def both(rows: pd.DataFrame, name: str, form: Callable[[float], str]) -> str:
    """Means of both arms: "0.5129 → 0.5873"; "–" if neither is known."""
    means = [float(rows[f"{name}_{arm}"].mean()) for arm in ("baseline", "rdh")]
    return "–" if all(map(math.isnan, means)) else " → ".join(map(form, means))


def method_title(name: str) -> str:
    """The title of a method; its name if it is gone."""
    card = catalog.methods().get(name)
    return card.title if card else name
