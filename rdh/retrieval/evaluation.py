"""What an evaluation finds, and its plain forms for logs and JSON."""

import dataclasses
from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np

from rdh.errors import count

SCALARS = {  # name -> definition, for people
    "map": "ties broken by one seeded shuffle, divided by the relevant items met",
    "map_tie": "its expectation over all tie orders",
    "map_low": "every tie broken against us",
    "map_high": "every tie broken for us",
    "precision_at_radius_2": "relevant share within distance 2; an empty ball counts 0",
    "recall_at_radius_2": "found within distance 2",
    "mean_ball_size": "items within distance 2 of a query",
    "empty_ball_share": "queries with none",
    "mean_tie_size": "items at the distance of an item, on average",
    "n_queries_without_relevant": "they count 0 in every mean",
    "bit_balance": "gallery; 0: each bit splits it in half, 1: all bits constant",
    "n_distinct_codes": "in the gallery",
    "n_effective_codes": "exp(entropy) of their frequencies",
}
ONE_CODE = "all gallery items have the same code"
REMEDY = "Mostly lr is too high, or eta is; the diagnosis of the run says what to try."
FEW_ITEMS = 10  # a gallery of fewer says nothing


def has_collapsed(numbers: Mapping[str, Any]) -> bool:
    """Whether all gallery items of a run have the same code, so that its MAP is that of chance.

    Args:
        numbers: scalars of an evaluation by name, for example a row of `analysis.run_table`.
    """
    return bool(numbers.get("n_distinct_codes") == 1)


def collapse_said(n_gallery: int | None) -> str:
    """What to say of a run of which `has_collapsed` is true.

    Args:
        n_gallery: items in its gallery; None: it is not known.
    """
    few = few_items_said(n_gallery)
    return f"{ONE_CODE[0].upper()}{ONE_CODE[1:]}, so MAP is that of chance. {few or REMEDY}"


def few_items_said(n_gallery: int | None) -> str:
    """That a gallery is too small for its MAP to say anything; "" if it is not.

    Args:
        n_gallery: items in it; None: it is not known.
    """
    if n_gallery is None or n_gallery >= FEW_ITEMS:
        return ""
    items = f"{n_gallery} item{'s' * (n_gallery != 1)}"
    return f"The gallery has only {items}, and chance can give any MAP there: add images."


def definition(name: str) -> str:
    """What a number of `Evaluation.scalars` is, in a few words; "" for other names."""
    if name.startswith(("precision_at_", "recall_at_")) and name not in SCALARS:
        return "expected over tie orders"
    if name.startswith("map_") and name not in SCALARS:
        words = {
            "m_tot": "divided by all relevant items",
            "m_min": "divided by the smaller of top_k and the relevant items",
        }
        return next((text for end, text in words.items() if name.endswith(end)), "")
    return SCALARS.get(name, "")


@dataclasses.dataclass(frozen=True)
class MapScores:
    """Mean average precisions of one denominator, each in [0, 1].

    `map` is None if the headline was skipped.
    """

    map: float | None
    map_tie: float
    map_low: float
    map_high: float


@dataclasses.dataclass(frozen=True, eq=False)
class Evaluation:
    """What `evaluate` found.

    Shares, precisions and recalls lie in [0, 1]; arrays by radius have n_bits + 1 entries.
    """

    n_queries: int
    n_gallery: int
    n_bits: int
    top_k: int | None
    order_seed: int
    map: float | None  # stable order of the seeded shuffle, over the relevant items met
    map_tie: float  # expected over random tie orders
    map_low: float  # every tie broken against us
    map_high: float  # every tie broken for us
    by_denominator: dict[str, MapScores]  # M-ret (the four above), M-tot, M-min
    average_precision: np.ndarray | None  # (n_queries,) of `map`
    average_precision_tie: np.ndarray  # (n_queries,) of `map_tie`
    # over queries with a non-empty ball; NaN if all balls are empty
    precision_by_radius: np.ndarray
    recall_by_radius: np.ndarray  # over all queries
    precision_at_radius_2: float  # an empty ball counts 0
    recall_at_radius_2: float
    mean_ball_size: float  # gallery items within distance 2 of a query
    empty_ball_share: float  # queries with none
    precision_at: dict[int, float]  # by list length, expected over random tie orders
    recall_at: dict[int, float]
    # at ranks 1..top_k, expected over random tie orders; None unless asked for
    precision_by_rank: np.ndarray | None
    recall_by_rank: np.ndarray | None
    # gallery items at the same distance as a random one, itself included, mean over queries
    mean_tie_size: float
    items_by_distance: np.ndarray  # int64, all queries together
    relevant_by_distance: np.ndarray
    n_queries_without_relevant: int  # they count 0 in every mean
    bit_balance: float  # gallery: 0 = each bit splits it in half, 1 = all bits constant
    n_distinct_codes: int  # in the gallery
    # exp(entropy of their frequencies): equally frequent codes that would be as varied
    n_effective_codes: float
    notes: tuple[str, ...] = ()  # sentences, if the codes of a side cannot be told apart

    def scalars(self) -> dict[str, float]:
        """The single numbers by name, all finite: what a run logs.

        Other denominators appear only with a cut-off.
        """
        values = {
            field.name: float(getattr(self, field.name))
            for field in dataclasses.fields(self)
            if field.name in SCALARS and getattr(self, field.name) is not None
        }
        values |= {f"precision_at_{length}": value for length, value in self.precision_at.items()}
        values |= {f"recall_at_{length}": value for length, value in self.recall_at.items()}
        if self.top_k is not None:
            for name, suffix in (("M-tot", "m_tot"), ("M-min", "m_min")):
                scores = self.by_denominator[name]
                values |= {f"map_{suffix}": scores.map} if scores.map is not None else {}
                values[f"map_tie_{suffix}"] = scores.map_tie
        return values

    def as_dict(self) -> dict[str, Any]:
        """Everything but the per-query arrays as plain JSON values; NaN becomes None."""
        values = dataclasses.asdict(self)
        del values["average_precision"], values["average_precision_tie"]
        for name, value in values.items():
            if isinstance(value, np.ndarray):
                values[name] = [None if np.isnan(number) else number for number in value.tolist()]
        return values


def map_in_words(top_ks: Iterable[float | None]) -> str:
    """What the headline `map` is, in a sentence. Cut-offs of None or NaN mean none."""
    kinds = sorted({0 if top_k is None or np.isnan(top_k) else int(top_k) for top_k in top_ks})
    ranks = " or ".join(
        f"the first {count(top_k)} ranks" if top_k else "the whole gallery" for top_k in kinds
    )
    return (
        f"MAP: over {ranks}, divided by the relevant items met, Hamming ranking, ties "
        f"broken by one seeded shuffle"
    )
