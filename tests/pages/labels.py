"""What a page calls its numbers (tiles, axes, curves, columns), and the word that defines each."""

import re
from collections.abc import Iterator

from streamlit.testing.v1 import AppTest

from rdh.charts.figure import Figure

# A label -> the word on the page Definitions that says what it counts. The first that fits counts.
DEFINED = {
    r"[Cc]ost\b.*": "cost",
    r"difference in MAP.*|change|.*without − with": "pair",
    r"95% interval|says": "interval",
    r".*(useful|harmful|most valuable|AP without it|MAP lost|shorter code|bits kept).*": "worth",
    r"(worst to best|expected over).*ties|MAP, (expected|worst).*": "tie-band",
    r"MAP\b.*": "map",
    r"AP": "average-precision",
    r".*(first death|died)": "death",
    r".*relapse": "relapse",
    r".*rescued?": "rescue",
    r"released?|.*released": "release",
    r".*\b(raised|raised again|answered|dropped)": "flags",
    r"entries a record|changes": "record",
    r".*\breach: .*": "reach",
    r".*\brecall: .*": "recall",
    r".*\bprecision: .*|share": "precision",
    r"precision|recall": "precision-recall",
    r"radius|Hamming distance.*": "hamming-radius",
    r".*\b[Dd]ead\b.*": "dead",
    r".*\b[Ff]lagged\b.*": "flagged",
    r".*\b[Ss]aturated\b.*|.*\bnot dead": "saturated",
    r".*side that it calls for.*|side, and judge|items \(left: − side.*": "wrong",
    r"norm of dL/dF.*": "gradient-norm",
    r"gradient|side|pull: .*": "quadrants",
    r"dL/dF|∂L/∂F.*|(without|with) amplifier|h, mirrored.*|.*RDH, now": "gradient",
    r"Critical η": "critical-eta",
    r"α|.*α\(1 − h²\).*|.*τ|share of ∂L/∂h.*|tanh.*|.*\bτ\b.*": "tau",
    r"h\b.*|.*\bF\b.*|\|F.*|share of entries|free|all": "bit",
    r"mean loss.*|total|similarity.*|.*quantization.*|sum: .*": "loss",
    r"(optimiser )?[Ss]tep|up to step|epochs": "step",
    r"lr": "pace",
    r"eta": "eta",
    r"Similar pairs": "similar-pairs",
    r"Random codes": "random-codes",
    r"Queries|Gallery|Training|Items|(training )?items|gallery items.*|item": "split",
    r"[Ll]abels?.*|class.*": "label",
    r"[Rr]ight.*|wrong.*": "relevant",
    r"distinct.*codes": "distinct-codes",
    r"bit balance.*": "constant",
    r"pairs": "pair",
    r"entries": "dead",
}
# Names and settings: what they hold is what they say.
PLAIN = (
    r"bits?\b.*|seed|state|run|method|data|tags|launched|open|progress|diagnosis|of|setting"
    r"|D\w+( \+ RDH)?(, \d+ bits)?|HashNet( \+ RDH)?(, \d+ bits)?|with(out)? RDH"
    r"|this bit|the wrong way|comes to rest|step of gradient descent|✕ differs.*|what else"
)


def without_definition(app: AppTest, figures: list[Figure]) -> set[str]:
    """The labels of a page that no word defines."""
    labels = {tile.label for tile in app.metric}
    labels |= {str(column) for table in app.dataframe for column in table.value.columns}
    labels |= {str(name) for table in app.table for name in table.value.index}
    for figure in figures:
        labels |= set(_labels(figure))
    labels.discard("")
    return {label for label in labels if not word_of(label) and not re.fullmatch(PLAIN, label)}


def word_of(label: str) -> str | None:
    """The word that defines a label."""
    plain = " ".join(re.sub(r"<[^>]*>", " ", label).split()).lstrip("✖■◆▲▼●◇✓≠✕⚠ ")
    found = (word for pattern, word in DEFINED.items() if re.fullmatch(pattern, plain))
    return next(found, None)


def _labels(figure: Figure) -> Iterator[str]:
    spec = figure.to_plotly_json()
    for name, part in spec["layout"].items():
        if re.fullmatch(r"[xy]axis\d*", name):
            yield part.get("title", {}).get("text", "")
    for trace in spec["data"]:
        yield trace.get("name", "")
        yield trace.get("colorbar", {}).get("title", {}).get("text", "")
