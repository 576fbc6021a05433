"""Exact Hamming-ranking evaluation: packed codes, distance histograms, average precision under
ties.

Call `evaluate(query_codes, gallery_codes, query_labels, gallery_labels)`; `pack_codes` makes 8 bits
a byte.
"""

from rdh.retrieval.codes import pack_codes, unpack_codes
from rdh.retrieval.evaluate import Evaluation, evaluate

__all__ = ["Evaluation", "evaluate", "pack_codes", "unpack_codes"]
