"""What to say beside a MAP: of ties, of too few relevant items, of the choice of the best."""

import numpy as np

from rdh.diagnosis._tools.evidence import Evidence
from rdh.diagnosis._tools.finding import CannotRun, Finding, Place

TITLE = "How to quote MAP"
AFTER = ("collapsed", "not_learning")
WIDE = 0.1  # of the tie band
CHOSEN = 0.005  # best_map above the MAP at the end
WITHOUT = 0.01  # of the queries


def check(evidence: Evidence) -> Finding | None:
    """Fires for each of: a wide tie band, queries without relevant items, best_map, overlap."""
    last, reasons, quote = evidence.last, [], []
    if "map" not in last:
        raise CannotRun("the run has no evaluation")
    low, high = last.get("map_low", np.nan), last.get("map_high", np.nan)
    if high - low >= WIDE:
        reasons.append(f"the order of items at equal distances could make it anything from "
                       f"{low:.3f} to {high:.3f}")  # fmt: skip
        quote.append("the expectation over tie orders (map_tie), with this band")
    n_queries = int(evidence.series.meta().get("n_query", 0))
    without = last.get("n_queries_without_relevant", 0.0)
    if n_queries and without >= max(1, WITHOUT * n_queries):
        have, count = ("has", "counts") if without == 1 else ("have", "count")
        reasons.append(f"{without:,.0f} of {n_queries:,} queries {have} no relevant item and "
                       f"{count} 0")  # fmt: skip
        quote.append("how many queries count")
    best = evidence.result.get("metrics", {}).get("best_map", -np.inf)
    if best - last["map"] >= CHOSEN:
        reasons.append(f"the best of all evaluations is {best:.4f}, chosen on the test queries "
                       "themselves")  # fmt: skip
        quote.append("MAP at the end of training")
    n_both = len(np.intersect1d(evidence.split["query"], evidence.split["gallery"]))
    if n_both:
        stand = "image stands" if n_both == 1 else "images stand"
        reasons.append(f"{n_both:,} query {stand} in the gallery too")
        quote.append("MAP of a gallery without them")
    if not reasons:
        return None
    return Finding(
        severity="note",
        sentence=f"MAP {last['map']:.4f} {evidence.when}, and what belongs beside it: "
        f"{'; '.join(reasons)}.",
        mechanism=f"Quote: {', '.join(dict.fromkeys(quote))}. A difference between two "
        "runs that is smaller than what these could change shows nothing.",
        equation=r"\mathrm{MAP}_{\mathrm{low}} \le \mathrm{MAP} \le \mathrm{MAP}_{\mathrm{high}}",
        places=(Place("pages/compare.py", "This pair in numbers", anchor="numbers"),
                Place("pages/definitions.py", "What MAP is", anchor="map")),
    )  # fmt: skip
