"""What each number is called and what it means: one source for pages and command line."""

from rdh.analysis.terms import EVALUATION, TERMS, Word

PASS = "each entry as it was when training last visited its item"
SINCE = "since the last record"
OF_ALL = "entries, of all N × K (training items × bits)"
COUNTS = {
    word.name: word
    for word in (
        Word(
            "saturated",
            "■ Saturated",
            "An entry (one bit of one training item) that is saturated lies so near −1 or +1 that "
            "tanh is flat there and lets hardly any gradient through, whether its side is right or "
            "wrong.",
            r"|h| \ge \tau",
            OF_ALL,
            PASS,
        ),
        Word(
            "wrong",
            "Wrong",
            "An entry on the other side than its labels call for: items with one label follow the "
            "majority of their class on that bit; with several labels, all items vote, similar "
            "ones for their side and dissimilar ones against it.",
            r"\mathrm{sgn}\, h = -\,\mathrm{side}",
            OF_ALL,
            PASS,
            "The side comes from the labels of the training items alone. It is a proxy: a whole "
            "class on a bad side is not seen.",
        ),
        Word(
            "undecided",
            "Undecided",
            "A saturated entry whose labels call for no side: its class is evenly split on that "
            "bit, or has only one item.",
            r"|\mathrm{vote}| \le 0.5 \sqrt{\mathrm{voters}}",
            OF_ALL,
            PASS,
            "It counts neither as right nor as wrong, so it is never dead.",
        ),
        Word(
            "dead",
            "✖ Dead",
            "A dead entry is saturated and wrong: stuck on the side that its labels don't call "
            "for. This is the illness that the paper describes.",
            r"|h| \ge \tau \;\wedge\; \mathrm{sgn}\, h = -\,\mathrm{side}",
            OF_ALL,
            PASS,
            "It needs labels and an activation with flat ends. Methods without one have no dead "
            "bits.",
        ),
        Word(
            "flagged",
            "◆ Flagged",
            "A flagged entry is saturated, and the similarity loss of its last mini-batch asks it "
            "to leave its side: the test of Eq. 3, on the gradient of this loss alone. Most "
            "flagged entries are on their right side: a pair loss pulls at right bits too.",
            r"|h| \ge \tau \;\wedge\; \mathrm{sgn}\, h = "
            r"\mathrm{sgn}\, \partial L_{\mathrm{sim}} / \partial h",
            OF_ALL,
            PASS,
            "The amplifier puts the same test to the gradient of the whole loss, which has a "
            "quantization term too. RDH changes that term. So flags leave it out: they mean the "
            "same in a run with RDH and in one without. If a loop is only watched, its whole "
            "gradient is all that is known, so its flags are by that.",
        ),
        Word(
            "flagged-by-all-pairs",
            "◆ Flagged by all pairs",
            "The same test with the sum over all training pairs, as Eq. 1 and 2 are written, "
            "instead of the pairs of one mini-batch.",
            r"|h| \ge \tau \;\wedge\; \mathrm{sgn}\, h = "
            r"\mathrm{sgn} \sum_j \partial L_{\mathrm{sim}}(h, h_j) / \partial h",
            OF_ALL,
            EVALUATION,
        ),
        Word(
            "hard",
            "Hard",
            "A dead (or flagged) entry at which 1 − h² is exactly 0 in float32. No factor can "
            "bring its gradient back.",
            r"1 - h^2 = 0",
            OF_ALL,
            PASS,
        ),
        Word(
            "cost",
            "Cost of the dead",
            "How much MAP the dead entries cost: MAP with every dead entry put on its right side, "
            "minus MAP. Above 0 they cost that much, near 0 they cost nothing.",
            r"\mathrm{MAP}(\mathrm{dead\ on\ their\ right\ side}) - \mathrm{MAP}",
            "MAP, expected over ties; the dead entries of the gallery, or of the queries if the "
            "gallery's codes are learned",
            EVALUATION,
            "It uses the labels of what is searched, so no method can flip them so. It says what "
            "these dead entries cost in the finished run. RDH can gain more: it also loosens right "
            "entries, and the network goes on learning from the freed ones.",
        ),
        Word(
            "map",
            "MAP",
            "Mean average precision of the queries, ranked by Hamming distance in the gallery. One "
            "seeded shuffle breaks ties. A query without a relevant item counts 0.",
            r"\frac{1}{Q} \sum_q \mathrm{AP}(q)",
            "0 to 1, higher is better",
            "at the last evaluation",
        ),
        Word(
            "tie-band",
            "Tie band of MAP",
            "Items at the same distance have no order. The band reaches from the MAP of the worst "
            "order to that of the best; the expected MAP is the mean over all orders. If the bands "
            "of two runs overlap, an order of the ties can turn their difference around.",
            r"[\mathrm{MAP}_{\mathrm{low}},\ \mathrm{MAP}_{\mathrm{high}}]",
            "MAP",
            "at the last evaluation",
            "It says nothing about seeds: that takes several pairs.",
        ),
        Word(
            "relevant",
            "✓ Right, ≠ wrong",
            "An item of the gallery is right for a query if the two share a label, and wrong "
            "otherwise. Papers say relevant.",
            r"S_{qi} = 1",
            "gallery items",
            "whenever a query is ranked",
        ),
        Word(
            "hamming-distance",
            "Hamming distance",
            "The number of bits in which two codes differ. The gallery is ranked by it, the "
            "smallest first. With K bits there are only K + 1 distances, so many items tie.",
            r"d(q, i) = |\{k : b_{qk} \ne b_{ik}\}|",
            "bits, 0 to K",
            "whenever a query is ranked",
        ),
        Word(
            "average-precision",
            "AP, average precision",
            "How well one query ranks the gallery: at each right item, the share of right items "
            "down to its rank; the mean of these shares. MAP is the mean of AP over all queries. "
            "Ties are broken as for MAP; the expected AP is its mean over all orders of ties.",
            r"\frac{1}{R} \sum_{r\,:\,\mathrm{right}} "
            r"\frac{\mathrm{right\ items\ to\ rank\ } r}{r}",
            "0 to 1, higher is better",
            "whenever a query is ranked",
        ),
        Word(
            "constant",
            "Constant bits, bit balance",
            "A bit is constant if it has the same value in every code of the gallery: it tells no "
            "item from another. The bit balance says how near the bits are to that. At 0 each bit "
            "splits the gallery in half, at 1 all bits are constant.",
            r"\frac{1}{K} \sum_k \left| \frac{1}{n} \sum_i b_i^k \right|",
            "0 to 1",
            "at the last evaluation",
            "All classes call for the one side of a constant bit, so none of its entries is wrong, "
            "and none dead, even if a gradient flags all of them.",
        ),
        Word(
            "death",
            "✖ Death",
            "An entry that became dead: saturated and wrong at this visit, and not at the visit "
            "before.",
            r"\Delta\,\mathrm{dead} = \mathrm{deaths} - \mathrm{rescues} - \mathrm{releases}",
            "entries",
            SINCE,
        ),
        Word(
            "rescue",
            "▲ Rescue",
            "A dead entry that came free: it left saturation or changed its side.",
            r"\mathrm{dead} \rightarrow |h| < \tau\ \mathrm{or\ the\ other\ side}",
            "entries",
            SINCE,
        ),
        Word(
            "release",
            "Release",
            "A dead entry that stays where it is, but whose class no longer calls for the other "
            "side.",
            r"\mathrm{side\ changes,\ not\ } h",
            "entries",
            SINCE,
        ),
        Word(
            "relapse",
            "✖ Relapse",
            "A death of an entry that had been rescued before. Relapses are a part of the deaths.",
            r"\mathrm{dead} \rightarrow \mathrm{rescued} \rightarrow \mathrm{dead}",
            "entries",
            SINCE,
        ),
        Word(
            "flags",
            "◆ Flags raised, answered, dropped",
            "A flag is raised when an entry becomes flagged. It is answered when the entry leaves "
            "saturation or changes its side, and dropped when the entry stays but is no longer "
            "asked to leave. Raised again: after it had been answered.",
            r"\Delta\,\mathrm{flagged} = \mathrm{raised} - \mathrm{answered} - \mathrm{dropped}",
            "entries",
            SINCE,
        ),
        Word(
            "precision",
            "Precision of the amplifier",
            "Of the entries that the amplifier acts on (or would act on, if it is off), the share "
            "that is dead. It acts on saturated entries that the gradient of the whole loss asks "
            "to leave. Flagged entries are those that the similarity loss asks.",
            r"|\mathrm{amplified} \cap \mathrm{dead}|\; /\; |\mathrm{amplified}|",
            "share of the amplified entries",
            "the last 10 records, at five levels of τ",
        ),
        Word(
            "recall",
            "Recall of the amplifier",
            "Of the dead entries, the share that the amplifier acts on.",
            r"|\mathrm{amplified} \cap \mathrm{dead}|\; /\; |\mathrm{dead}|",
            "share of the dead entries",
            "the last 10 records, at five levels of τ",
        ),
        Word(
            "reach",
            "Reach of the amplifier",
            "Of the dead entries, the share that the amplifier acts on and moves. Beyond its "
            "reach, |h| is so near 1 that even the amplified gradient is less than a tenth of a "
            "free bit's.",
            r"\alpha\,(1 - h^2) \ge 0.1, \quad \alpha = 1 / (1 - \tau^2)",
            "share of the dead entries",
            "the last 10 records, at five levels of τ",
        ),
    )
}
WORDS = COUNTS | TERMS
_TRAIN = "entries of all training items at the last evaluation, in evaluation mode: "
OF_EVALUATION = {  # scalars of an evaluation, in a few words
    "train_entries": _TRAIN + "all",
    "train_saturated": _TRAIN + "saturated",
    "train_wrong": _TRAIN + "wrong",
    "train_undecided": _TRAIN + "saturated, side undecided",
    "train_dead": _TRAIN + "dead",
    "train_flagged": _TRAIN + "flagged by random batches",
    "train_flagged_all_pairs": _TRAIN + "flagged by all pairs",
    "train_flagged_confirmed": _TRAIN + "batch flags that all pairs confirm",
    "train_flagged_wrong": _TRAIN + "flagged and wrong",
    "train_flagged_undecided": _TRAIN + "flagged, side undecided",
    "flagged_entries": _TRAIN + "asked for flags",
    "train_dead_asked": _TRAIN + "asked for flags and dead",
    "map_train": "up to 1000 training items as queries against all others, expected over ties",
    "cost_train": "of map_train: the dead entries, on the gallery's side",
    "cost_flagged": "of map_train: the flagged entries moved instead",
    "cost_random": "of map_train: as many random saturated entries moved instead",
    **{
        f"{side}_{word}": f"entries of the {words} at the last evaluation: {counted}"
        for side, words in (("gallery", "gallery"), ("query", "queries"))
        for word, counted in (("entries", "all"), ("saturated", "saturated"), ("dead", "dead"))
    },
    "cost_gallery": "MAP that the dead entries of the gallery cost",
    "cost_query": "MAP that the dead entries of the queries cost",
}
NO_DEAD_BITS = (
    "{method} has no activation with flat ends, so no bit of it can saturate: dead, flagged and "
    "cost mean nothing for it."
)
