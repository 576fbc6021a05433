"""Which kernel runs on this machine."""

from rdh.retrieval.kernel import Kernel


def fastest_kernel(n_bits: int) -> Kernel:
    """The bit-sliced kernel if this machine can build it for the code length, else the pairwise."""
    # imported here, so that a page that only reads scores needs no compiler
    from rdh.retrieval.bitsliced import kernel as bitsliced

    if bitsliced.is_available(n_bits):
        return bitsliced
    from rdh.retrieval import pairwise

    return pairwise
