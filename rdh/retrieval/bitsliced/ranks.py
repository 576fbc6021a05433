"""The bit-sliced kernel's machine code, second part: the ranks of the relevant items.

Call `rank_relevant`. `slices.py` holds the first part: how a block is compared with a query.
"""

from llvmlite import ir

from rdh.retrieval.bitsliced.llvm import ALL_BITS, F64, I16, I32, I64, NO_BITS, REALS, WORDS, Code
from rdh.retrieval.bitsliced.slices import count, decoded_distances, labels_of, relevant_items

# a bin counts items in its low half and relevant items in its high half
ONE_RELEVANT = I64(1 << 32)
BEYOND = I64((1 << 32) - 1)  # the place of an item behind every rank, if its bin is 0


def rank_relevant(code: Code, n_bits: int, *, leaves_out: bool) -> None:
    """Ranks the relevant items of every query and sums the precisions at ranks <= top_k.

    Ties stand in gallery order. Lane l runs through the l-th eighth of the gallery in order, and
    bin (d, l) counts the items of that eighth met so far at distance d. Right after a block each of
    its relevant items knows its place within its bin: the count, less the items behind it in the
    same word of the block. What stands before the bin itself (all nearer items, and the same
    distance in earlier eighths) is known at the end and added then. The sum is the rank.

    leaves_out: each query skips the gallery item that `own` names.
    """
    planes, n_blocks, valid, labels, words, *others = code.arguments
    starts, numbers, sets, signs, query_words, own, n_queries, top_k, *others = others
    *scratch, bins, sums, n_hits = others
    n_words = -(-n_bits // 64)
    table, leaves = code.table(n_bits + 1), code.table(n_bits + 1)
    with code.loop(n_queries, I64(-1)) as query:
        own_set = code.get(sets, query.index, I64)
        # queries come sorted by their labels
        with code.if_then(code.icmp_signed("!=", own_set, query.values[0])):
            own_labels = labels_of(code, query.index, starts, numbers)
            _list_relevant(code, own_labels, (labels, n_blocks), words, n_words, scratch)
        query.next = (own_set,)
        with code.loop(n_bits + 1) as bin_:
            code.put(table, bin_.index, NO_BITS)
        own_signs = code.at(signs, code.mul(query.index, I64(n_bits)), I64)
        query_word = code.at(query_words, code.mul(query.index, I64(n_words)), I64)
        own_place = _own_place(code, own, query.index) if leaves_out else None

        def add(d: int, found: ir.Value) -> None:
            code.put(leaves, d, found)
            code.put(table, d, code.add(code.get(table, d), code.n_set(found)))

        with code.loop(n_blocks) as block:
            own_planes = code.at(planes, code.mul(block.index, I64(n_bits)), WORDS)
            decoded = decoded_distances(code, own_planes, own_signs, n_bits)
            items = code.get(valid, block.index)
            if own_place:
                items = _without_own(code, items, block.index, own_place)
            count(code, decoded, items, add)
            own_words = [code.get(query_word, part, I64) for part in range(n_words)]
            _place_relevant(code, block.index, own_words, (table, leaves), scratch, own_place)
        _close_bins(code, table, code.at(bins, code.mul(query.index, I64(n_bits + 1)), I64), n_bits)
        n_listed = code.get(scratch[1], n_blocks, I64)
        total, hits = _sum_precisions(code, table, n_listed, scratch, top_k)
        code.put(sums, query.index, total)
        code.put(n_hits, query.index, hits)


def _list_relevant(
    code: Code,
    own_labels: tuple[ir.Value, ...],
    labels: tuple[ir.Value, ...],
    words: ir.Value,
    n_words: int,
    scratch: list[ir.Value],
) -> None:
    """Lists the relevant items of all blocks: 64 * lane + bit, the code, and each block's end."""
    positions, ends, codes, _, _ = scratch
    n_blocks = labels[1]
    code.put(ends, 0, I64(0))
    with code.loop(n_blocks, I64(0)) as block:
        relevant, n = relevant_items(code, block.index, own_labels, labels), block.values[0]
        for lane in range(8):
            word = code.extract_element(relevant, ir.IntType(32)(lane))
            first = code.mul(I64(64), code.add(code.mul(I64(lane), n_blocks), block.index))
            with code.loop(code.n_set(word), word, n) as one:
                left, place = one.values
                bit = code.cttz(left, ir.IntType(1)(1))
                code.put(positions, place, code.trunc(code.add(bit, I64(64 * lane)), I16))
                for part in range(n_words):
                    item_part = code.add(code.mul(code.add(first, bit), I64(n_words)), I64(part))
                    target = code.add(code.mul(place, I64(n_words)), I64(part))
                    code.put(codes, target, code.get(words, item_part, I64))
                one.next = code.and_(left, code.sub(left, I64(1))), code.add(place, I64(1))
            n = one.values[1]
        code.put(ends, code.add(block.index, I64(1)), n)
        block.next = (n,)


def _own_place(code: Code, own: ir.Value, query: ir.Value) -> tuple[ir.Value, ir.Value]:
    """The block and the position, 64 * lane + bit, of a query's own item."""
    row = code.mul(query, I64(2))
    return code.get(own, row, I64), code.get(own, code.add(row, I64(1)), I64)


def _without_own(
    code: Code, items: ir.Value, block: ir.Value, own_place: tuple[ir.Value, ir.Value]
) -> ir.Value:
    """The block's items, the query's own one cleared."""
    own_block, position = own_place
    bit = code.shl(I64(1), code.and_(position, I64(63)))
    lane = code.trunc(code.lshr(position, I64(6)), I32)
    others = code.xor(code.insert_element(NO_BITS, bit, lane), ALL_BITS)
    is_here = code.icmp_signed("==", block, own_block)
    return code.select(is_here, code.and_(items, others), items)


def _is_own(
    code: Code, block: ir.Value, position: ir.Value, own_place: tuple[ir.Value, ir.Value]
) -> ir.Value:
    own_block, own_position = own_place
    is_here = code.icmp_signed("==", block, own_block)
    return code.and_(is_here, code.icmp_signed("==", position, own_position))


def _place_relevant(
    code: Code,
    block: ir.Value,
    own_words: list[ir.Value],
    tables: tuple[ir.Value, ir.Value],
    scratch: list[ir.Value],
    own_place: tuple[ir.Value, ir.Value] | None,
) -> None:
    """Finds the bin of every relevant item of the block, and its place there.

    The place counts all items in the low half and the relevant ones in the high half.
    """
    positions, ends, codes, bins_of, places = scratch
    table, leaves = tables
    n_words = len(own_words)
    first, end = code.get(ends, block, I64), code.get(ends, code.add(block, I64(1)), I64)
    with code.loop(code.sub(end, first)) as turn:
        item = code.add(first, turn.index)
        d = I64(0)
        for part in range(n_words):
            word = code.get(codes, code.add(code.mul(item, I64(n_words)), I64(part)), I64)
            d = code.add(d, code.n_set(code.xor(word, own_words[part])))
        position = code.zext(code.get(positions, item, I16), I64)
        lane, bit = code.lshr(position, I64(6)), code.and_(position, I64(63))
        bin_ = code.add(code.mul(d, I64(8)), lane)
        one, bin16 = ONE_RELEVANT, code.trunc(bin_, I16)
        if own_place:  # it counts nowhere and gets the place of a filler: see `_sum_precisions`
            is_own = _is_own(code, block, position, own_place)
            one, bin16 = code.select(is_own, I64(0), one), code.select(is_own, I16(0), bin16)
        counted = code.add(code.get(table, bin_, I64), one)
        code.put(table, bin_, counted)
        behind = code.n_set(code.lshr(code.lshr(code.get(leaves, bin_, I64), bit), I64(1)))
        place = code.sub(counted, behind)
        code.put(bins_of, item, bin16)
        code.put(places, item, code.select(is_own, BEYOND, place) if own_place else place)


def _close_bins(code: Code, table: ir.Value, own_bins: ir.Value, n_bits: int) -> None:
    """Hands out the counts by distance, then turns each bin's count into that of all before it."""
    with code.loop(n_bits + 1) as bin_:
        code.put(own_bins, bin_.index, code.sum_of_lanes(code.get(table, bin_.index)))
    with code.loop(8 * (n_bits + 1), I64(0)) as bin_:
        in_bin = code.get(table, bin_.index, I64)
        code.put(table, bin_.index, bin_.values[0])
        bin_.next = (code.add(bin_.values[0], in_bin),)


def _sum_precisions(
    code: Code, before: ir.Value, n: ir.Value, scratch: list[ir.Value], top_k: ir.Value
) -> tuple[ir.Value, ir.Value]:
    """Sum of (rank among the relevant) / (rank among all) over ranks <= top_k, and their number.

    It is always added in the same order. before: by bin, what stands in front of it.
    """
    _, _, _, bins_of, places = scratch
    for extra in range(8):  # the last vector is filled up with items beyond every rank
        code.put(places, code.add(n, I64(extra)), BEYOND)
        code.put(bins_of, code.add(n, I64(extra)), I16(0))
    with code.loop(n) as item:
        own_bin = code.zext(code.get(bins_of, item.index, I16), I64)
        place = code.get(places, item.index, I64)
        code.put(places, item.index, code.add(place, code.get(before, own_bin, I64)))
    n_vectors = code.udiv(code.add(n, I64(7)), I64(8))
    limit = code.repeated(top_k)
    with code.loop(n_vectors, ir.Constant(REALS, [0.0] * 8), NO_BITS) as vector:
        both = code.get(code.at(places, code.mul(vector.index, I64(8)), I64), 0)
        rank = code.and_(both, ir.Constant(WORDS, [(1 << 32) - 1] * 8))
        among_relevant = code.lshr(both, ir.Constant(WORDS, [32] * 8))
        precision = code.fdiv(code.uitofp(among_relevant, REALS), code.uitofp(rank, REALS))
        is_listed = code.icmp_unsigned("<=", rank, limit)
        listed = code.select(is_listed, precision, ir.Constant(REALS, [0.0] * 8))
        vector.next = (
            code.fadd(vector.values[0], listed),
            code.add(vector.values[1], code.zext(is_listed, WORDS)),
        )
    total = code.call_llvm("llvm.vector.reduce.fadd.v8f64", F64, F64(0.0), vector.values[0])
    return total, code.sum_of_lanes(vector.values[1])
