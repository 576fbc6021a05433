"""The words that name no count of entries: of bits, training, scores, data and studies."""

from dataclasses import dataclass

EVALUATION = "at an evaluation, with the network as it is then, in evaluation mode"
LAST_RECORDS = "the last 10 records"


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


OF_BITS = (
    Word(
        "bit",
        "F, h and the bit",
        "F is what the last layer of the network says of a bit of an item: any number. h = tanh F "
        "lies between −1 and +1, and training works with it. The bit is the sign of h.",
        r"h = \tanh F, \quad b = \mathrm{sgn}\, h",
    ),
    Word(
        "tau",
        "τ (tau) and α (alpha)",
        "τ is the threshold from which on |h| counts as saturated. α is the factor of the "
        "amplifier: it undoes the damping of tanh at |h| = τ. The gain is what both make of a "
        "gradient together: 1 at |h| = τ, and less the nearer |h| is to 1.",
        r"\alpha = \frac{1}{1 - \tau^2}, \quad \mathrm{gain} = \alpha\,(1 - h^2)",
        "τ from 0 to 1, 0.99 in the paper; α is a factor, 50.25 there",
    ),
    Word(
        "gradient",
        "Gradient of an entry, pull",
        "How strongly the loss pulls an entry, and which way: descent moves F against ∂L/∂F, which "
        "is ∂L/∂h damped by the slope of tanh. The pull is its size without the sign. Charts that "
        "are mirrored turn every entry so that its similarity loss asks for +1.",
        r"\frac{\partial L}{\partial F} = \frac{\partial L}{\partial h}\,(1 - h^2)",
        "loss for each unit of F, mean over entries",
        LAST_RECORDS,
    ),
    Word(
        "quadrants",
        "Quadrants sgn g × sgn h",
        "The entries of a bit, parted by their side (sgn h) and by the sign of g, the gradient of "
        "the whole loss. Equal signs ask an entry to leave its side, unequal ones to stay. Each "
        "quadrant has its share of the entries and of the pull, before and after the amplifier.",
        r"g = \partial L / \partial h, \quad \mathrm{sgn}\, g = \mathrm{sgn}\, h:\ "
        r"\mathrm{leave}",
        "visits of training items, and shares of the sum of |∂L/∂F|",
        LAST_RECORDS,
        "h = 0 counts as +, and g = 0 as asked to stay. The amplifier changes the pull of "
        "saturated entries that are asked to leave, and no count.",
    ),
    Word(
        "gradient-norm",
        "Norm of the gradient, before and after the amplifier",
        "How much a mini-batch sends back from its codes into the network: all its ∂L/∂F in one "
        "number. Before: as the loss gives it. After: with the gradients multiplied on which the "
        "amplifier acts. If both are equal, it acted on nothing.",
        r"\lVert \partial L / \partial F \rVert = "
        r"\sqrt{\textstyle\sum_{i,k} (\partial L / \partial F_{ik})^2}",
        "loss for each unit of F",
        "root mean square over the steps since the last record",
    ),
    Word(
        "worth",
        "Worth of a bit: useful, harmful",
        "MAP of the whole codes minus MAP without this bit. Above 0 the bit is useful, below 0 the "
        "codes rank better without it. On the page Retrieval the same is told of one query's AP.",
        r"\mathrm{MAP} - \mathrm{MAP}(\mathrm{without\ bit\ } k)",
        "MAP, expected over ties",
        "on the codes that a finished run keeps",
        "Each bit is left out alone, so two bits that say the same can each look worthless. A "
        "shorter code keeps the first bits, and bits have no order.",
    ),
    Word(
        "critical-eta",
        "Critical η",
        "The weight above which plain quantization pushes a bit near 0 to the wrong side in "
        "Eq. (2), however much the other bit of the pair says otherwise. Below it, quantization "
        "only slows the bit.",
        r"(1 - \sigma(0))\, |h_j| / 2 \quad \mathrm{for\ Eq.\ 1}",
        "as η; 0.225 for hⱼ = 0.9",
    ),
)
OF_TRAINING = (
    Word(
        "step",
        "Step, epoch",
        "One step is one change of the weights, by one mini-batch. An epoch is one pass over all "
        "training items.",
    ),
    Word(
        "pace",
        "Learning rate, items a second",
        "The learning rate (lr) says how far a step goes; a schedule may lower it. Items a second "
        "is how many training items went through the network.",
        unit="lr: a factor of the gradient; pace: training items a second",
        moment="lr at the last record; pace: median of the last 20 records",
    ),
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
        "out of means, intervals and verdicts. With a few codes more a run has nearly collapsed: "
        "the diagnosis says so, and nothing is left out.",
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
OF_DATA = (
    Word(
        "split",
        "Queries, gallery, training items",
        "Queries are what is searched with, the gallery is what is searched in, and the training "
        "items are what the network learns from, mostly a part of the gallery. The split seed says "
        "which items are which.",
        unit="items",
    ),
    Word(
        "label",
        "Label, class",
        "What an item shows, as a person said it. A class is all items with one label. In "
        "multi-label data an item has several, and two items are similar if they share any.",
    ),
    Word(
        "similar-pairs",
        "Similar pairs",
        "Pairs of different training items that have a label in common. A pairwise loss pulls them "
        "together. If they are few, a loss without balance pushes everything apart.",
        r"S_{ij} = 1",
        "share of all pairs of training items",
    ),
    Word(
        "random-codes",
        "Random codes",
        "Share of the gallery that is relevant to a query, on average. Random codes have about "
        "this MAP over the whole gallery. What a method adds counts from here.",
        unit="MAP",
    ),
    Word(
        "mixed-up",
        "Classes that are mixed up",
        "Of the first items that the queries of a class find, the share of each class. On the "
        "diagonal they are right.",
        unit="share of the items found, expected over ties",
        moment="on the codes that a finished run keeps",
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
        "Two runs that differ in the plug-ins alone: same seed, same split, same η and τ. A "
        "change, or difference in MAP, is MAP with RDH minus MAP without.",
    ),
    Word(
        "cell",
        "Cell",
        "One place in the table of a study: a method, a code length and a setting. Its pairs "
        "differ in seed and split alone.",
    ),
    Word(
        "interval",
        "95% interval",
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
        "the more there are, so that all verdicts of a table together are wrong in at most 5% of "
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
GROUPS: dict[str, tuple[Word, ...]] = {
    "Bits and gradients": OF_BITS,
    "Training": OF_TRAINING,
    "Scores": OF_SCORES,
    "Data": OF_DATA,
    "Pairs and studies": OF_STUDIES,
}
TERMS = {word.name: word for words in GROUPS.values() for word in words}
