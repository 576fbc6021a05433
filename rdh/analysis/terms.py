"""The words of the dashboard that name no count of entries: of training, scores and studies."""

from dataclasses import dataclass

EVALUATION = "at an evaluation, with the network as it is then, in evaluation mode"


@dataclass(frozen=True)
class Word:
    """One word of the dashboard.

    Attributes:
        name: its anchor on the page of definitions.
        title: the word as a heading.
        meaning: what it is, in one or two sentences of plain text.
        formula: in LaTeX; "" if there is none.
        unit: what it is counted in; "" if it is no number.
        moment: when it is judged; "" if that means nothing for it.
        more: what a reader may stumble over; "" if nothing.
    """

    name: str
    title: str
    meaning: str
    formula: str = ""
    unit: str = ""
    moment: str = ""
    more: str = ""


OF_TRAINING = (
    Word(
        "visit",
        "Visit",
        "Training visits an item each time a mini-batch holds it: once an epoch. Between two "
        "visits it is not looked at, so a count over all items takes each as it was at its last "
        "visit.",
    ),
    Word(
        "record",
        "Record",
        "What a run writes down every few steps: counts, losses and rates. Charts over time have "
        "a point for each record. The setting probe_every says how many steps lie between two.",
    ),
    Word(
        "onset",
        "Onset",
        "When a bit falls ill: the first record at which its share of dead entries reaches half of "
        "the most that it ever has. Bits without any come last.",
    ),
    Word(
        "theta",
        "Θ (Theta)",
        "How similar two codes are: their inner product times a scale, 1/2 in most methods. The "
        "similarity loss wants it large for similar pairs and small for all others.",
        r"\Theta_{ij} = \tfrac{1}{2}\, h_i \cdot h_j",
        more="Each method has its own scale; the larger it is, the sooner the loss is content.",
    ),
    Word(
        "loss",
        "Loss: similarity, quantization, total",
        "The total that training lowers is the sum of its terms, each with its weight. Similarity "
        "says how badly the codes of pairs agree with their labels, quantization how far h is "
        "from a binary code. Without quantization, total and similarity are one line.",
        r"L = L_{\mathrm{sim}} + \eta\, L_{\mathrm{quant}}",
        "mean over the items or pairs of a mini-batch; methods differ in scale",
        "mean since the last record",
    ),
    Word(
        "eta",
        "η (eta)",
        "The weight of the quantization term, in either form. Both runs of a fair pair have the "
        "same one. It is 1 if left out, and 0.1 for multi-label data.",
        r"L = L_{\mathrm{sim}} + \eta\, L_{\mathrm{quant}}",
    ),
    Word(
        "eaql",
        "EAQL (error-aware quantization loss)",
        "The second plug-in of RDH (Eq. 4). Plain quantization pulls a bit to the side that it "
        "happens to be on. This one pulls it there only as far as the pairs of its image say that "
        "the side is right.",
    ),
    Word(
        "collapse",
        "Collapse",
        "A run has collapsed if all items of its gallery have the same code. Nothing can be "
        "ranked then, and MAP is that of chance. It happens if the rate, or the weight of "
        "quantization, is too high for the method.",
        r"\mathrm{distinct\ codes} = 1",
        moment=EVALUATION,
        more="A pair of which a run has collapsed says nothing of RDH: it is counted, and left "
        "out of means, intervals and verdicts.",
    ),
)
OF_SCORES = (
    Word(
        "hamming-radius",
        "Hamming distance and radius",
        "The distance of two codes is the number of bits in which they differ. A radius of 2 "
        "takes in all gallery items that differ from the query in at most 2 bits.",
        r"d(q, x) = \textstyle\sum_k [\,q_k \neq x_k\,]",
        "bits, 0 to the code length",
    ),
    Word(
        "precision-recall",
        "Precision-recall curve",
        "For each radius: of the gallery items within it, the share that is relevant (precision), "
        "and of the relevant items, the share that is within it (recall). Means over the queries, "
        "one marker for each radius from 0 to the code length. Higher and further right is better.",
        r"P(r) = \frac{\mathrm{relevant\ within\ } r}{\mathrm{all\ within\ } r}, \quad "
        r"R(r) = \frac{\mathrm{relevant\ within\ } r}{\mathrm{all\ relevant}}",
        "shares, 0 to 1; an empty ball has precision 0",
        EVALUATION,
    ),
    Word(
        "distinct-codes",
        "Distinct codes",
        "How many different codes the items of the gallery have. Items with one code are tied at "
        "every query.",
        unit="codes, at least 1 (collapse)",
        moment=EVALUATION,
    ),
)
OF_STUDIES = (
    Word(
        "arm",
        "Arm",
        "One of the versions of a run that are compared: without RDH (the baseline), with the "
        "amplifier alone, with EAQL alone, or with both (RDH). Everything else is equal.",
    ),
    Word(
        "pair",
        "Pair",
        "Two runs that differ in the plug-ins alone: same seed, same split, same η and τ.",
    ),
    Word(
        "cell",
        "Cell",
        "One place in the table of a study: a method, a code length and a setting. Its pairs "
        "differ in seed and split alone.",
    ),
    Word(
        "interval",
        "95 % interval",
        "Where the mean change of such pairs lies if the seeds had been others. It is Student's t "
        "over the pairs, or a bootstrap over seeds and splits where they are crossed.",
        r"\bar{d} \pm t_{n-1}\, s / \sqrt{n}",
        more="There is none with fewer than three pairs, if all pairs change alike, or if one of "
        "crossed seeds and splits is missing.",
    ),
    Word(
        "holm",
        "Holm's correction",
        "Of many intervals some exclude 0 by chance. Holm's correction makes each test stricter, "
        "the more there are, so that all verdicts of a table together are wrong in at most 5 % of "
        "cases.",
        r"p_{(i)}\,(m - i + 1) < 0.05",
    ),
    Word(
        "open",
        "Gain, loss, open, no interval",
        "The verdict on a cell. Gain or loss: the change differs from 0 after Holm's correction. "
        "Open: it may be 0. No interval: it can't be tested, for the reason that is named.",
    ),
)
TERMS = {word.name: word for word in (*OF_TRAINING, *OF_SCORES, *OF_STUDIES)}
