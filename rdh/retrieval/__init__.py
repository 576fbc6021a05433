"""Exact Hamming-ranking evaluation: packed codes, distance histograms, average precision with ties.

Call `evaluate(query_codes, gallery_codes, query_labels, gallery_labels)`. `pack_codes` packs 8 bits
into a byte.
"""

from rdh.retrieval.codes import CodesWarning, pack_codes, unpack_codes
from rdh.retrieval.evaluate import Evaluation, evaluate

__all__ = ["CodesWarning", "Evaluation", "evaluate", "pack_codes", "unpack_codes"]
