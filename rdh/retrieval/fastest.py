"""Which kernel runs on this machine."""

from rdh.retrieval.kernel import Kernel


def fastest_kernel(n_bits: int) -> Kernel:
    """The bit-sliced kernel if it takes the code length and this machine can build it, else the
    pairwise one.
    """
    from rdh.retrieval.bitsliced import (
        kernel as bitsliced,  # here, so that a page that only reads scores needs no compiler
    )

    if bitsliced.is_available(n_bits):
        return bitsliced
    from rdh.retrieval import pairwise

    return pairwise
